//! Mail: what arrives, over which kinds of connection, and what cannot be smuggled into it.

use sluice_core::ports::{Contact, Notification, NotifyError};
use sluice_worker::notify::{ChannelSettings, SendError, SmtpSettings};

use super::{
    in_turn,
    post_office::{Mail, PostOffice, channel},
    prompt, reserved,
};

/// The shared mail server's settings, as `of` picks them.
fn at_the_shared<T>(of: impl FnOnce(&PostOffice) -> T) -> T {
    of(&PostOffice::shared().lock().unwrap())
}

fn only_mail_to(address: &str) -> Mail {
    let mails = at_the_shared(|office| office.mails_to(address));
    assert_eq!(mails.len(), 1, "{mails:?}");
    mails[0].clone()
}

#[tokio::test]
async fn a_mail_arrives_whole_in_the_buyers_language() {
    let channel = at_the_shared(PostOffice::channel);
    let told = reserved("whole@example.com");
    channel.send(&told).await.unwrap();
    let mail = only_mail_to("whole@example.com");
    assert_eq!(mail.header("Subject"), "请为订单付款：双十一 Drop");
    assert_eq!(mail.header("From"), "小店 <no-reply@shop.example>");
    assert_eq!(mail.header("To"), "whole@example.com");
    assert_eq!(mail.header("Message-ID"), format!("<{}@shop.example>", told.id));
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    assert_eq!(mail.header("Content-Language"), "zh-CN");
    assert_eq!(mail.header("Date"), "Wed, 11 Nov 2026 12:00:00 +0000");
    assert!(mail.header("Content-Type").starts_with("text/plain; charset=\"utf-8\""), "{mail:?}");
    let (order, text) = (told.order.unwrap().to_string(), mail.text());
    for part in
        ["双十一 Drop", "2026-11-11 20:15 (UTC+08:00)", &order, "https://queue.example.com/w/drop"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(mail.get("from"), "no-reply@shop.example");
    assert_eq!(mail.get("hello"), "shop.example");
    assert!(mail.get("raw").as_str().unwrap().is_ascii(), "any server may carry it");
}

#[tokio::test]
async fn the_way_to_another_machine_is_encrypted_and_then_it_logs_in() {
    for (name, word) in [("wrapped", "SMTP_TLS_URL"), ("upgraded", "SMTP_STARTTLS_URL")] {
        let settings = at_the_shared(|office| office.protected(office.word(word)));
        let address = format!("{name}@example.com");
        channel(&settings).send(&reserved(&address)).await.unwrap();
        let mail = only_mail_to(&address);
        assert_eq!(
            (mail.get("encrypted"), mail.get("login")),
            (&true.into(), &true.into()),
            "{name}"
        );

        let stranger = SmtpSettings { authorities: Vec::new(), ..settings.clone() };
        let refused = channel(&stranger).send(&reserved(&address)).await;
        assert!(matches!(refused, Err(SendError::Barred(_))), "{name}: {refused:?}");
        let impostor = SmtpSettings { password: "another".to_owned(), ..settings };
        let refused = channel(&impostor).send(&reserved(&address)).await;
        assert!(matches!(refused, Err(SendError::Barred(_))), "{name}: {refused:?}");
        only_mail_to(&address);
    }
}

/// A server that offers no STARTTLS, or one that somebody keeps from offering it.
#[tokio::test]
async fn nothing_is_said_in_the_clear_to_another_machine() {
    let settings = at_the_shared(|office| {
        office.protected(&office.word("SMTP_URL").replace("127.0.0.1", "0.0.0.0"))
    });
    let refused = channel(&settings).send(&reserved("downgraded@example.com")).await;
    assert!(matches!(refused, Err(SendError::Barred(_))), "{refused:?}");
    assert!(at_the_shared(|office| office.mails_to("downgraded@example.com")).is_empty());
}

#[tokio::test]
async fn a_title_or_an_address_adds_no_header_and_no_recipient() {
    let channel = at_the_shared(PostOffice::channel);
    let smuggled =
        "Drop\r\nBcc: eve@example.com\r\n\r\nClick here\n.\r\nMAIL FROM:<eve@example.com>";
    let told = Notification {
        title: smuggled.to_owned(),
        link: Some("https://queue.example.com/\r\nX-Eve: 1".to_owned()),
        ..reserved("smuggled@example.com")
    };
    channel.send(&told).await.unwrap();
    let mail = only_mail_to("smuggled@example.com");
    assert!(mail.headers("Bcc").is_empty() && mail.headers("X-Eve").is_empty(), "{mail:?}");
    assert!(
        mail.header("Subject")
            .ends_with("Drop Bcc: eve@example.com Click here . MAIL FROM:<eve@example.com>")
    );
    assert!(at_the_shared(|office| office.mails_to("eve@example.com")).is_empty());
    for bad in ["x@example.com\r\nRCPT TO:<eve@example.com>", "x@example.com>,<eve@example.com"] {
        assert!(Contact::new(Some(bad.to_owned()), None).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn later_is_tried_again_and_never_is_not() {
    let channel = at_the_shared(PostOffice::channel);
    let notifier = in_turn(vec![channel.clone()], prompt());
    let repeated = reserved("busy-2@example.com");
    notifier.notify(&repeated).await.unwrap();
    only_mail_to("busy-2@example.com");
    // Three times, as configured, and then it is somebody else's.
    let given_up = notifier.notify(&reserved("busy-3@example.com")).await;
    assert!(matches!(given_up, Err(NotifyError::Unavailable(_))), "{given_up:?}");
    notifier.notify(&reserved("busy-3@example.com")).await.unwrap();
    for (address, code) in [("nobody@example.com", "550"), ("odd@example.com", "554")] {
        let refused = channel.send(&reserved(address)).await;
        let Err(SendError::Never(cause)) = refused else { panic!("{refused:?}") };
        let told = cause.to_string();
        assert!(told.contains(code) && !told.contains(address), "{told}");
        let refused = notifier.notify(&reserved(address)).await;
        assert!(matches!(refused, Err(NotifyError::Undeliverable(_))), "{refused:?}");
    }
    let later = channel.send(&reserved("full@example.com")).await;
    assert!(matches!(later, Err(SendError::Later(_))), "{later:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_mail_server_is_waited_for_no_longer_than_its_time_and_then_left_alone() {
    let mut office = tokio::task::spawn_blocking(PostOffice::open).await.unwrap();
    let settings = ChannelSettings {
        timeout: std::time::Duration::from_millis(200),
        failures_max: 3,
        rest: std::time::Duration::from_secs(3_600),
        ..prompt()
    };
    let notifier = in_turn(vec![office.channel()], settings);
    notifier.notify(&reserved("before@example.com")).await.unwrap();
    office.order("pause smtp");
    let began = tokio::time::Instant::now();
    let silent = notifier.notify(&reserved("during@example.com")).await;
    assert!(matches!(silent, Err(NotifyError::Unavailable(_))), "{silent:?}");
    assert!(began.elapsed() >= settings.timeout * 3, "three calls had their time");
    office.order("resume smtp");
    let resting = notifier.notify(&reserved("resting@example.com")).await;
    assert!(matches!(resting, Err(NotifyError::Unavailable(_))), "{resting:?}");
    assert!(office.mails_to("resting@example.com").is_empty(), "nobody asked a server that rests");
    let fresh = in_turn(vec![office.channel()], settings);
    fresh.notify(&reserved("after@example.com")).await.unwrap();
    assert_eq!(
        office.mails_to("before@example.com").len() + office.mails_to("after@example.com").len(),
        2
    );
}
