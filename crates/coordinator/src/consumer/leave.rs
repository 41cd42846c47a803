//! Members that leave, are fenced, or were the last to match a pattern; and what patterns match.
//!
//! Source: Kafka's `GroupMetadataManager` (`consumerGroupLeave`, `consumerGroupFenceMembers`,
//! `handleRegularExpressionsResult`).

use std::collections::BTreeMap;
use std::sync::Arc;

use wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use super::Failure;
use super::group::{count, tally};
use super::heartbeat::{MaySee, check_holder, unknown_instance, unknown_member};
use super::member::{CurrentAssignment, Member, STATIC_LEAVE_EPOCH};
use super::metadata_hash;
use super::plan::{Plan, forget_regex};
use super::records::{ConsumerRecord, ResolvedRegex};
use super::regex;
use crate::action::{Response, Token};
use crate::shard::Shard;
use crate::shard::groups::Group;
use crate::shard::write::LogRecord;

impl Shard {
    /// A heartbeat with epoch -1 or -2.
    pub(super) fn leave_consumer_group(
        &mut self,
        token: Token,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<(), Failure> {
        let id: Arc<str> = request.group_id.as_str().into();
        let group = self.find_group(&id, ("consumer", "Group"), Group::as_consumer)?;
        let sender = (request.member_id.as_str(), request.instance_id.as_deref());
        let member = leaving_member(&id, sender, &group.members, &group.static_members)?;
        let response = Response::ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse {
            member_id: Some(request.member_id.clone()),
            member_epoch: request.member_epoch,
            ..ConsumerGroupHeartbeatResponse::default()
        });
        let reply = Some((token, response));
        tracing::info!(
            group_id = %id, member_id = %member.id, epoch = request.member_epoch,
            "member leaves consumer group"
        );
        if request.member_epoch != STATIC_LEAVE_EPOCH {
            self.fence_members(&id, &[member], reply);
            return Ok(());
        }
        // It comes back within its session timeout, or its session ends; until then it keeps what it has.
        let mut current = CurrentAssignment {
            epoch: STATIC_LEAVE_EPOCH,
            revoking: BTreeMap::new(),
            ..member.current.clone()
        };
        // A commit that its next life has not made is one of its last life (KIP-1251).
        for partitions in current.assigned.values_mut() {
            partitions.values_mut().for_each(|epoch| *epoch = 0);
        }
        let record = ConsumerRecord::Current(member.id.clone(), Some(current));
        self.write(&id, vec![LogRecord::Consumer(record)], reply);
        Ok(())
    }

    /// Takes members out of the group. When only classic members are left, it becomes a classic group.
    pub(super) fn fence_members(
        &mut self,
        id: &Arc<str>,
        members: &[Arc<Member>],
        reply: Option<(Token, Response)>,
    ) {
        if members.is_empty() {
            self.write(id, Vec::new(), reply);
            return;
        }
        if self.downgrades_without(id, members) {
            self.downgrade(id, members, reply);
            return;
        }
        let Some(group) = self.consumer(id) else {
            return;
        };
        let mut plan = Plan::new(group, &*self.cluster, &self.core.config, self.core.now_ms());
        let mut topics = group.topics().clone();
        let mut expressions: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for member in members {
            plan.records
                .extend(ConsumerRecord::of_removed_member(&member.id));
            for topic in &member.metadata.topic_names {
                count(&mut topics, topic, |count| {
                    count.by_name = count.by_name.saturating_sub(1);
                });
            }
            if !member.metadata.topic_regex.is_empty() {
                tally(&mut expressions, member.metadata.topic_regex.clone(), true);
            }
        }
        for (regex, leaving) in expressions {
            if group.regex_subscribers(&regex) == leaving {
                forget_regex(group, &mut topics, &regex);
                plan.records.push(ConsumerRecord::Regex(regex, None));
            }
        }
        let hash = metadata_hash::of_topics(&*self.cluster, topics.keys().map(String::as_str));
        plan.push_epoch(group.epoch.saturating_add(1), hash);
        let records = plan.records.into_iter().map(LogRecord::Consumer).collect();
        self.write(id, records, reply);
        if let Some((group, core)) = self.consumer_mut(id) {
            for member in members {
                core.cancel_member_timers(&group.id, &member.id);
            }
        }
    }

    /// Matches the group's regular expressions against the topics there are, of which the requester has to be
    /// allowed to see those that match.
    ///
    /// Kafka does this beside the coordinator and applies the result when it comes; here it follows at once, in
    /// an append of its own. Members learn of it by their next heartbeat either way.
    pub(super) fn resolve_regexes(&mut self, id: &Arc<str>, may_see: MaySee<'_>) {
        let Some(group) = self.consumer(id) else {
            return;
        };
        let names = self.cluster.topic_names();
        let (version, timestamp_ms) = (self.cluster.version(), self.core.now_ms());
        let mut topics = group.topics().clone();
        let mut changed = false;
        let mut records = Vec::new();
        for expression in group.regex_members().keys() {
            let mut matched = regex::matching(expression, names.iter());
            matched.retain(|topic| may_see(topic));
            let before = group.regexes.get(expression);
            if before.map(|before| &before.topics) != Some(&matched) {
                changed |= before.is_some() || !matched.is_empty();
                forget_regex(group, &mut topics, expression);
                for topic in &matched {
                    count(&mut topics, topic, |count| count.by_regex += 1);
                }
            }
            let resolved = ResolvedRegex {
                topics: matched,
                version,
                timestamp_ms,
            };
            records.push(ConsumerRecord::Regex(
                expression.clone(),
                Some(Arc::new(resolved)),
            ));
        }
        let hash = metadata_hash::of_topics(&*self.cluster, topics.keys().map(String::as_str));
        let bump = changed || hash != group.metadata_hash;
        if bump {
            let epoch = group.epoch.saturating_add(1);
            records.push(ConsumerRecord::Group(Some((epoch, hash))));
            tracing::info!(group_id = %id, epoch, metadata_hash = hash, "consumer group epoch");
        }
        let records = records.into_iter().map(LogRecord::Consumer).collect();
        self.write(id, records, None);
        if let Some((group, _)) = self.consumer_mut(id) {
            group.regex_refresh_due = false;
            group.refresh_due &= !bump;
        }
    }

    /// Topics were created, deleted or got partitions: groups that want them look again.
    pub fn topics_changed(&mut self, names: &[String], created: bool) {
        for group in self.groups.values_mut() {
            if let Some(group) = group.as_streams_mut() {
                group.refresh_due |= names.iter().any(|name| group.requires(name));
            }
            if let Some(group) = group.as_share_mut() {
                group.refresh_due |= names.iter().any(|name| group.is_subscribed_to(name));
            }
            let Some(group) = group.as_consumer_mut() else {
                continue;
            };
            group.refresh_due |= names.iter().any(|name| group.is_subscribed_to(name));
            group.regex_refresh_due |= created && !group.regex_members().is_empty();
        }
    }
}

/// The member that sends a heartbeat to leave; a static one has to be the holder of its instance id.
pub(crate) fn leaving_member<M: Clone>(
    group_id: &str,
    (member_id, instance_id): (&str, Option<&str>),
    members: &BTreeMap<Arc<str>, M>,
    static_members: &BTreeMap<Arc<str>, Arc<str>>,
) -> Result<M, Failure> {
    if let Some(instance_id) = instance_id {
        let holder = static_members.get(instance_id);
        let holder = holder.ok_or_else(|| unknown_instance(instance_id))?;
        check_holder(holder, member_id, instance_id)?;
    }
    let member = members.get(member_id).cloned();
    member.ok_or_else(|| unknown_member(group_id, member_id))
}
