//! The outgoing client against servers that are slow, fat, absent or somewhere else.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header::LOCATION};
use sluice_http::{
    Exchange, Routes,
    client::{BadUrl, Client, ClientError},
    empty, raw_json,
};

use crate::house::{House, hello};

const BYTES_MAX: usize = 1024;

fn get(url: String) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

async fn echo(mut exchange: Exchange) -> crate::house::Answered {
    let bytes = exchange.body(BYTES_MAX).await?;
    Ok(raw_json(StatusCode::CREATED, bytes))
}

fn routes() -> Routes {
    Routes::new("shop")
        .get("/hello", hello)
        .post("/echo", echo)
        .get("/exact", |_| async { Ok(raw_json(StatusCode::OK, vec![b'1'; BYTES_MAX].into())) })
        .get("/fat", |_| async { Ok(raw_json(StatusCode::OK, vec![b'1'; BYTES_MAX + 1].into())) })
        .get("/away", |_| async {
            let mut response = empty(StatusCode::FOUND);
            response.headers_mut().insert(LOCATION, HeaderValue::from_static("/hello"));
            Ok(response)
        })
        .get("/never", |_| std::future::pending())
}

#[tokio::test]
async fn a_request_is_sent_and_its_answer_read() {
    let house = House::open(routes()).await;
    let client = Client::new(Duration::from_secs(20));
    let request = Request::post(format!("http://{}/echo", house.address))
        .body(Bytes::from_static(b"{}"))
        .unwrap();
    let response = client.send(request, BYTES_MAX).await.unwrap();
    assert_eq!((response.status(), &response.body()[..]), (StatusCode::CREATED, &b"{}"[..]));
    let response = client
        .send(get(format!("http://localhost:{}/exact", house.address.port())), BYTES_MAX)
        .await
        .unwrap();
    assert_eq!(response.body().len(), BYTES_MAX);
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let house = House::open(routes()).await;
    let client = Client::new(Duration::from_secs(20));
    let response =
        client.send(get(format!("http://{}/away", house.address)), BYTES_MAX).await.unwrap();
    assert_eq!(response.status(), StatusCode::FOUND);
}

#[tokio::test]
async fn what_goes_wrong_is_told_apart() {
    let house = House::open(routes()).await;
    let client = Client::new(Duration::from_millis(300));
    let failed = async |url: String| client.send(get(url), BYTES_MAX).await.unwrap_err();

    let error = failed(format!("http://{}/fat", house.address)).await;
    assert!(matches!(error, ClientError::TooLarge { bytes_max: BYTES_MAX }), "{error:?}");
    let error = failed(format!("http://{}/never", house.address)).await;
    assert!(matches!(error, ClientError::Timeout(_)), "{error:?}");
    let error = failed("http://shop.example/hello".into()).await;
    assert!(matches!(error, ClientError::Url(BadUrl::Scheme)), "{error:?}");
    let error = failed("/hello".into()).await;
    assert!(matches!(error, ClientError::Url(BadUrl::Malformed)), "{error:?}");

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = free.local_addr().unwrap();
    drop(free);
    let error = failed(format!("http://{nobody}/")).await;
    assert!(matches!(error, ClientError::Connect(_)), "{error:?}");
}
