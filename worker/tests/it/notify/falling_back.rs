//! When one channel refuses or stays away, the next is asked: a shop's webhook, and a mail server behind it.

use std::time::Duration;

use sluice_core::ports::{Contact, Notification, NotifyError};
use sluice_worker::notify::ChannelSettings;

use super::{in_turn, post_office::PostOffice, prompt, reserved, webhook};
use crate::recorder::Recorder;

/// How often the shop was asked, and how many mails arrived.
async fn told(answers: &[Option<u16>], settings: ChannelSettings, email: &str) -> (usize, usize) {
    let recorder = Recorder::open(answers).await;
    let mail = PostOffice::shared().lock().unwrap().channel();
    let notifier = in_turn(vec![webhook(&recorder.url()), mail], settings);
    notifier.notify(&reserved(email)).await.unwrap();
    let asked = recorder.sent().len();
    recorder.close().await;
    (asked, PostOffice::shared().lock().unwrap().mails_to(email).len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_channel_that_takes_it_is_the_only_one() {
    assert_eq!(told(&[], prompt(), "first@example.com").await, (1, 0));
    assert_eq!(told(&[Some(503), Some(429)], prompt(), "again@example.com").await, (3, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_not_repeated_and_a_silence_is() {
    assert_eq!(told(&[Some(422)], prompt(), "refused@example.com").await, (1, 1));
    assert_eq!(told(&[Some(302)], prompt(), "redirected@example.com").await, (1, 1));
    assert_eq!(told(&[Some(503); 3], prompt(), "away@example.com").await, (3, 1));
    let hasty = ChannelSettings { timeout: Duration::from_millis(300), ..prompt() };
    assert_eq!(told(&[None; 3], hasty, "silent@example.com").await, (3, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_does_not_answer_is_left_alone_and_asked_again_after_its_rest() {
    let recorder = Recorder::open(&[Some(503), Some(503)]).await;
    let mail = PostOffice::shared().lock().unwrap().channel();
    let settings = ChannelSettings {
        tries_max: 1,
        failures_max: 2,
        rest: Duration::from_millis(400),
        ..prompt()
    };
    let notifier = in_turn(vec![webhook(&recorder.url()), mail], settings);
    let mails = || PostOffice::shared().lock().unwrap().mails_to("rests@example.com").len();
    for _ in 0..4 {
        notifier.notify(&reserved("rests@example.com")).await.unwrap();
    }
    assert!(mails() >= 2, "a mail for each that the shop did not take");
    let asked_before = recorder.sent().len();
    crate::house::until("the shop is asked again", async || {
        notifier.notify(&reserved("rests@example.com")).await.unwrap();
        recorder.sent().len() > asked_before
    })
    .await;
    let arrived = mails();
    notifier.notify(&reserved("rests@example.com")).await.unwrap();
    assert_eq!(mails(), arrived, "the shop is there again");
    recorder.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_takes_is_told_apart_from_what_nobody_ever_will() {
    let recorder = Recorder::open(&[Some(422), Some(503), Some(422), Some(422)]).await;
    let mail = || PostOffice::shared().lock().unwrap().channel();
    let once = ChannelSettings { tries_max: 1, ..prompt() };
    let notifier = in_turn(vec![webhook(&recorder.url()), mail()], once);
    let never = notifier.notify(&reserved("nobody@example.com")).await;
    assert!(matches!(never, Err(NotifyError::Undeliverable(_))), "{never:?}");
    let perhaps = notifier.notify(&reserved("nobody@example.com")).await;
    assert!(matches!(perhaps, Err(NotifyError::Unavailable(_))), "{perhaps:?}");
    let perhaps = notifier.notify(&reserved("full@example.com")).await;
    assert!(matches!(perhaps, Err(NotifyError::Unavailable(_))), "{perhaps:?}");

    let silent = Contact::new(None, Some("12345".to_owned())).unwrap();
    let unreachable = Notification { contact: silent, ..reserved("ada@example.com") };
    let only_mail = in_turn(vec![mail()], once);
    let nowhere = only_mail.notify(&unreachable).await;
    assert!(matches!(nowhere, Err(NotifyError::Undeliverable(_))), "{nowhere:?}");
    recorder.close().await;
}
