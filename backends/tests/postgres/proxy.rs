//! A TCP proxy that can fall silent: for a while, or for ever on the connections there are.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

#[derive(Clone, Copy, Default)]
struct Mood {
    /// Answers of the server are kept back.
    holds_answers: bool,
    /// Connections below this number are swallowed: they stay open, and nothing passes any more.
    swallowed_below: u64,
    connections: u64,
}

/// See the module. It ends when it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    mood: watch::Sender<Mood>,
    _tasks: JoinSet<()>,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Asking,
    Answering,
}

impl Proxy {
    /// In front of the server of this URL.
    pub(crate) async fn before(url: &str) -> Self {
        let (_, rest) = url.split_once('@').unwrap();
        let (target, _) = rest.split_once('/').unwrap();
        let target = target.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mood, _) = watch::channel(Mood::default());
        let mut tasks = JoinSet::new();
        let accepting = mood.clone();
        tasks.spawn(async move {
            let mut pumps = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let Ok(server) = TcpStream::connect(&target).await else { continue };
                accepting.send_modify(|mood| mood.connections += 1);
                let number = accepting.borrow().connections - 1;
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let (a, b) = (accepting.subscribe(), accepting.subscribe());
                pumps.spawn(pump(from_client, to_server, a, number, Way::Asking));
                pumps.spawn(pump(from_server, to_client, b, number, Way::Answering));
            }
        });
        Self { address, mood, _tasks: tasks }
    }

    /// The same URL, through this proxy.
    pub(crate) fn url(&self, url: &str) -> String {
        let (who, rest) = url.split_once('@').unwrap();
        let (_, database) = rest.split_once('/').unwrap();
        format!("{who}@{}/{database}", self.address)
    }

    pub(crate) fn hold_answers(&self) {
        self.mood.send_modify(|mood| mood.holds_answers = true);
    }

    pub(crate) fn let_answers_go(&self) {
        self.mood.send_modify(|mood| mood.holds_answers = false);
    }

    /// Nothing passes any more on the connections there are; new ones work.
    pub(crate) fn swallow(&self) {
        self.mood.send_modify(|mood| mood.swallowed_below = mood.connections);
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut mood: watch::Receiver<Mood>,
    number: u64,
    way: Way,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        loop {
            let now = *mood.borrow_and_update();
            if number < now.swallowed_below {
                std::future::pending::<()>().await;
            }
            if !(now.holds_answers && way == Way::Answering) {
                break;
            }
            if mood.changed().await.is_err() {
                return;
            }
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
