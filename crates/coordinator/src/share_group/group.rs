//! The state of a share group: a function of its records. Source: Kafka's `ShareGroup`.
//!
//! [`ShareGroup::apply`] is the one way the state changes, when a record is written and when it is read, and gives
//! back the record that takes the change back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::member::{CurrentAssignment, Member};
use super::records::ShareRecord;
use super::states::StatePartitions;
use crate::consumer::assignment::Partitions;
use crate::consumer::group::tally;
use crate::consumer::member::LEAVE_EPOCH;
use crate::shard::groups::Lifecycle;

/// The epoch of a group that nothing has changed yet, and of its target assignment, which is empty.
const FIRST_EPOCH: i32 = 1;

/// A share group.
#[derive(Clone, Debug)]
pub(crate) struct ShareGroup {
    pub(crate) id: Arc<str>,
    pub(crate) lifecycle: Lifecycle,

    /// Grows with each change that asks for a new assignment, from [`FIRST_EPOCH`], of which no record tells.
    pub(crate) epoch: i32,
    pub(crate) metadata_hash: i64,
    /// The epoch of the target assignment; -1 when there is none.
    pub(crate) assignment_epoch: i32,
    /// When the target assignment was made, in wall-clock milliseconds; 0 when that is not known.
    pub(crate) assignment_timestamp_ms: i64,
    pub(crate) members: BTreeMap<Arc<str>, Arc<Member>>,
    pub(crate) target: BTreeMap<Arc<str>, Arc<Partitions>>,
    /// None until the first share partition is initialized.
    pub(crate) states: Option<Arc<StatePartitions>>,

    /// Members by topic they want.
    topics: BTreeMap<String, usize>,
    /// Topics may have changed since the metadata hash was computed. Not in the log: a loaded group looks.
    pub(crate) refresh_due: bool,
    /// When states were last asked to be initialized, in wall-clock milliseconds; 0 for a loaded group, which asks
    /// again. Not in the log.
    pub(crate) initializing_since_ms: i64,
}

impl ShareGroup {
    /// A group without members that no record tells of yet.
    pub(crate) fn new(id: Arc<str>, incarnation: u64) -> ShareGroup {
        ShareGroup {
            id,
            lifecycle: Lifecycle::new(incarnation),
            epoch: FIRST_EPOCH,
            metadata_hash: 0,
            assignment_epoch: FIRST_EPOCH,
            assignment_timestamp_ms: 0,
            members: BTreeMap::new(),
            target: BTreeMap::new(),
            states: None,
            topics: BTreeMap::new(),
            refresh_due: true,
            initializing_since_ms: 0,
        }
    }

    /// Applies a record, and returns the one that would take it back. The tombstone of the group itself removes
    /// the group from its shard and does not come here.
    pub(crate) fn apply(&mut self, change: ShareRecord) -> ShareRecord {
        match change {
            ShareRecord::Group(value) => {
                let before = (self.epoch, self.metadata_hash);
                (self.epoch, self.metadata_hash) = value.unwrap_or((FIRST_EPOCH, 0));
                ShareRecord::Group(Some(before))
            }
            ShareRecord::TargetEpoch(value) => {
                let before = (self.assignment_epoch, self.assignment_timestamp_ms);
                (self.assignment_epoch, self.assignment_timestamp_ms) = value.unwrap_or((-1, 0));
                ShareRecord::TargetEpoch(Some(before))
            }
            ShareRecord::Target(id, value) => {
                let before = match value {
                    Some(partitions) => self.target.insert(id.clone(), partitions),
                    None => self.target.remove(&id),
                };
                ShareRecord::Target(id, before)
            }
            ShareRecord::States(states) => {
                ShareRecord::States(std::mem::replace(&mut self.states, states))
            }
            ShareRecord::Member(id, metadata) => {
                let old = self.members.get(&id).cloned();
                let before = old.as_ref().map(|member| member.metadata.clone());
                let new = metadata.map(|metadata| Member {
                    metadata,
                    ..Member::known(&id, old.as_deref())
                });
                self.replace_member(old.as_deref(), new);
                ShareRecord::Member(id, before)
            }
            ShareRecord::Current(id, current) => {
                let old = self.members.get(&id).cloned();
                let before = old.as_ref().map(|member| member.current.clone());
                let current = match (current, &old) {
                    (Some(current), _) => current,
                    // A member that is about to go has nothing.
                    (None, Some(_)) => CurrentAssignment {
                        epoch: LEAVE_EPOCH,
                        ..CurrentAssignment::default()
                    },
                    (None, None) => return ShareRecord::Current(id, None),
                };
                let new = Member {
                    current,
                    ..Member::known(&id, old.as_deref())
                };
                self.replace_member(old.as_deref(), Some(new));
                ShareRecord::Current(id, before)
            }
        }
    }

    fn replace_member(&mut self, old: Option<&Member>, new: Option<Member>) {
        let names = |member: &Member| member.metadata.topic_names.clone();
        for topic in old.map(names).unwrap_or_default() {
            tally(&mut self.topics, topic, false);
        }
        match new {
            Some(member) => {
                for topic in names(&member) {
                    tally(&mut self.topics, topic, true);
                }
                self.members.insert(member.id.clone(), Arc::new(member));
            }
            None => {
                if let Some(old) = old {
                    self.members.remove(&old.id);
                }
            }
        }
    }

    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    /// The topics members want once `updated` is in the place of `old`.
    pub(crate) fn topics_after(
        &self,
        old: Option<&Member>,
        updated: Option<&Member>,
    ) -> BTreeSet<String> {
        let mut topics = self.topics.clone();
        for topic in old.into_iter().flat_map(|old| &old.metadata.topic_names) {
            tally(&mut topics, topic.clone(), false);
        }
        for topic in updated
            .into_iter()
            .flat_map(|new| &new.metadata.topic_names)
        {
            tally(&mut topics, topic.clone(), true);
        }
        topics.into_keys().collect()
    }

    /// The state as requests name it (`ShareGroupState`).
    pub(crate) fn state_name(&self) -> &'static str {
        if self.members.is_empty() {
            "Empty"
        } else {
            "Stable"
        }
    }

    /// The tombstones that remove the group with all its members. The order matters to Kafka when it reads them.
    pub(crate) fn tombstones(&self) -> Vec<ShareRecord> {
        let ids = || self.members.keys();
        let mut records = Vec::with_capacity(self.members.len() * 3 + 3);
        records.extend(ids().map(|id| ShareRecord::Current(id.clone(), None)));
        records.extend(ids().map(|id| ShareRecord::Target(id.clone(), None)));
        records.push(ShareRecord::TargetEpoch(None));
        records.extend(ids().map(|id| ShareRecord::Member(id.clone(), None)));
        records.push(ShareRecord::States(None));
        records.push(ShareRecord::Group(None));
        records
    }
}
