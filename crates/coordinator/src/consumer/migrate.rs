//! A live group changes its protocol: classic to consumer when a member of the consumer protocol joins, back
//! when the last of those leaves (`group.consumer.migration.policy`).
//!
//! Members keep what they have. After an upgrade the classic ones go on with the classic protocol
//! ([`super::classic`]) until their clients are restarted; after a downgrade they rebalance among themselves.
//! Source: Kafka's `GroupMetadataManager.convertToConsumerGroup`, `convertToClassicGroup`,
//! `ConsumerGroup.fromClassicGroup`, `ClassicGroup.fromConsumerGroup`.

use std::collections::BTreeMap;
use std::sync::Arc;

use wire::ErrorCode;
use wire::messages::join_group_request::JoinGroupRequestProtocol;

use super::Failure;
use super::assignment::assigned_at;
use super::embedded;
use super::group::ConsumerGroup;
use super::member::{ClassicMetadata, CurrentAssignment, Member, MemberMetadata, MemberState};
use super::metadata_hash;
use super::records::ConsumerRecord;
use super::write::Source;
use crate::action::{Response, Token};
use crate::config::MigrationPolicy;
use crate::group::{ClassicGroup, Member as ClassicMember};
use crate::shard::Shard;
use crate::shard::write::LogRecord;

impl Shard {
    /// The classic group as a consumer group, with the records that make it one.
    pub(super) fn upgrade_source(&mut self, group_id: &str) -> Result<Source, Failure> {
        let refuse = |reason: &str| {
            let message = format!(
                "Cannot upgrade classic group {group_id} to consumer group because {reason}"
            );
            Failure::new(ErrorCode::GroupIdNotFound, message)
        };
        let incarnation = self.core.incarnation();
        let Some(classic) = self.group(group_id) else {
            return Err(refuse("it is gone."));
        };
        let config = &self.core.config.consumer;
        if !config.migration.upgrades() {
            return Err(refuse("online upgrade is disabled."));
        }
        if !classic.uses_consumer_protocol() {
            return Err(refuse(
                "the group does not use the consumer embedded protocol.",
            ));
        }
        if classic.members.len() > config.max_size {
            return Err(refuse(
                "the group size exceeds the consumer group maximum size.",
            ));
        }
        let group = self.upgraded(classic, incarnation).map_err(refuse)?;
        let mut records = vec![LogRecord::Classic(None)];
        records.extend(group.creation().into_iter().map(LogRecord::Consumer));
        Ok(Source::Made {
            group: Box::new(group),
            records,
        })
    }

    fn upgraded(
        &self,
        classic: &ClassicGroup,
        incarnation: u64,
    ) -> Result<ConsumerGroup, &'static str> {
        const MALFORMED: &str = "the embedded consumer protocol is malformed.";
        let protocol = classic.protocol_name.clone();
        let protocol = protocol
            .or_else(|| classic.select_protocol())
            .unwrap_or_default();
        let mut group = ConsumerGroup::new(classic.id.clone(), incarnation);
        let epoch = classic.generation;
        group.apply(ConsumerRecord::TargetEpoch(Some((epoch, 0))));
        for member in classic.members.values() {
            let assigned = embedded::assignment(&*self.cluster, &member.assignment);
            let (partitions, user_data) = assigned.ok_or(MALFORMED)?;
            if user_data {
                return Err(
                    "an unsupported custom assignor is in use. Please refer to the documentation or \
                     switch to a default assignor before re-attempting the upgrade.",
                );
            }
            let subscription = embedded::subscription(&member.metadata(&protocol));
            let subscription = subscription.ok_or(MALFORMED)?;
            let metadata = MemberMetadata {
                instance_id: member.instance_id.as_deref().map(Into::into),
                rack_id: subscription.rack_id.filter(|rack| !rack.is_empty()),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                topic_names: subscription.topics.into_iter().collect(),
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                classic: Some(ClassicMetadata {
                    session_timeout_ms: member.session_timeout_ms,
                    protocols: member
                        .protocols
                        .iter()
                        .map(|protocol| (protocol.name.clone(), protocol.metadata.clone()))
                        .collect(),
                }),
                ..MemberMetadata::default()
            };
            let current = CurrentAssignment {
                state: MemberState::Stable,
                epoch,
                previous_epoch: epoch,
                assigned: assigned_at(&partitions, epoch),
                revoking: BTreeMap::new(),
            };
            let id = &member.id;
            group.apply(ConsumerRecord::Member(id.clone(), Some(metadata)));
            group.apply(ConsumerRecord::Target(
                id.clone(),
                Some(Arc::new(partitions)),
            ));
            group.apply(ConsumerRecord::Current(id.clone(), Some(current)));
        }
        let topics = group.topics().keys().map(String::as_str);
        let hash = metadata_hash::of_topics(&*self.cluster, topics);
        group.apply(ConsumerRecord::Group(Some((epoch, hash))));
        Ok(group)
    }

    /// Whether the group becomes a classic one when `leaving` go: all that stay use the classic protocol, and
    /// somebody stays.
    pub(super) fn downgrades_without(&self, id: &str, leaving: &[Arc<Member>]) -> bool {
        let Some(group) = self.consumer(id) else {
            return false;
        };
        let left = group.members.len().saturating_sub(leaving.len());
        let modern_leave = leaving
            .iter()
            .filter(|member| !member.uses_classic_protocol())
            .count();
        let modern = group.members.len().saturating_sub(group.classic_members);
        modern_leave > 0 && modern == modern_leave && left > 0 && self.may_downgrade(id, left)
    }

    /// Whether the group becomes a classic one when a classic member takes the place of `holder`.
    pub(super) fn downgrades_replacing(&self, group: &ConsumerGroup, holder: &Member) -> bool {
        let others = group.members.len().saturating_sub(1);
        !holder.uses_classic_protocol()
            && group.classic_members == others
            && self.may_downgrade(&group.id, group.members.len())
    }

    fn may_downgrade(&self, group_id: &str, members: usize) -> bool {
        let config = &self.core.config;
        let reason = if !config.consumer.migration.downgrades() {
            "online downgrade is disabled"
        } else if members > config.max_size {
            "it has more members than a classic group may have"
        } else {
            return true;
        };
        tracing::info!(group_id, reason, "consumer group stays one");
        false
    }

    /// Makes the group a classic one without `leaving`.
    pub(super) fn downgrade(
        &mut self,
        id: &Arc<str>,
        leaving: &[Arc<Member>],
        reply: Option<(Token, Response)>,
    ) {
        let Some(group) = self.consumer(id) else {
            return;
        };
        let stay = group
            .members
            .values()
            .filter(|member| leaving.iter().all(|gone| gone.id != member.id));
        let members: Vec<(Arc<Member>, Arc<str>)> = stay
            .map(|member| (Arc::clone(member), member.id.clone()))
            .collect();
        let tombstones = group.tombstones(None);
        let records = tombstones.into_iter().map(LogRecord::Consumer).collect();
        self.write_downgrade(id, members, records, reply);
        if let Some((group, core)) = self.group_mut(id) {
            group.prepare_rebalance(core, "the last member of the consumer protocol left");
        }
    }

    /// Makes the group a classic one in which `joining` has the place of the static member with its instance
    /// id. `records` put it there; `rebalance` says that it wants other topics.
    pub(super) fn downgrade_replacing(
        &mut self,
        id: &Arc<str>,
        joining: &Member,
        mut records: Vec<LogRecord>,
        rebalance: bool,
        reply: Option<(Token, Response)>,
    ) {
        let Some(group) = self.consumer(id) else {
            return;
        };
        let instance = joining.metadata.instance_id.as_deref();
        let replaced = instance.and_then(|instance| group.static_members.get(instance));
        let members: Vec<(Arc<Member>, Arc<str>)> = group
            .members
            .values()
            .map(|member| {
                if Some(&member.id) == replaced {
                    (Arc::new(joining.clone()), member.id.clone())
                } else {
                    (Arc::clone(member), member.id.clone())
                }
            })
            .collect();
        let renamed = replaced.map(|replaced| (&**replaced, &joining.id));
        let tombstones = group.tombstones(renamed);
        records.extend(tombstones.into_iter().map(LogRecord::Consumer));
        self.write_downgrade(id, members, records, reply);
        if rebalance && let Some((group, core)) = self.group_mut(id) {
            group.prepare_rebalance(core, "a static member came back with another subscription");
        }
    }

    /// `members` with the id under which the target assignment has each.
    fn write_downgrade(
        &mut self,
        id: &Arc<str>,
        members: Vec<(Arc<Member>, Arc<str>)>,
        mut records: Vec<LogRecord>,
        reply: Option<(Token, Response)>,
    ) {
        let incarnation = self.core.incarnation();
        let now_ms = self.core.now_ms();
        let Some(group) = self.consumer(id) else {
            return;
        };
        let mut targets = BTreeMap::new();
        let members = members.into_iter().map(|(member, target)| {
            targets.insert(
                member.id.clone(),
                group.target.get(&target).cloned().unwrap_or_default(),
            );
            to_classic(&member)
        });
        let members: Vec<ClassicMember> = members.collect();
        let mut classic = ClassicGroup::of_members(id.clone(), incarnation, now_ms, members);
        classic.generation = group.epoch;
        classic.lifecycle.durable = group.lifecycle.durable;
        let protocol = classic.protocol_name.clone().unwrap_or_default();
        for member in classic.members.values_mut() {
            let metadata = member.metadata(&protocol);
            let target = targets.get(&member.id).cloned().unwrap_or_default();
            let partitions = embedded::of_partitions(&target);
            member.assignment = embedded::write_assignment(&*self.cluster, partitions, &metadata);
        }
        group.clone().cancel_timers(&mut self.core);
        records.push(LogRecord::Classic(Some(Box::new(classic))));
        tracing::info!(group_id = %id, "consumer group becomes a classic group");
        self.write(id, records, reply);
        if let Some((group, core)) = self.group_mut(id) {
            group.start_sessions(core);
        }
    }
}

fn to_classic(member: &Member) -> ClassicMember {
    let metadata = &member.metadata;
    let classic = metadata.classic.as_ref();
    let protocols = classic.into_iter().flat_map(|classic| &classic.protocols);
    ClassicMember {
        id: member.id.clone(),
        instance_id: metadata.instance_id.as_deref().map(str::to_owned),
        client_id: metadata.client_id.clone(),
        client_host: metadata.client_host.clone(),
        session_timeout_ms: classic.map_or(0, |classic| classic.session_timeout_ms),
        rebalance_timeout_ms: metadata.rebalance_timeout_ms,
        protocols: protocols
            .map(|(name, metadata)| JoinGroupRequestProtocol {
                name: name.clone(),
                metadata: metadata.clone(),
            })
            .collect(),
        assignment: bytes::Bytes::new(),
        awaiting_join: None,
        awaiting_sync: None,
        is_new: false,
    }
}

impl MigrationPolicy {
    fn upgrades(self) -> bool {
        matches!(
            self,
            MigrationPolicy::Upgrade | MigrationPolicy::Bidirectional
        )
    }

    fn downgrades(self) -> bool {
        matches!(
            self,
            MigrationPolicy::Downgrade | MigrationPolicy::Bidirectional
        )
    }
}
