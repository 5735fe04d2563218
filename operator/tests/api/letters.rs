//! Dead letters, as operators see to them.

use serde_json::{Value, json};
use sluice_core::{
    clock::UnixMillis,
    entry::Outcome,
    event::Turn,
    ids::{BuyerId, EntryId, Epoch, SaleId, Seq},
    line::LineEntry,
    ports::{NewOutcome, Notice, OutcomeReason, Ports},
    random::Random,
};
use sluice_operator::Role;

use crate::house::{House, heard};

fn turn(house: &House, sale: &SaleId, seq: u64) -> Turn {
    let entry = EntryId::generate(house.clock.now(), &Random::system());
    Turn {
        sale: sale.clone(),
        line_entry: LineEntry {
            entry,
            buyer: BuyerId::new(&format!("buyer-{seq}")).unwrap(),
            seq: Seq(seq),
            holes_below: 0,
            basket: serde_json::from_value(json!([{ "sku": "standard", "quantity": 2 }])).unwrap(),
            joined_at: UnixMillis(0),
            address: None,
            reach: None,
            stands_since: None,
        },
        epoch: Epoch(1),
        attempt: 1,
        called_at: house.clock.now(),
    }
}

/// Buries turns of a sale; answers their letters and entries, in order.
pub(crate) async fn bury(house: &House, sale: &SaleId, count: u64) -> Vec<(String, EntryId)> {
    let mut buried = Vec::new();
    for seq in 1..=count {
        let turn = turn(house, sale, seq);
        house.ports.turns.bury_unheard(&turn, &format!("reason {seq}")).await.unwrap();
        let newest = house.get("/v1/dead-letters?limit=1").await.is(200);
        let id = newest["letters"][0]["id"].as_str().unwrap().to_owned();
        buried.push((id, turn.line_entry.entry));
    }
    buried
}

async fn depths(ports: &Ports) -> (u64, u64) {
    let depths = ports.turns.depths().await.unwrap();
    (depths.turns, depths.dead)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_are_listed_and_shown_with_all_that_is_known() {
    let house = House::open().await;
    let sale = house.sale("drop").await;
    let none = house.get("/v1/dead-letters").await.is(200);
    assert_eq!(none, json!({ "letters": [], "next_after": null }));
    let buried = bury(&house, &sale, 3).await;
    let newest = house.get("/v1/dead-letters?limit=2").await.is(200);
    let reasons: Vec<&Value> =
        newest["letters"].as_array().unwrap().iter().map(|letter| &letter["reason"]).collect();
    assert_eq!(reasons, ["reason 3", "reason 2"]);
    let after = newest["next_after"].as_str().unwrap();
    let rest = house.get(&format!("/v1/dead-letters?limit=2&after={after}")).await.is(200);
    assert_eq!(
        (&rest["letters"][0]["reason"], &rest["next_after"]),
        (&json!("reason 1"), &Value::Null)
    );

    let letter = &rest["letters"][0];
    assert_eq!((&letter["queue"], &letter["tries"]), (&json!("turns"), &json!(0)));
    assert!(letter["age_seconds"].is_u64() && letter["since"].as_str().unwrap().ends_with('Z'));
    assert_eq!(letter["turn"]["entry"], buried[0].1.to_string());
    assert_eq!(letter["turn"]["items"], json!([{ "sku": "standard", "quantity": 2 }]));
    assert_eq!((&letter["callback"], &letter["foreign"]), (&Value::Null, &Value::Null));
    let shown = house.get(&format!("/v1/dead-letters/{}", letter["id"].as_str().unwrap())).await;
    assert_eq!(shown.is(200)["turn"], letter["turn"]);
    assert_eq!(house.get("/v1/sales/drop/stats").await.is(200)["dead_letters"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_requests_say_what_is_odd() {
    let house = House::open().await;
    for (query, status, code, field) in [
        ("order=sideways", 400, "bad_request", "order"),
        ("after=No/Letter", 400, "bad_request", "after"),
        ("limit=x", 400, "bad_request", "limit"),
        ("limit=0", 422, "out_of_range", "limit"),
        ("limit=501", 422, "out_of_range", "limit"),
    ] {
        let problem = house.get(&format!("/v1/dead-letters?{query}")).await.refuses(status, code);
        assert!(problem.to_string().contains(field), "{problem}");
    }
    for letter in ["1", "nothing-of-the-kind", "UPPER", "a%20b"] {
        house.get(&format!("/v1/dead-letters/{letter}")).await.refuses(404, "no_such_letter");
        for verb in ["replay", "refuse"] {
            let path = format!("/v1/dead-letters/{letter}/{verb}");
            house.post(&path, Value::Null).await.refuses(404, "no_such_letter");
        }
        house.delete(&format!("/v1/dead-letters/{letter}")).await.refuses(404, "no_such_letter");
    }
    let long = json!({ "reason": "x".repeat(501) });
    house.post("/v1/dead-letters/1/replay", long).await.refuses(422, "out_of_range");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replayed_turn_is_back_in_its_queue_once() {
    let house = House::open().await;
    let sale = house.sale("drop").await;
    let [left, (letter, entry)] = bury(&house, &sale, 2).await.try_into().unwrap();
    let path = format!("/v1/dead-letters/{letter}/replay");
    let reason = json!({ "reason": "the goods were added" });
    let told = house.as_role(Role::Operator, "POST", &path, reason).await.is(200);
    assert_eq!((&told["queue"], &told["result"]), (&json!("turns"), &json!("replayed")));
    house.post(&path, Value::Null).await.refuses(404, "no_such_letter");
    assert_eq!(depths(&house.ports).await, (1, 1));
    house.get(&format!("/v1/dead-letters/{}", left.0)).await.is(200);
    let mut intake = house.ports.turns.consume(10).await.unwrap();
    let came = intake.deliveries.next(10).await.unwrap();
    assert_eq!((came.len(), came[0].turn.line_entry.entry), (1, entry));
    let log = house.log().await;
    let row = |result: &str| -> (String, String, String, String) {
        let name = if result == "ok" { "operator" } else { "admin" };
        (name.into(), "letter.replay".into(), letter.clone(), result.into())
    };
    let replays: Vec<_> = log.into_iter().filter(|row| row.1 == "letter.replay").collect();
    assert_eq!(replays, [row("ok"), row("no_such_letter")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_turn_has_its_outcome_and_everybody_hears() {
    let house = House::open().await;
    let sale = house.sale("drop").await;
    let (letter, entry) = bury(&house, &sale, 1).await.remove(0);
    let mut bulletin = house.ports.bulletin.subscribe().await.unwrap();
    let path = format!("/v1/dead-letters/{letter}/refuse");
    let told = house.post(&path, json!({ "reason": "no such goods" })).await.is(200);
    assert_eq!((&told["outcome"], &told["entry"]), (&json!("refused"), &json!(entry)));
    let record = house.ports.ledger.entries(&[entry]).await.unwrap().remove(0).unwrap();
    assert_eq!((record.sale, record.outcome), (sale, Outcome::Refused));
    let Notice::Entries { entries: told, .. } = heard(&mut bulletin).await else {
        panic!("silent")
    };
    assert_eq!((told[0].entry, told[0].state.as_str()), (entry, "refused"));
    assert_eq!(depths(&house.ports).await, (0, 0), "the letter is gone");
    house.post(&path, Value::Null).await.refuses(404, "no_such_letter");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_does_not_undo_an_outcome_that_came_first() {
    let house = House::open().await;
    let sale = house.sale("drop").await;
    let turn = turn(&house, &sale, 1);
    let left = NewOutcome {
        line_entry: turn.line_entry.clone(),
        outcome: Outcome::Left,
        reason: OutcomeReason::Plain,
    };
    house.ports.ledger.settle(&sale, vec![left]).await.unwrap();
    house.ports.turns.bury_unheard(&turn, "odd").await.unwrap();
    let page = house.get("/v1/dead-letters").await.is(200);
    let letter = page["letters"][0]["id"].as_str().unwrap();
    let told = house.post(&format!("/v1/dead-letters/{letter}/refuse"), Value::Null).await.is(200);
    assert_eq!(told["outcome"], "left", "the first one wins");
    assert_eq!(depths(&house.ports).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_is_not_thrown_away() {
    let house = House::open().await;
    let sale = house.sale("drop").await;
    let (letter, _) = bury(&house, &sale, 1).await.remove(0);
    house.delete(&format!("/v1/dead-letters/{letter}")).await.refuses(409, "wrong_state");
    assert_eq!(depths(&house.ports).await, (0, 1));
}
