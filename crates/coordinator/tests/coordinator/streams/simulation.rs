//! Random members of streams groups against one shard whose log fails, lags and loses its leader.
//!
//! Members behave as the threads of Kafka Streams do: they heartbeat with what changed, give up the tasks they are not
//! assigned any more, come back with epoch 0 when they are fenced, and crash and leave in between. Two of them share a
//! process. Copies of state are spread by zones or not. Topics go and come, and the internal topics that are missing are created after a while. Checked throughout:
//!
//! - no task is active in two members at a time, and no process has a task twice;
//! - what the shard knows is what a shard that loads the log knows;
//! - each request is answered once;
//! - once faults stop, the group becomes stable with every task active once and every copy there is room for;
//! - the same seed gives the same actions.

use std::collections::{BTreeMap, BTreeSet};

use base::Clock;
use coordinator::{GroupConfig, Response, StreamsHeartbeat, StreamsSettings, Token};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use wire::ErrorCode;
use wire::messages::streams_group_heartbeat_request::{KeyValue, TaskIds, Topology};
use wire::messages::streams_group_heartbeat_response::TaskIds as Assigned;

use super::{beat, enter, reads, word_count};
use crate::harness::{Bench, code};
use crate::simulated::{Simulated, explore};

const HEARTBEAT_MS: i64 = 3_000;

type Tasks = BTreeSet<(String, i32)>;

#[derive(Clone, Debug, Default, PartialEq)]
struct Roles {
    active: Tasks,
    standby: Tasks,
}

#[derive(Debug)]
struct Member {
    instance: Option<&'static str>,
    process: String,
    id: String,
    epoch: i32,
    /// What it runs.
    owned: Roles,
    /// What it was last told to run.
    assigned: Roles,
    up: bool,
    /// Its heartbeat is on its way.
    waiting: bool,
    wake_ms: i64,
    life: u32,
    /// The next heartbeat says everything.
    full: bool,
    /// Since when it has not been heard, for its own session.
    heard_ms: i64,
}

struct World {
    bench: Bench,
    rng: StdRng,
    topology: Topology,
    partitions: BTreeMap<&'static str, i32>,
    members: Vec<Member>,
    waiting: BTreeMap<Token, (usize, u32)>,
    missing: BTreeMap<String, i32>,
    faults: bool,
    next_id: u32,
    assigned: usize,
}

fn member(instance: Option<&'static str>, process: &str) -> Member {
    Member {
        instance,
        process: process.into(),
        id: String::new(),
        epoch: 0,
        owned: Roles::default(),
        assigned: Roles::default(),
        up: false,
        waiting: false,
        wake_ms: 0,
        life: 0,
        full: true,
        heard_ms: 0,
    }
}

impl World {
    fn new(seed: u64) -> World {
        let mut bench = Bench::with(GroupConfig::default());
        bench.auto_commit = false;
        let mut topology = word_count();
        topology.subtopologies.push(reads("2", &["u"]));
        let partitions = BTreeMap::from([("t", 3), ("u", 2)]);
        for (topic, count) in &partitions {
            bench.topic(topic, *count);
        }
        World {
            bench,
            rng: StdRng::seed_from_u64(seed),
            topology,
            partitions,
            members: vec![
                member(None, "p0"),
                member(None, "p0"),
                member(None, "p1"),
                member(None, "p2"),
                member(Some("s"), "p3"),
            ],
            waiting: BTreeMap::new(),
            missing: BTreeMap::new(),
            faults: true,
            next_id: 0,
            assigned: 0,
        }
    }

    fn change_topics(&mut self) {
        if self.rng.random_bool(0.3) {
            for (topic, partitions) in std::mem::take(&mut self.missing) {
                self.bench.topic(&topic, partitions);
            }
        }
        if !self.faults || !self.rng.random_bool(0.01) {
            return;
        }
        match self.rng.random_range(0..5) {
            0 => self.bench.delete_topic("c"),
            1 => self.bench.delete_topic("r"),
            2 => self.bench.delete_topic("u"),
            3 => {
                let more = (self.partitions["u"] + 1).min(5);
                self.partitions.insert("u", more);
                self.bench.topic("u", more);
            }
            _ => {
                let standby_replicas = self.rng.random_range(0..3);
                self.copies(standby_replicas);
            }
        }
        if self.rng.random_bool(0.5) {
            self.restore_sources();
        }
    }

    fn copies(&mut self, standby_replicas: usize) {
        let tags: &[String] = match self.rng.random_bool(0.5) {
            true => &["zone".to_owned()],
            false => &[],
        };
        let settings = StreamsSettings {
            standby_replicas,
            rack_aware_tags: tags.into(),
            ..self.bench.config.streams.settings.clone()
        };
        self.bench.cluster.configure_streams("g", settings);
    }

    fn restore_sources(&mut self) {
        for (topic, partitions) in self.partitions.clone() {
            self.bench.topic(topic, partitions);
        }
    }

    /// A member that nobody answers gives everything up before the coordinator gives it to others.
    fn end_own_session(&mut self, index: usize, now_ms: i64) {
        let member = &mut self.members[index];
        if member.up && now_ms - member.heard_ms > 40_000 {
            member.owned = Roles::default();
            member.epoch = 0;
            member.full = true;
        }
    }

    fn wake(&mut self, index: usize, now_ms: i64) {
        let chance = |world: &mut World, p: f64| world.faults && world.rng.random_bool(p);
        if !self.members[index].up {
            self.start(index, now_ms);
        } else if chance(self, 0.01) {
            self.crash(index, now_ms);
        } else if chance(self, 0.01) {
            self.leave(index, now_ms);
        } else {
            self.heartbeat(index, now_ms);
        }
    }

    fn start(&mut self, index: usize, now_ms: i64) {
        self.next_id += 1;
        let member = &mut self.members[index];
        member.id = format!("m{}", self.next_id);
        member.up = true;
        member.epoch = 0;
        member.full = true;
        member.owned = Roles::default();
        member.heard_ms = now_ms;
        self.heartbeat(index, now_ms);
    }

    fn crash(&mut self, index: usize, now_ms: i64) {
        let member = &mut self.members[index];
        member.up = false;
        member.waiting = false;
        member.life += 1;
        member.owned = Roles::default();
        member.wake_ms = now_ms + self.rng.random_range(1_000..60_000);
    }

    /// A member stops its tasks before it leaves.
    fn leave(&mut self, index: usize, now_ms: i64) {
        let (id, instance) = (self.members[index].id.clone(), self.members[index].instance);
        self.crash(index, now_ms);
        let epoch = match instance {
            Some(_) if self.rng.random_bool(0.7) => -2,
            _ => -1,
        };
        let mut leave = beat(&id, epoch);
        leave.instance_id = instance.map(Into::into);
        let token = self.bench.send_streams(&leave);
        self.waiting.insert(token, (index, u32::MAX));
    }

    fn heartbeat(&mut self, index: usize, now_ms: i64) {
        let member = &mut self.members[index];
        // What it is not assigned any more it gives up now, and says so in this heartbeat.
        let kept = Roles {
            active: &member.owned.active & &member.assigned.active,
            standby: &member.owned.standby & &member.assigned.standby,
        };
        let revoked = kept != member.owned;
        member.owned = kept;
        let mut request = match member.epoch {
            0 => enter(&member.id, &self.topology),
            epoch => beat(&member.id, epoch),
        };
        if member.epoch == 0 {
            request.process_id = Some(member.process.clone());
            // Two processes in each of two zones.
            let zone = match member.process.as_str() {
                "p0" | "p1" => "z0",
                _ => "z1",
            };
            request.client_tags = Some(vec![KeyValue {
                key: "zone".into(),
                value: zone.into(),
            }]);
        } else if revoked || member.full {
            request.active_tasks = Some(to_request(&member.owned.active));
            request.standby_tasks = Some(to_request(&member.owned.standby));
            request.warmup_tasks = Some(Vec::new());
        }
        request.instance_id = member.instance.map(Into::into);
        member.full = false;
        member.waiting = true;
        member.wake_ms = now_ms + HEARTBEAT_MS;
        let life = member.life;
        let token = self.bench.send_streams(&request);
        self.waiting.insert(token, (index, life));
    }

    fn deliver(&mut self, index: usize, answer: &StreamsHeartbeat) {
        let now_ms = self.bench.clock.now_ms();
        let response = &answer.response;
        let member = &mut self.members[index];
        member.waiting = false;
        match code(response.error_code) {
            ErrorCode::None => {
                member.heard_ms = now_ms;
                member.epoch = response.member_epoch;
                if let (Some(active), Some(standby)) =
                    (&response.active_tasks, &response.standby_tasks)
                {
                    member.assigned = Roles {
                        active: of_response(active),
                        standby: of_response(standby),
                    };
                    // What is new it runs at once; what it has to give up goes with its next heartbeat.
                    member.owned.active.extend(member.assigned.active.clone());
                    member.owned.standby.extend(member.assigned.standby.clone());
                    self.assigned += 1;
                    if member.assigned != member.owned {
                        member.wake_ms = now_ms;
                    }
                }
                self.check_exclusive();
            }
            ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId => {
                member.epoch = 0;
                member.owned = Roles::default();
                member.assigned = Roles::default();
                member.wake_ms = now_ms;
            }
            ErrorCode::FencedInstanceId => self.crash(index, now_ms),
            ErrorCode::UnreleasedInstanceId => {
                member.up = false;
                member.wake_ms = now_ms + 5_000;
            }
            ErrorCode::GroupIdNotFound => {
                member.epoch = 0;
                member.owned = Roles::default();
            }
            ErrorCode::NotCoordinator
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::UnknownServerError => member.full = true,
            other => panic!("member {index} got {other}: {response:?}"),
        }
    }

    fn check_exclusive(&self) {
        let mut active = BTreeSet::new();
        let mut of_process = BTreeSet::new();
        for member in self.members.iter().filter(|member| member.up) {
            for task in &member.owned.active {
                assert!(
                    active.insert(task),
                    "{task:?} is active twice: {:#?}",
                    self.members
                );
            }
            for task in member.owned.active.iter().chain(&member.owned.standby) {
                let held = (&member.process, task);
                assert!(
                    of_process.insert(held),
                    "{held:?} twice: {:#?}",
                    self.members
                );
            }
        }
    }
}

impl Simulated for World {
    fn parts(&mut self) -> (&mut Bench, &mut StdRng) {
        (&mut self.bench, &mut self.rng)
    }

    fn has_faults(&self) -> bool {
        self.faults
    }

    fn check_answered(&self) {
        assert!(self.waiting.is_empty(), "unanswered: {:?}", self.waiting);
    }

    fn step(&mut self) {
        let elapsed = self.rng.random_range(20..1_500);
        self.bench.advance(elapsed);
        self.receive();
        let now_ms = self.bench.clock.now_ms();
        for index in 0..self.members.len() {
            self.end_own_session(index, now_ms);
            if self.members[index].wake_ms <= now_ms && !self.members[index].waiting {
                self.wake(index, now_ms);
                self.receive();
            }
        }
        self.change_topics();
        self.run_log();
    }

    fn receive(&mut self) {
        loop {
            let mut waiting = self.waiting.keys().copied();
            let Some(token) = waiting.find(|token| !self.bench.is_waiting(*token)) else {
                return;
            };
            let (index, life) = self.waiting.remove(&token).expect("it was found");
            let Response::StreamsGroupHeartbeat(answer) = self.bench.response(token) else {
                panic!("not a heartbeat's answer")
            };
            for topic in &answer.missing_topics {
                self.missing.insert(topic.name.clone(), topic.partitions);
            }
            if self.members[index].life == life {
                self.deliver(index, &answer);
            }
        }
    }

    /// Compacts the log and compares with a shard that loads it.
    fn check_replay(&mut self) {
        self.bench.compact();
        if self.bench.in_flight.is_empty() {
            let loaded = self.bench.reload();
            assert_eq!(self.bench.described_streams(), loaded.described_streams());
        }
    }

    fn converge(&mut self) {
        self.faults = false;
        self.restore_sources();
        self.copies(1);
        for _ in 0..400 {
            self.step();
        }
        self.check_replay();
        let described = self.bench.described_streams();
        assert_eq!(described.group_state, "Stable", "{described:#?}");
        let tasks =
            |id: &str, count: i32| -> Tasks { (0..count).map(|at| (id.to_owned(), at)).collect() };
        let stateful = tasks("1", 3);
        let mut expected = tasks("0", 3);
        expected.extend(stateful.clone());
        expected.extend(tasks("2", self.partitions["u"]));
        let owned = |role: fn(&Roles) -> &Tasks| -> Vec<(String, i32)> {
            let members = self.members.iter();
            let mut tasks: Vec<_> = members
                .flat_map(|member| role(&member.owned).clone())
                .collect();
            tasks.sort();
            tasks
        };
        let all = |tasks: &Tasks| tasks.iter().cloned().collect::<Vec<_>>();
        assert_eq!(owned(|roles| &roles.active), all(&expected));
        assert_eq!(owned(|roles| &roles.standby), all(&stateful));
    }
}

fn to_request(tasks: &Tasks) -> Vec<TaskIds> {
    let mut by_id: BTreeMap<&String, Vec<i32>> = BTreeMap::new();
    for (subtopology, partition) in tasks {
        by_id.entry(subtopology).or_default().push(*partition);
    }
    let tasks = by_id.into_iter();
    tasks
        .map(|(subtopology, partitions)| TaskIds {
            subtopology_id: subtopology.clone(),
            partitions,
        })
        .collect()
}

fn of_response(tasks: &[Assigned]) -> Tasks {
    let tasks = tasks.iter();
    tasks
        .flat_map(|task| {
            let id = &task.subtopology_id;
            task.partitions.iter().map(move |at| (id.clone(), *at))
        })
        .collect()
}

fn simulate(seed: u64, steps: usize) -> (u64, usize) {
    let mut world = World::new(seed);
    (world.run(steps), world.assigned)
}

#[test]
fn random_members_keep_every_invariant() {
    explore(50, |seed| simulate(seed, 1_000));
}

#[test]
fn the_same_seed_gives_the_same_actions() {
    assert_eq!(simulate(7, 300), simulate(7, 300));
    assert_ne!(simulate(7, 300).0, simulate(8, 300).0);
}
