//! Random clients against one shard whose log fails, lags and loses its leader.
//!
//! Clients behave as the Java consumer does: they join, the leader assigns, they heartbeat and commit, and
//! on each error they do what the client would. They also crash, leave, restart under the same instance id
//! and fence each other. Checked throughout:
//!
//! - no partition has two owners in one generation;
//! - a committed offset that was acknowledged is never lost and never goes back;
//! - what the shard knows is what a shard that loads the log knows;
//! - each request is answered once (the harness sees to "at most"), all of them at the latest on unload;
//! - once faults stop, every group becomes stable with every partition owned;
//! - the same seed gives the same actions.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;

use base::Clock;
use coordinator::{AppendError, CoordinatorRecord, GroupConfig, Response, Token};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use wire::coordinator_records::GroupMetadataValue;
use wire::messages::JoinGroupResponse;
use wire::{ErrorCode, Message, Reader};

use crate::harness::{Bench, code, commit, context, join, sync};
use crate::simulated::explore;

const GROUPS: [&str; 3] = ["eager", "static", "mixed"];
const PARTITIONS: u8 = 6;
const SESSION_MS: i32 = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Down,
    /// About to join.
    Idle,
    /// A JoinGroup or SyncGroup is on its way.
    Waiting,
    Member,
}

#[derive(Debug)]
struct Client {
    group: &'static str,
    instance: Option<&'static str>,
    version: i16,
    phase: Phase,
    /// Grows with each crash: answers to an earlier life reach nobody.
    life: u32,
    wake_ms: i64,
    member_id: String,
    generation: i32,
    owned: Vec<u8>,
    /// Changes the subscription when it changes.
    topics: usize,
}

#[derive(Debug)]
enum Request {
    Join,
    Sync { generation: i32, owner: String },
    Commit { topic: String, value: i64 },
    Other,
}

struct World {
    bench: Bench,
    rng: StdRng,
    clients: Vec<Client>,
    waiting: BTreeMap<Token, (usize, u32, Request)>,
    /// Owner by group, tombstones of the group so far, generation and partition.
    owners: BTreeMap<(&'static str, usize, i32, u8), String>,
    tombstones: BTreeMap<String, usize>,
    /// The highest acknowledged value by group and topic, since the group's last tombstone.
    acked: BTreeMap<(String, String), i64>,
    next_value: i64,
    /// Groups whose record of an empty generation failed: the log is behind, as Kafka lets it be.
    behind: BTreeSet<String>,
    faults: bool,
    /// The log lags: appends become overdue.
    slow: bool,
    synced: usize,
}

fn client(group: &'static str, instance: Option<&'static str>, version: i16) -> Client {
    Client {
        group,
        instance,
        version,
        phase: Phase::Idle,
        life: 0,
        wake_ms: 0,
        member_id: String::new(),
        generation: -1,
        owned: Vec::new(),
        topics: 0,
    }
}

impl World {
    fn new(seed: u64) -> World {
        let mut bench = Bench::with(GroupConfig::default());
        bench.auto_commit = false;
        World {
            bench,
            rng: StdRng::seed_from_u64(seed),
            clients: vec![
                client("eager", None, 3),
                client("eager", None, 5),
                client("eager", None, 9),
                client("static", Some("s0"), 5),
                client("static", Some("s1"), 9),
                client("static", Some("s2"), 9),
                client("mixed", None, 9),
                client("mixed", Some("m0"), 8),
                client("mixed", Some("twin"), 9),
                client("mixed", Some("twin"), 9),
            ],
            waiting: BTreeMap::new(),
            owners: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            acked: BTreeMap::new(),
            next_value: 0,
            behind: BTreeSet::new(),
            faults: true,
            slow: false,
            synced: 0,
        }
    }

    fn step(&mut self) {
        let elapsed = self.rng.random_range(20..1_000);
        self.bench.advance(elapsed);
        self.receive();
        let now_ms = self.bench.clock.now_ms();
        for index in 0..self.clients.len() {
            if self.clients[index].wake_ms <= now_ms {
                self.wake(index);
                self.receive();
            }
        }
        if self.faults && self.rng.random_bool(0.02) {
            let group = GROUPS[self.rng.random_range(0..GROUPS.len())];
            let token = self.bench.token();
            let actions = self.bench.shard.delete_groups(token, &[group.to_owned()]);
            self.bench.run(actions);
            self.waiting.insert(token, (0, u32::MAX, Request::Other));
        }
        self.run_log();
    }

    /// Resolves some of the appends in flight.
    fn run_log(&mut self) {
        self.slow = self.faults && self.rng.random_bool(if self.slow { 0.9 } else { 0.03 });
        let resolved = if self.slow { 0.15 } else { 0.8 };
        while !self.bench.in_flight.is_empty() && (!self.faults || self.rng.random_bool(resolved)) {
            let fails = self.faults && self.rng.random_bool(0.05);
            if fails {
                let records = self.bench.in_flight[0].1.clone();
                self.behind.extend(records.iter().filter_map(emptied_group));
                let errors = [
                    AppendError::TimedOut,
                    AppendError::NotLeader,
                    AppendError::TooLarge,
                ];
                let error = errors[self.rng.random_range(0..errors.len())];
                self.bench.fail_next(error);
            } else {
                self.note_durable();
                self.bench.commit_next();
            }
            self.receive();
            if fails || self.rng.random_bool(0.05) {
                self.check_replay();
            }
        }
        if self.faults && self.rng.random_bool(0.004) {
            self.change_leader();
        }
    }

    /// Keeps book of what the oldest append will have done to the log.
    fn note_durable(&mut self) {
        for record in self.bench.in_flight[0].1.clone() {
            let Some(group) = group_of(&record) else {
                continue;
            };
            self.behind.remove(&group);
            if record.value.is_none() {
                *self.tombstones.entry(group.clone()).or_default() += 1;
                self.acked.retain(|(of, _), _| *of != group);
            }
        }
    }

    /// Unloads the shard; another loads the log, with some of what was in flight.
    fn change_leader(&mut self) {
        let actions = self.bench.shard.unload();
        self.bench.run(actions);
        self.receive();
        assert!(
            self.waiting.is_empty(),
            "unanswered on unload: {:?}",
            self.waiting
        );
        while !self.bench.in_flight.is_empty() && self.rng.random_bool(0.5) {
            self.note_durable();
            self.bench.commit_next();
        }
        self.behind.clear();
        self.bench = self.bench.reload();
    }

    fn wake(&mut self, index: usize) {
        let delay_ms = self.rng.random_range(500..3_500);
        let client = &mut self.clients[index];
        client.wake_ms = self.bench.clock.now_ms() + delay_ms;
        match client.phase {
            Phase::Down => client.phase = Phase::Idle,
            Phase::Idle => self.join(index),
            Phase::Waiting => {
                if self.faults && self.rng.random_bool(0.01) {
                    self.crash(index);
                }
            }
            Phase::Member => self.work(index),
        }
    }

    fn work(&mut self, index: usize) {
        let client = &self.clients[index];
        let (group, generation) = (client.group, client.generation);
        let member_id = client.member_id.clone();
        let error = self
            .bench
            .heartbeat_as(group, &member_id, client.instance, generation);
        if error != ErrorCode::None {
            // Consumers commit before they give partitions up.
            if error == ErrorCode::RebalanceInProgress && self.rng.random_bool(0.5) {
                self.commit(index);
            }
            self.react(index, error);
            return;
        }
        match if self.faults {
            self.rng.random_range(0..100)
        } else {
            50
        } {
            0..3 => self.crash(index),
            3..5 if client.instance.is_none() => {
                let token = self.bench.send_leave(group, &[(&member_id, None)]);
                self.waiting
                    .insert(token, (index, u32::MAX, Request::Other));
                self.crash(index);
            }
            5..8 => {
                self.clients[index].topics += 1;
                self.join(index);
            }
            8..12 => {
                let token = self.bench.send_fetch(group, None, true);
                self.waiting
                    .insert(token, (index, u32::MAX, Request::Other));
            }
            _ => self.commit(index),
        }
    }

    fn crash(&mut self, index: usize) {
        let down_ms = self.rng.random_range(1_000..25_000);
        let client = &mut self.clients[index];
        client.phase = Phase::Down;
        client.life += 1;
        client.member_id.clear();
        client.owned.clear();
        client.wake_ms = self.bench.clock.now_ms() + down_ms;
    }

    fn join(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.phase = Phase::Waiting;
        client.owned.clear();
        let topic = format!("t{}", client.topics % 2);
        let mut request = join(client.group)
            .version(client.version)
            .member(&client.member_id)
            .session_ms(SESSION_MS)
            .rebalance_ms(20_000)
            .topics(&[&topic]);
        request.request.group_instance_id = client.instance.map(Into::into);
        let life = client.life;
        let token = self.bench.send_join(request);
        self.waiting.insert(token, (index, life, Request::Join));
    }

    fn commit(&mut self, index: usize) {
        let client = &self.clients[index];
        let Some(partition) = client.owned.first() else {
            return;
        };
        let topic = format!("p{partition}");
        self.next_value += 1;
        let value = self.next_value;
        let mut request = commit(
            client.group,
            &client.member_id,
            client.generation,
            &topic,
            value,
        );
        request.group_instance_id = client.instance.map(Into::into);
        let life = client.life;
        let token = self.bench.send_commit(9, request);
        self.waiting
            .insert(token, (index, life, Request::Commit { topic, value }));
    }

    /// Hands out the answers that have come.
    fn receive(&mut self) {
        loop {
            let answered = self
                .waiting
                .keys()
                .copied()
                .find(|token| !self.bench.is_waiting(*token));
            let Some(token) = answered else { return };
            let (index, life, request) = self.waiting.remove(&token).expect("it was found");
            let response = self.bench.response(token);
            self.check(index, &request, &response);
            if self.clients[index].life == life {
                self.deliver(index, request, response);
            }
        }
    }

    /// Checks an answer, whether or not its client still lives.
    fn check(&mut self, index: usize, request: &Request, response: &Response) {
        let group = self.clients[index].group;
        match (request, response) {
            (Request::Sync { generation, owner }, Response::SyncGroup(response)) => {
                let life = self.tombstones.get(group).copied().unwrap_or(0);
                for partition in &response.assignment {
                    let key = (group, life, *generation, *partition);
                    let first = self.owners.entry(key).or_insert_with(|| owner.clone());
                    assert_eq!(first, owner, "two owners of {key:?}");
                }
                self.synced += usize::from(!response.assignment.is_empty());
            }
            (Request::Commit { topic, value }, Response::OffsetCommit(response))
                if response.topics[0].partitions[0].error_code == 0 =>
            {
                let key = (group.to_owned(), topic.clone());
                let before = self.acked.insert(key, *value).unwrap_or(0);
                assert!(before < *value, "{group} {topic}: {value} after {before}");
            }
            _ => {}
        }
    }

    fn deliver(&mut self, index: usize, request: Request, response: Response) {
        match (request, response) {
            (Request::Join, Response::JoinGroup(response)) => match code(response.error_code) {
                ErrorCode::None => self.sync(index, &response),
                ErrorCode::MemberIdRequired => {
                    self.clients[index].member_id = response.member_id;
                    self.join(index);
                }
                error => self.react(index, error),
            },
            (Request::Sync { .. }, Response::SyncGroup(response)) => {
                match code(response.error_code) {
                    ErrorCode::None => {
                        self.clients[index].owned = response.assignment.to_vec();
                        self.clients[index].phase = Phase::Member;
                    }
                    error => self.react(index, error),
                }
            }
            (Request::Commit { .. }, Response::OffsetCommit(_)) | (Request::Other, _) => {}
            (request, response) => panic!("{request:?} got {response:?}"),
        }
    }

    fn sync(&mut self, index: usize, joined: &JoinGroupResponse) {
        let client = &mut self.clients[index];
        client.member_id = joined.member_id.clone();
        client.generation = joined.generation_id;
        let owner = client
            .instance
            .map_or_else(|| client.member_id.clone(), Into::into);
        let mut request = sync(client.group, client.generation, &client.member_id);
        request.request.group_instance_id = client.instance.map(Into::into);
        if joined.leader == joined.member_id && !joined.skip_assignment {
            request = request.assign(&assign(joined));
        }
        let (life, generation) = (client.life, client.generation);
        let token = self.bench.send_sync(request);
        self.waiting
            .insert(token, (index, life, Request::Sync { generation, owner }));
    }

    /// What the Java consumer does on an error of join, sync or heartbeat.
    fn react(&mut self, index: usize, error: ErrorCode) {
        match error {
            ErrorCode::FencedInstanceId => return self.crash(index),
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration => {
                self.clients[index].member_id.clear();
            }
            ErrorCode::RebalanceInProgress
            | ErrorCode::NotCoordinator
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::UnknownServerError => {}
            other => panic!("client {index} got {other}"),
        }
        self.clients[index].phase = Phase::Idle;
        self.clients[index].owned.clear();
    }

    /// Compacts the log and compares with a shard that loads it.
    fn check_replay(&mut self) {
        self.bench.compact();
        let mut loaded = self.bench.reload();
        for group in GROUPS {
            let offsets = self.bench.fetch_all(group);
            assert_eq!(offsets, loaded.fetch_all(group), "offsets of {group}");
            for ((_, topic), value) in self.acked.iter().filter(|((of, _), _)| of == group) {
                let committed = offsets.split(", ").find_map(|part| {
                    part.strip_prefix(&format!("{topic}-0="))?
                        .split(' ')
                        .next()?
                        .parse()
                        .ok()
                });
                // More than acknowledged is durable when an overdue append landed.
                assert!(
                    committed >= Some(*value),
                    "{group} {topic}: {value} lost: {offsets}"
                );
            }
            let described = |bench: &Bench| {
                bench
                    .shard
                    .describe_groups(&context(5), &[group.to_owned()])
                    .remove(0)
            };
            let live = described(&self.bench);
            let settled = live.group_state != "PreparingRebalance"
                && live.group_state != "CompletingRebalance";
            if settled && self.bench.in_flight.is_empty() && !self.behind.contains(group) {
                assert_eq!(live, described(&loaded), "{group}");
            }
        }
    }

    /// Ends the faults and one twin, and waits until every group has settled.
    fn converge(&mut self) {
        self.faults = false;
        let twin = self.clients.len() - 1;
        self.crash(twin);
        self.clients[twin].wake_ms = i64::MAX;
        for _ in 0..600 {
            self.step();
        }
        self.check_replay();
        for group in GROUPS {
            let members = self
                .clients
                .iter()
                .filter(|client| client.group == group && client.phase == Phase::Member);
            let mut owned: Vec<u8> = members.flat_map(|client| client.owned.clone()).collect();
            owned.sort_unstable();
            assert_eq!(
                owned,
                (0..PARTITIONS).collect::<Vec<_>>(),
                "{group}: {:?}",
                self.clients
            );
            assert_eq!(self.bench.state(group), "Stable 3", "{group}");
        }
    }
}

/// Deals the partitions out to the members in the order of their instance or member ids.
fn assign(joined: &JoinGroupResponse) -> Vec<(String, String)> {
    let mut members: Vec<_> = joined.members.iter().collect();
    members.sort_by_key(|member| {
        member
            .group_instance_id
            .clone()
            .unwrap_or(member.member_id.clone())
    });
    let share = |index: usize| {
        let mine =
            (0..PARTITIONS).filter(|partition| usize::from(*partition) % members.len() == index);
        mine.map(char::from).collect::<String>()
    };
    let shares = members.iter().enumerate();
    shares
        .map(|(index, member)| (member.member_id.clone(), share(index)))
        .collect()
}

/// The group of a GroupMetadata record.
fn group_of(record: &CoordinatorRecord) -> Option<String> {
    let name = record.key.strip_prefix(&[0, 2])?.get(2..)?;
    Some(String::from_utf8(name.to_vec()).expect("group ids are text"))
}

/// The group of a GroupMetadata record without members.
fn emptied_group(record: &CoordinatorRecord) -> Option<String> {
    let mut reader = Reader::new(record.value.clone()?);
    let group = group_of(record)?;
    let version = reader.i16().expect("a value starts with its version");
    let value = GroupMetadataValue::decode(&mut reader, version).expect("the shard wrote it");
    value.members.is_empty().then_some(group)
}

fn simulate(seed: u64, steps: usize) -> (u64, usize) {
    let mut world = World::new(seed);
    for _ in 0..steps {
        world.step();
    }
    world.converge();
    let actions = world.bench.shard.unload();
    world.bench.run(actions);
    world.receive();
    assert!(world.waiting.is_empty(), "unanswered: {:?}", world.waiting);
    (world.bench.trace.finish(), world.synced)
}

#[test]
fn random_clients_keep_every_invariant() {
    explore(100, |seed| simulate(seed, 1_200));
}

#[test]
fn the_same_seed_gives_the_same_actions() {
    assert_eq!(simulate(7, 400), simulate(7, 400));
    assert_ne!(simulate(7, 400).0, simulate(8, 400).0);
}
