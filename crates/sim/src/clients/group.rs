//! A member of a group of either protocol: it joins, holds partitions, and gives them up before others may have them.

use std::collections::{BTreeMap, BTreeSet};

use base::Uuid;
use bytes::Bytes;
use chaos::checker::{Event, Place};
use coordinator::{ClusterView, RequestContext, Response, Shard};
use wire::ErrorCode;
use wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use wire::messages::join_group_request::JoinGroupRequestProtocol;
use wire::messages::leave_group_request::MemberIdentity;
use wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use wire::messages::sync_group_request::SyncGroupRequestAssignment;
use wire::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, HeartbeatRequest,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, OffsetCommitRequest, SyncGroupRequest,
};

use super::Net;
use crate::broker::SESSION_MS;
use crate::plant::Plant;

/// Milliseconds between two heartbeats.
const BEAT_MS: u64 = 500;
/// JoinGroup and SyncGroup wait for the other members.
const JOIN_TIMEOUT_US: u64 = 12_000_000;

/// How a group is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// JoinGroup and SyncGroup; the leader assigns.
    Classic,
    /// ConsumerGroupHeartbeat (KIP-848); the coordinator assigns.
    Consumer,
}

/// One member.
#[derive(Debug)]
pub struct Membership {
    net: Net,
    /// Its name in the history.
    pub name: String,
    /// The group.
    pub group: String,
    protocol: Protocol,
    topic: &'static str,
    /// Its id as the coordinator knows it.
    pub member_id: String,
    /// Member epoch or generation.
    pub epoch: i32,
    /// Where it reads next, for each partition that it holds.
    pub positions: BTreeMap<Place, i64>,
    heard_us: u64,
    next_beat_us: u64,
    lives: u32,
}

pub(crate) fn context(version: i16) -> RequestContext {
    RequestContext {
        version,
        client_id: "sim".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
    }
}

impl Membership {
    /// A member that has not joined.
    #[must_use]
    pub fn new(
        net: &Net,
        name: String,
        group: &str,
        protocol: Protocol,
        topic: &'static str,
    ) -> Membership {
        // A late commit would take a later one back: a member's requests keep their order, as on one connection.
        let net = Net {
            comes_late: false,
            ..net.clone()
        };
        Membership {
            net,
            name,
            group: group.to_owned(),
            protocol,
            topic,
            member_id: String::new(),
            epoch: 0,
            positions: BTreeMap::new(),
            heard_us: 0,
            next_beat_us: 0,
            lives: 0,
        }
    }

    /// Heartbeats, joins, and whatever else is due.
    pub async fn beat(&mut self) {
        if self.net.core.now_us() < self.next_beat_us {
            return;
        }
        match self.protocol {
            Protocol::Consumer => self.beat_consumer().await,
            Protocol::Classic if self.epoch <= 0 => self.join().await,
            Protocol::Classic => self.beat_classic().await,
        }
        self.next_beat_us = self.next_beat_us.max(self.net.core.now_us());
        // Nobody has heard of it for so long that its partitions may be given to others soon.
        let silent = self.net.core.now_us().saturating_sub(self.heard_us);
        if silent > SESSION_MS * 1_000 * 2 / 3 {
            self.give_up_all();
            self.epoch = 0;
        }
    }

    fn wait_for_beat(&mut self) {
        self.next_beat_us = self.net.core.now_us() + BEAT_MS * 1_000;
    }

    /// It comes up anew, as another member.
    fn new_life(&mut self) {
        self.lives += 1;
        self.member_id = match self.protocol {
            Protocol::Consumer => format!("{}-{}", self.name, self.lives),
            Protocol::Classic => String::new(),
        };
        self.epoch = 0;
        self.next_beat_us = 0;
    }

    /// Uses no partition any more.
    pub fn give_up_all(&mut self) {
        let places: Vec<Place> = std::mem::take(&mut self.positions).into_keys().collect();
        self.revoke(places);
    }

    fn revoke(&mut self, places: Vec<Place>) {
        if !places.is_empty() {
            self.net.record(Event::Revoked {
                member: self.name.clone(),
                group: self.group.clone(),
                places,
            });
        }
    }

    /// Ends, with a word to the coordinator or without.
    pub async fn leave(&mut self, says_so: bool) {
        self.give_up_all();
        let (group, member) = (self.group.clone(), self.member_id.clone());
        if says_so && self.protocol == Protocol::Consumer {
            let request = ConsumerGroupHeartbeatRequest {
                group_id: group,
                member_id: member,
                member_epoch: -1,
                ..ConsumerGroupHeartbeatRequest::default()
            };
            self.heartbeat(request).await;
        } else if says_so && !self.member_id.is_empty() {
            let request = LeaveGroupRequest {
                group_id: group,
                members: vec![MemberIdentity {
                    member_id: member,
                    ..MemberIdentity::default()
                }],
                ..LeaveGroupRequest::default()
            };
            self.net
                .call("leave", |broker, reply| {
                    broker.request::<Shard>(
                        |shard, token| shard.leave_group(token, &context(5), request),
                        |_, _| reply.send(()),
                    );
                })
                .await;
        }
        self.new_life();
    }

    async fn heartbeat(
        &self,
        request: ConsumerGroupHeartbeatRequest,
    ) -> Option<ConsumerGroupHeartbeatResponse> {
        let topic = self.topic;
        self.net
            .call("consumer-heartbeat", move |broker, reply| {
                broker.request::<Shard>(
                    |shard, token| {
                        let everything = &|_: &str| true;
                        shard.consumer_group_heartbeat(token, &context(1), &request, everything)
                    },
                    move |broker, response| {
                        let Response::ConsumerGroupHeartbeat(mut response) = response else {
                            return;
                        };
                        if broker.plant == Some(Plant::PartitionGivenTwice)
                            && let Some(assignment) = &mut response.assignment
                            && let Some(topic) = broker.topics.topic(topic)
                        {
                            for part in &mut assignment.topic_partitions {
                                part.partitions = (0..topic.partitions).collect();
                            }
                        }
                        reply.send(response);
                    },
                );
            })
            .await
    }

    async fn beat_consumer(&mut self) {
        if self.member_id.is_empty() {
            self.new_life();
        }
        let Some(topic) = self.topic_id() else { return };
        let joins = self.epoch == 0;
        let (sent_us, since) = (self.net.core.now_us(), self.net.recorder.count());
        let owned: Vec<i32> = self.positions.keys().map(|place| place.partition).collect();
        let owned = TopicPartitions {
            topic_id: topic,
            partitions: owned,
        };
        let request = ConsumerGroupHeartbeatRequest {
            group_id: self.group.clone(),
            member_id: self.member_id.clone(),
            member_epoch: self.epoch,
            rebalance_timeout_ms: if joins { 10_000 } else { -1 },
            subscribed_topic_names: joins.then(|| vec![self.topic.to_owned()]),
            topic_partitions: Some(match owned.partitions.is_empty() {
                true => Vec::new(),
                false => vec![owned],
            }),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        let Some(response) = self.heartbeat(request).await else {
            return;
        };
        match ErrorCode::from_code(response.error_code) {
            Some(ErrorCode::None) => {}
            Some(ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId) => {
                self.give_up_all();
                self.epoch = 0;
                self.heard_us = sent_us;
                return;
            }
            _ => {
                self.net.pause(30).await;
                return;
            }
        }
        self.heard_us = sent_us;
        self.epoch = response.member_epoch;
        self.wait_for_beat();
        self.net.record(Event::MemberEpoch {
            group: self.group.clone(),
            member: self.member_id.clone(),
            epoch: self.epoch,
            joins,
            since,
        });
        let Some(assignment) = response.assignment else {
            return;
        };
        let assigned = assignment.topic_partitions.iter();
        let target: BTreeSet<Place> = assigned
            .flat_map(|topic| topic.partitions.iter())
            .map(|index| Place::new(self.topic, *index))
            .collect();
        self.follow(target, None).await;
    }

    fn topic_id(&self) -> Option<Uuid> {
        let broker = self.net.broker.borrow();
        let topic = broker.as_ref()?.topics.topic(self.topic)?;
        Some(topic.id)
    }

    /// Gives up what it shall not have and begins with what it shall have.
    async fn follow(&mut self, target: BTreeSet<Place>, generation: Option<i32>) {
        let gone: Vec<Place> = self
            .positions
            .keys()
            .filter(|place| !target.contains(place))
            .cloned()
            .collect();
        if !gone.is_empty() {
            self.positions.retain(|place, _| target.contains(place));
            self.revoke(gone);
            self.next_beat_us = 0;
        }
        let new: Vec<Place> = target
            .into_iter()
            .filter(|place| !self.positions.contains_key(place))
            .collect();
        if new.is_empty() {
            return;
        }
        self.net.record(Event::Assigned {
            member: self.name.clone(),
            group: self.group.clone(),
            generation,
            places: new.clone(),
        });
        for place in new {
            // Not known yet: read before it is used.
            self.positions.insert(place, -1);
        }
        if generation.is_some() {
            self.next_beat_us = 0;
        }
    }

    /// Where to read `place` from; asks for the committed offset when it is not known.
    pub async fn position(&mut self, place: &Place) -> Option<i64> {
        match self.positions.get(place) {
            Some(known) if *known >= 0 => return Some(*known),
            Some(_) => {}
            None => return None,
        }
        let offset = committed(&self.net, &self.group, place).await?;
        let position = offset.max(0);
        self.positions.insert(place.clone(), position);
        Some(position)
    }

    /// Commits a position. Whether the broker said that it is committed.
    pub async fn commit(&self, place: &Place, offset: i64) -> bool {
        let (group, at) = (self.group.clone(), place.clone());
        self.net.record(Event::OffsetAsked {
            group: group.clone(),
            place: at.clone(),
            offset,
            txn: None,
        });
        let request = OffsetCommitRequest {
            group_id: group.clone(),
            generation_id_or_member_epoch: self.epoch,
            member_id: self.member_id.clone(),
            topics: vec![OffsetCommitRequestTopic {
                name: at.topic.clone(),
                partitions: vec![OffsetCommitRequestPartition {
                    partition_index: at.partition,
                    committed_offset: offset,
                    ..OffsetCommitRequestPartition::default()
                }],
                ..OffsetCommitRequestTopic::default()
            }],
            ..OffsetCommitRequest::default()
        };
        let answer = self
            .net
            .call("commit", |broker, reply| {
                broker.request::<Shard>(
                    |shard, token| shard.offset_commit(token, &context(9), request),
                    |_, response| {
                        if let Response::OffsetCommit(response) = response {
                            let mut parts = response.topics.iter().flat_map(|t| &t.partitions);
                            reply.send(parts.all(|part| part.error_code == 0));
                        }
                    },
                );
            })
            .await;
        let done = answer == Some(true);
        if done {
            let place = at;
            self.net.record(Event::OffsetCommitted {
                group,
                place,
                offset,
            });
        }
        done
    }

    async fn beat_classic(&mut self) {
        let sent_us = self.net.core.now_us();
        let request = HeartbeatRequest {
            group_id: self.group.clone(),
            generation_id: self.epoch,
            member_id: self.member_id.clone(),
            group_instance_id: None,
        };
        let answer = self
            .net
            .call("heartbeat", move |broker, reply| {
                broker.request::<Shard>(
                    move |shard, token| shard.heartbeat(token, &request),
                    |_, response| {
                        if let Response::Heartbeat(response) = response {
                            reply.send(response.error_code);
                        }
                    },
                );
            })
            .await;
        match answer.and_then(ErrorCode::from_code) {
            Some(ErrorCode::None) => {
                self.heard_us = sent_us;
                self.wait_for_beat();
            }
            Some(ErrorCode::RebalanceInProgress) => {
                self.give_up_all();
                self.epoch = -1;
                self.next_beat_us = 0;
            }
            Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => {
                self.give_up_all();
                self.new_life();
            }
            _ => self.net.pause(30).await,
        }
    }

    async fn join(&mut self) {
        let Some(joined) = self.send_join().await else {
            self.net.pause(30).await;
            return;
        };
        match ErrorCode::from_code(joined.error_code) {
            Some(ErrorCode::None) => {}
            Some(ErrorCode::MemberIdRequired) => {
                self.member_id = joined.member_id;
                return;
            }
            Some(ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId) => {
                self.new_life();
                return;
            }
            _ => {
                self.net.pause(30).await;
                return;
            }
        }
        self.member_id = joined.member_id.clone();
        let assignments = if joined.leader == joined.member_id {
            self.assign(&joined)
        } else {
            Vec::new()
        };
        let sent_us = self.net.core.now_us();
        let request = SyncGroupRequest {
            group_id: self.group.clone(),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            assignments,
            ..SyncGroupRequest::default()
        };
        let answer = self
            .net
            .call_within(JOIN_TIMEOUT_US, "sync", |broker, reply| {
                broker.request::<Shard>(
                    |shard, token| shard.sync_group(token, &context(5), request),
                    |_, response| {
                        if let Response::SyncGroup(response) = response {
                            reply.send((response.error_code, response.assignment));
                        }
                    },
                );
            })
            .await;
        let Some((0, assignment)) = answer else {
            return;
        };
        self.heard_us = sent_us;
        self.epoch = joined.generation_id;
        let target = assignment.iter();
        let target = target.map(|index| Place::new(self.topic, i32::from(*index)));
        self.follow(target.collect(), Some(joined.generation_id))
            .await;
    }

    async fn send_join(&mut self) -> Option<JoinGroupResponse> {
        // A subscription: version 0, one topic, no user data.
        let mut metadata = vec![0, 0, 0, 0, 0, 1];
        metadata.extend(u16::try_from(self.topic.len()).unwrap_or(0).to_be_bytes());
        metadata.extend(self.topic.as_bytes());
        metadata.extend((-1i32).to_be_bytes());
        let request = JoinGroupRequest {
            group_id: self.group.clone(),
            session_timeout_ms: i32::try_from(SESSION_MS).unwrap_or(i32::MAX),
            rebalance_timeout_ms: 10_000,
            member_id: self.member_id.clone(),
            protocol_type: "consumer".to_owned(),
            protocols: vec![JoinGroupRequestProtocol {
                name: "range".to_owned(),
                metadata: Bytes::from(metadata),
            }],
            ..JoinGroupRequest::default()
        };
        let answer = self
            .net
            .call_within(JOIN_TIMEOUT_US, "join", |broker, reply| {
                broker.request::<Shard>(
                    |shard, token| shard.join_group(token, &context(9), request),
                    |_, response| {
                        if let Response::JoinGroup(response) = response {
                            reply.send(response);
                        }
                    },
                );
            })
            .await;
        self.heard_us = self.net.core.now_us();
        answer
    }

    /// The leader's part: partition by partition, each member in turn.
    fn assign(&self, joined: &JoinGroupResponse) -> Vec<SyncGroupRequestAssignment> {
        let known = self.net.partitions.borrow().get(self.topic).copied();
        let mut shares = vec![Vec::new(); joined.members.len()];
        for index in 0..known.unwrap_or(1) {
            let turn = index.unsigned_abs() as usize % shares.len().max(1);
            if let Some(share) = shares.get_mut(turn) {
                share.extend(u8::try_from(index));
            }
        }
        let members = joined.members.iter().zip(shares);
        members
            .map(|(member, share)| SyncGroupRequestAssignment {
                member_id: member.member_id.clone(),
                assignment: Bytes::from(share),
            })
            .collect()
    }
}

/// Asks what a group has committed, until an answer comes; `None` once that takes too long.
pub async fn committed(net: &Net, group: &str, place: &Place) -> Option<i64> {
    for _ in 0..40 {
        let since = net.recorder.count();
        let (of, at) = (group.to_owned(), place.clone());
        let answer = net
            .call("committed", move |broker, reply| {
                broker.committed_offset(&of, &at, reply);
            })
            .await;
        if let Some(Ok(offset)) = answer {
            net.record(Event::OffsetRead {
                group: group.to_owned(),
                place: place.clone(),
                offset,
                since,
            });
            return Some(offset);
        }
        net.pause(30).await;
    }
    None
}
