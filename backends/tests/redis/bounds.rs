//! What is over is forgotten oldest first, what is live never; and a rebuild of any length is right, whatever was heard
//! before it.

use sluice_backends::redis::{Redis, RedisOptions};
use sluice_core::{
    entry::Outcome,
    ids::{EntryId, Epoch},
    line::Caps,
    policy::RateLimit,
    ports::{
        GateImage, HeldStock, HoldPhase, Join, JoinLimits, JoinReply, Place, Reserved, Settlement,
        Standing, StockGate, Want,
    },
};

use crate::{
    raw::Raw,
    samples::{
        GATE, LINE, entry, image, join, level, new_number, options, sale, sku, try_join, until,
        want, warm, word,
    },
    servers::Servers,
};

async fn remembering(servers: &Servers, most: usize) -> Redis {
    let few =
        RedisOptions { settled_places_max: most, holds_over_max: most, ..options(servers.url()) };
    sluice_backends::redis::open(few).await.unwrap()
}

fn held(want: &Want, movement: u64) -> HeldStock {
    HeldStock { hold: want.hold, movement, basket: want.basket.clone() }
}

async fn reserve(gate: &dyn StockGate, want: &Want) -> Reserved {
    gate.reserve(&sale(), std::slice::from_ref(want)).await.unwrap().remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn settled_places_and_strangers_are_forgotten_oldest_first() {
    let servers = Servers::redis();
    let redis = remembering(&servers, 3).await;
    let (line, sale) = (&*redis.line, sale());
    warm(line, 1, 1).await;
    let mut entries: Vec<EntryId> = Vec::new();
    for n in 0..8 {
        let JoinReply::New(place) = try_join(line, &format!("buyer-{n}")).await.unwrap() else {
            panic!("a new place was due")
        };
        entries.push(place.line_entry.entry);
    }
    let reserved = Settlement { outcome: Outcome::Reserved, live: true };
    let left = Settlement { outcome: Outcome::Left, live: false };
    line.settle(&sale, &[(entries[0], reserved)]).await.unwrap();
    for entry in &entries[1..7] {
        line.settle(&sale, &[(*entry, left)]).await.unwrap();
    }
    let known: Vec<Option<Place>> = line.find(&sale, &entries).await.unwrap();
    let known: Vec<bool> = known.iter().map(Option::is_some).collect();
    assert_eq!(known, [true, false, false, false, true, true, true, true]);

    let strangers: Vec<_> = (0..6).map(|n| entry(100 + n, &format!("stranger-{n}"))).collect();
    let settled: Vec<_> = strangers.iter().map(|one| (one.entry, left)).collect();
    line.settle(&sale, &settled).await.unwrap();
    let standings = line.call(&sale, Epoch(1), None, &strangers).await.unwrap();
    let dropped = standings.iter().filter(|standing| matches!(standing, Standing::Settled(_)));
    assert_eq!(dropped.count(), 3, "{standings:?}");
    let mut raw = Raw::to(servers.url());
    for list in ["over", "strangers"] {
        assert_eq!(raw.tell::<i64>(&format!("LLEN {LINE}:{list}")), 3);
    }
    line.forget(&sale).await.unwrap();
    assert_eq!(raw.tell::<i64>("DBSIZE"), 0, "nothing of a forgotten sale is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn allowances_are_forgotten_once_they_are_whole() {
    const BUYERS: i64 = 200;
    let servers = Servers::redis();
    let redis = remembering(&servers, 100).await;
    let (line, sale) = (&*redis.line, sale());
    warm(line, 1, 1).await;
    let limits = JoinLimits { buyer: RateLimit { per_second: 100, burst: 10 }, device: None };
    let limited = |name: &str| Join { limits: Some(limits), ..join(name) };
    let crowd = (0..BUYERS).map(|n| limited(&format!("buyer-{n}"))).collect();
    line.join(&sale, Caps::of_line(100_000), crowd).await.unwrap();
    let mut raw = Raw::to(servers.url());
    let mut cells = move || -> i64 {
        ["limits", "limits:before"].map(|key| raw.tell(&format!("HLEN {LINE}:{key}"))).iter().sum()
    };
    assert!(cells() >= BUYERS);
    until("a busy line's rotation", async || {
        line.join(&sale, Caps::of_line(100_000), vec![limited("ada")]).await.unwrap();
        (cells() < BUYERS).then_some(())
    })
    .await;
    until("a quiet line's expiry", async || (cells() == 0).then_some(())).await;
    line.join(&sale, Caps::of_line(100_000), vec![limited("ada")]).await.unwrap();
    line.forget(&sale).await.unwrap();
    let left = Raw::to(servers.url()).tell::<i64>("DBSIZE");
    assert_eq!(left, 0, "nothing of a forgotten sale is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_long_allowance_does_not_keep_the_short_ones_that_come_after_it() {
    let servers = Servers::redis();
    let redis = remembering(&servers, 100).await;
    let (line, sale) = (&*redis.line, sale());
    warm(line, 1, 1).await;
    let limited = |name: &str, per_second, burst| {
        let limits = JoinLimits { buyer: RateLimit { per_second, burst }, device: None };
        Join { limits: Some(limits), ..join(name) }
    };
    line.join(&sale, Caps::of_line(100_000), vec![limited("bob", 1, 3)]).await.unwrap();
    let mut raw = Raw::to(servers.url());
    let mut longest = move || raw.tell::<u64>(&format!("HGET {LINE}:limits .span"));
    assert_eq!(longest(), 3_000_000);
    until("a time of short allowances", async || {
        line.join(&sale, Caps::of_line(100_000), vec![limited("ada", 100, 10)]).await.unwrap();
        (longest() < 3_000_000).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn beyond_the_most_cells_the_oldest_are_forgotten_early() {
    const MOST: u32 = 1_000_000;
    let servers = Servers::redis();
    let redis = remembering(&servers, 100).await;
    let (line, sale) = (&*redis.line, sale());
    warm(line, 1, 1).await;
    let hour = JoinLimits { buyer: RateLimit { per_second: 1, burst: 3_600 }, device: None };
    let ask = async |name: &str| {
        // While a million cells are laid, the server does not answer.
        until("an answer", async || {
            let limited = Join { limits: Some(hour), ..join(name) };
            line.join(&sale, Caps::of_line(100_000), vec![limited]).await.ok()
        })
        .await;
    };
    ask("ada").await;
    let mut raw = Raw::to(servers.url());
    for _ in 0..2 {
        raw.fill(&format!("{LINE}:limits"), MOST);
        ask("bob").await;
        assert!(raw.tell::<u32>(&format!("HLEN {LINE}:limits")) < 10, "a new time began");
        let before: u32 = raw.tell(&format!("HLEN {LINE}:limits:before"));
        assert!((MOST..MOST + 10).contains(&before), "only one time is remembered: {before}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn holds_that_are_over_are_forgotten_oldest_first() {
    let servers = Servers::redis();
    let redis = remembering(&servers, 2).await;
    let (gate, sale) = (&*redis.gate, sale());
    gate.rebuild(&sale, Epoch(1), image(100, 0)).await.unwrap();
    let wants: Vec<Want> = (0..5).map(|_| want(1)).collect();
    assert_eq!(gate.reserve(&sale, &wants).await.unwrap(), [const { Reserved::Held }; 5]);
    for one in &wants[1..] {
        gate.set(&sale, &[word(one, 1, HoldPhase::Released)]).await.unwrap();
    }
    assert_eq!(level(gate).await, (99, 1));
    assert_eq!(reserve(gate, &wants[0]).await, Reserved::Held, "what is held is never forgotten");
    assert_eq!(reserve(gate, &wants[4]).await, Reserved::Over);
    assert_eq!(reserve(gate, &wants[1]).await, Reserved::Held, "it is a new one now");
    assert_eq!(level(gate).await, (98, 2));
    gate.forget(&sale).await.unwrap();
    assert_eq!(Raw::to(servers.url()).tell::<i64>("DBSIZE"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sale_told_after_the_image_that_counts_it_is_not_counted_twice() {
    let servers = Servers::redis();
    let redis = remembering(&servers, 100).await;
    let (gate, sale, sold) = (&*redis.gate, sale(), want(10));
    let before = GateImage { holds: vec![held(&sold, 1)], ..image(100, 0) };
    gate.rebuild(&sale, Epoch(1), before).await.unwrap();
    gate.rebuild(&sale, Epoch(2), GateImage { moved: 2, ..image(100, 10) }).await.unwrap();
    gate.set(&sale, &[word(&sold, 2, HoldPhase::Sold)]).await.unwrap();
    assert_eq!(level(gate).await, (90, 0));
    assert_eq!(reserve(gate, &sold).await, Reserved::Over);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_word_that_came_after_the_image_stands_above_it() {
    let servers = Servers::redis();
    let redis = remembering(&servers, 100).await;
    let (gate, sale) = (&*redis.gate, sale());
    let (sold, released) = (want(10), want(5));
    let holds = vec![held(&sold, 1), held(&released, 2)];
    let before = GateImage { holds, ..image(100, 0) };
    gate.rebuild(&sale, Epoch(1), before.clone()).await.unwrap();
    let words = [word(&sold, 3, HoldPhase::Sold), word(&released, 4, HoldPhase::Released)];
    gate.set(&sale, &words).await.unwrap();
    gate.rebuild(&sale, Epoch(2), before).await.unwrap();
    assert_eq!(level(gate).await, (90, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_long_rebuild_is_whole_and_sweeps_what_it_made_worthless() {
    const HOLDS: usize = 1_700;
    let servers = Servers::redis();
    let redis = remembering(&servers, 10).await;
    let (gate, sale) = (&*redis.gate, sale());
    let total = 10_000;
    let leaks: Vec<Want> = (0..HOLDS).map(|_| want(1)).collect();
    let kept: Vec<Want> = (0..HOLDS).map(|_| want(2)).collect();
    let lapsed: Vec<Want> = (0..HOLDS).map(|_| want(1)).collect();
    let known: Vec<Want> = kept.iter().chain(&lapsed).cloned().collect();
    let holds = known.iter().map(|one| held(one, 1)).collect();
    gate.rebuild(&sale, Epoch(1), GateImage { holds, ..image(total, 0) }).await.unwrap();
    assert_eq!(gate.reserve(&sale, &leaks).await.unwrap(), vec![Reserved::Held; HOLDS]);
    assert_eq!(level(gate).await, (total - 4 * HOLDS as u64, 4 * HOLDS as u64));

    let holds = kept.iter().map(|one| held(one, 1)).collect();
    let after = GateImage { moved: 2, holds, ..image(total, 7) };
    gate.rebuild(&sale, Epoch(2), after).await.unwrap();
    let left = (total - 7 - 2 * HOLDS as u64, 2 * HOLDS as u64);
    assert_eq!(level(gate).await, left);
    let mut raw = Raw::to(servers.url());
    let due = HOLDS as i64 + 10 + 8;
    until("the sweep", async || (raw.tell::<i64>(&format!("HLEN {GATE}")) <= due).then_some(()))
        .await;
    assert_eq!(level(gate).await, left, "the sweep changes no answer");
    let repeated: Vec<Want> = kept.iter().step_by(100).cloned().collect();
    let replies = gate.reserve(&sale, &repeated).await.unwrap();
    assert!(replies.iter().all(|reply| *reply == Reserved::Held), "{replies:?}");
    assert_eq!(level(gate).await, left);
    assert_eq!(gate.levels(&sale).await.unwrap()[0].sku, sku());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn more_joins_than_one_script_takes_are_one_line() {
    let servers = Servers::redis();
    let redis = remembering(&servers, 100).await;
    let line = &*redis.line;
    warm(line, 1, 1).await;
    let joins = (0..1_000).map(|n| join(&format!("buyer-{}", n % 700))).collect();
    let replies = line.join(&sale(), Caps::of_line(650), joins).await.unwrap();
    let count =
        |wanted: fn(&JoinReply) -> bool| replies.iter().filter(|reply| wanted(reply)).count();
    assert_eq!(count(|reply| matches!(reply, JoinReply::New(_))), 650);
    assert_eq!(count(|reply| matches!(reply, JoinReply::Full)), 50);
    assert_eq!(count(|reply| matches!(reply, JoinReply::Found(_))), 300);
    line.extend(&sale(), Epoch(1), sluice_core::ids::Seq(2_000)).await.unwrap();
    assert_eq!(new_number(line, "one-more").await, 651);
}
