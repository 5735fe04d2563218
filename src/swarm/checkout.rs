//! What a shopper does with an order: opens a payment, pays it at once, late, or too late; cancels; gives it back. Whoever
//! has paid stays until the goods or the money are there.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};
use sluice_core::clock::UnixMillis;
use tokio::time::{Instant, sleep};

use super::{
    manners::Manner,
    progress::{Biding, Progress},
    shopper::{Shopper, code_of},
};

/// Cards a shopper has: as many payments may fail before the order is left to lapse.
const CARDS_MAX: u32 = 8;
/// When somebody who is late pays, after the deadline: while the order is being closed, or when it is closed.
const LATE_MS: u64 = 4_000;
/// How long after its deadline an order may still be on its way to the word of its provider.
const CLOSING_MAX: Duration = Duration::from_secs(90);
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const LOOK_FIRST: Duration = Duration::from_millis(100);
const LOOK_MOST: Duration = Duration::from_secs(2);

impl Shopper {
    /// Does with the order what this shopper does.
    pub(super) async fn check_out(&mut self) {
        let Some(order) = self.record.order.clone() else {
            self.record.contradict("no-lost-place", "reserved without an order".to_owned());
            return;
        };
        let link = self.order_link.clone().unwrap_or_else(|| format!("/v1/orders/{order}"));
        let manner = self.habits.manner;
        if manner == Manner::LetsLapse {
            return;
        }
        let looks = self.habits.pay_within.mul_f64(self.crowd.random.unit());
        let biding = self.begin_biding(looks);
        sleep(looks).await;
        drop(biding);
        match manner {
            Manner::Pays | Manner::Dawdles | Manner::PaysLate => {
                if self.pay(&link, manner).await
                    && self.goods_came(&link).await
                    && self.habits.refunds
                {
                    self.give_back(&link).await;
                }
            }
            Manner::Cancels => self.cancel(&link).await,
            Manner::Abandons => {
                self.open_payment(&link).await;
            }
            Manner::LetsLapse => {}
        }
    }

    /// Opens a payment, or finds the live one: its page and amount.
    async fn open_payment(&mut self, link: &str) -> Option<(String, u64)> {
        let payment = self.until_ok(Method::POST, &format!("{link}/payment"), None).await;
        let page = payment["pay_url"].as_str()?.to_owned();
        Some((page, payment["amount_fen"].as_u64().unwrap_or(0)))
    }

    /// Pays, with one card after the other; `false` if no money went anywhere.
    async fn pay(&mut self, link: &str, manner: Manner) -> bool {
        for card in 0..CARDS_MAX {
            let Some((page, amount_fen)) = self.open_payment(link).await else {
                self.see_it_closed(link).await;
                return false;
            };
            if card == 0 && manner != Manner::Pays {
                self.bide(link, manner).await;
            }
            let press = Some(json!({ "result": "succeed" }));
            let mut pressed = self.until_ok(Method::POST, &page, press).await;
            if pressed.is_null() {
                // Done before, if it was the answer that was lost.
                pressed = self.until_ok(Method::GET, &page, None).await;
            }
            if !matches!(pressed["state"].as_str(), Some("succeeded" | "failed")) {
                self.see_it_closed(link).await;
                return false;
            }
            if pressed["state"] == "failed" {
                // The order hears of it in a moment, and then another payment may be begun.
                self.record.declined += 1;
                self.pause(None).await;
                continue;
            }
            self.record.paid = true;
            self.record.paid_fen = amount_fen;
            self.record.pay_url = Some(page);
            return true;
        }
        false
    }

    /// Lets time pass: most of what there is to pay, or all of it and a little more.
    async fn bide(&mut self, link: &str, manner: Manner) {
        let order = self.until_ok(Method::GET, link, None).await;
        let Some(window) = window(&order) else { return };
        let random = &self.crowd.random;
        let until = if manner == Manner::PaysLate {
            window + Duration::from_millis(random.below(LATE_MS))
        } else {
            window.mul_f64(0.5 + 0.3 * random.unit())
        };
        let left = until.saturating_sub(self.since_reserved());
        let _biding = self.begin_biding(left);
        sleep(left).await;
    }

    fn begin_biding(&self, left: Duration) -> Biding {
        Biding::begin(&self.crowd.progress, self.habits.n, Instant::now() + left)
    }

    /// How long ago this shopper heard of the reservation: the deadline is never later than the window after that.
    fn since_reserved(&self) -> Duration {
        let now = self.crowd.now();
        Duration::from_secs_f64((now - self.record.outcome_at.unwrap_or(now)).max(0.0))
    }

    /// Waits, having paid, for the goods or the money. Whether it was the goods.
    async fn goods_came(&mut self, link: &str) -> bool {
        let mut biding = None;
        let mut pause = LOOK_FIRST;
        loop {
            let order = self.look(link).await;
            let state = self.record.order_state.clone();
            match state.as_deref() {
                Some("fulfilled") => {
                    Progress::raise(&self.crowd.progress.paid);
                    return true;
                }
                Some("refunded" | "closed") if self.money_is_back().await => return false,
                None => return false,
                Some(_) => {}
            }
            if biding.is_none()
                && let Some(window) = window(&order)
            {
                // Until its deadline has passed, an order may wait for a word that never comes: then the deadline asks.
                let left = (window + CLOSING_MAX).saturating_sub(self.since_reserved());
                biding = Some(self.begin_biding(left));
            }
            sleep(pause).await;
            pause = (pause * 2).min(LOOK_MOST);
        }
    }

    /// Gives a fulfilled order back, and waits for the money.
    async fn give_back(&mut self, link: &str) {
        self.record.refund_asked = Some(self.crowd.now());
        // Under its key, a request whose answer was lost is answered again.
        self.headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_static("give-back"));
        let begun = self.until_ok(Method::POST, &format!("{link}/refund"), Some(json!({}))).await;
        self.headers.remove(IDEMPOTENCY_KEY);
        if begun.is_null() {
            let what = "a fulfilled order could not be given back".to_owned();
            self.record.contradict("no-swallowed-money", what);
            return;
        }
        let mut pause = LOOK_FIRST;
        while self.record.order_state.is_some() {
            self.look(link).await;
            if self.record.order_state.as_deref() == Some("refunded") && self.money_is_back().await
            {
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LOOK_MOST);
        }
    }

    /// An order that may no longer be paid has lapsed, most likely: somebody else may have its goods.
    async fn see_it_closed(&mut self, link: &str) {
        let mut pause = LOOK_FIRST;
        loop {
            let order = self.look(link).await;
            if self.record.order_state.as_deref() != Some("closing") {
                self.record.lapsed = has_lapsed(&order);
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LOOK_MOST);
        }
    }

    /// Cancels, half of the time with a payment open, and waits until the order is closed.
    async fn cancel(&mut self, link: &str) {
        if self.crowd.random.below(2) == 0 {
            self.open_payment(link).await;
        }
        let cancelled = self.until_ok(Method::POST, &format!("{link}/cancel"), None).await;
        if cancelled.is_null() {
            return;
        }
        let mut pause = LOOK_FIRST;
        loop {
            self.look(link).await;
            if matches!(self.record.order_state.as_deref(), Some("closed" | "refunded") | None) {
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LOOK_MOST);
        }
    }

    /// Looks at the order and notes its state; none if the order may no longer be seen.
    async fn look(&mut self, link: &str) -> Value {
        let order = self.until_ok(Method::GET, link, None).await;
        self.record.order_state = order["state"].as_str().map(str::to_owned);
        order
    }

    /// Asks the provider, as one looks at a bank statement, whether the money is back. A provider that does not say is
    /// taken at the order's word.
    async fn money_is_back(&mut self) -> bool {
        let Some(page) = self.record.pay_url.clone() else { return false };
        let statement = self.until_ok(Method::GET, &page, None).await;
        let Some(state) = statement["state"].as_str() else {
            return self.record.order_state.as_deref() == Some("refunded");
        };
        self.record.statement = Some(state.to_owned());
        if state == "refunded" {
            Progress::raise(&self.crowd.progress.refunded);
        }
        state == "refunded"
    }

    /// Repeats a request until it is answered with success, or refused for good (`null`).
    async fn until_ok(&mut self, method: Method, path: &str, body: Option<Value>) -> Value {
        loop {
            match self.ask(method.clone(), path, body.clone()).await {
                Ok(answer) if answer.status.is_success() => {
                    let value = answer.json();
                    return if value.is_null() { json!({}) } else { value };
                }
                Ok(answer) if answer.status == StatusCode::UNAUTHORIZED => self.renew().await,
                Ok(answer) if answer.status == StatusCode::CONFLICT => {
                    self.record.refused(&code_of(&answer));
                    return Value::Null;
                }
                Ok(answer) => {
                    if !self.refused(&answer) {
                        return Value::Null;
                    }
                    self.pause(Some(&answer)).await;
                }
                Err(_) => self.pause(None).await,
            }
        }
    }
}

/// Whether an order was closed, and not before its deadline.
fn has_lapsed(order: &Value) -> bool {
    let time = |text: &Value| UnixMillis::parse(text.as_str()?).ok();
    let rows = order["history"].as_array().into_iter().flatten();
    let ended = rows.filter(|row| row["state"] == "closing").find_map(|row| time(&row["at"]));
    order["state"] == "closed" && ended.zip(time(&order["pay_by"])).is_some_and(|(at, by)| at >= by)
}

/// How long an order may be paid for, from its making.
fn window(order: &Value) -> Option<Duration> {
    let at = |text: &Value| UnixMillis::parse(text.as_str()?).ok();
    let (made, pay_by) = (at(&order["history"][0]["at"])?, at(&order["pay_by"])?);
    Some(pay_by.since(made))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_was_closed_before_its_deadline_has_not_lapsed() {
        let order = |state: &str, closing: &str| {
            json!({"state": state, "pay_by": "2026-11-11T12:15:00Z", "history": [
                {"state": "awaiting_payment", "at": "2026-11-11T12:00:00Z"},
                {"state": "closing", "at": closing},
            ]})
        };
        assert!(has_lapsed(&order("closed", "2026-11-11T12:15:00Z")));
        assert!(!has_lapsed(&order("closed", "2026-11-11T12:14:59Z")), "the goods were promised");
        assert!(!has_lapsed(&order("fulfilled", "2026-11-11T12:15:00Z")));
        assert!(!has_lapsed(&Value::Null));
    }

    #[test]
    fn the_window_is_read_from_the_order() {
        let order = json!({"pay_by": "2026-11-11T12:15:00Z", "history": [
            {"state": "awaiting_payment", "at": "2026-11-11T12:00:00Z", "reason": ""},
            {"state": "paid", "at": "2026-11-11T12:01:00Z", "reason": ""}]});
        assert_eq!(window(&order), Some(Duration::from_secs(900)));
        assert_eq!(window(&json!({"pay_by": "soon"})), None);
    }
}
