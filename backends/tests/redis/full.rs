//! A server at its memory limit: joins are shed, and what was taken in goes on.

use sluice_core::{
    entry::Outcome,
    ids::{Epoch, Seq},
    line::Cursor,
    ports::{HoldPhase, JoinReply, PortError, Reserved, Settlement, Standing},
};

use crate::{
    raw::Raw,
    samples::{NOW, image, level, new_number, open, sale, try_join, want, warm, word},
    servers::Servers,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_server_sheds_joins_and_nothing_else() {
    let servers = Servers::redis();
    let redis = open(servers.url()).await;
    let (line, gate, sale) = (&*redis.line, &*redis.gate, sale());
    warm(line, 1, 1).await;
    gate.rebuild(&sale, Epoch(1), image(10, 0)).await.unwrap();
    let JoinReply::New(ada) = try_join(line, "ada").await.unwrap() else { panic!() };
    let mut raw = Raw::to(servers.url());
    let _: String = raw.tell("CONFIG SET maxmemory 1");

    let shed = try_join(line, "bob").await;
    assert!(matches!(shed, Err(PortError::Full)), "{shed:?}");
    assert_eq!(line.snapshot(&sale).await.unwrap().last, Seq(1), "nothing was recorded");
    let ada = ada.line_entry;
    line.confirm(&sale, &[ada.entry]).await.unwrap();
    line.seen(&sale, &[ada.entry], NOW.plus(std::time::Duration::from_secs(9))).await.unwrap();
    let called = line.call(&sale, Epoch(1), None, std::slice::from_ref(&ada)).await.unwrap();
    assert_eq!(called, [Standing::Called]);
    let one = want(3);
    assert_eq!(gate.reserve(&sale, std::slice::from_ref(&one)).await.unwrap(), [Reserved::Held]);
    gate.set(&sale, &[word(&one, 1, HoldPhase::Sold)]).await.unwrap();
    assert_eq!(level(gate).await, (7, 0));
    let left = Settlement { outcome: Outcome::Left, live: false };
    line.settle(&sale, &[(ada.entry, left)]).await.unwrap();
    let cursor = Cursor { serving: Seq(1), ..Cursor::default() };
    line.advance(&sale, Epoch(1), &cursor).await.unwrap();
    line.extend(&sale, Epoch(1), Seq(2_000)).await.unwrap();
    line.warm(&sale, Epoch(2), None).await.unwrap();
    gate.rebuild(&sale, Epoch(2), image(10, 3)).await.unwrap();
    let snapshot = line.snapshot(&sale).await.unwrap();
    assert_eq!((snapshot.cursor, snapshot.high_water), (cursor, Seq(2_000)));

    let _: String = raw.tell("CONFIG SET maxmemory 0");
    assert_eq!(new_number(line, "bob").await, 2);
}
