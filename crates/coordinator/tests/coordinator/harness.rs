//! A shard with its log, a clock that moves when told, and requests as short as a test wants them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use base::{Clock, ManualClock, Uuid};
use bytes::Bytes;
use coordinator::{
    Action, AppendError, ClusterView, CommitId, ConsumerSettings, CoordinatorRecord, GroupConfig,
    RequestContext, Response, Shard, StreamsSettings, Token, TopicMetadata,
};
use wire::ErrorCode;
use wire::messages::join_group_request::JoinGroupRequestProtocol;
use wire::messages::leave_group_request::MemberIdentity;
use wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use wire::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use wire::messages::sync_group_request::SyncGroupRequestAssignment;
use wire::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    OffsetCommitRequest, SyncGroupRequest, SyncGroupResponse,
};

/// The wall clock at the start of each test.
pub(crate) const START_MS: i64 = 1_700_000_000_000;

pub(crate) struct Bench {
    pub(crate) shard: Shard,
    pub(crate) clock: Arc<ManualClock>,
    /// What is durable.
    pub(crate) log: Vec<CoordinatorRecord>,
    pub(crate) in_flight: VecDeque<(CommitId, Vec<CoordinatorRecord>)>,
    /// Whether appends become durable at once.
    pub(crate) auto_commit: bool,
    pub(crate) config: GroupConfig,
    pub(crate) cluster: Arc<TestCluster>,
    /// Every action so far, hashed: two runs that did the same have the same trace.
    pub(crate) trace: DefaultHasher,
    /// How many shards had this log before.
    boots: u64,
    replies: BTreeMap<Token, Response>,
    answered: BTreeSet<Token>,
    next_token: u64,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench::with(GroupConfig::default())
    }

    pub(crate) fn with(config: GroupConfig) -> Bench {
        let mut bench = Bench::loading(config, START_MS);
        let actions = bench.shard.loaded();
        bench.run(actions);
        bench
    }

    pub(crate) fn loading(config: GroupConfig, wall_ms: i64) -> Bench {
        Bench::booting(config, Arc::default(), wall_ms, 0)
    }

    fn booting(config: GroupConfig, cluster: Arc<TestCluster>, wall_ms: i64, boots: u64) -> Bench {
        let clock = Arc::new(ManualClock::new(wall_ms));
        let mut next = u128::from(boots) << 64;
        let ids = move || {
            next += 1;
            next.to_be_bytes()
        };
        Bench {
            shard: Shard::new(config.clone(), clock.clone(), Box::new(ids))
                .with_cluster(cluster.clone()),
            cluster,
            clock,
            log: Vec::new(),
            in_flight: VecDeque::new(),
            auto_commit: true,
            config,
            trace: DefaultHasher::new(),
            boots,
            replies: BTreeMap::new(),
            answered: BTreeSet::new(),
            next_token: 0,
        }
    }

    /// Another shard that has loaded this one's log, at the same wall-clock time.
    pub(crate) fn reload(&self) -> Bench {
        let mut bench = Bench::booting(
            self.config.clone(),
            self.cluster.clone(),
            self.clock.now_ms(),
            self.boots + 1,
        );
        bench.trace = self.trace.clone();
        bench.auto_commit = self.auto_commit;
        bench.next_token = self.next_token;
        for record in &self.log {
            bench
                .shard
                .replay(&record.key, record.value.as_ref())
                .expect("the shard wrote it");
        }
        bench.log = self.log.clone();
        let actions = bench.shard.loaded();
        bench.run(actions);
        bench
    }

    /// The log in hex: `key = value`, or `key -` for a tombstone.
    pub(crate) fn records(&self) -> Vec<String> {
        let records = self.log.iter();
        records
            .map(|record| match &record.value {
                Some(value) => format!("{} = {}", hex(&record.key), hex(value)),
                None => format!("{} -", hex(&record.key)),
            })
            .collect()
    }

    /// Keeps the last record of each key, as compaction does.
    pub(crate) fn compact(&mut self) {
        let mut seen = BTreeSet::new();
        self.log.reverse();
        self.log.retain(|record| seen.insert(record.key.clone()));
        self.log.reverse();
    }

    pub(crate) fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    pub(crate) fn run(&mut self, actions: Vec<Action>) {
        for action in actions {
            format!("{action:?}").hash(&mut self.trace);
            match action {
                Action::Reply { token, response } => {
                    assert!(self.answered.insert(token), "{token:?} was answered twice");
                    self.replies.insert(token, response);
                }
                Action::Append { commit, records } => {
                    assert!(!records.is_empty());
                    self.in_flight.push_back((commit, records));
                }
                Action::AppendTransactional { .. } | Action::AppendMarker { .. } => {
                    panic!("tests of transactions have their own bench")
                }
            }
        }
        while self.auto_commit && !self.in_flight.is_empty() {
            self.commit_next();
        }
    }

    /// Makes the oldest append durable.
    pub(crate) fn commit_next(&mut self) {
        let (commit, records) = self.in_flight.pop_front().expect("an append is in flight");
        self.log.extend(records);
        let actions = self.shard.committed(commit);
        self.run(actions);
    }

    pub(crate) fn fail_next(&mut self, error: AppendError) {
        let (commit, _) = self.in_flight.pop_front().expect("an append is in flight");
        let actions = self.shard.failed(commit, error);
        self.run(actions);
    }

    /// Lets `ms` pass, stopping at each deadline on the way.
    pub(crate) fn advance(&mut self, ms: u64) {
        let end = self.clock.monotonic().after(Duration::from_millis(ms));
        loop {
            let next = self
                .shard
                .next_deadline()
                .filter(|at| *at <= end)
                .unwrap_or(end);
            self.clock.advance(next.since(self.clock.monotonic()));
            let actions = self.shard.tick();
            self.run(actions);
            let due = self.shard.next_deadline().is_some_and(|at| at <= end);
            if self.clock.monotonic() >= end && !due {
                return;
            }
        }
    }

    pub(crate) fn is_waiting(&self, token: Token) -> bool {
        !self.answered.contains(&token)
    }

    pub(crate) fn response(&mut self, token: Token) -> Response {
        self.replies
            .remove(&token)
            .unwrap_or_else(|| panic!("{token:?} has no answer"))
    }

    pub(crate) fn send_join(&mut self, join: Join) -> Token {
        let token = self.token();
        let context = context(join.version);
        let actions = self.shard.join_group(token, &context, join.request);
        self.run(actions);
        token
    }

    pub(crate) fn joined(&mut self, token: Token) -> JoinGroupResponse {
        match self.response(token) {
            Response::JoinGroup(response) => response,
            other => panic!("not a JoinGroup response: {other:?}"),
        }
    }

    /// Sends a JoinGroup that must be answered at once.
    pub(crate) fn join_now(&mut self, join: Join) -> JoinGroupResponse {
        let token = self.send_join(join);
        self.joined(token)
    }

    pub(crate) fn send_sync(&mut self, sync: Sync) -> Token {
        let token = self.token();
        let actions = self.shard.sync_group(token, &context(5), sync.request);
        self.run(actions);
        token
    }

    pub(crate) fn synced(&mut self, token: Token) -> SyncGroupResponse {
        match self.response(token) {
            Response::SyncGroup(response) => response,
            other => panic!("not a SyncGroup response: {other:?}"),
        }
    }

    pub(crate) fn sync_now(&mut self, sync: Sync) -> SyncGroupResponse {
        let token = self.send_sync(sync);
        self.synced(token)
    }

    pub(crate) fn heartbeat(&mut self, group: &str, member: &str, generation: i32) -> ErrorCode {
        self.heartbeat_as(group, member, None, generation)
    }

    pub(crate) fn heartbeat_as(
        &mut self,
        group: &str,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> ErrorCode {
        let token = self.token();
        let request = HeartbeatRequest {
            group_id: group.into(),
            generation_id: generation,
            member_id: member.into(),
            group_instance_id: instance.map(Into::into),
        };
        let actions = self.shard.heartbeat(token, &request);
        self.run(actions);
        match self.response(token) {
            Response::Heartbeat(response) => code(response.error_code),
            other => panic!("not a Heartbeat response: {other:?}"),
        }
    }

    pub(crate) fn send_leave(&mut self, group: &str, members: &[(&str, Option<&str>)]) -> Token {
        let token = self.token();
        let identity = |(member, instance): &(&str, Option<&str>)| MemberIdentity {
            member_id: (*member).into(),
            group_instance_id: instance.map(Into::into),
            reason: Some("test".into()),
        };
        let request = LeaveGroupRequest {
            group_id: group.into(),
            members: members.iter().map(identity).collect(),
            ..LeaveGroupRequest::default()
        };
        let actions = self.shard.leave_group(token, &context(5), request);
        self.run(actions);
        token
    }

    pub(crate) fn left(&mut self, token: Token) -> LeaveGroupResponse {
        match self.response(token) {
            Response::LeaveGroup(response) => response,
            other => panic!("not a LeaveGroup response: {other:?}"),
        }
    }

    pub(crate) fn send_commit(&mut self, version: i16, request: OffsetCommitRequest) -> Token {
        let token = self.token();
        let actions = self.shard.offset_commit(token, &context(version), request);
        self.run(actions);
        token
    }

    /// The error of each partition of a commit that must be answered at once.
    pub(crate) fn commit_now(
        &mut self,
        version: i16,
        request: OffsetCommitRequest,
    ) -> Vec<ErrorCode> {
        let token = self.send_commit(version, request);
        self.commit_errors(token)
    }

    pub(crate) fn commit_errors(&mut self, token: Token) -> Vec<ErrorCode> {
        match self.response(token) {
            Response::OffsetCommit(response) => {
                let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
                partitions
                    .map(|partition| code(partition.error_code))
                    .collect()
            }
            other => panic!("not an OffsetCommit response: {other:?}"),
        }
    }

    pub(crate) fn send_fetch(
        &mut self,
        group: &str,
        topics: Option<&[(&str, i32)]>,
        stable: bool,
    ) -> Token {
        let token = self.token();
        let topic = |(name, partition): &(&str, i32)| OffsetFetchRequestTopics {
            name: (*name).into(),
            partition_indexes: vec![*partition],
            ..OffsetFetchRequestTopics::default()
        };
        let request = OffsetFetchRequestGroup {
            group_id: group.into(),
            topics: topics.map(|topics| topics.iter().map(topic).collect()),
            ..OffsetFetchRequestGroup::default()
        };
        let actions = self.shard.offset_fetch(token, request, stable);
        self.run(actions);
        token
    }

    /// `topic-partition=offset metadata`, one each, or the group's error.
    pub(crate) fn fetched(&mut self, token: Token) -> String {
        let Response::OffsetFetch(group) = self.response(token) else {
            panic!("not an OffsetFetch response")
        };
        if group.error_code != 0 {
            return code(group.error_code).name().into();
        }
        let mut parts = Vec::new();
        for topic in &group.topics {
            for partition in &topic.partitions {
                parts.push(format!(
                    "{}-{}={} {:?}",
                    topic.name,
                    partition.partition_index,
                    partition.committed_offset,
                    partition
                        .metadata
                        .as_deref()
                        .expect("metadata is never null")
                ));
            }
        }
        parts.join(", ")
    }

    pub(crate) fn fetch_all(&mut self, group: &str) -> String {
        let token = self.send_fetch(group, None, false);
        self.fetched(token)
    }

    /// `state members`, such as `Stable 2`.
    pub(crate) fn state(&self, group: &str) -> String {
        let described = self.shard.describe_groups(&context(5), &[group.to_owned()]);
        format!(
            "{} {}",
            described[0].group_state,
            described[0].members.len()
        )
    }

    /// A group with one dynamic member per name in `names`, stable, in which each has `a-name` assigned.
    pub(crate) fn stable_group(&mut self, group: &str, names: &[&str]) -> Vec<Membership> {
        let joins: Vec<Join> = names.iter().map(|_| join(group).version(3)).collect();
        self.stable_group_of(group, joins)
    }

    pub(crate) fn stable_group_of(&mut self, group: &str, joins: Vec<Join>) -> Vec<Membership> {
        let tokens: Vec<Token> = joins.into_iter().map(|join| self.send_join(join)).collect();
        // Each member that comes extends the initial delay once.
        let delay = u64::try_from(self.config.initial_rebalance_delay.as_millis()).unwrap();
        self.advance(delay * 2);
        let joined: Vec<JoinGroupResponse> =
            tokens.into_iter().map(|token| self.joined(token)).collect();
        self.sync_all(group, &joined)
    }

    /// Syncs the members of a generation, the leader last; assigns `a-<index>` to each.
    pub(crate) fn sync_all(
        &mut self,
        group: &str,
        joined: &[JoinGroupResponse],
    ) -> Vec<Membership> {
        let assignments: Vec<(String, String)> = joined
            .iter()
            .enumerate()
            .map(|(index, member)| (member.member_id.clone(), format!("a-{index}")))
            .collect();
        let (leader, followers): (Vec<_>, Vec<_>) = joined
            .iter()
            .inspect(|member| assert_eq!(code(member.error_code), ErrorCode::None))
            .partition(|member| member.leader == member.member_id);
        assert_eq!(leader.len(), 1, "one leader");
        let mut tokens = BTreeMap::new();
        for member in followers {
            let token = self.send_sync(sync(group, member.generation_id, &member.member_id));
            tokens.insert(member.member_id.clone(), token);
        }
        let lead = sync(group, leader[0].generation_id, &leader[0].member_id).assign(&assignments);
        tokens.insert(leader[0].member_id.clone(), self.send_sync(lead));
        let memberships = assignments.into_iter().map(|(member_id, assignment)| {
            let response = self.synced(tokens[&member_id]);
            assert_eq!(code(response.error_code), ErrorCode::None);
            assert_eq!(response.assignment, assignment.as_bytes());
            Membership {
                is_leader: member_id == leader[0].member_id,
                generation: leader[0].generation_id,
                id: member_id,
            }
        });
        memberships.collect()
    }
}

/// Topics that a test makes, and settings of groups.
#[derive(Debug, Default)]
pub(crate) struct TestCluster {
    topics: RwLock<BTreeMap<String, TopicMetadata>>,
    settings: RwLock<BTreeMap<String, ConsumerSettings>>,
    streams: RwLock<BTreeMap<String, StreamsSettings>>,
    version: AtomicI64,
}

impl TestCluster {
    pub(crate) fn id(&self, name: &str) -> Uuid {
        self.topic(name).expect("the test made the topic").id
    }

    pub(crate) fn configure(&self, group: &str, settings: ConsumerSettings) {
        self.settings
            .write()
            .unwrap()
            .insert(group.into(), settings);
    }
}

impl TestCluster {
    pub(crate) fn configure_streams(&self, group: &str, settings: StreamsSettings) {
        self.streams.write().unwrap().insert(group.into(), settings);
    }
}

impl ClusterView for TestCluster {
    fn topic(&self, name: &str) -> Option<TopicMetadata> {
        self.topics.read().unwrap().get(name).cloned()
    }

    fn topic_by_id(&self, id: Uuid) -> Option<TopicMetadata> {
        let topics = self.topics.read().unwrap();
        topics.values().find(|topic| topic.id == id).cloned()
    }

    fn topic_names(&self) -> Vec<String> {
        self.topics.read().unwrap().keys().cloned().collect()
    }

    fn version(&self) -> i64 {
        self.version.load(Ordering::Relaxed)
    }

    fn consumer_settings(&self, group_id: &str) -> Option<ConsumerSettings> {
        self.settings.read().unwrap().get(group_id).copied()
    }

    fn streams_settings(&self, group_id: &str) -> Option<StreamsSettings> {
        self.streams.read().unwrap().get(group_id).cloned()
    }
}

impl Bench {
    /// Makes a topic, or gives one more partitions, and tells the shard.
    pub(crate) fn topic(&mut self, name: &str, partitions: i32) {
        let version = self.cluster.version.fetch_add(1, Ordering::Relaxed);
        let created = {
            let mut topics = self.cluster.topics.write().unwrap();
            let created = !topics.contains_key(name);
            let topic = topics.entry(name.into()).or_insert_with(|| TopicMetadata {
                id: Uuid::from_random((u128::from(version.cast_unsigned()) + 1).to_be_bytes()),
                name: name.into(),
                partitions,
                rack: None,
            });
            topic.partitions = partitions;
            created
        };
        self.shard.topics_changed(&[name.to_owned()], created);
    }

    /// Deletes a topic and tells the shard.
    pub(crate) fn delete_topic(&mut self, name: &str) {
        self.cluster.version.fetch_add(1, Ordering::Relaxed);
        self.cluster.topics.write().unwrap().remove(name);
        self.shard.topics_changed(&[name.to_owned()], false);
    }
}

/// One member of a stable group.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    pub(crate) id: String,
    pub(crate) generation: i32,
    pub(crate) is_leader: bool,
}

pub(crate) fn leader(members: &[Membership]) -> &Membership {
    members
        .iter()
        .find(|member| member.is_leader)
        .expect("a group has a leader")
}

pub(crate) fn follower(members: &[Membership]) -> &Membership {
    members
        .iter()
        .find(|member| !member.is_leader)
        .expect("the group has two members")
}

pub(crate) fn context(version: i16) -> RequestContext {
    RequestContext {
        version,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
    }
}

pub(crate) fn code(error_code: i16) -> ErrorCode {
    ErrorCode::from_code(error_code).expect("a code of Kafka's")
}

/// A JoinGroup under construction: version 9, protocol `range` of type `consumer`, 10 s session timeout,
/// 60 s rebalance timeout.
pub(crate) struct Join {
    pub(crate) request: JoinGroupRequest,
    pub(crate) version: i16,
}

pub(crate) fn join(group: &str) -> Join {
    let request = JoinGroupRequest {
        group_id: group.into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        ..JoinGroupRequest::default()
    };
    Join {
        request,
        version: 9,
    }
    .protocols(&["range"])
}

impl Join {
    pub(crate) fn version(mut self, version: i16) -> Join {
        self.version = version;
        self
    }

    pub(crate) fn member(mut self, member_id: &str) -> Join {
        self.request.member_id = member_id.into();
        self
    }

    pub(crate) fn instance(mut self, instance_id: &str) -> Join {
        self.request.group_instance_id = Some(instance_id.into());
        self
    }

    pub(crate) fn session_ms(mut self, timeout_ms: i32) -> Join {
        self.request.session_timeout_ms = timeout_ms;
        self
    }

    pub(crate) fn rebalance_ms(mut self, timeout_ms: i32) -> Join {
        self.request.rebalance_timeout_ms = timeout_ms;
        self
    }

    pub(crate) fn protocol_type(mut self, protocol_type: &str) -> Join {
        self.request.protocol_type = protocol_type.into();
        self
    }

    pub(crate) fn protocols(mut self, names: &[&str]) -> Join {
        let protocol = |name: &&str| JoinGroupRequestProtocol {
            name: (*name).into(),
            metadata: subscription(&["t"]),
        };
        self.request.protocols = names.iter().map(protocol).collect();
        self
    }

    pub(crate) fn topics(mut self, topics: &[&str]) -> Join {
        for protocol in &mut self.request.protocols {
            protocol.metadata = subscription(topics);
        }
        self
    }
}

/// Version 1 of the consumer protocol's subscription, written by hand: version, topics, user data (null),
/// owned partitions.
pub(crate) fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = vec![0, 1];
    bytes.extend(i32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics {
        bytes.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1i32).to_be_bytes());
    bytes.extend(0i32.to_be_bytes());
    bytes.into()
}

/// A SyncGroup under construction.
pub(crate) struct Sync {
    pub(crate) request: SyncGroupRequest,
}

pub(crate) fn sync(group: &str, generation: i32, member: &str) -> Sync {
    let request = SyncGroupRequest {
        group_id: group.into(),
        generation_id: generation,
        member_id: member.into(),
        ..SyncGroupRequest::default()
    };
    Sync { request }
}

impl Sync {
    pub(crate) fn instance(mut self, instance_id: &str) -> Sync {
        self.request.group_instance_id = Some(instance_id.into());
        self
    }

    pub(crate) fn assign(mut self, assignments: &[(String, String)]) -> Sync {
        let assign = |(member, assignment): &(String, String)| SyncGroupRequestAssignment {
            member_id: member.clone(),
            assignment: assignment.clone().into(),
        };
        self.request.assignments = assignments.iter().map(assign).collect();
        self
    }
}

/// A commit of `offset` with metadata `m` for partition 0 of `topic`.
pub(crate) fn commit(
    group: &str,
    member: &str,
    generation: i32,
    topic: &str,
    offset: i64,
) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: generation,
        member_id: member.into(),
        topics: vec![OffsetCommitRequestTopic {
            name: topic.into(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: 0,
                committed_offset: offset,
                committed_metadata: Some("m".into()),
                ..OffsetCommitRequestPartition::default()
            }],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
