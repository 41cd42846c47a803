//! One run: a seed, a time full of faults, a time to heal, and the judgement.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use chaos::checker::judge::Counts;
use chaos::checker::{Event, History, Place, Recorder, judge};
use coordinator::transaction::ClientVersion;
use storage::IoOp;
use storage::tier::MemoryTier;
use tempfile::TempDir;

use crate::broker::{Boot, Broker, OFFSETS, SHORT, TABLE, TIERED, Topics};
use crate::clients::group::{Protocol, committed};
use crate::clients::sharer::Habit;
use crate::clients::{
    Net, deleter, member, plain, processor, scanner, sharer, streams, transactional,
};
use crate::core::{Core, Trace};
use crate::disk::SimDisk;
use crate::plant::Plant;
use crate::remote;

const SECOND_US: u64 = 1_000_000;
/// How long the clients may take to come to their end.
const DRAIN_US: u64 = 120 * SECOND_US;
/// Longer than any transaction and any session, with the coordinators' periods.
const SETTLE_US: u64 = 20 * SECOND_US;
const TOPICS: &[(&str, i32)] = &[
    (OFFSETS, 1),
    ("__transaction_state", 1),
    ("__share_group_state", 1),
    ("in", 2),
    ("mix", 3),
    ("out", 2),
    (SHORT, 1),
    (TABLE, 1),
    (TIERED, 1),
];
const GROUPS: &[&str] = &[
    "loop",
    "loop-classic",
    "readers",
    "readers-classic",
    "readers-short",
    "readers-table",
    "readers-tiered",
];
/// The share groups, and what they read.
const SHARE_GROUPS: &[(&str, &str)] = &[("sharers", "in"), ("sharers-committed", "mix")];

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Decides everything.
    pub seed: u64,
    /// The planted fault.
    pub plant: Option<Plant>,
    /// For how long faults come, in virtual milliseconds.
    pub faults_ms: u64,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule of the checker, or the invariant of the simulation.
    pub name: String,
    /// What contradicts it.
    pub detail: String,
}

impl Finding {
    pub(crate) fn new(name: &str, detail: String) -> Finding {
        Finding {
            name: name.to_owned(),
            detail,
        }
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// Everything that happened.
    pub trace: Trace,
    /// What the clients did and saw.
    pub history: History,
    /// What must not be.
    pub findings: Vec<Finding>,
    /// How much the history shows.
    pub counts: Counts,
    /// How often the power went.
    pub crashes: u64,
    /// How many other faults there were.
    pub other_faults: u64,
    /// Passes of the cleaner that did something.
    pub cleaned: u64,
    /// Segments copied to the remote store.
    pub copied: u64,
}

/// The broker's lives.
struct World {
    net: Net,
    topics: Arc<Topics>,
    scratch: TempDir,
    plant: Option<Plant>,
    lives: Cell<u64>,
    other_faults: Cell<u64>,
    cleaned: Cell<u64>,
    copied: Cell<u64>,
    tier: Arc<MemoryTier>,
    next_producer_id: Cell<i64>,
    slow: Cell<bool>,
    /// Faults are over.
    healed: Cell<bool>,
    starting: Cell<bool>,
    findings: RefCell<Vec<Finding>>,
    disk: RefCell<Option<SimDisk>>,
    clients: Cell<usize>,
}

/// Runs one schedule.
///
/// # Panics
/// When the scratch directory cannot be used, or the real code under test panics.
#[must_use]
pub fn run(schedule: &Schedule) -> Outcome {
    let world = World::new(schedule);
    World::start_broker(&world, None);
    world.spawn_background();
    world.spawn_clients();
    let core = &world.net.core;
    let faults_us = schedule.faults_ms * 1_000;
    core.spawn(nemesis(Rc::clone(&world), faults_us));
    world.run_until(faults_us);
    world.heal();
    let limit = core.now_us() + DRAIN_US;
    let idle = Rc::clone(&world);
    world.run_while(limit, move || idle.clients.get() > 0);
    if world.clients.get() > 0 {
        let detail = format!("{} clients do not come to their end", world.clients.get());
        world.find(Finding::new("stuck-client", detail));
    }
    world.run_until(core.now_us() + SETTLE_US);
    world.finish_share_groups();
    world.ask_what_is_committed();
    world.look_at_the_end();
    world.outcome()
}

impl World {
    fn new(schedule: &Schedule) -> Rc<World> {
        let memory = Path::new("/dev/shm");
        let scratch = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        let topics = Arc::new(Topics::default());
        for (name, partitions) in TOPICS {
            topics.set(name, *partitions);
        }
        let net = Net {
            core: Core::new(schedule.seed),
            broker: Rc::default(),
            recorder: Recorder::default(),
            paused_until: Rc::default(),
            stopped: Rc::default(),
            next_txn: Rc::default(),
            comes_late: true,
            partitions: Rc::new(RefCell::new(TOPICS.iter().copied().collect())),
        };
        Rc::new(World {
            net,
            topics,
            scratch: scratch.expect("a scratch directory"),
            plant: schedule.plant,
            lives: Cell::new(0),
            other_faults: Cell::new(0),
            cleaned: Cell::new(0),
            copied: Cell::new(0),
            tier: Arc::default(),
            next_producer_id: Cell::new(1_000),
            slow: Cell::new(false),
            healed: Cell::new(false),
            starting: Cell::new(false),
            findings: RefCell::default(),
            disk: RefCell::default(),
            clients: Cell::new(0),
        })
    }

    fn find(&self, finding: Finding) {
        self.findings.borrow_mut().push(finding);
    }

    /// A new life on what the last one left.
    fn start_broker(world: &Rc<World>, left: Option<&SimDisk>) {
        let life = world.lives.get();
        world.lives.set(life + 1);
        let data_dir = world.scratch.path().join(format!("life-{life}"));
        std::fs::create_dir_all(&data_dir).expect("a data directory");
        if let Some(left) = left {
            left.write_image(&data_dir).expect("the image is written");
        }
        let lies = match world.plant {
            Some(Plant::SyncIsALie) => Some(IoOp::SegmentSync),
            Some(Plant::CleanerSyncIsALie) => Some(IoOp::CleanerWrite),
            _ => None,
        };
        let core = &world.net.core;
        let seed = u64::from_be_bytes(*core.bytes().first_chunk().unwrap_or(&[0; 8]));
        let disk = SimDisk::new(&data_dir, seed, lies).expect("the data directory is readable");
        if life > 0 && !world.healed.get() && core.chance(0.1) {
            // The power goes again while the broker recovers.
            disk.crash_in(core.pick(0..4));
        }
        *world.disk.borrow_mut() = Some(disk.clone());
        let boot = Boot {
            data_dir: &data_dir,
            disk,
            topics: Arc::clone(&world.topics),
            recorder: world.net.recorder.clone(),
            plant: world.plant,
            tier: Arc::clone(&world.tier),
            next_producer_id: world.next_producer_id.get(),
            is_restart: life > 0,
        };
        match Broker::start(core, boot) {
            Ok(broker) => *world.net.broker.borrow_mut() = Some(broker),
            Err(finding) => world.find(finding),
        }
    }

    /// After each event: a broker whose power is gone is buried, and another one is started in a while.
    fn watch_power(world: &Rc<World>) {
        if world.starting.get() {
            return;
        }
        let is_gone = |disk: &SimDisk| disk.is_gone();
        if !world.disk.borrow().as_ref().is_some_and(is_gone) {
            return;
        }
        let core = &world.net.core;
        let Some(left) = world.disk.borrow_mut().take() else {
            return;
        };
        if let Some(broker) = world.net.broker.borrow_mut().take() {
            world.bury(broker);
        }
        core.trace(format_args!("power gone after {} calls", left.calls()));
        world.starting.set(true);
        let again = Rc::clone(world);
        core.after(core.pick(50_000..800_000), move || {
            again.starting.set(false);
            World::start_broker(&again, Some(&left));
        });
    }

    /// Nothing of a life is left but its files.
    fn bury(&self, broker: Broker) {
        self.next_producer_id.set(broker.next_producer_id + 1_000);
        self.cleaned.set(self.cleaned.get() + broker.cleaned);
        self.copied.set(self.copied.get() + broker.copied);
        self.net.record(Event::LeadersLost);
        drop(broker);
    }

    fn run_until(self: &Rc<World>, until_us: u64) {
        self.run_while(until_us, || true);
    }

    fn run_while(self: &Rc<World>, until_us: u64, go_on: impl Fn() -> bool) {
        let core = Rc::clone(&self.net.core);
        let world = Rc::clone(self);
        core.run(until_us, move || {
            World::watch_power(&world);
            !go_on() || world.is_lost()
        });
    }

    /// Nothing can be run any more: recovery refused.
    fn is_lost(&self) -> bool {
        !self.findings.borrow().is_empty()
    }

    fn spawn_client(self: &Rc<World>, client: impl Future<Output = ()> + 'static) {
        self.clients.set(self.clients.get() + 1);
        let world = Rc::clone(self);
        self.net.core.spawn(async move {
            client.await;
            world.clients.set(world.clients.get() - 1);
        });
    }

    fn spawn_clients(self: &Rc<World>) {
        use ClientVersion::{Classic, V2};
        let net = || self.net.clone();
        for number in 1..=2 {
            self.spawn_client(plain::run(net(), number, "in", 0));
        }
        self.spawn_client(plain::run(net(), 3, SHORT, 0));
        self.spawn_client(plain::run(net(), 4, TABLE, 24));
        self.spawn_client(plain::run(net(), 5, TIERED, 0));
        self.spawn_client(deleter::run(net(), SHORT));
        self.spawn_client(scanner::run(net(), "scanner".to_owned(), TIERED));
        for (number, version) in [(11, V2), (12, V2), (13, Classic)] {
            self.spawn_client(transactional::run(net(), number, version, "mix"));
        }
        let consumer = ("loop", Protocol::Consumer);
        let classic = ("loop-classic", Protocol::Classic);
        for (number, group, version) in [
            (21, consumer, V2),
            (22, consumer, V2),
            (23, classic, V2),
            (24, classic, Classic),
        ] {
            let ends = ("in", "out");
            self.spawn_client(processor::run(net(), number, group, version, ends));
        }
        let groups = [
            ("readers", Protocol::Consumer, "mix"),
            ("readers-classic", Protocol::Classic, "mix"),
        ];
        for (group, protocol, topic) in groups {
            for index in 0..2 {
                let name = format!("{group}-{index}");
                self.spawn_client(member::run(net(), name, group, protocol, topic));
            }
        }
        for (group, topic) in [
            ("readers-short", SHORT),
            ("readers-table", TABLE),
            ("readers-tiered", TIERED),
        ] {
            let name = format!("{group}-0");
            let client = member::run(net(), name, group, Protocol::Consumer, topic);
            self.spawn_client(client);
        }
        for (group, topic) in SHARE_GROUPS {
            for index in 0..3 {
                let name = format!("{group}-{index}");
                self.spawn_client(sharer::run(net(), name, group, topic, Habit::Wild));
            }
        }
        for index in 0..3 {
            self.spawn_client(streams::run(net(), format!("streams-{index}"), "streams"));
        }
    }

    /// What the broker's threads do.
    fn spawn_background(self: &Rc<World>) {
        let every = |name: Duty, from_us: u64, to_us: u64| {
            let world = Rc::clone(self);
            self.net.core.spawn(async move {
                loop {
                    let slow = if world.slow.get() && name != Duty::Tick {
                        30
                    } else {
                        1
                    };
                    let us = world.net.core.pick(from_us..to_us) * slow;
                    world.net.core.sleep(us).await;
                    let is_healed = world.healed.get();
                    world.net.at_broker(0, move |broker| match name {
                        Duty::Journal => broker.write_journal(),
                        Duty::Segments => broker.write_segments(),
                        Duty::Checkpoint => broker.checkpoint(),
                        Duty::Clean => broker.clean(),
                        Duty::Retain => broker.retain(),
                        Duty::Tier => {
                            let goes_away = !is_healed && broker.core.chance(0.3);
                            broker.tier(goes_away);
                        }
                        Duty::Tick => broker.on_tick(),
                    });
                }
            });
        };
        every(Duty::Journal, 300, 3_000);
        every(Duty::Segments, 50_000, 150_000);
        every(Duty::Checkpoint, 300_000, 2_500_000);
        every(Duty::Clean, 300_000, 2_500_000);
        every(Duty::Retain, 300_000, 2_000_000);
        every(Duty::Tier, 400_000, 2_500_000);
        every(Duty::Tick, 20_000, 30_000);
    }

    fn heal(&self) {
        self.healed.set(true);
        self.slow.set(false);
        self.net.paused_until.set(0);
        if let Some(disk) = &*self.disk.borrow() {
            disk.set_full(false);
        }
        self.net.stopped.set(true);
        self.net.core.trace(format_args!("healed"));
    }

    /// Every share group reads what is left, so that its end can be judged.
    fn finish_share_groups(self: &Rc<World>) {
        for (group, topic) in SHARE_GROUPS {
            let name = format!("{group}-last");
            self.spawn_client(sharer::run(
                self.net.clone(),
                name,
                group,
                topic,
                Habit::Tidy,
            ));
        }
        let idle = Rc::clone(self);
        let limit = self.net.core.now_us() + DRAIN_US;
        self.run_while(limit, move || idle.clients.get() > 0);
        if self.clients.get() > 0 {
            let detail = format!("{} share groups do not come to an end", self.clients.get());
            self.find(Finding::new("stuck-share-group", detail));
        }
    }

    fn ask_what_is_committed(self: &Rc<World>) {
        let world = Rc::clone(self);
        self.spawn_client(async move {
            for group in GROUPS {
                for topic in world.topics.all() {
                    if topic.name.starts_with("__") {
                        continue;
                    }
                    for index in 0..topic.partitions {
                        let place = Place::new(&topic.name, index);
                        if committed(&world.net, group, &place).await.is_none() {
                            let detail = format!("{group}: {place} has no answer");
                            world.find(Finding::new("stuck-offset", detail));
                        }
                    }
                }
            }
        });
        let idle = Rc::clone(self);
        let limit = self.net.core.now_us() + DRAIN_US;
        self.run_while(limit, move || idle.clients.get() > 0);
    }

    fn look_at_the_end(&self) {
        let mut slot = self.net.broker.borrow_mut();
        let Some(broker) = slot.as_mut() else {
            return;
        };
        let plant = broker.plant.take();
        // Deleting waits for a checkpoint, and sweeping for what was deleted.
        for _ in 0..40 {
            broker.retain();
            if broker.tier(false) {
                break;
            }
        }
        if let Some(leak) = remote::leaked(&self.tier) {
            self.find(Finding::new("leaked-object", leak));
        }
        for topic in self.topics.all() {
            for index in 0..topic.partitions {
                let place = Place::new(&topic.name, index);
                let Some(log) = broker.log(&place.topic, index) else {
                    continue;
                };
                let (stable, end) = (log.last_stable_offset().0, log.high_watermark().0);
                let start = log.log_start_offset().0;
                let records = if topic.name.starts_with("__") {
                    Vec::new()
                } else {
                    read_all(broker, &place, start, stable)
                };
                self.net.record(Event::Log {
                    place,
                    start,
                    stable,
                    end,
                    records,
                });
            }
        }
        broker.plant = plant;
        let [live, replayed] = broker.portraits();
        if live != replayed {
            let differs = live.lines().zip(replayed.lines()).find(|(a, b)| a != b);
            let detail = format!("{differs:?}");
            self.find(Finding::new("live-is-not-replay", detail));
        }
    }

    fn outcome(&self) -> Outcome {
        let core = &self.net.core;
        core.clear();
        if let Some(last) = self.net.broker.borrow_mut().take() {
            self.bury(last);
        }
        core.clear();
        let history = self.net.recorder.take();
        let mut findings = std::mem::take(&mut *self.findings.borrow_mut());
        if findings.is_empty() {
            let violations = judge(&history).into_iter();
            findings.extend(violations.map(|one| Finding::new(one.rule.name(), one.detail)));
        }
        Outcome {
            trace: core.take_trace(),
            counts: Counts::of(&history),
            history,
            findings,
            crashes: self.lives.get().saturating_sub(1),
            other_faults: self.other_faults.get(),
            cleaned: self.cleaned.get(),
            copied: self.copied.get(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Duty {
    Journal,
    Segments,
    Checkpoint,
    Clean,
    Retain,
    Tier,
    Tick,
}

fn read_all(
    broker: &mut Broker,
    place: &Place,
    start: i64,
    stable: i64,
) -> Vec<chaos::checker::Seen> {
    let mut all = Vec::new();
    let mut from = start;
    while from < stable {
        let found = match broker.fetch(place, from, true) {
            Ok(found) if found.next > from => found,
            other => {
                broker.core.trace(format_args!(
                    "{place} ends at {from} before {stable}: {other:?}"
                ));
                break;
            }
        };
        from = found.next;
        all.extend(found.records);
    }
    all
}

/// Faults at random moments, until the time is over.
async fn nemesis(world: Rc<World>, faults_us: u64) {
    let core = Rc::clone(&world.net.core);
    loop {
        let us = core.pick(200_000..2_000_000);
        core.sleep(us).await;
        if core.now_us() + SECOND_US > faults_us {
            return;
        }
        let Some(disk) = world.disk.borrow().clone() else {
            continue;
        };
        let choice = core.pick(0..10);
        core.trace(format_args!("fault {choice}"));
        if choice >= 5 {
            world.other_faults.set(world.other_faults.get() + 1);
        }
        match choice {
            0..=4 => {
                disk.crash_in(core.pick(0..12));
                core.sleep(200_000).await;
                disk.crash();
            }
            5 => {
                let closed = world.net.broker.borrow_mut().take();
                if let Some(broker) = closed {
                    world.bury(broker);
                }
                disk.crash();
            }
            6 => {
                let until = core.now_us() + core.pick(50_000..2_000_000);
                world.net.paused_until.set(until);
            }
            7 => {
                disk.set_full(true);
                let us = core.pick(100_000..1_500_000);
                core.sleep(us).await;
                disk.set_full(false);
            }
            8 => {
                world.slow.set(true);
                let us = core.pick(200_000..2_000_000);
                core.sleep(us).await;
                world.slow.set(false);
            }
            _ => world.grow(),
        }
    }
}

impl World {
    fn grow(&self) {
        let count = self.topics_of("mix");
        if count < 5
            && let Some(broker) = self.net.broker.borrow_mut().as_mut()
        {
            broker.grow("mix");
            self.net.partitions.borrow_mut().insert("mix", count + 1);
        }
    }

    fn topics_of(&self, name: &str) -> i32 {
        let all: BTreeMap<String, i32> = self
            .topics
            .all()
            .into_iter()
            .map(|topic| (topic.name.to_string(), topic.partitions))
            .collect();
        all.get(name).copied().unwrap_or(0)
    }
}
