//! Which buyers are told what, from a turn to the end of its order.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use sluice_core::{
    line::LineEntry,
    order::{OrderName, OrderState},
    ports::{Contact, Notification, Notifier, NotifyError, Occasion, Reach},
    view::object::PublicUrls,
};
use sluice_worker::{Config, WorkerPorts};

use crate::house::{House, Running, until};

/// Keeps what it was given.
#[derive(Debug, Default)]
pub(crate) struct Postbox(Mutex<Vec<Notification>>);

impl Postbox {
    pub(crate) fn of(&self, buyer: &str) -> Vec<Notification> {
        let all = self.0.lock().unwrap();
        all.iter().filter(|told| told.buyer.as_str() == buyer).cloned().collect()
    }

    pub(crate) fn occasions(&self, buyer: &str) -> Vec<Occasion> {
        self.of(buyer).into_iter().map(|told| told.occasion).collect()
    }
}

#[async_trait]
impl Notifier for Postbox {
    async fn notify(&self, notification: &Notification) -> Result<(), NotifyError> {
        self.0.lock().unwrap().push(notification.clone());
        Ok(())
    }
}

#[tokio::test]
async fn who_left_an_address_is_told_of_the_order_and_of_its_end() {
    let house = House::open(3).await;
    let postbox = Arc::new(Postbox::default());
    let urls =
        PublicUrls { admission: "https://queue.example.com".into(), ..PublicUrls::default() };
    let ports = WorkerPorts {
        notifier: Arc::clone(&postbox) as Arc<dyn Notifier>,
        urls: Arc::new(urls),
        ..house.worker_ports()
    };
    let contact = Contact::new(Some("ada@example.com".into()), None).unwrap();
    let reach = Some(Box::new(Reach { contact: contact.clone(), locale: "zh-CN".into() }));
    let ada = LineEntry { reach: reach.clone(), ..house.entry(1, "ada", 1) };
    let bob = LineEntry { reach, ..house.entry(0, "bob", 1) };
    house.ports.ledger.stand_by(&house.sale, vec![bob.clone()]).await.unwrap();
    let known = house.ports.ledger.standing(&house.sale, 9, &[]).await.unwrap().first;
    assert_eq!(known, std::slice::from_ref(&bob), "the address waits with its buyer");
    house.release(&[ada.clone(), bob.clone(), house.entry(2, "cid", 1)]).await;
    let worker = Running::start(house.worker_over(ports, Config::default()));
    house.drained().await;
    until("both are told", async || !postbox.of("ada").is_empty() && !postbox.of("bob").is_empty())
        .await;
    assert_eq!(postbox.occasions("ada"), [Occasion::Reserved]);
    assert_eq!(postbox.occasions("bob"), [Occasion::Offered]);
    let told = postbox.of("ada").remove(0);
    let order = house.records(&[ada]).await[0].order.unwrap();
    assert_eq!((told.order, told.pay_by), (Some(OrderName::Own(order.order)), Some(order.pay_by)));
    assert_eq!((told.contact, told.locale.as_str()), (contact, "zh-CN"));
    assert_eq!(told.link.as_deref(), Some("https://queue.example.com/w/drop"));

    house.clock.advance(Duration::from_secs(901));
    house.order_in(order.order, OrderState::Closed).await;
    until("the end is told", async || postbox.occasions("ada").len() == 2).await;
    assert_eq!(postbox.occasions("ada"), [Occasion::Reserved, Occasion::Closed]);
    assert!(postbox.of("cid").is_empty(), "who left no address is told nothing");
    worker.stop().await;
}
