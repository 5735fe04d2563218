//! A closed-loop load over raw sockets: the same small cost for every server it is pointed at.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// Requests, each repeated on a connection of its own.
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) requests: Vec<Vec<u8>>,
}

/// What came back in a run.
pub(crate) struct Ran {
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) per_second: f64,
}

/// One whole answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) bytes: Vec<u8>,
}

impl Load {
    pub(crate) async fn run(&self, time: Duration) -> Ran {
        let (answered, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let stop = Arc::new(AtomicBool::new(false));
        let mut connections = JoinSet::new();
        for request in &self.requests {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (request, stop) = (request.clone(), Arc::clone(&stop));
            let (answered, failed) = (Arc::clone(&answered), Arc::clone(&failed));
            connections.spawn(async move {
                let mut buffer = Vec::with_capacity(8192);
                while !stop.load(Relaxed) {
                    stream.write_all(&request).await.unwrap();
                    let reply = read(&mut stream, &mut buffer).await;
                    answered.fetch_add(1, Relaxed);
                    if !(200..300).contains(&reply) {
                        failed.fetch_add(1, Relaxed);
                    }
                }
            });
        }
        let began = Instant::now();
        tokio::time::sleep(time).await;
        let n = answered.load(Relaxed);
        let seconds = began.elapsed().as_secs_f64();
        stop.store(true, Relaxed);
        while connections.join_next().await.is_some() {}
        Ran {
            answered: answered.load(Relaxed),
            failed: failed.load(Relaxed),
            per_second: exact(n) / seconds,
        }
    }
}

/// Asks once on a connection of its own.
pub(crate) async fn once(address: SocketAddr, request: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut bytes = Vec::new();
    let status = read(&mut stream, &mut bytes).await;
    let end = head_end(&bytes).unwrap();
    Reply { status, head: bytes[..end].to_vec(), body: bytes[end..].to_vec(), bytes }
}

/// Reads one answer with a content length into `buffer`; returns its status.
pub(crate) async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> u16 {
    buffer.clear();
    let whole = loop {
        if stream.read_buf(buffer).await.unwrap() == 0 {
            panic!("the server hung up");
        }
        if let Some(end) = head_end(buffer) {
            break end + content_length(&buffer[..end]);
        }
    };
    while buffer.len() < whole {
        assert!(stream.read_buf(buffer).await.unwrap() > 0, "the server hung up");
    }
    std::str::from_utf8(&buffer[9..12]).unwrap().parse().unwrap()
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

fn content_length(head: &[u8]) -> usize {
    let text = std::str::from_utf8(head).unwrap();
    let line = text
        .lines()
        .find(|line| line.len() > 15 && line[..15].eq_ignore_ascii_case("content-length:"));
    line.map_or(0, |line| line[15..].trim().parse().unwrap())
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn exact(count: u64) -> f64 {
    count as f64
}
