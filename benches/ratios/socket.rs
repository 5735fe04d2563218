//! One buyer's WebSocket, with as small a buffer as a phone would have.

use std::net::SocketAddr;

use http::{HeaderValue, header};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{client::IntoClientRequest, protocol::WebSocketConfig},
};

use super::sale::SALE;

/// Connects as number `n` of many: from many source addresses, so that ports suffice.
pub(crate) async fn connect(
    address: SocketAddr,
    token: &str,
    n: usize,
) -> WebSocketStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    let source = [127, 2, 0, u8::try_from(n % 200).unwrap() + 1];
    socket.bind((source, 0).into()).unwrap();
    let stream = socket.connect(address).await.unwrap();
    let mut request = format!("ws://{address}/v1/sales/{SALE}/push").into_client_request().unwrap();
    let protocols = HeaderValue::from_str(&format!("sluice.v1, bearer.{token}")).unwrap();
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocols);
    let config = WebSocketConfig::default().read_buffer_size(1024).write_buffer_size(0);
    client_async_with_config(request, stream, Some(config)).await.unwrap().0
}
