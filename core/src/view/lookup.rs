//! Where an entry stands: from memory while it waits, from the line and the ledger once the cursor has passed it.

use std::sync::Arc;

use super::{
    SaleView,
    object::{EntryObject, PublicUrls},
};
use crate::{
    clock::Clock,
    ids::Seq,
    ports::{EntryRecord, Ledger, Line, PlaceState, PortResult},
    token::Claims,
};

/// Answers for one entry at a time.
#[derive(Clone, Debug)]
pub struct Lookup {
    pub line: Arc<dyn Line>,
    pub ledger: Arc<dyn Ledger>,
    pub clock: Arc<dyn Clock>,
    pub urls: Arc<PublicUrls>,
}

impl Lookup {
    /// The object of an entry the cursor has not reached: no store is asked. `None` once it was passed.
    #[must_use]
    pub fn waiting(
        &self,
        view: &SaleView,
        claims: &Claims,
        seen: Option<Seq>,
    ) -> Option<EntryObject> {
        let reading = view.read();
        let passed = reading.cursor().serving.max(seen.unwrap_or_default());
        (claims.seq > passed)
            .then(|| EntryObject::waiting(&reading, claims, seen, self.clock.now(), &self.urls))
    }

    /// The object of any entry. One that no store knows of is still in the queues: it waits.
    pub async fn entry(
        &self,
        view: &SaleView,
        claims: &Claims,
        seen: Option<Seq>,
    ) -> PortResult<EntryObject> {
        if let Some(object) = self.waiting(view, claims, seen) {
            return Ok(object);
        }
        // The ledger is asked when the line says settled, knows nothing, or cannot say.
        let place = self
            .line
            .find(&claims.sale, &[claims.entry])
            .await
            .ok()
            .and_then(|mut found| found.pop().flatten());
        let state = place.map(|place| place.state);
        if let Some(PlaceState::Settled(_)) | None = state
            && let Some(record) = self.record(claims).await?
        {
            return Ok(EntryObject::settled(&view.read(), claims, &record, &self.urls));
        }
        let reading = view.read();
        Ok(match state {
            Some(PlaceState::Called) => EntryObject::called(&reading, claims, &self.urls),
            Some(PlaceState::Waiting | PlaceState::Settled(_)) | None => {
                EntryObject::waiting(&reading, claims, seen, self.clock.now(), &self.urls)
            }
        })
    }

    /// The ledger's record of an entry, if it has an outcome.
    pub async fn record(&self, claims: &Claims) -> PortResult<Option<EntryRecord>> {
        Ok(self.ledger.entries(&[claims.entry]).await?.pop().flatten())
    }
}
