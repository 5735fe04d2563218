//! Dead letters as a broker has them: strangers' messages, what it buried itself, two processes that look at once, and what
//! has no queue to go back to.

use lapin::{
    BasicProperties,
    options::{BasicGetOptions, BasicRejectOptions},
};
use sluice_core::{
    clock::UnixMillis,
    ids::{OrderId, PaymentId},
    money::{AmountFen, Currency},
    ports::{
        DeadLetter, DeadLetters, LetterContent, LetterOrder, LetterReplay, LetterSource,
        PaymentState, PaymentUpdate, conformance::House as _,
    },
    random::Random,
};

use crate::{alone, drop_sale, home, house::Home, raw::Raw, soon, turn, until};

async fn letters(letters: &dyn DeadLetters, count: usize) -> Vec<DeadLetter> {
    until("the letters", async || {
        let page = letters.list(LetterOrder::Oldest, None, 100).await.unwrap();
        (page.letters.len() == count).then_some(page.letters)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_message_is_listed_with_its_reason_and_goes_back_or_away() {
    let _alone = alone().await;
    let home = home().await;
    let ports = home.port();
    let raw = Raw::connect(&home.url()).await;
    raw.publish("", "sluice.turns", b"hello", BasicProperties::default()).await;
    let worker = ports.turns.consume(2).await.unwrap();
    let letter = letters(&*ports.letters, 1).await.remove(0);
    assert_eq!(letter.source, LetterSource::Turns);
    assert!(letter.reason.contains("not a turn"), "{letter:?}");
    let hello = LetterContent::Foreign { bytes: 5, text: "hello".into() };
    assert_eq!(letter.content, hello);
    // It is no better the second time: buried again, and known by another id.
    assert_eq!(ports.letters.replay(&letter.id).await.unwrap(), LetterReplay::Replayed);
    let again = until("the second burial", async || {
        let mut page = ports.letters.list(LetterOrder::Oldest, None, 100).await.unwrap();
        page.letters.pop().filter(|again| again.id != letter.id)
    })
    .await;
    assert!(ports.letters.remove(&again.id).await.unwrap());
    letters(&*ports.letters, 0).await;
    drop(worker);
    raw.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_buried_by_itself_has_an_id_a_source_and_an_age() {
    let _alone = alone().await;
    let home = home().await;
    let (ports, sale) = (home.port(), drop_sale());
    ports.waiting.declare(&sale).await.unwrap();
    let drain = soon("the drain", ports.waiting.drain(&sale)).await.unwrap();
    drain.outlet.release(vec![turn(1)]).await.unwrap();
    let raw = Raw::connect(&home.url()).await;
    let plain = BasicGetOptions::default();
    let taken = raw.channel.basic_get("sluice.turns".into(), plain).await.unwrap().unwrap();
    let for_good = BasicRejectOptions { requeue: false };
    raw.channel.basic_reject(taken.delivery.delivery_tag, for_good).await.unwrap();
    let letter = letters(&*ports.letters, 1).await.remove(0);
    assert_eq!((letter.source, letter.tries), (LetterSource::Turns, 0));
    assert!(letter.since.is_some() && letter.reason.contains("rejected"), "{letter:?}");
    assert!(matches!(letter.content, LetterContent::Turn(_)));
    let other = home.open().await.unwrap();
    assert_eq!(other.letters().letter(&letter.id).await.unwrap(), Some(letter.clone()), "the same");
    assert_eq!(other.letters().replay(&letter.id).await.unwrap(), LetterReplay::Replayed);
    let mut worker = ports.turns.consume(2).await.unwrap();
    let came = soon("the turn", worker.deliveries.next(10)).await.unwrap();
    assert_eq!((came.len(), came[0].turn.line_entry.seq.0), (1, 1));
    worker.outlet.ack(&[came[0].tag]).await.unwrap();
    other.close().await;
    raw.close().await;
}

fn update() -> PaymentUpdate {
    let (random, now) = (Random::system(), UnixMillis(1_767_225_600_000));
    PaymentUpdate {
        payment: PaymentId::generate(now, &random),
        order: OrderId::generate(now, &random),
        version: 3,
        state: PaymentState::Succeeded,
        amount: AmountFen(100),
        currency: Currency::CNY,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_goes_back_to_its_own_inbox() {
    let _alone = alone().await;
    let home = home().await;
    let ports = home.port();
    let update = update();
    ports.inbox.keep(&update).await.unwrap();
    let mut intake = ports.inbox.consume(2).await.unwrap();
    let came = soon("the callback", intake.deliveries.next(1)).await.unwrap();
    intake.outlet.bury(came[0].tag, "the ledger rejects it").await.unwrap();
    let letter = letters(&*ports.letters, 1).await.remove(0);
    assert_eq!(letter.source, LetterSource::Callbacks);
    assert_eq!(letter.content, LetterContent::Callback(update.clone()));
    assert_eq!(ports.letters.replay(&letter.id).await.unwrap(), LetterReplay::Replayed);
    let came = soon("the callback", intake.deliveries.next(1)).await.unwrap();
    assert_eq!((&came[0].update, came[0].tries), (&update, 0));
    intake.outlet.ack(&[came[0].tag]).await.unwrap();
    letters(&*ports.letters, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_queue_to_go_back_to_stays() {
    let _alone = alone().await;
    let home = home().await;
    let ports = home.port();
    let raw = Raw::connect(&home.url()).await;
    // Nobody wrote down where it came from; then one from the queue of a sale that is gone.
    raw.publish("sluice.dead", "x", b"lost", BasicProperties::default()).await;
    let sale = drop_sale();
    ports.waiting.declare(&sale).await.unwrap();
    raw.publish("", "sluice.waiting.drop", b"junk", BasicProperties::default()).await;
    let drain = soon("the drain", ports.waiting.drain(&sale)).await.unwrap();
    let both = letters(&*ports.letters, 2).await;
    drop(drain);
    ports.waiting.remove(&sale).await.unwrap();
    let sources: Vec<_> = both.iter().map(|letter| letter.source).collect();
    assert!(sources.contains(&LetterSource::Unknown) && sources.contains(&LetterSource::Waiting));
    for letter in &both {
        let replayed = ports.letters.replay(&letter.id).await.unwrap();
        assert_eq!(replayed, LetterReplay::NoSource, "{letter:?}");
    }
    assert_eq!(letters(&*ports.letters, 2).await, both);
    assert_eq!(raw.ready("sluice.unrouted").await, 0);
    raw.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_look_at_once_each_see_all() {
    let _alone = alone().await;
    let home: Home = home().await;
    let ports = home.port();
    for seq in 1..=20 {
        ports.turns.bury_unheard(&turn(seq), "odd").await.unwrap();
    }
    let expected = letters(&*ports.letters, 20).await;
    let other = home.open().await.unwrap();
    let looks = async |letters: &dyn DeadLetters| {
        for _ in 0..5 {
            let page = letters.list(LetterOrder::Oldest, None, 100).await.unwrap();
            assert_eq!(page.letters, expected, "all of it, in order");
        }
    };
    let letters = other.letters();
    tokio::join!(looks(&*ports.letters), looks(&*letters));
    other.close().await;
}
