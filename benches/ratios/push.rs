//! What a push connection costs the server: resident bytes, before and after thousands have connected and heard a frame.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::{task::JoinSet, time::timeout};

use super::{buyer, sale::STANDING, socket, subject::Subject};

const DIALS_AT_ONCE: usize = 64;

pub(crate) async fn measure(wanted: usize) {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let connections = wanted.min(usize::try_from(files).unwrap().saturating_sub(1_000));
    let subject = Subject::start(STANDING).await;
    let mut joined = Vec::with_capacity(connections);
    for _ in 0..connections {
        joined.push(buyer::join(subject.public).await);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = subject.resident_bytes();
    let mut dials = JoinSet::new();
    let mut sockets = Vec::with_capacity(connections);
    for (n, place) in joined.into_iter().enumerate() {
        if dials.len() >= DIALS_AT_ONCE {
            sockets.push(dials.join_next().await.unwrap().unwrap());
        }
        let address = subject.public;
        dials.spawn(async move {
            let mut socket = socket::connect(address, &place.token, n).await;
            timeout(Duration::from_secs(30), socket.next()).await.unwrap().unwrap().unwrap();
            socket
        });
    }
    while let Some(socket) = dials.join_next().await {
        sockets.push(socket.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = subject.resident_bytes();
    let each = after.saturating_sub(before) / sockets.len() as u64;
    println!("push    {each} bytes resident per connection at {} (target <= 8192)", sockets.len());
}
