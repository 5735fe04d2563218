//! Bare hyper: answers every request with recorded bytes and headers, after reading its body.

use std::{
    convert::Infallible,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use super::load::Reply;

/// A bare server in a process of its own, as sluice is.
pub(crate) struct Bare {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Bare {
    pub(crate) async fn start(reply: &Reply) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env("SLUICE_BENCH_BARE", "1")
            .env("SLUICE_BENCH_HEAD", String::from_utf8(reply.head.clone()).unwrap())
            .env("SLUICE_BENCH_BODY", String::from_utf8(reply.body.clone()).unwrap())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { address: line.trim().parse().unwrap(), child }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The process itself: prints its address, serves until it is killed.
pub(crate) async fn serve() {
    let head = std::env::var("SLUICE_BENCH_HEAD").unwrap();
    let body = Bytes::from(std::env::var("SLUICE_BENCH_BODY").unwrap());
    let mut answer = Response::builder().status(head[9..12].parse::<u16>().unwrap());
    for line in head.lines().skip(1) {
        if let Some((name, value)) = line.split_once(": ")
            && !["content-length", "date"].contains(&name)
        {
            answer = answer.header(name, value);
        }
    }
    let (parts, ()) = answer.body(()).unwrap().into_parts();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (parts, body) = (parts.clone(), body.clone());
        tokio::spawn(async move {
            let answer = service_fn(move |request: Request<Incoming>| {
                let (parts, body) = (parts.clone(), body.clone());
                async move {
                    let _ = request.into_body().collect().await;
                    Ok::<_, Infallible>(Response::from_parts(parts, Full::new(body)))
                }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new());
            let _ = http.serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}
