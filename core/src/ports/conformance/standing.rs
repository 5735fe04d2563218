//! Rules of standing by in the line: who comes beyond its cap has a place without a number, and is made offers.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::sync::Arc;

use super::{House, Stage, calls::place_of, line::warmed, samples::*};
use crate::{
    entry::Outcome,
    ids::{EntryId, Epoch, HoldId, SaleId, Seq},
    line::{Caps, LineEntry},
    ports::{Join, JoinReply, Line, Place, PlaceState, Settlement, Standing, Want},
};

#[macro_export]
macro_rules! standing_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            standing:
            beyond_the_cap_one_stands_by_without_a_number,
            standby_has_a_cap_of_its_own,
            whoever_asks_for_it_stands_by,
            where_nobody_may_stand_by_the_line_is_full,
            who_stands_by_has_one_place,
            who_waits_no_longer_stands_by,
            who_is_called_or_settled_does_not_stand_by,
            an_offer_is_in_flight_and_stands_by,
            an_offer_that_came_to_nothing_is_made_again,
            an_offer_to_one_nobody_knows_registers_it,
            nobody_is_silent_while_they_stand_by,
            a_place_in_line_is_before_one_without_a_number,
            who_is_settled_stands_by_no_longer,
            a_token_without_a_number_is_registered_again,
        );
    };
}

type Port = Stage;

const NONE_IN_LINE: Caps = Caps { line: 0, standby: 10 };

fn settled(outcome: Outcome) -> Settlement {
    Settlement { outcome, live: outcome == Outcome::Reserved }
}

async fn join_with(line: &dyn Line, sale: &SaleId, caps: Caps, one: Join) -> JoinReply {
    line.join(sale, caps, vec![one]).await.unwrap().remove(0)
}

/// A new place of one who stands by.
async fn standby(line: &dyn Line, sale: &SaleId, name: &str) -> LineEntry {
    let place = new_place(&join_with(line, sale, NONE_IN_LINE, join(name)).await);
    assert_eq!((place.state, place.line_entry.seq), (PlaceState::Standby, Seq(0)));
    place.line_entry
}

async fn find(line: &dyn Line, sale: &SaleId, entry: EntryId) -> Place {
    line.find(sale, &[entry]).await.unwrap().remove(0).unwrap()
}

async fn offer(line: &dyn Line, sale: &SaleId, entry: &LineEntry) -> Standing {
    let entries = [entry.clone().standing_by()];
    line.call(sale, Epoch(1), None, &entries).await.unwrap().remove(0)
}

async fn in_flight(stage: &Stage, sale: &SaleId) -> u64 {
    stage.gate.levels(sale).await.unwrap()[0].in_flight
}

async fn counts(line: &dyn Line, sale: &SaleId) -> (u64, u64, Seq) {
    let snapshot = line.snapshot(sale).await.unwrap();
    (snapshot.called, snapshot.standby, snapshot.last)
}

/// A line and a gate with ten units.
async fn open(stage: &Stage) -> SaleId {
    let sale = warmed(&*stage.line).await;
    super::gate::stocked(&*stage.gate, &[("a", 10)]).await;
    sale
}

pub async fn beyond_the_cap_one_stands_by_without_a_number(house: impl House<Port = Port>) {
    let line = house.port().line;
    let sale = warmed(&*line).await;
    let caps = Caps { line: 2, standby: 10 };
    let joins = ["ada", "bob", "cid", "dan"].map(join).to_vec();
    let replies = line.join(&sale, caps, joins).await.unwrap();
    let places: Vec<(PlaceState, Seq)> = replies
        .iter()
        .map(|reply| (new_place(reply).state, new_place(reply).line_entry.seq))
        .collect();
    assert_eq!(places[..2], [(PlaceState::Waiting, Seq(1)), (PlaceState::Waiting, Seq(2))]);
    assert_eq!(places[2..], [(PlaceState::Standby, Seq(0)); 2]);
    assert_eq!(counts(&*line, &sale).await, (0, 2, Seq(2)), "no number was used up");
    let first = new_place(&replies[2]);
    assert!(!first.durable, "it counts once the queue has it");
    line.confirm(&sale, &[first.line_entry.entry]).await.unwrap();
    assert!(find(&*line, &sale, first.line_entry.entry).await.durable);

    line.advance(&sale, Epoch(1), &cursor(1)).await.unwrap();
    let next = new_place(&join_with(&*line, &sale, caps, join("eve")).await);
    assert_eq!((next.state, next.line_entry.seq), (PlaceState::Waiting, Seq(3)), "there is room");
}

pub async fn standby_has_a_cap_of_its_own(house: impl House<Port = Port>) {
    let line = house.port().line;
    let sale = warmed(&*line).await;
    let caps = Caps { line: 0, standby: 2 };
    let joins = ["ada", "bob", "cid"].map(join).to_vec();
    let replies = line.join(&sale, caps, joins).await.unwrap();
    assert_eq!(replies[2], JoinReply::Full);
    assert_eq!(line.find_buyer(&sale, &buyer("cid")).await.unwrap(), None);
    let left = [(new_place(&replies[0]).line_entry.entry, settled(Outcome::Left))];
    line.settle(&sale, &left).await.unwrap();
    new_place(&join_with(&*line, &sale, caps, join("cid")).await);
}

pub async fn whoever_asks_for_it_stands_by(house: impl House<Port = Port>) {
    let line = house.port().line;
    let sale = warmed(&*line).await;
    let asks = |name| Join { stand_by: true, ..join(name) };
    let caps = Caps { line: 10, standby: 1 };
    assert_eq!(
        new_place(&join_with(&*line, &sale, caps, asks("ada")).await).state,
        PlaceState::Standby
    );
    assert_eq!(
        new_place(&join_with(&*line, &sale, caps, asks("cid")).await).state,
        PlaceState::Waiting,
        "there is room in line"
    );
    let nobody = Caps::of_line(10);
    assert_eq!(
        new_place(&join_with(&*line, &sale, nobody, asks("bob")).await).state,
        PlaceState::Waiting,
        "where nobody stands by, the line is open"
    );
}

pub async fn where_nobody_may_stand_by_the_line_is_full(house: impl House<Port = Port>) {
    let line = house.port().line;
    let sale = warmed(&*line).await;
    let full = join_with(&*line, &sale, Caps::of_line(0), join("ada")).await;
    assert_eq!(full, JoinReply::Full);
    assert_eq!(counts(&*line, &sale).await, (0, 0, Seq(0)));
}

pub async fn who_stands_by_has_one_place(house: impl House<Port = Port>) {
    let line = house.port().line;
    let sale = warmed(&*line).await;
    let ada = standby(&*line, &sale, "ada").await;
    let again = join_with(&*line, &sale, Caps::of_line(10), join("ada")).await;
    assert_eq!(found_place(&again).line_entry, ada, "though there is room in line by now");
    assert_eq!(found_place(&again).state, PlaceState::Standby);
    let known = line.find_buyer(&sale, &ada.buyer).await.unwrap().unwrap();
    assert_eq!(known.line_entry, ada);
    assert_eq!(counts(&*line, &sale).await.1, 1);
}

pub async fn who_waits_no_longer_stands_by(house: impl House<Port = Port>) {
    let line = house.port().line;
    let sale = warmed(&*line).await;
    let ada = place_of(&*line, &sale, "ada").await;
    for _ in 0..2 {
        line.stand_by(&sale, &[ada.entry]).await.unwrap();
        assert_eq!(find(&*line, &sale, ada.entry).await.state, PlaceState::Standby);
        assert_eq!(counts(&*line, &sale).await, (0, 1, Seq(1)));
    }
    assert_eq!(line.find_buyer(&sale, &ada.buyer).await.unwrap().unwrap().line_entry, ada);
    assert_eq!(offer(&*line, &sale, &ada).await, Standing::Called);
    let stranger = entry(0, "zoe");
    line.stand_by(&sale, &[stranger.entry]).await.unwrap();
    assert_eq!(line.find(&sale, &[stranger.entry]).await.unwrap(), [None]);
}

pub async fn who_is_called_or_settled_does_not_stand_by(house: impl House<Port = Port>) {
    let line = house.port().line;
    let sale = warmed(&*line).await;
    let (ada, bob) = (place_of(&*line, &sale, "ada").await, place_of(&*line, &sale, "bob").await);
    line.call(&sale, Epoch(1), None, std::slice::from_ref(&ada)).await.unwrap();
    line.settle(&sale, &[(bob.entry, settled(Outcome::Reserved))]).await.unwrap();
    line.stand_by(&sale, &[ada.entry, bob.entry]).await.unwrap();
    assert_eq!(find(&*line, &sale, ada.entry).await.state, PlaceState::Called);
    let reserved = PlaceState::Settled(settled(Outcome::Reserved));
    assert_eq!(find(&*line, &sale, bob.entry).await.state, reserved);
    assert_eq!(counts(&*line, &sale).await.1, 0);
}

pub async fn an_offer_is_in_flight_and_stands_by(house: impl House<Port = Port>) {
    let stage = house.port();
    let sale = open(&stage).await;
    let ada = standby(&*stage.line, &sale, "ada").await;
    for _ in 0..2 {
        assert_eq!(offer(&*stage.line, &sale, &ada).await, Standing::Called);
        assert_eq!(in_flight(&stage, &sale).await, 1);
        let place = find(&*stage.line, &sale, ada.entry).await;
        assert_eq!((place.state, place.in_flight), (PlaceState::Standby, true));
        assert_eq!(counts(&*stage.line, &sale).await, (0, 1, Seq(0)));
    }
    let old = stage.line.call(&sale, Epoch(0), None, std::slice::from_ref(&ada)).await;
    assert!(matches!(old, Err(crate::ports::PortError::Fenced)));
}

pub async fn an_offer_that_came_to_nothing_is_made_again(house: impl House<Port = Port>) {
    let stage = house.port();
    let sale = open(&stage).await;
    let ada = standby(&*stage.line, &sale, "ada").await;
    for _ in 0..3 {
        assert_eq!(offer(&*stage.line, &sale, &ada).await, Standing::Called);
        assert_eq!(in_flight(&stage, &sale).await, 1);
        let want = Want {
            hold: HoldId::of_entry(ada.entry, 0),
            entry: ada.entry,
            basket: ada.basket.clone(),
        };
        let held = stage.gate.reserve(&sale, &[want]).await.unwrap();
        assert!(held[0].is_held());
        assert_eq!(in_flight(&stage, &sale).await, 0, "a worker has it");
        assert!(!find(&*stage.line, &sale, ada.entry).await.in_flight);
    }
    stage.line.settle(&sale, &[(ada.entry, settled(Outcome::Reserved))]).await.unwrap();
    assert_eq!(in_flight(&stage, &sale).await, 0);
}

pub async fn an_offer_to_one_nobody_knows_registers_it(house: impl House<Port = Port>) {
    let stage = house.port();
    let sale = open(&stage).await;
    let ada = entry(0, "ada");
    assert_eq!(offer(&*stage.line, &sale, &ada).await, Standing::Called);
    assert_eq!(in_flight(&stage, &sale).await, 1);
    assert_eq!(find(&*stage.line, &sale, ada.entry).await.state, PlaceState::Standby);
    assert_eq!(counts(&*stage.line, &sale).await, (0, 1, Seq(0)));
    let found = join_with(&*stage.line, &sale, NONE_IN_LINE, join("ada")).await;
    assert_eq!(found_place(&found).line_entry.entry, ada.entry);

    let bob = place_of(&*stage.line, &sale, "bob").await;
    assert_eq!(offer(&*stage.line, &sale, &bob).await, Standing::Called);
    let state = find(&*stage.line, &sale, bob.entry).await.state;
    assert_eq!(state, PlaceState::Standby, "the line had not heard that it waits no longer");
}

pub async fn nobody_is_silent_while_they_stand_by(house: impl House<Port = Port>) {
    let line = house.port().line;
    let sale = warmed(&*line).await;
    let (ada, stranger) = (standby(&*line, &sale, "ada").await, entry(0, "bob"));
    let later = T0.plus(std::time::Duration::from_secs(9_999));
    let standings = line.call(&sale, Epoch(1), Some(later), &[ada, stranger]).await.unwrap();
    assert_eq!(standings, [Standing::Called, Standing::Called]);
}

pub async fn a_place_in_line_is_before_one_without_a_number(house: impl House<Port = Port>) {
    let line = house.port().line;
    let sale = warmed(&*line).await;
    let ada = place_of(&*line, &sale, "ada").await;
    let forgotten = entry(0, "ada");
    assert_eq!(offer(&*line, &sale, &forgotten).await, Standing::Twin { of: ada.entry });
    let bob = standby(&*line, &sale, "bob").await;
    let numbered = entry(7, "bob");
    let call = line.call(&sale, Epoch(1), None, std::slice::from_ref(&numbered)).await.unwrap();
    assert_eq!(call, [Standing::Called], "none is above every number");
    assert_eq!(offer(&*line, &sale, &bob).await, Standing::Twin { of: numbered.entry });
}

pub async fn who_is_settled_stands_by_no_longer(house: impl House<Port = Port>) {
    let stage = house.port();
    let (line, sale) = (Arc::clone(&stage.line), open(&stage).await);
    let (ada, bob) = (standby(&*line, &sale, "ada").await, standby(&*line, &sale, "bob").await);
    offer(&*line, &sale, &bob).await;
    let ends = [(ada.entry, settled(Outcome::Refused)), (bob.entry, settled(Outcome::Reserved))];
    for _ in 0..2 {
        line.settle(&sale, &ends).await.unwrap();
        assert_eq!(counts(&*line, &sale).await.1, 0);
        assert_eq!(in_flight(&stage, &sale).await, 0);
    }
    assert_eq!(offer(&*line, &sale, &ada).await, Standing::Settled(settled(Outcome::Refused)));
    new_place(&join_with(&*line, &sale, NONE_IN_LINE, join("ada")).await);
    let known = join_with(&*line, &sale, NONE_IN_LINE, join("bob")).await;
    assert_eq!(found_place(&known).line_entry.entry, bob.entry, "its order lives");
}

pub async fn a_token_without_a_number_is_registered_again(house: impl House<Port = Port>) {
    let line = house.port().line;
    let sale = warmed(&*line).await;
    let proven = entry(0, "ada");
    let proof = Join { proven: Some(proven.clone()), ..join("ada") };
    let found = found_place(&join_with(&*line, &sale, Caps::of_line(10), proof).await);
    assert_eq!((found.line_entry.entry, found.state), (proven.entry, PlaceState::Standby));
    assert_eq!(counts(&*line, &sale).await, (0, 1, Seq(0)));
}
