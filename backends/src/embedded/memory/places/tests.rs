//! The rules of `places`, each as a test.

use sluice_core::{
    basket::{Basket, Item},
    entry::Outcome,
    ports::Block,
    random::Random,
};

use super::*;

const T0: UnixMillis = UnixMillis(1_800_000_000_000);
const EPOCH: Epoch = Epoch(1);

fn entry(seq: u64, buyer: &str) -> LineEntry {
    let item = Item::counted(SkuId::new("a").unwrap(), 2);
    LineEntry {
        entry: EntryId::generate(T0, &Random::system()),
        buyer: BuyerId::new(buyer).unwrap(),
        seq: Seq(seq),
        holes_below: 0,
        basket: Basket::new(vec![item]).unwrap(),
        joined_at: T0,
        address: None,
        reach: None,
        stands_since: None,
    }
}

fn places(proven: u64, serving: u64, over_max: usize) -> Places {
    let cursor = Cursor { serving: Seq(serving), ..Cursor::default() };
    let block = Block { from: Seq(101), to: Seq(200) };
    let restore = Restore { block, cursor, last: Seq(0) };
    Places::restored(EPOCH, restore, Seq(proven), over_max)
}

fn join(places: &mut Places, buyer: &str) -> JoinReply {
    places.join(
        Caps::of_line(1_000),
        Join { candidate: entry(0, buyer), proven: None, limits: None, stand_by: false },
    )
}

fn number(reply: &JoinReply) -> Seq {
    match reply {
        JoinReply::New(place) | JoinReply::Found(place) => place.line_entry.seq,
        JoinReply::Full | JoinReply::OutOfNumbers | JoinReply::Limited { .. } => {
            panic!("{reply:?}")
        }
    }
}

fn in_flight(places: &Places) -> u64 {
    places.in_flight(&SkuId::new("a").unwrap())
}

fn settled(outcome: Outcome, live: bool) -> Settlement {
    Settlement { outcome, live }
}

#[test]
fn numbers_go_on_above_the_journal_without_a_hole() {
    let mut places = places(57, 40, 10);
    assert_eq!(places.snapshot().cursor.holes.upto(Seq(200)), 0);
    assert_eq!(number(&join(&mut places, "ada")), Seq(58));
}

#[test]
fn without_a_journal_numbers_begin_at_the_block_behind_a_hole() {
    let mut places = places(0, 40, 10);
    assert_eq!(places.snapshot().cursor.holes.upto(Seq(200)), 60);
    let reply = join(&mut places, "ada");
    let JoinReply::New(place) = &reply else { panic!("{reply:?}") };
    assert_eq!((place.line_entry.seq, place.line_entry.holes_below), (Seq(101), 60));
    assert_eq!(places.snapshot().cursor.position(Seq(101), 60, None), 1);
}

#[test]
fn what_the_journal_knows_is_found_called_and_in_flight_again() {
    let mut places = places(9, 0, 10);
    let (waits, called, worked) = (entry(7, "ada"), entry(8, "bob"), entry(9, "eve"));
    let known = |line_entry: &LineEntry, state| Known {
        line_entry: line_entry.clone(),
        state,
        standby: false,
    };
    places.restore(known(&waits, PlaceState::Waiting), T0, false);
    places.restore(known(&called, PlaceState::Called), T0, false);
    places.restore(known(&worked, PlaceState::Called), T0, true);
    assert_eq!(number(&join(&mut places, "ada")), Seq(7));
    assert!(places.find(waits.entry).unwrap().durable);
    assert_eq!(places.snapshot().called, 2);
    assert_eq!(in_flight(&places), 2, "a worker has the other one in hand already");
    assert!(places.work(called.entry));
    assert_eq!(in_flight(&places), 0);
    assert_eq!(places.call(None, &called, false), Standing::Called);
    assert_eq!(in_flight(&places), 0, "a repeated call adds nothing");
}

/// Counted once: the gate has reserved for the one that a worker has in hand.
#[test]
fn an_offer_that_a_worker_has_in_hand_is_not_on_its_way_any_more() {
    for (worked, on_the_way) in [(false, 2), (true, 0)] {
        let mut places = places(9, 0, 10);
        let offered = entry(7, "ada");
        let known = Known { line_entry: offered.clone(), state: PlaceState::Called, standby: true };
        places.restore(known, T0, worked);
        assert_eq!(in_flight(&places), on_the_way);
        let place = places.find(offered.entry).unwrap();
        assert_eq!((place.state, place.in_flight), (PlaceState::Standby, !worked));
        assert_eq!((places.snapshot().called, places.snapshot().standby), (0, 1));
    }
}

#[test]
fn a_buyer_is_bound_to_the_live_place_whatever_the_order_of_the_journal() {
    let (over, live) = (entry(3, "ada"), entry(5, "ada"));
    for swapped in [false, true] {
        let mut places = places(5, 0, 10);
        let over = Known {
            line_entry: over.clone(),
            state: PlaceState::Settled(settled(Outcome::Left, false)),
            standby: false,
        };
        let live = Known { line_entry: live.clone(), state: PlaceState::Waiting, standby: false };
        let (first, second) = if swapped { (live, over) } else { (over, live) };
        places.restore(first, T0, false);
        places.restore(second, T0, false);
        assert_eq!(number(&join(&mut places, "ada")), Seq(5), "swapped: {swapped}");
    }
}

#[test]
fn settled_places_are_forgotten_oldest_first_and_live_ones_never() {
    let mut places = places(0, 0, 2);
    let names = ["a", "b", "c", "d", "e"];
    let ids: Vec<EntryId> = names
        .iter()
        .map(|name| {
            let reply = join(&mut places, name);
            let JoinReply::New(place) = reply else { panic!("{reply:?}") };
            place.line_entry.entry
        })
        .collect();
    places.settle_one(ids[0], settled(Outcome::Reserved, true));
    for id in &ids[1..] {
        places.settle_one(*id, settled(Outcome::SoldOut, false));
    }
    let known: Vec<bool> = ids.iter().map(|id| places.find(*id).is_some()).collect();
    assert_eq!(known, [true, false, false, true, true]);
}

#[test]
fn a_stranger_that_was_settled_is_not_revived() {
    let mut places = places(0, 0, 10);
    let (gone, served) = (entry(7, "ada"), entry(8, "bob"));
    places.settle_one(gone.entry, settled(Outcome::Expired, false));
    places.settle_one(served.entry, settled(Outcome::Reserved, true));
    places.settle_one(gone.entry, settled(Outcome::Reserved, true));
    let standing = places.call(None, &gone, false);
    assert_eq!(standing, Standing::Settled(settled(Outcome::Expired, false)));
    assert_eq!(in_flight(&places), 0);
    let proven = |line_entry: &LineEntry, name| Join {
        candidate: entry(0, name),
        proven: Some(line_entry.clone()),
        limits: None,
        stand_by: false,
    };
    assert_eq!(
        number(&places.join(Caps::of_line(10), proven(&gone, "ada"))),
        Seq(101),
        "a new place"
    );
    let again = places.join(Caps::of_line(10), proven(&served, "bob"));
    let JoinReply::Found(place) = again else { panic!("{again:?}") };
    assert_eq!(place.state, PlaceState::Settled(settled(Outcome::Reserved, true)));
}
