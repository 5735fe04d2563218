//! What a push connection costs the server: resident bytes, before and after thousands have connected and heard a frame.

use std::time::Duration;

use futures_util::StreamExt;
use http::{HeaderValue, header};
use tokio::{net::TcpSocket, task::JoinSet, time::timeout};
use tokio_tungstenite::{
    client_async_with_config,
    tungstenite::{client::IntoClientRequest, protocol::WebSocketConfig},
};

use super::{
    buyer,
    sale::{SALE, STANDING},
    subject::Subject,
};

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
            let socket = TcpSocket::new_v4().unwrap();
            // Many source addresses, so that ports suffice.
            let source = [127, 2, 0, u8::try_from(n % 200).unwrap() + 1];
            socket.bind((source, 0).into()).unwrap();
            let stream = socket.connect(address).await.unwrap();
            let mut request =
                format!("ws://{address}/v1/sales/{SALE}/push").into_client_request().unwrap();
            let protocols =
                HeaderValue::from_str(&format!("sluice.v1, bearer.{}", place.token)).unwrap();
            request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocols);
            let config = WebSocketConfig::default().read_buffer_size(1024).write_buffer_size(0);
            let (mut socket, _) =
                client_async_with_config(request, stream, Some(config)).await.unwrap();
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
