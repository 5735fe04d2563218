//! A way to a server that can fall silent: bytes are taken and never passed on, and no end is told.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// See the module. Ends with its connections when it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: String,
    /// Connections before this one are silent.
    silent_before: Arc<AtomicU64>,
    met: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn before(url: &str) -> Self {
        let server = url.trim_start_matches("redis://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (silent_before, met) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut tasks = JoinSet::new();
        let (limit, count) = (Arc::clone(&silent_before), Arc::clone(&met));
        tasks.spawn(async move {
            let mut pipes = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let server = TcpStream::connect(&server).await.unwrap();
                let (limit_up, limit_down) = (Arc::clone(&limit), Arc::clone(&limit));
                let ((client_in, client_out), (server_in, server_out)) =
                    (client.into_split(), server.into_split());
                pipes.spawn(pass(client_in, server_out, number, limit_up));
                pipes.spawn(pass(server_in, client_out, number, limit_down));
            }
        });
        Self { address, silent_before, met, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// The connections there are fall silent; new ones are passed on.
    pub(crate) fn go_silent(&self) {
        self.silent_before.store(self.met.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    number: u64,
    silent_before: Arc<AtomicU64>,
) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let silent = number < silent_before.load(Ordering::SeqCst);
        if !silent && to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
    // The end of one side is not told to the other.
    std::future::pending::<()>().await;
}
