//! The deadlines by which members have to give up what they are asked for, in groups whose assignment the coordinator
//! makes: within the rebalance timeout each gave. Source: Kafka's `GroupMetadataManager.schedule*RebalanceTimeout`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::shard::core::Core;
use crate::timer::{MemberTimer, TimerKey};

/// What a heartbeat does to its member's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RebalanceTimer {
    Keep,
    /// The member has to give something up within its rebalance timeout, or leave.
    Set,
    Cancel,
}

/// A member that may be asked to give something up.
pub(crate) struct Asked<'a> {
    pub(crate) group: &'a Arc<str>,
    pub(crate) member: &'a Arc<str>,
    pub(crate) epoch: i32,
    pub(crate) rebalance_timeout: Duration,
}

/// At which epoch each member of a group was asked, of those that have a deadline.
#[derive(Clone, Debug, Default)]
pub(crate) struct Revocations {
    since: BTreeMap<Arc<str>, i32>,
}

impl Revocations {
    pub(crate) fn set(&mut self, core: &mut Core, asked: &Asked<'_>, timer: RebalanceTimer) {
        let key = TimerKey::member(asked.group, asked.member, MemberTimer::Rebalance);
        match timer {
            RebalanceTimer::Keep => {}
            RebalanceTimer::Set => {
                core.schedule(key, asked.rebalance_timeout);
                self.since.insert(asked.member.clone(), asked.epoch);
            }
            RebalanceTimer::Cancel => {
                core.timers.cancel(&key);
                self.forget(asked.member);
            }
        }
    }

    /// The member is gone, or has no deadline any more.
    pub(crate) fn forget(&mut self, member: &str) {
        self.since.remove(member);
    }

    /// The deadline of a member has come, which is at `epoch` by now: whether it is still to give up what it was asked for.
    pub(crate) fn expire(&mut self, member: &str, epoch: Option<i32>) -> bool {
        let since = self.since.remove(member);
        since.is_some() && since == epoch
    }
}
