//! Random members and administrators against a shard whose log fails, lags and loses its leader. What the shard
//! knows is what one that loads the log knows, every request has one answer, and once the faults stop every
//! partition is somebody's and nobody has what it does not want.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;

use base::TopicId;
use coordinator::share_group::SharePartitions;
use coordinator::{AppendError, ClusterView, GroupConfig, Token};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use wire::ErrorCode;

use super::{beat, enter, wanting};
use crate::harness::{Bench, code};

const TOPICS: [&str; 3] = ["ta", "tb", "uc"];
const MEMBERS: usize = 5;

struct World {
    bench: Bench,
    rng: StdRng,
    /// The epoch each member believes to be at.
    epochs: [i32; MEMBERS],
    wants: [Vec<&'static str>; MEMBERS],
    waiting: BTreeMap<Token, usize>,
    /// States that the share coordinator was asked for and has not answered.
    initializing: Vec<SharePartitions>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut bench = Bench::with(GroupConfig::default());
        bench.auto_commit = false;
        for topic in TOPICS {
            bench.topic(topic, 2);
        }
        World {
            bench,
            rng: StdRng::seed_from_u64(seed),
            epochs: [0; MEMBERS],
            wants: std::array::from_fn(|_| vec!["ta"]),
            waiting: BTreeMap::new(),
            initializing: Vec::new(),
        }
    }

    fn step(&mut self) {
        let index = self.rng.random_range(0..MEMBERS);
        match self.rng.random_range(0..20) {
            0..=11 => self.heartbeat(index),
            12 => {
                let id = format!("m{index}");
                self.bench.send_share(&beat("g", &id, -1));
                self.epochs[index] = 0;
            }
            13 => {
                let wants = TOPICS.into_iter().filter(|_| self.rng.random_bool(0.5));
                self.wants[index] = wants.collect();
                if self.wants[index].is_empty() {
                    self.wants[index].push("ta");
                }
            }
            14 => self.change_topics(),
            15 => self.answer_initialization(),
            16 => {
                let token = self.bench.token();
                let names = [TOPICS[index % TOPICS.len()].to_owned()];
                let actions = self
                    .bench
                    .shard
                    .delete_share_group_offsets(token, "g", &names);
                self.bench.run(actions);
            }
            17 if self.rng.random_bool(0.2) => {
                let token = self.bench.token();
                let actions = self.bench.shard.delete_groups(token, &["g".to_owned()]);
                self.bench.run(actions);
            }
            _ => {
                let ms = self.rng.random_range(0..8_000);
                self.bench.advance(ms);
            }
        }
        while !self.bench.in_flight.is_empty() && self.rng.random_bool(0.5) {
            if self.rng.random_bool(0.15) {
                self.bench.fail_next(AppendError::TimedOut);
            } else {
                self.bench.commit_next();
            }
        }
        self.receive();
    }

    fn heartbeat(&mut self, index: usize) {
        if self.waiting.values().any(|waiting| *waiting == index) {
            return;
        }
        let id = format!("m{index}");
        let wants = self.wants[index].clone();
        let request = match self.epochs[index] {
            0 => enter("g", &id, &wants),
            epoch if self.rng.random_bool(0.3) => wanting(beat("g", &id, epoch), &wants),
            epoch => beat("g", &id, epoch),
        };
        let token = self.bench.send_share(&request);
        self.waiting.insert(token, index);
    }

    fn receive(&mut self) {
        let answered: Vec<Token> = self
            .waiting
            .keys()
            .filter(|token| !self.bench.is_waiting(**token))
            .copied()
            .collect();
        for token in answered {
            let index = self.waiting.remove(&token).unwrap();
            let heartbeat = self.bench.share_beaten(token);
            self.epochs[index] = match code(heartbeat.response.error_code) {
                ErrorCode::None => heartbeat.response.member_epoch,
                ErrorCode::FencedMemberEpoch
                | ErrorCode::UnknownMemberId
                | ErrorCode::GroupIdNotFound => 0,
                ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => {
                    self.epochs[index]
                }
                other => panic!("{other}: {:?}", heartbeat.response.error_message),
            };
            let states = heartbeat.initialize;
            self.initializing
                .extend(states.map(|states| states.partitions()));
        }
    }

    fn answer_initialization(&mut self) {
        let Some(partitions) = self.initializing.pop() else {
            return;
        };
        let token = self.bench.token();
        let shard = &mut self.bench.shard;
        let actions = match self.rng.random_range(0..4) {
            0 => shard.share_states_not_initialized(token, "g", &partitions),
            1 => return,
            _ => shard.share_states_initialized(token, "g", &partitions),
        };
        self.bench.run(actions);
    }

    fn change_topics(&mut self) {
        let topic = TOPICS[self.rng.random_range(0..TOPICS.len())];
        let known = self.bench.cluster.topic(topic);
        match known {
            Some(known) if self.rng.random_bool(0.4) => {
                self.bench.delete_topic(topic);
                let deleted = [(topic.to_owned(), TopicId(known.id))];
                let actions = self.bench.shard.topics_deleted(&deleted);
                self.bench.run(actions);
            }
            Some(known) => self.bench.topic(topic, (known.partitions + 1).min(5)),
            None => self.bench.topic(topic, 2),
        }
    }

    fn settle(&mut self) {
        while !self.bench.in_flight.is_empty() {
            self.bench.commit_next();
        }
        self.receive();
    }

    fn check(&mut self, seed: u64) {
        self.settle();
        let mut loaded = self.bench.reload();
        assert_eq!(
            loaded.share_state("g"),
            self.bench.share_state("g"),
            "seed {seed}"
        );
        assert_eq!(
            loaded.initialized("g"),
            self.bench.initialized("g"),
            "seed {seed}"
        );
        if self.rng.random_bool(0.3) {
            // Its leader goes; whoever waits is told so.
            self.waiting.clear();
            loaded.auto_commit = false;
            self.bench = loaded;
        }
    }

    /// Without faults everybody gets to where they want to be.
    fn converge(&mut self, seed: u64) {
        self.settle();
        self.bench.auto_commit = true;
        for _ in 0..60 {
            self.bench.advance(1_000);
            for index in 0..MEMBERS {
                self.heartbeat(index);
                self.receive();
                for partitions in std::mem::take(&mut self.initializing) {
                    self.bench.share_initialized("g", &partitions);
                }
            }
        }
        let described = self.bench.shard.describe_share_group("g");
        assert_eq!(
            described.group_epoch, described.assignment_epoch,
            "seed {seed}"
        );
        let mut assigned = BTreeSet::new();
        for member in &described.members {
            for topic in &member.assignment.topic_partitions {
                assert!(member.subscribed_topic_names.contains(&topic.topic_name));
                let partitions = topic.partitions.iter();
                assigned.extend(partitions.map(|index| (topic.topic_name.clone(), *index)));
            }
        }
        let members = described.members.iter();
        let wanted = members.flat_map(|member| &member.subscribed_topic_names);
        let mut expected = BTreeSet::new();
        for name in wanted {
            if let Some(topic) = self.bench.cluster.topic(name) {
                expected.extend((0..topic.partitions).map(|index| (name.clone(), index)));
            }
        }
        assert_eq!(assigned, expected, "seed {seed}");
        assert_eq!(described.members.len(), MEMBERS, "seed {seed}");
    }
}

fn simulate(seed: u64, steps: usize) -> u64 {
    let mut world = World::new(seed);
    for step in 0..steps {
        world.step();
        if step % 25 == 24 {
            world.check(seed);
        }
    }
    world.converge(seed);
    world.check(seed);
    world.bench.trace.finish()
}

#[test]
fn live_is_what_a_replay_gives_and_groups_converge() {
    for seed in 0..60 {
        simulate(seed, 500);
    }
}

#[test]
fn the_same_seed_gives_the_same_actions() {
    assert_eq!(simulate(7, 200), simulate(7, 200));
    assert_ne!(simulate(7, 200), simulate(8, 200));
}
