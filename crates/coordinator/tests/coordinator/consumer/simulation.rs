//! Random members against one shard whose log fails, lags and loses its leader.
//!
//! Members behave as the Java consumer does: they heartbeat with what changed, revoke what they are not assigned
//! any more, come back with epoch 0 when they are fenced, and crash, leave and change their wishes in between.
//! Topics come, grow and go. Checked throughout:
//!
//! - no partition is used by two members at a time: a member uses what it was last told, until it revokes it;
//! - what the shard knows is what a shard that loads the log knows;
//! - each request is answered once;
//! - once faults stop, the group becomes stable with every partition owned;
//! - the same seed gives the same actions.

use std::collections::{BTreeMap, BTreeSet};

use base::{Clock, Uuid};
use coordinator::{ClusterView, GroupConfig, Response, Token};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use wire::ErrorCode;
use wire::messages::ConsumerGroupHeartbeatResponse;
use wire::messages::consumer_group_heartbeat_request::TopicPartitions;

use super::{Beat, beat, enter};
use crate::harness::{Bench, code};
use crate::simulated::{Simulated, explore};

const TOPICS: [&str; 4] = ["ta", "tb", "tc", "ub"];
const HEARTBEAT_MS: i64 = 3_000;

type Owned = BTreeSet<(Uuid, i32)>;

#[derive(Debug)]
struct Member {
    instance: Option<&'static str>,
    id: String,
    epoch: i32,
    /// What it uses.
    owned: Owned,
    /// What it was last told to use.
    assigned: Owned,
    up: bool,
    /// Its heartbeat is on its way.
    waiting: bool,
    wake_ms: i64,
    life: u32,
    regex: bool,
    topics: Vec<&'static str>,
    /// The next heartbeat says everything.
    full: bool,
    /// Since when it has not been heard, for its own session.
    heard_ms: i64,
}

struct World {
    bench: Bench,
    rng: StdRng,
    members: Vec<Member>,
    waiting: BTreeMap<Token, (usize, u32)>,
    faults: bool,
    next_id: u32,
    assigned: usize,
}

fn member(instance: Option<&'static str>, regex: bool, topics: &[&'static str]) -> Member {
    Member {
        instance,
        id: String::new(),
        epoch: 0,
        owned: Owned::new(),
        assigned: Owned::new(),
        up: false,
        waiting: false,
        wake_ms: 0,
        life: 0,
        regex,
        topics: topics.to_vec(),
        full: true,
        heard_ms: 0,
    }
}

impl World {
    fn new(seed: u64) -> World {
        let mut bench = Bench::with(GroupConfig::default());
        bench.auto_commit = false;
        for topic in TOPICS {
            bench.topic(topic, 3);
        }
        World {
            bench,
            rng: StdRng::seed_from_u64(seed),
            members: vec![
                member(None, false, &["ta", "tb"]),
                member(None, false, &["ta", "tb", "tc"]),
                member(None, true, &[]),
                member(Some("s0"), false, &["ta"]),
                member(Some("s1"), false, &["ub", "tb"]),
                member(Some("s1"), false, &["ub", "tb"]),
            ],
            waiting: BTreeMap::new(),
            faults: true,
            next_id: 0,
            assigned: 0,
        }
    }

    /// A member that nobody answers gives everything up before the coordinator gives it to others.
    fn end_own_session(&mut self, index: usize, now_ms: i64) {
        let member = &mut self.members[index];
        if member.up && now_ms - member.heard_ms > 40_000 {
            member.owned.clear();
            member.epoch = 0;
            member.full = true;
        }
    }

    fn wake(&mut self, index: usize, now_ms: i64) {
        let chance = |world: &mut World, p: f64| world.faults && world.rng.random_bool(p);
        if !self.members[index].up {
            if self.members[index].instance.is_some() || !self.faults || self.rng.random_bool(0.8) {
                self.start(index, now_ms);
            }
            return;
        }
        if chance(self, 0.01) {
            self.crash(index, now_ms);
            return;
        }
        if chance(self, 0.01) {
            self.leave(index, now_ms);
            return;
        }
        if chance(self, 0.02) && !self.members[index].regex {
            let wanted: Vec<&'static str> = TOPICS
                .into_iter()
                .filter(|_| self.rng.random_bool(0.6))
                .collect();
            self.members[index].topics = wanted;
            self.members[index].full = true;
        }
        self.heartbeat(index, now_ms);
    }

    fn start(&mut self, index: usize, now_ms: i64) {
        self.next_id += 1;
        let member = &mut self.members[index];
        member.id = format!("m{}", self.next_id);
        member.up = true;
        member.epoch = 0;
        member.full = true;
        member.owned.clear();
        member.heard_ms = now_ms;
        self.heartbeat(index, now_ms);
    }

    fn crash(&mut self, index: usize, now_ms: i64) {
        let member = &mut self.members[index];
        member.up = false;
        member.waiting = false;
        member.life += 1;
        member.owned.clear();
        member.wake_ms = now_ms + self.rng.random_range(1_000..60_000);
    }

    /// A member stops using what it has before it leaves.
    fn leave(&mut self, index: usize, now_ms: i64) {
        let (id, instance) = (self.members[index].id.clone(), self.members[index].instance);
        self.crash(index, now_ms);
        let epoch = match instance {
            Some(_) if self.rng.random_bool(0.7) => -2,
            _ => -1,
        };
        let mut leave = beat("g", &id, epoch);
        leave.request.instance_id = instance.map(Into::into);
        let token = self.bench.send_beat(&leave);
        self.waiting.insert(token, (index, u32::MAX));
    }

    fn heartbeat(&mut self, index: usize, now_ms: i64) {
        let member = &mut self.members[index];
        // What it is not assigned any more it gives up now, and says so in this heartbeat.
        let kept: Owned = member
            .owned
            .intersection(&member.assigned)
            .copied()
            .collect();
        let revoked = kept.len() < member.owned.len();
        member.owned = kept;
        let topics: Vec<&str> = member.topics.clone();
        let mut request: Beat = if member.epoch == 0 {
            enter("g", &member.id, &topics)
        } else {
            beat("g", &member.id, member.epoch)
        };
        if member.epoch != 0 && (revoked || member.full) {
            request.request.topic_partitions = Some(to_request(&member.owned));
        }
        if member.epoch != 0 && member.full {
            request = request.topics(&topics);
            request.request.rebalance_timeout_ms = 60_000;
        }
        if member.regex && request.request.subscribed_topic_names.is_some() {
            request = request.regex("t.*");
        }
        request.request.instance_id = member.instance.map(Into::into);
        member.full = false;
        member.waiting = true;
        member.wake_ms = now_ms + HEARTBEAT_MS;
        let life = member.life;
        let token = self.bench.send_beat(&request);
        self.waiting.insert(token, (index, life));
    }

    fn deliver(&mut self, index: usize, response: &ConsumerGroupHeartbeatResponse) {
        let now_ms = self.bench.clock.now_ms();
        let member = &mut self.members[index];
        member.waiting = false;
        match code(response.error_code) {
            ErrorCode::None => {
                member.heard_ms = now_ms;
                member.epoch = response.member_epoch;
                if let Some(assignment) = &response.assignment {
                    let topics = assignment.topic_partitions.iter();
                    member.assigned = topics
                        .flat_map(|topic| {
                            topic
                                .partitions
                                .iter()
                                .map(|index| (topic.topic_id, *index))
                        })
                        .collect();
                    // What is new it uses at once; what it has to give up goes with its next heartbeat.
                    member.owned.extend(&member.assigned);
                    self.assigned += 1;
                    if member.assigned.len() < member.owned.len() {
                        member.wake_ms = now_ms;
                    }
                }
                self.check_exclusive();
            }
            ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId => {
                member.epoch = 0;
                member.owned.clear();
                member.assigned.clear();
                member.wake_ms = now_ms;
            }
            ErrorCode::FencedInstanceId => self.crash(index, now_ms),
            ErrorCode::UnreleasedInstanceId => {
                member.up = false;
                member.wake_ms = now_ms + 5_000;
            }
            ErrorCode::GroupIdNotFound
            | ErrorCode::NotCoordinator
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::UnknownServerError => member.full = true,
            other => panic!("member {index} got {other}"),
        }
    }

    fn check_exclusive(&self) {
        let mut users: BTreeMap<(Uuid, i32), usize> = BTreeMap::new();
        for (index, member) in self
            .members
            .iter()
            .enumerate()
            .filter(|(_, member)| member.up)
        {
            for partition in &member.owned {
                let other = users.insert(*partition, index);
                assert!(
                    other.is_none(),
                    "{partition:?} is used by {other:?} and {index}"
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
        if self.faults && self.rng.random_bool(0.02) {
            let topic = TOPICS[self.rng.random_range(0..TOPICS.len())];
            match self.rng.random_range(0..3) {
                0 => self.bench.delete_topic(topic),
                _ => {
                    let known = self
                        .bench
                        .cluster
                        .topic(topic)
                        .map_or(0, |topic| topic.partitions);
                    self.bench.topic(topic, (known + 1).min(6));
                }
            }
        }
        self.run_log();
    }

    fn receive(&mut self) {
        loop {
            let waiting = self.waiting.keys().copied();
            let Some(token) = waiting.clone().find(|token| !self.bench.is_waiting(*token)) else {
                return;
            };
            let (index, life) = self.waiting.remove(&token).expect("it was found");
            let Response::ConsumerGroupHeartbeat(response) = self.bench.response(token) else {
                panic!("not a heartbeat's answer")
            };
            if self.members[index].life == life {
                self.deliver(index, &response);
            }
        }
    }

    /// Compacts the log and compares with a shard that loads it.
    fn check_replay(&mut self) {
        self.bench.compact();
        if self.bench.in_flight.is_empty() {
            let loaded = self.bench.reload();
            assert_eq!(self.bench.described("g"), loaded.described("g"));
        }
    }

    fn converge(&mut self) {
        self.faults = false;
        // The last one would fight for the place of another for ever.
        let twin = self.members.len() - 1;
        let now_ms = self.bench.clock.now_ms();
        self.crash(twin, now_ms);
        self.members[twin].wake_ms = i64::MAX;
        for topic in TOPICS {
            let known = self
                .bench
                .cluster
                .topic(topic)
                .map_or(0, |topic| topic.partitions);
            self.bench.topic(topic, known.max(2));
        }
        for _ in 0..300 {
            self.step();
        }
        self.check_replay();
        let described = self.bench.described("g");
        assert_eq!(described.group_state, "Stable", "{described:?}");
        let wanted: BTreeSet<&str> = self
            .members
            .iter()
            .filter(|member| member.up)
            .flat_map(|member| match member.regex {
                true => vec!["ta", "tb", "tc"],
                false => member.topics.clone(),
            })
            .collect();
        let expected: Owned = wanted
            .into_iter()
            .filter_map(|topic| self.bench.cluster.topic(topic))
            .flat_map(|topic| (0..topic.partitions).map(move |index| (topic.id, index)))
            .collect();
        let owned: Owned = self
            .members
            .iter()
            .flat_map(|member| member.owned.clone())
            .collect();
        assert_eq!(owned, expected, "{:#?}", self.members);
    }
}

fn to_request(owned: &Owned) -> Vec<TopicPartitions> {
    let mut topics: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in owned {
        topics.entry(*topic).or_default().push(*partition);
    }
    let topics = topics.into_iter();
    topics
        .map(|(topic_id, partitions)| TopicPartitions {
            topic_id,
            partitions,
        })
        .collect()
}

fn simulate(seed: u64, steps: usize) -> (u64, usize) {
    let mut world = World::new(seed);
    (world.run(steps), world.assigned)
}

#[test]
fn random_members_keep_every_invariant() {
    explore(100, |seed| simulate(seed, 1_000));
}

#[test]
fn the_same_seed_gives_the_same_actions() {
    assert_eq!(simulate(7, 300), simulate(7, 300));
    assert_ne!(simulate(7, 300).0, simulate(8, 300).0);
}
