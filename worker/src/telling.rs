//! Which buyers are told what: whoever left an address hears that goods are held for them, and how the order ended. Said when
//! the ledger has committed it; the sending is [`notify`](crate::notify)'s.

use sluice_core::{
    clock::UnixMillis,
    ids::{BuyerId, EntryId, SaleId},
    line::LineEntry,
    order::{Order, OrderName, OrderState},
    ports::{EntryRecord, Notification, NotificationId, Occasion, Reach},
};

use crate::shared::Shared;

/// What happened, and to whom.
struct News<'a> {
    sale: &'a SaleId,
    entry: EntryId,
    buyer: &'a BuyerId,
    order: OrderName,
    pay_by: Option<UnixMillis>,
    at: UnixMillis,
}

impl Shared {
    /// Goods are held for an entry. A turn that was delivered again says so again: the notification has the same id.
    pub(crate) fn tell_held(&self, line_entry: &LineEntry, record: &EntryRecord) {
        let (Some(reach), Some(order)) = (&line_entry.reach, record.order) else { return };
        if order.state != OrderState::AwaitingPayment {
            return;
        }
        let occasion = if line_entry.stands_by() { Occasion::Offered } else { Occasion::Reserved };
        let news = News {
            sale: &record.sale,
            entry: record.entry,
            buyer: &record.buyer,
            order: OrderName::Own(order.order),
            pay_by: Some(order.pay_by),
            at: record.at,
        };
        self.tell(reach, occasion, news);
    }

    /// An order came into another state.
    pub(crate) fn tell_entered(&self, order: &Order) {
        let Some(reach) = &order.reach else { return };
        let occasion = match order.state {
            OrderState::Fulfilled => Occasion::Fulfilled,
            OrderState::Closed => Occasion::Closed,
            OrderState::Refunded => Occasion::Refunded,
            OrderState::AwaitingPayment
            | OrderState::Closing
            | OrderState::Paid
            | OrderState::Fulfilling
            | OrderState::Failed
            | OrderState::Refunding
            | OrderState::Changing => return,
        };
        let name = match &order.shop {
            Some(shop) => OrderName::Shop(shop.id.clone()),
            None => OrderName::Own(order.id),
        };
        let at = order.history.last().map_or_else(|| self.ports.clock.now(), |last| last.at);
        let news = News {
            sale: &order.sale,
            entry: order.entry,
            buyer: &order.buyer,
            order: name,
            pay_by: None,
            at,
        };
        self.tell(reach, occasion, news);
    }

    fn tell(&self, reach: &Reach, occasion: Occasion, news: News<'_>) {
        let title = self.ports.directory.sale(news.sale).map(|view| view.sale().title.clone());
        let base = &self.ports.urls.admission;
        let notification = Notification {
            id: NotificationId::of(news.entry, occasion),
            occasion,
            at: news.at,
            sale: news.sale.clone(),
            title: title.filter(|title| !title.is_empty()).unwrap_or_else(|| news.sale.to_string()),
            entry: news.entry,
            buyer: news.buyer.clone(),
            order: Some(news.order),
            pay_by: news.pay_by,
            link: (!base.is_empty()).then(|| format!("{base}/w/{}", news.sale)),
            contact: reach.contact.clone(),
            locale: reach.locale.clone(),
        };
        // What there is no room for is counted where it is shed; the entry and the order say the same.
        drop(self.notices.offer(notification));
    }
}
