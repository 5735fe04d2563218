//! Two admissions that know each other only by their stores: over a line that shares limits, a buyer and a device have one
//! budget for both. Over one that does not, each node lets in a budget of its own: that is what sharing is for.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, ChildStdin, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use sluice_backends::redis::{self, Redis, RedisOptions};
use sluice_core::policy::RateLimit;
use tokio::task::JoinSet;

use crate::{
    client::{Ask, Reply},
    stage::{Script, Stage},
};

const BURST: u32 = 10;
/// So slow that next to nothing comes back while a test asks.
const SLOW: RateLimit = RateLimit { per_second: 1, burst: BURST };

/// A Redis server of its own; it ends with this, or with this process.
struct Server {
    child: Child,
    hold: Option<ChildStdin>,
    url: String,
}

impl Server {
    fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/services");
        let mut command = Command::new(script);
        command.args(["run", "redis"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let hold = child.stdin.take();
        let told = BufReader::new(child.stdout.take().unwrap());
        let lines: Vec<String> =
            told.lines().map(Result::unwrap).take_while(|line| line != "ready").collect();
        let url = lines.iter().find_map(|line| line.strip_prefix("REDIS_URL="));
        let url = url.unwrap_or_else(|| panic!("no Redis: {lines:?}")).to_owned();
        Self { child, hold, url }
    }

    async fn open(&self) -> Redis {
        let options = RedisOptions {
            start_timeout: Duration::from_secs(30),
            ..RedisOptions::new(vec![self.url.clone()])
        };
        redis::open(options).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.hold.take());
        let _ = self.child.wait();
    }
}

fn script() -> Script {
    let mut script = Script::default();
    script.limits.per_buyer = SLOW;
    script.limits.per_device = SLOW;
    script
}

/// Sends as many joins to each of two doors as one door lets in, all at once. Answers how many were
/// let in, and how many more a slow machine may be let in for its slowness.
async fn let_in(stage: &mut Stage, joining: Joining) -> (u32, u32) {
    let doors = [stage.address, stage.open_door(8).await];
    let (began, mut asking) = (Instant::now(), JoinSet::new());
    for n in 0..2 * BURST {
        asking.spawn(joining(stage, doors[n as usize % 2], n).send());
    }
    let replies: Vec<Reply> = asking.join_all().await;
    let slack = 1 + u32::try_from(began.elapsed().as_secs()).unwrap();
    let (refused, taken): (Vec<Reply>, Vec<Reply>) =
        replies.into_iter().partition(|reply| reply.status == 429);
    for reply in refused {
        let problem = reply.expect(429, "too_many_requests");
        let wait = problem["retry_after_ms"].as_u64().unwrap();
        assert!((1..=u64::from(BURST + 1) * 1_000).contains(&wait), "{problem}");
        assert!(reply.header("ratelimit").unwrap().contains(";r=0;t="), "{reply:?}");
    }
    assert!(taken.iter().all(|reply| reply.status.is_success()), "{taken:?}");
    (u32::try_from(taken.len()).unwrap(), slack)
}

/// The n-th join.
type Joining = fn(&Stage, SocketAddr, u32) -> Ask;

fn one_buyer(stage: &Stage, door: SocketAddr, _: u32) -> Ask {
    stage.joining_at(door, "ada")
}

fn one_device(stage: &Stage, door: SocketAddr, n: u32) -> Ask {
    stage.joining_at(door, &format!("buyer-{n}")).header("x-sluice-device", "the same phone")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_admissions_let_in_one_budget_of_a_buyer_and_of_a_device() {
    let server = tokio::task::spawn_blocking(Server::start).await.unwrap();
    for joining in [one_buyer as Joining, one_device] {
        let redis = server.open().await;
        let line = Arc::clone(&redis.line);
        let wrap = Box::new(|ports: &mut sluice_core::ports::Ports| ports.line = line);
        let mut stage = Stage::play(Script { wrap, ..script() }).await;
        let (taken, slack) = let_in(&mut stage, joining).await;
        assert!((BURST..=BURST + slack).contains(&taken), "{taken} of {}", 2 * BURST);
        stage.ports.line.forget(&stage.sale).await.unwrap();
        redis.close().await;
    }
}

/// The twin of the test above: without the line's count, both nodes let in all they know of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_admissions_over_a_line_that_shares_no_limits_let_in_two_budgets() {
    for joining in [one_buyer as Joining, one_device] {
        let mut stage = Stage::play(script()).await;
        assert!(!stage.ports.line.shares_limits());
        let (taken, _) = let_in(&mut stage, joining).await;
        assert_eq!(taken, 2 * BURST);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_limited_elsewhere_keeps_the_place_and_may_look_at_it() {
    let server = tokio::task::spawn_blocking(Server::start).await.unwrap();
    let redis = server.open().await;
    let line = Arc::clone(&redis.line);
    let wrap = Box::new(|ports: &mut sluice_core::ports::Ports| ports.line = line);
    let mut stage = Stage::play(Script { wrap, ..script() }).await;
    let mine = stage.joining("eve").send().await.expect(202, "");
    let door = stage.open_door(9).await;
    for n in 0..2 * BURST {
        let door = if n % 2 == 0 { stage.address } else { door };
        let again = stage.joining_at(door, "eve").send().await;
        if again.status.is_success() {
            assert_eq!(again.expect(200, "")["entry"], mine["entry"]);
        }
    }
    assert_eq!(stage.poll(&mine).await["state"], "waiting");
    assert_eq!(stage.queued().await.len(), 1, "one place");
    redis.close().await;
}
