//! The webhook that has the shop tell its buyer.

use serde_json::json;
use sluice_core::{
    ports::{Contact, Notification},
    webhook::Secrets,
};
use sluice_worker::notify::SendError;

use super::{NOW, SIGNING, reserved, webhook};
use crate::recorder::{PATH, Recorder};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_signed_and_says_everything_the_shop_needs() {
    let recorder = Recorder::open(&[]).await;
    let told = reserved("ada@example.com");
    let channel = webhook(&recorder.url());
    for _ in 0..2 {
        channel.send(&told).await.unwrap();
    }
    let sent = recorder.sent();
    let secrets = Secrets::new(&[SIGNING]).unwrap();
    for one in &sent {
        assert_eq!(one.header("webhook-id"), told.id.as_str(), "a repeat is known as one");
        assert_eq!(one.header("content-type"), "application/json");
        let (timestamp, signature) =
            (one.header("webhook-timestamp"), one.header("webhook-signature"));
        secrets.verify(told.id.as_str(), timestamp, signature, &one.body, NOW).unwrap();
    }
    assert_eq!(sent[0].body, sent[1].body);
    let mut said = sent[0].json();
    let data = said["data"].as_object_mut().unwrap();
    let (subject, text) = (data.remove("subject").unwrap(), data.remove("text").unwrap());
    assert_eq!(subject, "请为订单付款：双十一 Drop");
    assert!(text.as_str().unwrap().contains("2026-11-11 20:15 (UTC+08:00)"), "{text}");
    let due = json!({"type": "sluice.notification.v1", "timestamp": told.at, "data": {
        "occasion": "reserved", "sale": "drop", "title": "双十一 Drop", "entry": told.entry,
        "buyer": "ada", "order": told.order, "pay_by": told.pay_by,
        "link": "https://queue.example.com/w/drop", "locale": "zh-CN", "language": "zh-CN",
        "contact": {"email": "ada@example.com", "phone": "+8613912345678"}}});
    assert_eq!(said, due);
    recorder.close().await;
}

/// The shop may know more of its buyer than the buyer left here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_reaches_a_buyer_who_left_no_address() {
    let recorder = Recorder::open(&[]).await;
    let channel = webhook(&recorder.url());
    let told = Notification {
        contact: Contact::default(),
        locale: "fr".to_owned(),
        order: None,
        pay_by: None,
        link: None,
        ..reserved("ada@example.com")
    };
    assert!(channel.reaches(&told));
    channel.send(&told).await.unwrap();
    let said = recorder.sent()[0].json();
    assert_eq!((&said["data"]["contact"], &said["data"]["language"]), (&json!({}), &json!("en")));
    recorder.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_says_taken_later_never_or_that_we_do_not_fit() {
    let statuses = [
        200, 202, 204, 408, 425, 429, 500, 503, 400, 410, 413, 422, 301, 302, 307, 308, 401, 403,
        404, 405,
    ];
    let recorder = Recorder::open(&statuses.map(Some)).await;
    let channel = webhook(&recorder.url());
    for status in statuses {
        let answer = channel.send(&reserved("ada@example.com")).await;
        let right = match status {
            200..300 => answer.is_ok(),
            408 | 425 | 429 => matches!(answer, Err(SendError::Later(_))),
            500.. => matches!(answer, Err(SendError::Away(_))),
            300..=399 | 401 | 403 | 404 | 405 => matches!(answer, Err(SendError::Barred(_))),
            _ => matches!(answer, Err(SendError::Never(_))),
        };
        assert!(right, "{status}: {answer:?}");
    }
    let sent = recorder.sent();
    assert_eq!(sent.len(), statuses.len());
    assert!(sent.iter().all(|one| one.path == PATH), "a redirect is not followed");
    recorder.close().await;
}
