//! Telling buyers, against a shop that listens on a real HTTP server and a real mail server.

mod falling_back;
mod mail;
mod post_office;
mod queue;
mod webhook;

use std::{sync::Arc, time::Duration};

use sluice_core::{
    clock::{ManualClock, UnixMillis},
    ids::{BuyerId, EntryId, OrderId, SaleId},
    order::OrderName,
    ports::{Contact, Notification, NotificationId, Notifier, Occasion},
    random::Random,
    webhook::Secrets,
};
use sluice_worker::notify::{Channel, ChannelSettings, Channels, Texts, UtcOffset, Webhook};

const SIGNING: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const NOW: UnixMillis = UnixMillis(1_794_398_400_000);

/// A reserved order of a buyer with this address.
fn reserved(email: &str) -> Notification {
    let (occasion, entry) = (Occasion::Reserved, EntryId::from_bytes([1; 16]));
    Notification {
        id: NotificationId::of(entry, occasion),
        occasion,
        at: NOW,
        sale: SaleId::new("drop").unwrap(),
        title: "双十一 Drop".to_owned(),
        entry,
        buyer: BuyerId::new("ada").unwrap(),
        order: Some(OrderName::Own(OrderId::from_bytes([2; 16]))),
        pay_by: Some(NOW.plus(Duration::from_secs(900))),
        link: Some("https://queue.example.com/w/drop".to_owned()),
        contact: Contact::new(Some(email.to_owned()), Some("+8613912345678".to_owned())).unwrap(),
        locale: "zh-CN".to_owned(),
    }
}

fn texts() -> Texts {
    Texts::new("+08:00".parse::<UtcOffset>().unwrap())
}

/// As in production, but for pauses: a test need not sit them out.
fn prompt() -> ChannelSettings {
    let pause = Duration::from_millis(5);
    ChannelSettings { pause, pause_max: pause, ..ChannelSettings::default() }
}

fn webhook(url: &str) -> Arc<dyn Channel> {
    let secrets = Secrets::new(&[SIGNING]).unwrap();
    let clock = Arc::new(ManualClock::at(NOW));
    Arc::new(Webhook::new(url, prompt().timeout, secrets, clock, texts()).unwrap())
}

fn in_turn(channels: Vec<Arc<dyn Channel>>, settings: ChannelSettings) -> Arc<dyn Notifier> {
    Arc::new(Channels::new(channels, settings, Arc::new(Random::seeded(1))))
}
