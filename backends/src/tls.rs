//! What goes wrong with TLS comes as an error of the network: here it is told apart, since it is mended elsewhere.

use std::{error::Error, io, sync::Arc};

/// Whether certificates or the handshake are at fault.
pub(crate) fn is_at_fault(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        // Shared, an error answers for what it holds, and hides it.
        let shared = error.downcast_ref::<Arc<dyn Error + Send + Sync>>();
        let error = shared.map_or(error, |shared| &**shared);
        let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if error.is::<rustls::Error>() || within.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        next = error.source();
    }
    false
}
