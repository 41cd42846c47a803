//! The state of a classic group. Source: Kafka's `ClassicGroup`.
//!
//! **Invariants:** `awaiting_join` counts the members whose JoinGroup waits; `supported` counts the members
//! that support each protocol name; `static_members` maps each instance id of a member to that member; the
//! leader, if there is one, is a member.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use wire::ErrorCode;
use wire::Message;
use wire::coordinator_records::GroupMetadataValue;
use wire::coordinator_records::group_metadata_value::MemberMetadata;
use wire::messages::ConsumerProtocolSubscription;
use wire::messages::join_group_request::JoinGroupRequestProtocol;
use wire::messages::join_group_response::JoinGroupResponseMember;

use super::GroupState;
use super::member::{Member, millis};
use crate::shard::core::{Core, Waiting};
use crate::shard::groups::Lifecycle;
use crate::timer::TimerKey;

/// The protocol type of consumer groups (`ConsumerProtocol.PROTOCOL_TYPE`).
pub(crate) const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// What the join phase waits for when its timer fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JoinPhase {
    /// More members for the group's first generation: the delay that runs now, and what may follow.
    Initial {
        delay: Duration,
        remaining: Duration,
    },
    /// The members of the last generation.
    Rejoin,
}

/// A classic group.
#[derive(Clone, Debug)]
pub(crate) struct ClassicGroup {
    pub(crate) id: Arc<str>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) state: GroupState,
    pub(crate) previous_state: GroupState,
    /// When the state was entered, in wall-clock milliseconds; none for records of Kafka before 2.1.
    pub(crate) state_timestamp_ms: Option<i64>,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol_name: Option<String>,
    pub(crate) leader: Option<Arc<str>>,
    pub(crate) members: BTreeMap<Arc<str>, Member>,
    pub(crate) static_members: BTreeMap<String, Arc<str>>,
    /// Ids given out with MEMBER_ID_REQUIRED that have not joined yet.
    pub(crate) pending_join: BTreeSet<Arc<str>>,
    /// Members of this generation that have not sent SyncGroup yet.
    pub(crate) pending_sync: BTreeSet<Arc<str>>,
    pub(crate) awaiting_join: usize,
    pub(crate) join_phase: JoinPhase,
    /// A member came while the initial delay ran: the delay is extended.
    pub(crate) new_member_added: bool,
    /// The leader's assignment of this generation is on its way to the log.
    pub(crate) assignment_pending: bool,
    subscribed_topics: Option<BTreeSet<String>>,
    supported: BTreeMap<String, usize>,
}

impl ClassicGroup {
    /// An empty group that no record tells of yet.
    pub(crate) fn new(id: Arc<str>, incarnation: u64, now_ms: i64) -> ClassicGroup {
        ClassicGroup {
            id,
            lifecycle: Lifecycle::new(incarnation),
            state: GroupState::Empty,
            previous_state: GroupState::Dead,
            state_timestamp_ms: Some(now_ms),
            generation: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_join: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            awaiting_join: 0,
            join_phase: JoinPhase::Rejoin,
            new_member_added: false,
            assignment_pending: false,
            subscribed_topics: None,
            supported: BTreeMap::new(),
        }
    }

    /// A group that exists because a durable offset names it.
    pub(crate) fn simple(id: Arc<str>, incarnation: u64, now_ms: i64) -> ClassicGroup {
        let mut group = ClassicGroup::new(id, incarnation, now_ms);
        group.lifecycle.durable = true;
        group
    }

    /// The group a GroupMetadata record tells of: Stable if it has members, else Empty.
    pub(crate) fn from_record(
        id: Arc<str>,
        incarnation: u64,
        value: GroupMetadataValue,
    ) -> ClassicGroup {
        let mut group = ClassicGroup::simple(id, incarnation, value.current_state_timestamp);
        group.state_timestamp_ms =
            (value.current_state_timestamp != -1).then_some(value.current_state_timestamp);
        group.generation = value.generation;
        group.protocol_type = Some(value.protocol_type).filter(|text| !text.is_empty());
        group.protocol_name = value.protocol;
        if !value.members.is_empty() {
            group.state = GroupState::Stable;
        }
        for member in value.members {
            let protocol = group.protocol_name.clone().unwrap_or_default();
            group.insert(member_from_record(member, protocol));
        }
        // The record's leader may name no member in a damaged or foreign log: any member can lead then.
        let recorded = value.leader.and_then(|leader| {
            group
                .members
                .get_key_value(leader.as_str())
                .map(|(id, _)| id.clone())
        });
        group.leader = recorded.or_else(|| group.members.keys().next().cloned());
        group.subscribed_topics = group.compute_subscribed_topics();
        group
    }

    /// A stable group of the consumer protocol with these members, not empty, that was a consumer group until
    /// now. Its generation and their assignments are the caller's to set.
    pub(crate) fn of_members(
        id: Arc<str>,
        incarnation: u64,
        now_ms: i64,
        members: Vec<Member>,
    ) -> ClassicGroup {
        let mut group = ClassicGroup::new(id, incarnation, now_ms);
        group.state = GroupState::Stable;
        group.protocol_type = Some(CONSUMER_PROTOCOL_TYPE.to_owned());
        members.into_iter().for_each(|member| group.insert(member));
        group.protocol_name = group.select_protocol();
        group.subscribed_topics = group.compute_subscribed_topics();
        group
    }

    /// Whether nobody is in the group or about to be.
    pub(crate) fn is_empty(&self) -> bool {
        self.state == GroupState::Empty
    }

    /// Whether the group is there only because it has offsets: no record tells of it.
    pub(crate) fn is_simple(&self) -> bool {
        self.is_empty() && self.protocol_type.is_none() && self.pending_join.is_empty()
    }

    /// The record of the group as it is now, with assignments by `assignment`.
    pub(crate) fn to_record(
        &self,
        assignment: impl Fn(&Member) -> bytes::Bytes,
    ) -> GroupMetadataValue {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let members = self.members.values().map(|member| MemberMetadata {
            member_id: member.id.to_string(),
            group_instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout: member.rebalance_timeout_ms,
            session_timeout: member.session_timeout_ms,
            subscription: member.metadata(protocol),
            assignment: assignment(member),
        });
        GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol_name.clone(),
            leader: self.leader.as_deref().map(str::to_owned),
            current_state_timestamp: self.state_timestamp_ms.unwrap_or(-1),
            members: members.collect(),
        }
    }

    /// Enters `state`.
    pub(crate) fn transition(&mut self, core: &Core, state: GroupState) {
        self.previous_state = self.state;
        self.state = state;
        self.state_timestamp_ms = Some(core.now_ms());
    }

    pub(crate) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    pub(crate) fn leader_id(&self) -> String {
        self.leader.as_deref().unwrap_or_default().to_owned()
    }

    pub(crate) fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    /// Whether every member's JoinGroup waits and no pending member is expected.
    pub(crate) fn has_all_joined(&self) -> bool {
        self.members.len() == self.awaiting_join && self.pending_join.is_empty()
    }

    /// The longest rebalance timeout of the members.
    pub(crate) fn rebalance_timeout(&self) -> Duration {
        let longest = self
            .members
            .values()
            .map(|member| member.rebalance_timeout_ms)
            .max();
        millis(longest.unwrap_or(0))
    }

    /// Checks that `member_id` is a member, and the current one of `instance_id` if that is given.
    pub(crate) fn validate_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(current) if **current != *member_id => {
                    return Err(ErrorCode::FencedInstanceId);
                }
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) {
            Ok(())
        } else {
            Err(ErrorCode::UnknownMemberId)
        }
    }

    /// Adds a member. The first decides the group's protocol type, and leads.
    pub(crate) fn insert(&mut self, member: Member) {
        let id = member.id.clone();
        self.pending_join.remove(&id);
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), id.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(id.clone());
        }
        self.awaiting_join += usize::from(member.awaiting_join.is_some());
        self.count_protocols(&member.protocols, true);
        self.members.insert(id, member);
    }

    /// Removes a member or pending member with its timer. What it waits for gets UNKNOWN_MEMBER_ID, so that
    /// a client that is still there joins anew.
    ///
    /// Differs: Kafka leaves a waiting SyncGroup unanswered until the client's own timeout.
    pub(crate) fn remove(&mut self, core: &mut Core, member_id: &str) {
        self.pending_join.remove(member_id);
        self.pending_sync.remove(member_id);
        core.cancel_session(&self.id, &member_id.into());
        let Some(mut member) = self.members.remove(member_id) else {
            return;
        };
        self.count_protocols(&member.protocols, false);
        if let Some(instance_id) = &member.instance_id {
            self.static_members.remove(instance_id);
        }
        if let Some(waiting) = self.take_awaiting_join(&mut member) {
            core.reply_join_error(waiting, "", ErrorCode::UnknownMemberId);
        }
        if let Some(waiting) = member.awaiting_sync.take() {
            core.reply_sync_error(waiting, ErrorCode::UnknownMemberId);
        }
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    /// Takes the waiting JoinGroup of `member`, which must be of this group, counted.
    pub(crate) fn take_awaiting_join(&mut self, member: &mut Member) -> Option<Waiting> {
        let waiting = member.awaiting_join.take();
        self.awaiting_join -= usize::from(waiting.is_some());
        waiting
    }

    /// As [`ClassicGroup::take_awaiting_join`], by id.
    pub(crate) fn take_awaiting_join_of(&mut self, member_id: &str) -> Option<Waiting> {
        let waiting = self.members.get_mut(member_id)?.awaiting_join.take();
        self.awaiting_join -= usize::from(waiting.is_some());
        waiting
    }

    /// Replaces what a member supports and lets its new JoinGroup wait. A JoinGroup it supersedes gets
    /// REBALANCE_IN_PROGRESS. Differs: Kafka never answers that one.
    pub(crate) fn update_member(
        &mut self,
        core: &mut Core,
        member_id: &str,
        protocols: Vec<JoinGroupRequestProtocol>,
        (rebalance_timeout_ms, session_timeout_ms): (i32, i32),
        waiting: Option<Waiting>,
    ) {
        if let Some(superseded) = self.take_awaiting_join_of(member_id) {
            core.reply_join_error(superseded, member_id, ErrorCode::RebalanceInProgress);
        }
        let Some(member) = self.members.get_mut(member_id) else {
            return;
        };
        let old = std::mem::replace(&mut member.protocols, protocols);
        let new = member.protocols.clone();
        member.rebalance_timeout_ms = rebalance_timeout_ms;
        member.session_timeout_ms = session_timeout_ms;
        member.awaiting_join = waiting;
        self.awaiting_join += usize::from(waiting.is_some());
        self.count_protocols(&old, false);
        self.count_protocols(&new, true);
    }

    /// Whether a member with these protocols could be in the group: one of them must be supported by all.
    pub(crate) fn supports(
        &self,
        protocol_type: &str,
        protocols: &[JoinGroupRequestProtocol],
    ) -> bool {
        if self.state == GroupState::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|protocol| {
                self.supported.get(&protocol.name).copied().unwrap_or(0) == self.members.len()
            })
    }

    /// The protocol of the next generation: each member votes for the first of its protocols that all
    /// support; most votes win, a tie goes to the one the leader prefers (Kafka: to either).
    pub(crate) fn select_protocol(&self) -> Option<String> {
        let everyone = self.members.len();
        let candidates: BTreeSet<&str> = self
            .supported
            .iter()
            .filter(|(_, count)| **count == everyone)
            .map(|(name, _)| name.as_str())
            .collect();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for vote in self
            .members
            .values()
            .filter_map(|member| member.vote(&candidates))
        {
            *votes.entry(vote).or_default() += 1;
        }
        let leader = self
            .leader
            .as_ref()
            .and_then(|leader| self.members.get(leader));
        let preference = |name: &str| {
            leader.and_then(|member| {
                member
                    .protocols
                    .iter()
                    .position(|protocol| protocol.name == name)
            })
        };
        votes
            .into_iter()
            .max_by_key(|(name, count)| (*count, std::cmp::Reverse(preference(name))))
            .map(|(name, _)| name.to_owned())
    }

    /// Starts the next generation: Empty if there is nobody in it, else the sync phase.
    pub(crate) fn init_next_generation(&mut self, core: &Core) {
        self.generation = self.generation.wrapping_add(1);
        self.assignment_pending = false;
        self.pending_sync.clear();
        let state = if self.members.is_empty() {
            self.protocol_name = None;
            GroupState::Empty
        } else {
            self.protocol_name = self.select_protocol();
            GroupState::CompletingRebalance
        };
        self.subscribed_topics = self.compute_subscribed_topics();
        self.transition(core, state);
    }

    /// Makes sure that the leader is one that joined; `false` if nobody did.
    pub(crate) fn elect_joined_leader(&mut self) -> bool {
        let Some(leader) = self
            .leader
            .as_ref()
            .and_then(|leader| self.members.get(leader))
        else {
            return false;
        };
        if leader.awaiting_join.is_some() {
            return true;
        }
        let joined = self
            .members
            .values()
            .find(|member| member.awaiting_join.is_some());
        match joined {
            Some(member) => {
                self.leader = Some(member.id.clone());
                true
            }
            None => false,
        }
    }

    /// The members as the leader gets them.
    pub(crate) fn members_for_leader(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let members = self.members.values().map(|member| JoinGroupResponseMember {
            member_id: member.id.to_string(),
            group_instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
        });
        members.collect()
    }

    /// Whether members are subscribed to `topic`. A consumer group whose subscriptions cannot be read
    /// counts as subscribed to everything.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }

    /// Whether the members' subscriptions are known.
    pub(crate) fn knows_subscriptions(&self) -> bool {
        self.subscribed_topics.is_some()
    }

    /// Answers everything that waits with `error`.
    pub(crate) fn fail_waiting(&mut self, core: &mut Core, error: ErrorCode) {
        for member in self.members.values_mut() {
            if let Some(waiting) = member.awaiting_join.take() {
                core.reply_join_error(waiting, &member.id, error);
            }
            if let Some(waiting) = member.awaiting_sync.take() {
                core.reply_sync_error(waiting, error);
            }
        }
        self.awaiting_join = 0;
    }

    /// Drops the group's deadlines.
    pub(crate) fn cancel_timers(&mut self, core: &mut Core) {
        core.timers.cancel(&TimerKey::Join(self.id.clone()));
        core.timers.cancel(&TimerKey::Sync(self.id.clone()));
        for member in self.members.keys().chain(&self.pending_join) {
            core.cancel_session(&self.id, member);
        }
    }

    /// The topics of all members' subscriptions. Any version of the consumer protocol starts with what
    /// version 0 has, so later ones are read as that.
    fn compute_subscribed_topics(&self) -> Option<BTreeSet<String>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol_name.as_deref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            let mut reader = wire::Reader::new(member.metadata(protocol));
            reader.i16().ok()?;
            topics.extend(
                ConsumerProtocolSubscription::read(&mut reader, 0)
                    .ok()?
                    .topics,
            );
        }
        Some(topics)
    }

    fn count_protocols(&mut self, protocols: &[JoinGroupRequestProtocol], add: bool) {
        let names: BTreeSet<&str> = protocols.iter().map(|protocol| &*protocol.name).collect();
        for name in names {
            if add {
                *self.supported.entry(name.to_owned()).or_default() += 1;
            } else if let Some(count) = self.supported.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    self.supported.remove(name);
                }
            }
        }
    }
}

fn member_from_record(member: MemberMetadata, protocol: String) -> Member {
    let rebalance_timeout_ms = match member.rebalance_timeout {
        -1 => member.session_timeout,
        timeout_ms => timeout_ms,
    };
    Member {
        id: member.member_id.into(),
        instance_id: member.group_instance_id,
        client_id: member.client_id,
        client_host: member.client_host,
        session_timeout_ms: member.session_timeout,
        rebalance_timeout_ms,
        protocols: vec![JoinGroupRequestProtocol {
            name: protocol,
            metadata: member.subscription,
        }],
        assignment: member.assignment,
        awaiting_join: None,
        awaiting_sync: None,
        is_new: false,
    }
}
