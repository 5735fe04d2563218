//! Batches from outside: what a line and a waiting queue are asked, and what joins are told.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use proptest::prelude::*;
use sluice_core::{
    basket::{Basket, Item},
    clock::{TokioClock, UnixMillis},
    ids::{BuyerId, EntryId, Epoch, Seq, SkuId},
    line::{Caps, Cursor},
    ports::{Drain, LineSnapshot, PortResult, Restore, Settlement, Standing},
    random::Random,
    sale::NewSale,
    view::Directory,
};

use super::*;

/// How long a join may take.
const LONGEST: Duration = Duration::from_secs(3);

/// How a store answers its next calls; when the script is over, it does as asked.
#[derive(Clone, Copy, Debug)]
enum Step {
    Cold,
    OutOfNumbers,
    Unavailable,
    /// Takes effect, but never answers.
    Hangs,
}

/// A line that numbers places, and nothing else.
#[derive(Debug, Default)]
struct Numbers {
    script: Mutex<VecDeque<Step>>,
    places: Mutex<HashMap<BuyerId, Place>>,
    calls: Mutex<Vec<usize>>,
    busy: AtomicUsize,
    busy_most: AtomicUsize,
}

#[async_trait]
impl Line for Numbers {
    async fn join(&self, _: &SaleId, caps: Caps, joins: Vec<Join>) -> PortResult<Vec<JoinReply>> {
        let busy = self.busy.fetch_add(1, Ordering::SeqCst) + 1;
        self.busy_most.fetch_max(busy, Ordering::SeqCst);
        sleep(Duration::from_millis(1)).await;
        self.busy.fetch_sub(1, Ordering::SeqCst);
        self.calls.lock().unwrap().push(joins.len());
        let step = self.script.lock().unwrap().pop_front();
        match step {
            Some(Step::Cold) => return Err(PortError::Cold),
            Some(Step::Unavailable) => return Err(PortError::unavailable("gone")),
            Some(Step::OutOfNumbers) => {
                return Ok(joins.iter().map(|_| JoinReply::OutOfNumbers).collect());
            }
            Some(Step::Hangs) | None => {}
        }
        let replies = joins.into_iter().map(|join| self.one(caps.line, join)).collect();
        if matches!(step, Some(Step::Hangs)) {
            std::future::pending::<()>().await;
        }
        Ok(replies)
    }

    async fn confirm(&self, _: &SaleId, entries: &[EntryId]) -> PortResult<()> {
        for place in self.places.lock().unwrap().values_mut() {
            place.durable |= entries.contains(&place.line_entry.entry);
        }
        Ok(())
    }

    async fn warm(&self, _: &SaleId, _: Epoch, _: Option<Restore>) -> PortResult<()> {
        Err(PortError::Fenced)
    }
    async fn extend(&self, _: &SaleId, _: Epoch, _: Seq) -> PortResult<()> {
        Err(PortError::Fenced)
    }
    async fn find(&self, _: &SaleId, _: &[EntryId]) -> PortResult<Vec<Option<Place>>> {
        Err(PortError::Cold)
    }
    async fn find_buyer(&self, _: &SaleId, _: &BuyerId) -> PortResult<Option<Place>> {
        Err(PortError::Cold)
    }
    async fn seen(&self, _: &SaleId, _: &[EntryId], _: UnixMillis) -> PortResult<()> {
        Err(PortError::Cold)
    }
    async fn call(
        &self,
        _: &SaleId,
        _: Epoch,
        _: Option<UnixMillis>,
        _: &[LineEntry],
    ) -> PortResult<Vec<Standing>> {
        Err(PortError::Fenced)
    }
    async fn stand_by(&self, _: &SaleId, _: &[EntryId]) -> PortResult<()> {
        Err(PortError::Cold)
    }
    async fn settle(&self, _: &SaleId, _: &[(EntryId, Settlement)]) -> PortResult<()> {
        Err(PortError::Cold)
    }
    async fn advance(&self, _: &SaleId, _: Epoch, _: &Cursor) -> PortResult<()> {
        Err(PortError::Fenced)
    }
    async fn snapshot(&self, _: &SaleId) -> PortResult<LineSnapshot> {
        Err(PortError::Cold)
    }
    async fn forget(&self, _: &SaleId) -> PortResult<()> {
        Err(PortError::Cold)
    }
}

impl Numbers {
    fn one(&self, cap: u64, join: Join) -> JoinReply {
        let mut places = self.places.lock().unwrap();
        if let Some(place) = places.get(&join.candidate.buyer) {
            return JoinReply::Found(place.clone());
        }
        let given_out = places.len() as u64;
        if given_out >= cap {
            return JoinReply::Full;
        }
        let line_entry = LineEntry { seq: Seq(given_out + 1), ..join.candidate };
        let seen_at = line_entry.joined_at;
        let place = Place {
            line_entry,
            state: PlaceState::Waiting,
            durable: false,
            seen_at,
            in_flight: false,
        };
        places.insert(place.line_entry.buyer.clone(), place.clone());
        JoinReply::New(place)
    }
}

/// A queue that remembers what it was offered.
#[derive(Debug, Default)]
struct Offers {
    script: Mutex<VecDeque<Step>>,
    messages: Mutex<Vec<Vec<EntryId>>>,
}

#[async_trait]
impl WaitingQueue for Offers {
    async fn offer(&self, _: &SaleId, entries: Vec<LineEntry>) -> PortResult<()> {
        let step = self.script.lock().unwrap().pop_front();
        if matches!(step, Some(Step::Unavailable)) {
            return Err(PortError::unavailable("gone"));
        }
        self.messages.lock().unwrap().push(entries.iter().map(|entry| entry.entry).collect());
        if matches!(step, Some(Step::Hangs)) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn declare(&self, _: &SaleId) -> PortResult<()> {
        Ok(())
    }
    async fn drain(&self, _: &SaleId) -> PortResult<Drain> {
        Err(PortError::Fenced)
    }
    async fn remove(&self, _: &SaleId) -> PortResult<()> {
        Ok(())
    }
}

struct Stage {
    line: Arc<Numbers>,
    queue: Arc<Offers>,
    jobs: mpsc::Sender<Job>,
    tasks: TaskTracker,
    closing: CancellationToken,
    random: Random,
}

impl Stage {
    fn open() -> Self {
        Self::with_cap(1_000_000)
    }

    fn with_cap(cap: u64) -> Self {
        let (line, queue) = (Arc::new(Numbers::default()), Arc::new(Offers::default()));
        let json = format!(
            r#"{{"id":"demo","skus":[{{"sku":"a","stock":9,"amount_fen":1,"currency":"CNY"}}],"policy":{{"line_cap":{cap}}}}}"#
        );
        let sale: NewSale = serde_json::from_str(&json).unwrap();
        let view = Directory::default().learn_sale(Arc::new(sale.build(UnixMillis(0)).unwrap()));
        let carrier = Carrier {
            sale: SaleId::new("demo").unwrap(),
            view,
            line: Arc::clone(&line) as Arc<dyn Line>,
            clock: Arc::new(TokioClock::starting_at(UnixMillis(0))),
            waiting: Arc::clone(&queue) as Arc<dyn WaitingQueue>,
            least: Duration::from_millis(250),
        };
        let (jobs, inbox) = mpsc::channel(10_000);
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(Arc::new(carrier).run(inbox, tasks.clone(), closing.clone()));
        Self { line, queue, jobs, tasks, closing, random: Random::seeded(7) }
    }

    fn send(&self, buyer: &str) -> oneshot::Receiver<Answer> {
        let item = Item::counted(SkuId::new("a").unwrap(), 1);
        let candidate = LineEntry {
            entry: EntryId::generate(UnixMillis(5), &self.random),
            buyer: BuyerId::new(buyer).unwrap(),
            seq: Seq(0),
            holes_below: 0,
            basket: Basket::new(vec![item]).unwrap(),
            joined_at: UnixMillis(5),
            address: None,
            reach: None,
            stands_since: None,
        };
        let (reply, answer) = oneshot::channel();
        self.jobs
            .try_send(Job {
                join: Join { candidate, proven: None, limits: None, stand_by: false },
                until: Instant::now() + LONGEST,
                reply,
            })
            .unwrap();
        answer
    }

    fn offered(&self) -> Vec<EntryId> {
        self.queue.messages.lock().unwrap().concat()
    }
}

fn new(answer: Answer) -> Place {
    let Answer::New(place) = answer else { panic!("not a new place: {answer:?}") };
    place
}

fn found(answer: Answer) -> Place {
    let Answer::Found(place) = answer else { panic!("not a found place: {answer:?}") };
    place
}

fn assert_unavailable(answer: &Answer) {
    assert!(matches!(answer, Answer::Unavailable), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lonely_join_waits_for_nobody() {
    let stage = Stage::open();
    let began = Instant::now();
    let place = new(stage.send("ada").await.unwrap());
    assert_eq!(place.line_entry.seq, Seq(1));
    assert_eq!(
        began.elapsed(),
        Duration::from_millis(1),
        "the line's own time, and no timer of ours"
    );
    assert_eq!(stage.offered(), [place.line_entry.entry]);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_travels_in_full_batches_a_few_at_a_time() {
    let stage = Stage::open();
    let answers: Vec<_> = (0..10 * JOINS_MAX).map(|n| stage.send(&format!("buyer-{n}"))).collect();
    let mut last = Seq(0);
    for answer in answers {
        let place = new(answer.await.unwrap());
        assert!(place.line_entry.seq > last, "numbers ascend in the order of arrival");
        last = place.line_entry.seq;
    }
    assert_eq!(*stage.line.calls.lock().unwrap(), [JOINS_MAX; 10]);
    assert_eq!(stage.line.busy_most.load(Ordering::SeqCst), BATCHES_MAX);
    assert_eq!(stage.offered().len(), 10 * JOINS_MAX);
}

#[tokio::test(start_paused = true)]
async fn twins_in_one_batch_share_a_place_that_is_offered_once() {
    let stage = Stage::open();
    let (first, second) = (stage.send("ada"), stage.send("ada"));
    let place = new(first.await.unwrap());
    assert_eq!(found(second.await.unwrap()).line_entry, place.line_entry);
    assert_eq!(stage.offered(), [place.line_entry.entry]);
}

#[tokio::test(start_paused = true)]
async fn a_cold_line_and_one_out_of_numbers_are_waited_for() {
    for step in [Step::Cold, Step::OutOfNumbers] {
        let stage = Stage::open();
        stage.line.script.lock().unwrap().extend([step; 10]);
        assert_eq!(new(stage.send("ada").await.unwrap()).line_entry.seq, Seq(1), "{step:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn not_for_longer_than_a_second() {
    for step in [Step::Cold, Step::OutOfNumbers] {
        let stage = Stage::open();
        stage.line.script.lock().unwrap().extend([step; 1_000]);
        let began = Instant::now();
        assert_unavailable(&stage.send("ada").await.unwrap());
        assert!(began.elapsed() <= Duration::from_millis(1_100), "{:?}", began.elapsed());
        assert!(stage.offered().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_line_says_so() {
    let stage = Stage::with_cap(1);
    new(stage.send("ada").await.unwrap());
    let answer = stage.send("bob").await.unwrap();
    assert!(matches!(answer, Answer::Full), "{answer:?}");
    found(stage.send("ada").await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_the_queue_did_not_confirm_is_unknown_and_offered_again() {
    for step in [Step::Unavailable, Step::Hangs] {
        let stage = Stage::open();
        stage.queue.script.lock().unwrap().push_back(step);
        assert_unavailable(&stage.send("ada").await.unwrap());
        let before = stage.offered().len();
        let place = found(stage.send("ada").await.unwrap());
        assert_eq!(place.line_entry.seq, Seq(1), "the record was kept");
        assert_eq!(
            stage.offered().len(),
            before + 1,
            "and made durable before it was answered ({step:?})"
        );
        found(stage.send("ada").await.unwrap());
        assert_eq!(stage.offered().len(), before + 1, "a durable place is not offered again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_fails_or_hangs_is_unknown() {
    for step in [Step::Unavailable, Step::Hangs] {
        let stage = Stage::open();
        stage.line.script.lock().unwrap().push_back(step);
        assert_unavailable(&stage.send("ada").await.unwrap());
        assert!(stage.offered().is_empty(), "{step:?}");
        let answer = stage.send("ada").await.unwrap();
        assert!(matches!(answer, Answer::New(_) | Answer::Found(_)), "{answer:?}");
        assert_eq!(stage.offered().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_they_may_however_many_are_before_them() {
    let stage = Stage::open();
    stage.line.script.lock().unwrap().extend([Step::Hangs; 100]);
    let began = Instant::now();
    let answers: Vec<_> = (0..8 * JOINS_MAX).map(|n| stage.send(&format!("buyer-{n}"))).collect();
    for answer in answers {
        assert_unavailable(&answer.await.unwrap());
        assert!(began.elapsed() <= LONGEST + Duration::from_millis(1), "{:?}", began.elapsed());
    }
    let late = stage.send("ada");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_unavailable(&late.await.unwrap());
    assert!(began.elapsed() <= LONGEST * 2 + Duration::from_millis(5), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_comes_after_a_stall_is_not_held_to_the_time_of_those_before() {
    let stage = Stage::open();
    stage.line.script.lock().unwrap().extend([Step::Hangs; BATCHES_MAX]);
    let stuck: Vec<_> =
        (0..(BATCHES_MAX + 1) * JOINS_MAX).map(|n| stage.send(&format!("stuck-{n}"))).collect();
    sleep(LONGEST - Duration::from_millis(10)).await;
    let fresh: Vec<_> = (0..10).map(|n| stage.send(&format!("fresh-{n}"))).collect();
    for answer in stuck {
        assert_unavailable(&answer.await.unwrap());
    }
    for answer in fresh {
        new(answer.await.unwrap());
    }
    let recorded = stage.line.places.lock().unwrap().len();
    assert_eq!(recorded, BATCHES_MAX * JOINS_MAX + 10, "who was too late was not recorded");
}

#[tokio::test(start_paused = true)]
async fn whoever_hangs_up_before_being_recorded_is_not_recorded() {
    let stage = Stage::open();
    drop(stage.send("ada"));
    assert_eq!(new(stage.send("bob").await.unwrap()).line_entry.seq, Seq(1));
}

#[tokio::test(start_paused = true)]
async fn closing_finishes_the_joins_in_hand_and_takes_no_more() {
    let stage = Stage::open();
    let answers: Vec<_> = (0..200).map(|n| stage.send(&format!("buyer-{n}"))).collect();
    stage.closing.cancel();
    stage.tasks.close();
    stage.tasks.wait().await;
    for answer in answers {
        new(answer.await.unwrap());
    }
    assert!(stage.jobs.is_closed());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever the arrivals and the faults: distinct buyers never share a number, one buyer never gets two, and nobody
    /// is told of a place that the queue does not have.
    #[test]
    fn numbers_are_distinct_and_answered_places_are_durable(
        buyers in proptest::collection::vec(0_u8..60, 1..300),
        line in proptest::collection::vec(0_u8..8, 0..12),
        queue in proptest::collection::vec(0_u8..8, 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let stage = Stage::open();
            let step = |n: &u8| [Some(Step::Cold), Some(Step::OutOfNumbers), Some(Step::Unavailable), Some(Step::Hangs)]
                .get(usize::from(*n)).copied().flatten();
            stage.line.script.lock().unwrap().extend(line.iter().filter_map(step));
            stage.queue.script.lock().unwrap().extend(queue.iter().filter_map(step));
            let answers: Vec<_> = buyers.iter().map(|n| stage.send(&format!("buyer-{n}"))).collect();
            let mut of_buyer: HashMap<BuyerId, Seq> = HashMap::new();
            for answer in answers {
                let (Answer::New(place) | Answer::Found(place)) = answer.await.unwrap() else { continue };
                let LineEntry { entry, buyer, seq, .. } = place.line_entry;
                assert!(stage.offered().contains(&entry), "answered before it was durable");
                let known = *of_buyer.entry(buyer).or_insert(seq);
                assert_eq!(known, seq, "one buyer, one number");
            }
            let mut numbers: Vec<_> = of_buyer.values().collect();
            numbers.sort();
            numbers.dedup();
            assert_eq!(numbers.len(), of_buyer.len(), "two buyers share a number");
        });
    }
}
