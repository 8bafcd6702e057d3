//! Seeds: each is another order of kills, stops, losses and doubles, and each ends with every file delivered once.

use std::{
    cell::Cell,
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use eft_domain::{Job, route::HeadOfLine};
use eft_store::faulty::{Chance, Draws};

use crate::{
    life::{Death, Life, simulated},
    world::{CANCELLED, Expect, File, Running, TOO_LATE, TURNS, World},
};

/// What CI runs: a slice of [`ALL`], another one every day. `EFT_SIM_SEEDS=10000` for all, `EFT_SIM_SEED=17` for one.
const SLICE: u64 = 1_250;
const ALL: u64 = 10_000;

const ROUTERS: &str = "routers that died at a call";
const SWEEPS: &str = "sweeps that died at a call";

/// What has happened, by name.
type Happened = BTreeMap<&'static str, u64>;

struct Trouble {
    draws: Arc<Draws>,
    world: World,
    workers: Vec<Running>,
    /// Stopped workers, and the turn in which each wakes.
    sleeping: Vec<(Running, u64)>,
    /// Routers and sweeps that may stop at a call, and the turn in which each is woken.
    invoked: Vec<(Arc<Life>, u64)>,
    /// Everybody there was, by part.
    lives: Vec<(&'static str, Arc<Life>)>,
    happened: Happened,
}

/// Two versions of a key, files that are bad, some of a route with an order, one that waits to be quiet, one with a control
/// file, one of no route, and one that is none.
fn files() -> Vec<File> {
    use Expect::{Delivered, Nothing, Rejected, Unrouted};
    [
        ("in/bad", "v1", Rejected),
        ("turns/bad", "v11", Rejected),
        ("turns/h", "v12", Delivered),
        ("in/a", "v2", Delivered),
        ("in/b", "v3", Delivered),
        ("turns/i", "v13", Delivered),
        ("in/a", "v4", Delivered),
        ("control/d", "v5", Delivered),
        ("quiet/c", "v6", Delivered),
        ("control/d.done", "v7", Nothing),
        ("other/e", "v8", Unrouted),
        ("in/f.tmp", "v9", Nothing),
        ("turns/j", "v14", Delivered),
        ("in/g", "v10", Delivered),
        ("turns/k", "v15", Delivered),
    ]
    .map(|(name, version, expect)| File::new(name, version, expect))
    .into()
}

impl Trouble {
    async fn new(seed: u64) -> Self {
        let draws = Arc::new(Draws::new(seed));
        let of = 12 + draws.below(60);
        let chance = Chance { draws: Arc::clone(&draws), of, throttled: 1, lost: 1, done: 1, millis: 200 };
        let world = World::new(chance, |number| number % 7 == 3).await;
        let policy = if seed.is_multiple_of(2) { HeadOfLine::Block } else { HeadOfLine::HoldAndContinue };
        world.keep_order(TURNS, policy).await;
        Self {
            draws,
            world,
            workers: Vec::new(),
            sleeping: Vec::new(),
            invoked: Vec::new(),
            lives: Vec::new(),
            happened: Happened::new(),
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.happened.entry(what).or_default() += 1;
    }

    /// Some processes die of themselves, at one of their first so many calls.
    fn death(&self, calls: u64) -> Death {
        match self.draws.below(4) {
            0 => Death::Before(1 + self.draws.below(calls)),
            1 => Death::After(1 + self.draws.below(calls)),
            _ => Death::Never,
        }
    }

    /// A router or a sweep, which may also stop at such a call.
    fn invocation(&mut self, part: &'static str, calls: u64, turn: u64) -> Arc<Life> {
        let death = match self.draws.below(8) {
            0 => Death::Stops(1 + self.draws.below(calls)),
            _ => self.death(calls),
        };
        let life = self.world.life(death);
        self.invoked.push((Arc::clone(&life), turn + 1 + self.draws.below(12)));
        self.lives.push((part, Arc::clone(&life)));
        life
    }

    /// An operator cancels a job, or has one go on that is held; what follows is the same as ever.
    async fn act(&mut self) {
        if self.draws.once_in(16) {
            let cancelled = self.world.cancel(&self.draws).await;
            self.count(cancelled);
        }
        if self.draws.once_in(4) {
            let resumed = self.world.resume().await;
            *self.happened.entry("jobs resumed").or_default() += resumed;
        }
    }

    fn start(&mut self) {
        let death = self.death(150);
        let worker = self.world.start(2, death);
        self.lives.push(("workers that died at a call", Arc::clone(&worker.life)));
        self.workers.push(worker);
    }

    /// Its events: none, one or several, each up to ten minutes late.
    fn arrive(&mut self, file: File) {
        let events = self.draws.below(4);
        let late: Vec<_> = (0..events).map(|_| Duration::from_millis(self.draws.below(600_000))).collect();
        self.count(match events {
            0 => "events lost",
            1 => "events once",
            _ => "events doubled",
        });
        self.world.arrive(file, &late);
    }

    /// Half a minute.
    async fn turn(&mut self, turn: u64) {
        tokio::time::sleep(Duration::from_millis(20_000 + self.draws.below(20_000))).await;
        // Tasks of their own: some of them live into the next turn.
        for _ in 0..self.draws.below(3) {
            let life = self.invocation(ROUTERS, 40, turn);
            drop(self.world.invoke(&life));
        }
        if self.draws.once_in(3) {
            let life = self.invocation(SWEEPS, 120, turn);
            drop(self.world.sweep(&life));
        }
        self.invoked.iter().filter(|(_, until)| *until <= turn).for_each(|(life, _)| life.freeze(false));
        self.act().await;
        let dead = self.workers.len();
        self.workers.retain(|worker| !worker.life.is_dead());
        for _ in self.workers.len()..dead {
            self.start();
        }
        let at = self.draws.below(self.workers.len() as u64) as usize;
        match self.draws.below(8) {
            0 => {
                self.workers.swap_remove(at).life.kill();
                self.count("workers killed");
                self.start();
            }
            1 | 2 => {
                let worker = self.workers.swap_remove(at);
                worker.life.freeze(true);
                self.sleeping.push((worker, turn + 1 + self.draws.below(12)));
                self.count("workers stopped");
                self.start();
            }
            3 => {
                self.workers.swap_remove(at).drained().await;
                self.count("workers drained");
                self.start();
            }
            _ => {}
        }
        for (worker, until) in &self.sleeping {
            worker.life.freeze(*until > turn);
        }
    }
}

/// The rows in the end, and what has happened.
async fn one(seed: u64) -> Result<(Vec<Job>, Happened), String> {
    let mut trouble = Trouble::new(seed).await;
    let mut files = files().into_iter();
    // A worker has to know which files are bad.
    for file in files.by_ref().take(2) {
        trouble.arrive(file);
    }
    trouble.start();
    trouble.start();
    // Twenty minutes of trouble.
    for turn in 0..40 {
        if turn % 2 == 0
            && let Some(file) = files.next()
        {
            trouble.arrive(file);
        }
        trouble.turn(turn).await;
    }
    let Trouble { mut world, workers, sleeping, invoked, lives, mut happened, .. } = trouble;
    sleeping.iter().for_each(|(worker, _)| worker.life.freeze(false));
    invoked.iter().for_each(|(life, _)| life.freeze(false));
    world
        .recover(workers.into_iter().chain(sleeping.into_iter().map(|(worker, _)| worker)).collect())
        .await?;
    for (what, _) in lives.iter().filter(|(_, life)| life.died_at_a_call()) {
        *happened.entry(what).or_default() += 1;
    }
    let stopped = invoked.iter().filter(|(life, _)| life.stopped_at_a_call()).count();
    happened.insert("routers and sweeps stopped at a call", stopped as u64);
    happened.insert("jobs given up", world.given_up() as u64);
    happened.insert("messages set aside", world.queue.aside().len() as u64);
    happened.insert("events set aside", world.events.aside().into());
    happened.insert("held files that were passed", world.check_order().await?);
    let rows = world.region.jobs().into_iter().map(|job| Job { trace: None, marks: Vec::new(), ..job });
    Ok((rows.collect(), happened))
}

fn number(name: &str) -> Option<u64> {
    std::env::vars().find(|(key, _)| key == name).and_then(|(_, value)| value.parse().ok())
}

/// The first seed and how many.
fn slice() -> (u64, u64) {
    if let Some(seed) = number("EFT_SIM_SEED") {
        return (seed, 1);
    }
    if let Some(count) = number("EFT_SIM_SEEDS") {
        return (0, count);
    }
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (since.as_secs() / 86_400 * SLICE % ALL, SLICE)
}

thread_local! {
    /// Panics on this thread, which are those of a seed: all its tasks are run here.
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

/// What a seed has come to; an error where any of its tasks has panicked, whether or not somebody waits for it.
fn unpanicked<T>(seed: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    PANICS.set(0);
    let ended = std::panic::catch_unwind(AssertUnwindSafe(seed));
    match (ended, PANICS.get()) {
        (Ok(ended), 0) => ended,
        (_, panics) => Err(format!("{panics} panics, see above")),
    }
}

#[test]
fn every_file_is_delivered_once_whatever_happens() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.set(PANICS.get() + 1);
        before(info);
    }));
    let (first, count) = slice();
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let happened = Mutex::new(Happened::new());
    let work = |thread: u64| {
        for seed in (first + thread..first + count).step_by(threads as usize) {
            match unpanicked(|| simulated(one(seed))) {
                Ok((_, some)) => {
                    let mut happened = happened.lock().unwrap();
                    for (what, times) in some {
                        *happened.entry(what).or_default() += times;
                    }
                }
                Err(why) => panic!(
                    "{why}\nEFT_SIM_SEED={seed} cargo test --workspace --test serve every_file -- --nocapture"
                ),
            }
        }
    };
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
    let happened = happened.into_inner().unwrap();
    println!("seeds {first} to {}: {happened:?}", first + count - 1);
    // Seeds in which nothing happens prove nothing.
    let each = ["events lost", "events doubled", "workers killed", "workers stopped", "workers drained"];
    let died = [ROUTERS, SWEEPS, "workers that died at a call", "routers and sweeps stopped at a call"];
    for what in each.into_iter().chain(died).chain([CANCELLED, "jobs resumed"]) {
        let times = happened.get(what).copied().unwrap_or_default();
        assert!(count < 10 || times >= count, "{what}: {times} times in {count} seeds");
    }
    let given_up = happened.get("jobs given up").copied().unwrap_or_default();
    assert!(given_up <= 1 + count / 1_000, "{given_up} jobs were given up: five deaths on one are rare");
    assert!(count < 1_000 || happened.contains_key(TOO_LATE), "no job was too far to be cancelled");
    let passed = happened.get("held files that were passed").copied().unwrap_or_default();
    assert!(count < 100 || passed > 0, "no file of a route with an order was held, and passed by others");
}

#[test]
fn a_seed_is_one_course_of_events() {
    let course = |seed| simulated(one(seed)).unwrap();
    let (first, again) = (course(7), course(7));
    assert!(first == again, "a seed has two courses");
    assert!(course(8).0 != first.0, "two seeds have one course");
}
