//! The sales of the configuration: made at start if they are not there, and left alone if they are.

use sluice_core::{
    ids::SaleId,
    policy::OutOfRange,
    ports::{Author, Created, PortError},
    sale::NewSale,
};

use crate::{config::CONFIG_AUTHOR, desk::Desk};

/// Why the configured sales could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConfiguredError {
    /// The configuration is wrong: mend it.
    #[error("`[[sale]]` with id `{sale}` is out of range")]
    OutOfRange {
        sale: SaleId,
        #[source]
        source: OutOfRange,
    },
    /// A store is away: try again.
    #[error("the configured sales could not be made")]
    Store(#[from] PortError),
}

/// Repeats are harmless. Also declares the queue of every sale in the ledger: a crash may have come between the two.
pub(crate) async fn create(desk: &Desk, sales: Vec<NewSale>) -> Result<(), ConfiguredError> {
    let ports = &desk.ports;
    let author = Author { name: CONFIG_AUTHOR.to_owned(), address: None };
    let _one_at_a_time = desk.set_of_sales.lock().await;
    for new in sales {
        let id = new.id.clone();
        let sale = new
            .build(ports.clock.now())
            .map_err(|source| ConfiguredError::OutOfRange { sale: id.clone(), source })?;
        // Only if absent: repeating the creation at every start would fill the audit log with refusals.
        if ports.ledger.sale(&id).await?.is_none()
            && let Created::New(made) = ports.ledger.create_sale(sale, &author).await?
        {
            tracing::info!(sale = %made.id, "made a sale of the configuration");
        }
    }
    for sale in ports.ledger.sales().await? {
        ports.waiting.declare(&sale.id).await?;
        desk.announce(&sale).await;
    }
    Ok(())
}
