//! A listener that is no broker, or a wrong one.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What it answers to a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// It accepts, and says nothing.
    Silence,
    /// A broker's greeting with this version, then nothing.
    Greeting(&'static str),
    /// Something else altogether.
    Http,
}

/// Answers until it is dropped.
pub(crate) struct Impostor {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Impostor {
    /// The first connection gets the first answer, and so on; the last one is repeated.
    pub(crate) async fn new(answers: &'static [Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            for n in 0.. {
                let (connection, _) = listener.accept().await.unwrap();
                let answer = answers.get(n).or(answers.last()).copied().unwrap();
                connections.spawn(serve(connection, answer));
            }
        });
        Self { address, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:s3cret@{}/%2f", self.address)
    }
}

async fn serve(mut connection: TcpStream, answer: Answer) {
    let mut heard = [0; 8];
    connection.read_exact(&mut heard).await.unwrap();
    match answer {
        Answer::Silence => {}
        Answer::Greeting(version) => connection.write_all(&greeting(version)).await.unwrap(),
        Answer::Http => {
            connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        }
    }
    // Until the other side has had enough.
    let _ = connection.read_to_end(&mut Vec::new()).await;
}

/// `connection.start` as RabbitMQ sends it (AMQP 0-9-1, section 1.4.2.1).
fn greeting(version: &str) -> Vec<u8> {
    let mut table = Vec::new();
    for (key, value) in [("product", "RabbitMQ"), ("version", version)] {
        table.push(u8::try_from(key.len()).unwrap());
        table.extend(key.bytes());
        table.push(b'S');
        table.extend(long(value.as_bytes()));
    }
    let mut method = vec![0, 10, 0, 10, 0, 9];
    method.extend(long(&table));
    method.extend(long(b"PLAIN"));
    method.extend(long(b"en_US"));
    let mut frame = vec![1, 0, 0];
    frame.extend(long(&method));
    frame.push(0xCE);
    frame
}

fn long(bytes: &[u8]) -> Vec<u8> {
    let mut long = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    long.extend(bytes);
    long
}
