//! Sentinels: who the primary is. Asked before every connection, and again and again while it lasts, because a connection
//! to a primary that was replaced may live on.

use redis::{ConnectionInfo, aio::MultiplexedConnection};

use super::{
    dial::{self, Dialled, Timings},
    endpoint::Sentinels,
    fault::OpenError,
};

/// Asks one sentinel after the other for the primary, and connects to the first that is one.
pub(super) async fn dial_master(of: &Sentinels, timings: Timings) -> Result<Dialled, OpenError> {
    let mut fault = None;
    for sentinel in &of.sentinels {
        let dialled = async {
            let mut connection = dial::connect(sentinel, timings).await?;
            let primary = ask(of, sentinel, &mut connection, timings).await?;
            dial::dial_server(&primary, timings).await
        };
        match dialled.await {
            Ok(dialled) => return Ok(dialled),
            Err(error) => fault = Some(error),
        }
    }
    let unknown = || OpenError::UnknownMaster { address: String::new(), master: of.master.clone() };
    Err(fault.unwrap_or_else(unknown))
}

async fn ask(
    of: &Sentinels,
    sentinel: &ConnectionInfo,
    connection: &mut MultiplexedConnection,
    timings: Timings,
) -> Result<ConnectionInfo, OpenError> {
    let address = sentinel.addr().to_string();
    let mut asked = redis::cmd("SENTINEL");
    asked.arg("GET-MASTER-ADDR-BY-NAME").arg(&of.master);
    let named: Option<(String, u16)> =
        dial::within(timings.call, &address, asked.query_async(connection)).await?;
    let known = named.and_then(|(host, port)| of.server(host, port));
    known.ok_or_else(|| OpenError::UnknownMaster { address, master: of.master.clone() })
}

/// Asks the sentinels repeatedly, over a connection it keeps; one that fails leaves its turn to the next.
#[derive(Debug)]
pub(super) struct Lookout {
    of: Sentinels,
    turn: usize,
    connection: Option<MultiplexedConnection>,
}

impl Lookout {
    pub(super) fn new(of: Sentinels) -> Self {
        Self { of, turn: 0, connection: None }
    }

    /// Where the primary is, if a sentinel tells.
    pub(super) async fn primary(&mut self, timings: Timings) -> Option<String> {
        let sentinel = self.of.sentinels.get(self.turn % self.of.sentinels.len().max(1))?;
        let asked = async {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => dial::connect(sentinel, timings).await?,
            };
            let primary = ask(&self.of, sentinel, &mut connection, timings).await?;
            self.connection = Some(connection);
            Ok::<_, OpenError>(primary.addr().to_string())
        };
        match asked.await {
            Ok(primary) => Some(primary),
            Err(error) => {
                tracing::debug!(error = %error, "a sentinel did not answer");
                self.turn += 1;
                None
            }
        }
    }
}
