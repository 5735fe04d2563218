//! What ids look like, how they sort, and which of them follow from others.

use super::*;

#[test]
fn slugs_are_checked() {
    assert!(SaleId::new("drop-2026").is_ok());
    for bad in ["", "Drop", "a b", "ä", "a/b", &"x".repeat(64)] {
        assert_eq!(SaleId::new(bad), Err(BadId::Slug), "{bad:?}");
    }
}

#[test]
fn only_the_printed_form_of_an_id_is_accepted() {
    let id = EntryId::generate(UnixMillis(1_700_000_000_000), &Random::seeded(7));
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(id.to_string().to_uppercase().parse::<EntryId>(), Err(BadId::Uuid));
    assert_eq!(id.to_string().replace('-', "").parse::<EntryId>(), Err(BadId::Uuid));
}

#[test]
fn ids_sort_by_time() {
    let random = Random::seeded(7);
    let early = EntryId::generate(UnixMillis(1_000), &random);
    let late = EntryId::generate(UnixMillis(1_001), &random);
    assert!(early < late);
}

#[test]
fn ids_of_one_millisecond_sort_as_they_were_made() {
    let random = Random::seeded(7);
    let ids: Vec<_> = (0..4_096).map(|_| EntryId::generate(UnixMillis(1_000), &random)).collect();
    assert!(ids.is_sorted());
    assert!(ids.iter().all(|id| id.to_string().as_bytes()[14] == b'7'), "the version stays");
    let later = EntryId::generate(UnixMillis(1_001), &random);
    assert!(*ids.last().unwrap() < later);
}

#[test]
fn who_comes_late_does_not_begin_a_millisecond_anew() {
    let random = Random::seeded(7);
    let made = |at| EntryId::generate(UnixMillis(at), &random);
    let before: Vec<_> = (0..20).map(|_| made(1_000_000)).collect();
    let mut present = Vec::new();
    for _ in 0..20 {
        present.push(made(1_000_001));
        let late = made(1_000_000);
        assert!(before.iter().all(|id| *id < late), "behind the others of its millisecond");
    }
    assert!(present.is_sorted(), "whoever came late did not begin the count anew");

    let put_back: Vec<_> = (0..20).map(|_| made(900_000)).collect();
    assert!(put_back.is_sorted(), "the clock was put back, and goes on from there");
}

#[test]
fn holds_of_one_entry_are_stable_and_distinct() {
    let entry = EntryId::generate(UnixMillis(1), &Random::seeded(7));
    assert_eq!(HoldId::of_entry(entry, 0), HoldId::of_entry(entry, 0));
    assert_ne!(HoldId::of_entry(entry, 0), HoldId::of_entry(entry, 1));
    assert_eq!(HoldId::of_entry(entry, 0).as_bytes()[..6], entry.as_bytes()[..6]);
}

/// Requests that are repeated after an upgrade name what they named before it.
#[test]
fn derived_ids_stay_what_they_are() {
    let of = *b"\x01\x9a\x1c\x1e\x80\x00\x70\x00\x80\x00\x00\x00\x00\x00\x00\x07";
    let (entry, order) = (EntryId::from_bytes(of), OrderId::from_bytes(of));
    let payment = PaymentId::from_bytes(of);
    let derived = [
        HoldId::of_entry(entry, 1).to_string(),
        HoldId::of_late_payment(payment).to_string(),
        HoldId::of_change(order, Version(3)).to_string(),
        HoldId::of_request(order, "key").to_string(),
        RefundId::of_payment(payment).to_string(),
        RefundId::of_change(order, Version(3)).to_string(),
        RefundId::of_request(order, "key").to_string(),
    ];
    let known = [
        "019a1c1e-8000-8691-8949-51c8cd1ec1e2",
        "019a1c1e-8000-87f8-a2e0-55f8cf206156",
        "019a1c1e-8000-8350-980b-e9bc9a9d1e56",
        "019a1c1e-8000-81e6-b3eb-846baf0f74ac",
        "019a1c1e-8000-83ea-9e62-7942bf6e6a06",
        "019a1c1e-8000-80cf-b83b-58de749ced2f",
        "019a1c1e-8000-8e18-964a-c61d59cd492c",
    ];
    assert_eq!(derived, known);
}

#[test]
fn a_buyer_is_never_printed_by_accident() {
    let buyer = BuyerId::new("ada@example.org").unwrap();
    assert!(!format!("{buyer:?}").contains("ada"));
}
