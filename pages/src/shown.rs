//! What is known when a page is written, and which scene that is: the same decision as `waiting/scenes.js` makes in the
//! browser.

use sluice_core::{
    clock::UnixMillis,
    entry::EntryState,
    forecast::Odds,
    money::{AmountFen, Currency},
    order::{ClosingCause, Order, OrderName, OrderState},
    sale::{Notice, SaleState},
    seats::Seating,
    view::{Reading, object::EntryObject},
};

/// What one visitor is to be shown.
#[derive(Debug)]
pub struct Shown<'a> {
    /// As the address has it: it may be no id at all.
    pub sale_id: &'a str,
    pub sale: Option<ShownSale>,
    pub entry: Option<&'a EntryObject>,
    /// The code of the problem that ended what the visitor tried.
    pub refusal: Option<&'a str>,
    /// What was wrong with what the visitor asked for.
    pub trouble: Option<Trouble>,
    /// What the visitor filled in, to be mended.
    pub filled: Option<Filled>,
    /// The visitor's order, where it is kept here and could be read.
    pub order: Option<Bought<'a>>,
}

/// An order, and how it is paid without a script.
#[derive(Clone, Copy, Debug)]
pub struct Bought<'a> {
    pub order: &'a Order,
    /// The visitor's live queue token: a form that pays carries it.
    pub token: Option<&'a str>,
}

/// Why a form has to be filled in again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// More than one person may have.
    TooMany,
    /// From and to do not follow each other.
    Stretch,
    /// A payment could not be opened.
    Payment,
    Other,
}

/// A form as it came; what made no sense is left out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filled {
    pub sku: String,
    pub quantity: Option<u32>,
    /// Indexes into the stops.
    pub from: Option<usize>,
    pub to: Option<usize>,
}

/// A sale as a page tells it.
#[derive(Clone, Debug)]
pub struct ShownSale {
    pub(crate) title: String,
    pub(crate) state: SaleState,
    pub(crate) opens_at: Option<UnixMillis>,
    pub(crate) now: UnixMillis,
    pub(crate) waiting: u64,
    pub(crate) remaining: u64,
    pub(crate) notice: Option<Notice>,
    pub(crate) skus: Vec<ShownSku>,
}

#[derive(Clone, Debug)]
pub(crate) struct ShownSku {
    pub(crate) id: String,
    pub(crate) amount: AmountFen,
    pub(crate) currency: Currency,
    pub(crate) remaining: u64,
    /// Of seated goods, where they call; none of counted ones.
    pub(crate) stops: Vec<String>,
    /// Of seated goods, on each leg: to be shown, not to be trusted.
    pub(crate) free_seats: Vec<u32>,
}

/// What a page is about, as `waiting/page.css` and the texts name it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scene {
    Before,
    Join,
    Waiting,
    Parked,
    Called,
    Standby,
    Reserved,
    /// An order that no longer waits for its payment.
    Ordered(OrderState),
    /// An order that its buyer closed.
    Cancelled,
    Shop,
    SoldOut,
    ClosedSale,
    Left,
    Expired,
    Refused,
    Banned,
    Paused,
    Frozen,
    LineFull,
    Identity,
    NoSuchSale,
    Moved,
    Unavailable,
}

impl ShownSale {
    #[must_use]
    pub fn of(reading: &Reading, now: UnixMillis) -> Self {
        let sale = &reading.sale;
        let report = reading.report();
        let skus = sale.skus.iter().map(|sku| {
            let told = report.map(|report| report.skus.iter().find(|told| told.sku == sku.sku));
            let seating = sku.seating.as_deref();
            let all_free = |seating: &Seating| {
                let seats = u32::try_from(seating.seats().len()).unwrap_or(u32::MAX);
                vec![seats; seating.legs().into()]
            };
            ShownSku {
                id: sku.sku.as_str().to_owned(),
                amount: sku.amount_fen,
                currency: sku.currency,
                remaining: told.map_or_else(
                    || sku.sellable(sku.stock),
                    |told| told.map_or(0, |told| told.remaining),
                ),
                stops: seating.map_or_else(Vec::new, |seating| seating.stops().to_vec()),
                free_seats: match told {
                    None => seating.map_or_else(Vec::new, all_free),
                    Some(told) => told.map_or_else(Vec::new, |told| told.free_seats.clone()),
                },
            }
        });
        Self {
            title: if sale.title.is_empty() { sale.id.to_string() } else { sale.title.clone() },
            state: reading.state(now),
            opens_at: sale.opens_at,
            now,
            waiting: report.map_or(0, |report| report.waiting),
            remaining: reading.remaining(),
            notice: sale.notice.clone(),
            skus: skus.collect(),
        }
    }
}

impl<'a> Shown<'a> {
    /// A page that knows nothing but its sale's name.
    pub(crate) fn nothing_of(sale_id: &'a str) -> Self {
        Self {
            sale_id,
            sale: None,
            entry: None,
            refusal: None,
            trouble: None,
            filled: None,
            order: None,
        }
    }
}

impl Shown<'_> {
    pub(crate) fn title(&self) -> &str {
        self.sale.as_ref().map_or(self.sale_id, |sale| &sale.title)
    }

    pub(crate) fn scene(&self) -> Scene {
        if self.refusal == Some("banned") {
            return Scene::Banned;
        }
        match (self.entry, &self.sale) {
            (Some(entry), _) => match self.order.and_then(|bought| Scene::of_order(bought.order)) {
                Some(scene) if entry.state == EntryState::Reserved => scene,
                Some(_) | None => Scene::of_entry(entry),
            },
            (None, _) if self.refusal.is_some() => self.refused(),
            (None, Some(sale)) => Scene::outside(sale.state),
            (None, None) => Scene::Unavailable,
        }
    }

    fn refused(&self) -> Scene {
        match self.refusal {
            Some("sale_closed") => Scene::ClosedSale,
            Some("sold_out") => Scene::SoldOut,
            Some("sale_paused") => match &self.sale {
                Some(sale) if sale.state == SaleState::Frozen => Scene::Frozen,
                Some(_) | None => Scene::Paused,
            },
            Some("line_full") => Scene::LineFull,
            Some("identity_required") => Scene::Identity,
            Some("no_such_sale") => Scene::NoSuchSale,
            Some("not_open_yet") => Scene::Before,
            Some("moved") => Scene::Moved,
            // What was asked for can be asked for once more, with what went wrong beside it.
            Some("bad_request") if self.sale.is_some() => Scene::Join,
            Some(_) | None => Scene::Unavailable,
        }
    }
}

impl Scene {
    fn of_entry(entry: &EntryObject) -> Self {
        match entry.state {
            EntryState::Waiting => {
                let parked = entry.position == Some(1)
                    && entry.eta_seconds.is_none()
                    && entry.odds == Some(Odds::Unlikely);
                if parked { Self::Parked } else { Self::Waiting }
            }
            EntryState::Called => Self::Called,
            EntryState::Standby => Self::Standby,
            EntryState::Reserved => {
                // Whose order it is, is known: a shop may well call its orders as we do, and link to them likewise.
                let shops = matches!(entry.order, Some(OrderName::Shop(_)));
                if shops && entry.links.order.is_some() { Self::Shop } else { Self::Reserved }
            }
            EntryState::SoldOut if entry.reason == Some("closed") => Self::ClosedSale,
            EntryState::SoldOut => Self::SoldOut,
            EntryState::Left => Self::Left,
            EntryState::Expired => Self::Expired,
            EntryState::Refused if entry.reason == Some("banned") => Self::Banned,
            EntryState::Refused => Self::Refused,
        }
    }

    /// `None` while it waits for its payment.
    fn of_order(order: &Order) -> Option<Self> {
        match (order.state, order.closing_cause) {
            (OrderState::AwaitingPayment, _) => None,
            (OrderState::Closed, Some(ClosingCause::Cancelled)) => Some(Self::Cancelled),
            (state, _) => Some(Self::Ordered(state)),
        }
    }

    fn outside(state: SaleState) -> Self {
        match state {
            SaleState::Scheduled => Self::Before,
            SaleState::Open | SaleState::Paused => Self::Join,
            SaleState::SoldOut => Self::SoldOut,
            SaleState::Closed => Self::ClosedSale,
            SaleState::Frozen => Self::Frozen,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Join => "join",
            Self::Waiting => "waiting",
            Self::Parked => "parked",
            Self::Called => "called",
            Self::Standby => "standby",
            Self::Reserved => "reserved",
            Self::Ordered(state) => state.as_str(),
            Self::Cancelled => "cancelled",
            Self::Shop => "shop",
            Self::SoldOut => "sold_out",
            Self::ClosedSale => "closed_sale",
            Self::Left => "left",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::Banned => "banned",
            Self::Paused => "paused",
            Self::Frozen => "frozen",
            Self::LineFull => "line_full",
            Self::Identity => "identity",
            Self::NoSuchSale => "no_such_sale",
            Self::Moved => "moved",
            Self::Unavailable => "unavailable",
        }
    }

    /// How often a page without JavaScript looks again, in seconds; `None` where nothing changes by itself, or something
    /// is being filled in.
    pub(crate) fn refresh_seconds(self) -> Option<u32> {
        match self {
            Self::Called => Some(5),
            Self::Ordered(state) if state.is_final() => None,
            Self::Waiting | Self::Parked | Self::Reserved | Self::Ordered(_) => Some(20),
            Self::Before
            | Self::Standby
            | Self::Paused
            | Self::Frozen
            | Self::LineFull
            | Self::Unavailable => Some(30),
            Self::Join
            | Self::Cancelled
            | Self::Shop
            | Self::SoldOut
            | Self::ClosedSale
            | Self::Left
            | Self::Expired
            | Self::Refused
            | Self::Banned
            | Self::Identity
            | Self::NoSuchSale
            | Self::Moved => None,
        }
    }
}
