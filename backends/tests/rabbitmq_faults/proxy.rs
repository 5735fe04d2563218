//! A proxy before the broker that can freeze: the connections stay open, and nothing passes any more.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

/// See the module.
pub(crate) struct Proxy {
    address: SocketAddr,
    frozen: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Stands before the broker at `to`.
    pub(crate) async fn before(to: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (frozen, freezes) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut pipes = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (from_client, to_client) = client.into_split();
                let (from_broker, to_broker) =
                    TcpStream::connect(to.as_str()).await.unwrap().into_split();
                pipes.spawn(pipe(from_client, to_broker, freezes.clone()));
                pipes.spawn(pipe(from_broker, to_client, freezes.clone()));
            }
        });
        Self { address, frozen, _tasks: tasks }
    }

    /// The url of a broker, by way of this proxy.
    pub(crate) fn url(&self, direct: &str) -> String {
        let (credentials, rest) = direct.split_once('@').unwrap();
        let (_, vhost) = rest.split_once('/').unwrap();
        format!("{credentials}@{}/{vhost}", self.address)
    }

    pub(crate) fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    pub(crate) fn thaw(&self) {
        self.frozen.send_replace(false);
    }
}

/// Carries bytes, and the end of them, unless frozen.
async fn pipe(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut frozen: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        if frozen.wait_for(|frozen| !frozen).await.is_err() || read == 0 {
            return;
        }
        let Some(bytes) = buffer.get(..read) else { return };
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
