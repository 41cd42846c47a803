//! The steps that a heartbeat of the consumer protocol and a JoinGroup of the classic one have in common: from a
//! member and what it wants now to the records that say so.
//!
//! A plan reads the group and collects records; nothing changes before those are written. Source: Kafka's
//! `GroupMetadataManager` (`hasMemberSubscriptionChanged`, `maybeUpdateRegularExpressions`,
//! `updateSubscriptionMetadata`, `updateTargetAssignment`, `maybeReconcile`).

use std::collections::BTreeMap;
use std::sync::Arc;

use wire::ErrorCode;

use super::Failure;
use super::assignment::{Partitions, Reported};
use super::assignor::Assignor;
use super::group::{ConsumerGroup, SubscriptionCount, count, tally};
use super::member::{Member, MemberState};
use super::metadata_hash;
use super::reconcile::Reconciliation;
use super::records::ConsumerRecord;
use super::regex;
use super::target::Target;
use crate::cluster::{ClusterView, ConsumerSettings};
use crate::config::GroupConfig;
use crate::revocation::RebalanceTimer;

/// How long resolved regular expressions are good at least (`REGEX_BATCH_REFRESH_MIN_INTERVAL_MS`).
const REGEX_REFRESH_MIN_MS: i64 = 10_000;

/// What became of a member's regular expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RegexChange {
    None,
    /// It changed, and what it matches is not known yet.
    Unresolved,
    /// It changed, and what it matches is known.
    Resolved,
}

/// A change of a group in the making.
pub(super) struct Plan<'a> {
    pub(super) group: &'a ConsumerGroup,
    pub(super) cluster: &'a dyn ClusterView,
    pub(super) config: &'a GroupConfig,
    pub(super) settings: ConsumerSettings,
    pub(super) now_ms: i64,
    pub(super) records: Vec<ConsumerRecord>,
    /// The group's epoch as it will be.
    pub(super) epoch: i32,
    /// The metadata hash was computed anew.
    pub(super) refreshed: bool,
    /// The group's regular expressions are to be matched against the topics.
    pub(super) resolve: bool,
    pub(super) timer: RebalanceTimer,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        group: &'a ConsumerGroup,
        cluster: &'a dyn ClusterView,
        config: &'a GroupConfig,
        now_ms: i64,
    ) -> Plan<'a> {
        let settings = cluster
            .consumer_settings(&group.id)
            .unwrap_or_else(|| config.consumer.settings());
        Plan {
            group,
            cluster,
            config,
            settings,
            now_ms,
            records: Vec::new(),
            epoch: group.epoch,
            refreshed: false,
            resolve: false,
            timer: RebalanceTimer::Keep,
        }
    }

    /// Puts `member`, a copy under a new id, in the place of the static member `old`.
    pub(super) fn replace_static_member(&mut self, old: &Member, member: &Member) {
        self.records
            .extend(ConsumerRecord::of_removed_member(&old.id));
        let target = self.group.target.get(&old.id).cloned().unwrap_or_default();
        self.records.extend([
            ConsumerRecord::Member(member.id.clone(), Some(member.metadata.clone())),
            ConsumerRecord::Target(member.id.clone(), Some(target)),
            ConsumerRecord::Current(member.id.clone(), Some(member.current.clone())),
        ]);
    }

    /// Writes down what changed about a member; whether it names other topics than before.
    pub(super) fn update_member(&mut self, old: &Member, updated: &Member, is_new: bool) -> bool {
        if !is_new && old.metadata == updated.metadata {
            return false;
        }
        self.records.push(ConsumerRecord::Member(
            updated.id.clone(),
            Some(updated.metadata.clone()),
        ));
        old.metadata.topic_names != updated.metadata.topic_names
    }

    /// Looks at a member's regular expression, and whether it is time to resolve those of the group.
    ///
    /// # Errors
    /// INVALID_REGULAR_EXPRESSION.
    pub(super) fn update_regex(
        &mut self,
        old: &Member,
        updated: &Member,
    ) -> Result<RegexChange, Failure> {
        let (before, after) = (&old.metadata.topic_regex, &updated.metadata.topic_regex);
        let mut change = RegexChange::None;
        let mut required = false;
        if before != after {
            change = RegexChange::Unresolved;
            if !before.is_empty() && self.group.regex_subscribers(before) == 1 {
                self.records
                    .push(ConsumerRecord::Regex(before.clone(), None));
            }
            if after.is_empty() {
                change = RegexChange::Resolved;
            } else if self.group.regex_subscribers(after) == 0 {
                regex::check(after)?;
                required = true;
            } else if self.group.regexes.contains_key(after) {
                change = RegexChange::Resolved;
            }
        }
        let mut expressions = self.group.regex_members().clone();
        if !before.is_empty() {
            tally(&mut expressions, before.clone(), false);
        }
        if !after.is_empty() {
            tally(&mut expressions, after.clone(), true);
        }
        self.resolve =
            !expressions.is_empty() && self.is_resolution_due(required, expressions.len());
        Ok(change)
    }

    /// All expressions of a group are resolved together, so that one rebalance serves all; not more often than
    /// every ten seconds, but when the group has just got its first.
    fn is_resolution_due(&self, required: bool, expressions: usize) -> bool {
        let resolved = self.group.regexes.values();
        let last_ms = resolved.map(|resolved| resolved.timestamp_ms).max();
        let age_ms = last_ms.map_or(i64::MAX, |last_ms| self.now_ms.saturating_sub(last_ms));
        // A clock that went back makes the age negative; that says nothing.
        if (0..=REGEX_REFRESH_MIN_MS).contains(&age_ms) {
            return false;
        }
        let interval = self.config.consumer.regex_refresh_interval.as_millis();
        required
            || expressions != self.group.regexes.len()
            || self.group.regex_refresh_due
            || u128::try_from(age_ms).map_or(true, |age_ms| age_ms > interval)
    }

    /// Moves the group to its next epoch if `bump` says so or the topics have changed.
    pub(super) fn update_epoch(&mut self, bump: bool, old: &Member, updated: &Member) {
        if !bump && !self.group.refresh_due {
            return;
        }
        let topics = topics_after(self.group, old, updated);
        let hash = metadata_hash::of_topics(self.cluster, topics.keys().map(String::as_str));
        if bump || hash != self.group.metadata_hash {
            self.epoch = self.group.epoch.saturating_add(1);
            self.push_epoch(self.epoch, hash);
        }
        if self.group.has_partition_metadata {
            self.records.push(ConsumerRecord::PartitionMetadata(false));
        }
        self.refreshed = true;
    }

    pub(super) fn push_epoch(&mut self, epoch: i32, hash: i64) {
        tracing::info!(group_id = %self.group.id, epoch, metadata_hash = hash, "consumer group epoch");
        self.records
            .push(ConsumerRecord::Group(Some((epoch, hash))));
    }

    /// The target assignment that `updated` is reconciled to, with its epoch: a new one when the group is at a
    /// later epoch than the last, unless that is younger than the assignment interval.
    pub(super) fn target(&mut self, old: &Member, updated: &Member) -> (i32, Arc<Partitions>) {
        let group = self.group;
        if self.epoch <= group.assignment_epoch || self.is_assignment_delayed() {
            let instance = updated.metadata.instance_id.as_deref();
            return (
                group.assignment_epoch,
                group.target_of(&updated.id, instance),
            );
        }
        let preferred = group.preferred_assignor(old, updated);
        let assignor = preferred.as_deref().and_then(Assignor::from_name);
        let target = Target {
            group,
            cluster: self.cluster,
            updated,
            assignor: assignor.unwrap_or_else(|| self.config.consumer.default_assignor()),
            epoch: self.epoch,
            now_ms: self.now_ms,
        };
        let (records, own) = target.compute();
        self.records.extend(records);
        (self.epoch, own)
    }

    fn is_assignment_delayed(&self) -> bool {
        let interval_ms = i64::try_from(self.settings.assignment_interval.as_millis());
        let age_ms = self
            .now_ms
            .saturating_sub(self.group.assignment_timestamp_ms);
        (0..interval_ms.unwrap_or(i64::MAX)).contains(&age_ms)
    }

    /// Takes `member` as far towards the target as it gets now.
    ///
    /// # Errors
    /// As [`Reconciliation::run`].
    pub(super) fn reconcile(
        &mut self,
        member: &mut Member,
        (target_epoch, target): (i32, &Partitions),
        subscription_changed: bool,
        reported: Reported<'_>,
    ) -> Result<(), Failure> {
        let reconciliation = Reconciliation {
            group: self.group,
            cluster: self.cluster,
            member,
            target_epoch,
            target,
            subscription_changed,
            reported,
        };
        let Some(next) = reconciliation.run()? else {
            return Ok(());
        };
        // Classic members have a timer for joining and one for syncing instead.
        if !member.uses_classic_protocol() {
            self.timer = match next.state {
                MemberState::UnrevokedPartitions => RebalanceTimer::Set,
                _ => RebalanceTimer::Cancel,
            };
        }
        member.current = next;
        self.records.push(ConsumerRecord::Current(
            member.id.clone(),
            Some(member.current.clone()),
        ));
        Ok(())
    }

    /// Refuses a member the group has no room for.
    ///
    /// # Errors
    /// GROUP_MAX_SIZE_REACHED.
    pub(super) fn check_room(&self, member_id: &str) -> Result<(), Failure> {
        let max_size = self.config.consumer.max_size;
        if self.group.members.len() >= max_size && !self.group.members.contains_key(member_id) {
            return Err(Failure::new(
                ErrorCode::GroupMaxSizeReached,
                format!(
                    "The consumer group has reached its maximum capacity of {max_size} members."
                ),
            ));
        }
        Ok(())
    }
}

/// The topics of the group once `updated` is in the place of `old`. What a new regular expression matches is not
/// among them before it is resolved.
fn topics_after(
    group: &ConsumerGroup,
    old: &Member,
    updated: &Member,
) -> BTreeMap<String, SubscriptionCount> {
    let mut topics = group.topics().clone();
    for topic in &old.metadata.topic_names {
        count(&mut topics, topic, |count| {
            count.by_name = count.by_name.saturating_sub(1);
        });
    }
    for topic in &updated.metadata.topic_names {
        count(&mut topics, topic, |count| count.by_name += 1);
    }
    let (before, after) = (&old.metadata.topic_regex, &updated.metadata.topic_regex);
    if before != after && group.regex_subscribers(before) == 1 {
        forget_regex(group, &mut topics, before);
    }
    topics
}

/// Takes the topics that only `regex` matched out of `topics`.
pub(super) fn forget_regex(
    group: &ConsumerGroup,
    topics: &mut BTreeMap<String, SubscriptionCount>,
    regex: &str,
) {
    for topic in group
        .regexes
        .get(regex)
        .iter()
        .flat_map(|found| &found.topics)
    {
        count(topics, topic, |count| {
            count.by_regex = count.by_regex.saturating_sub(1);
        });
    }
}
