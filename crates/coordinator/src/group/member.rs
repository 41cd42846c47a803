//! One member of a classic group. Source: Kafka's `ClassicGroupMember`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wire::messages::join_group_request::JoinGroupRequestProtocol;

use crate::shard::core::Waiting;

/// A member: who it is, what it supports, and which of its requests waits.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) id: Arc<str>,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout_ms: i32,
    pub(crate) rebalance_timeout_ms: i32,
    /// In the member's order of preference.
    pub(crate) protocols: Vec<JoinGroupRequestProtocol>,
    pub(crate) assignment: Bytes,
    pub(crate) awaiting_join: Option<Waiting>,
    pub(crate) awaiting_sync: Option<Waiting>,
    /// Joined for the first time and not answered yet: its client may be gone without a trace.
    pub(crate) is_new: bool,
}

impl Member {
    pub(crate) fn session_timeout(&self) -> Duration {
        millis(self.session_timeout_ms)
    }

    pub(crate) fn is_static(&self) -> bool {
        self.instance_id.is_some()
    }

    /// Whether silence is expected: a member whose JoinGroup or SyncGroup waits here cannot heartbeat.
    /// A new member gets no such grace, so that one whose client gave up does not stay for ever.
    pub(crate) fn has_satisfied_heartbeat(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }

    /// Whether `protocols` are the same, metadata and order included.
    pub(crate) fn matches(&self, protocols: &[JoinGroupRequestProtocol]) -> bool {
        self.protocols == protocols
    }

    /// The member's metadata for `protocol`; empty if it does not support it.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self
            .protocols
            .iter()
            .find(|supported| supported.name == protocol);
        found
            .map(|supported| supported.metadata.clone())
            .unwrap_or_default()
    }

    /// The first of its protocols that is among `candidates`.
    pub(crate) fn vote(&self, candidates: &BTreeSet<&str>) -> Option<&str> {
        let names = self.protocols.iter().map(|protocol| protocol.name.as_str());
        names.into_iter().find(|name| candidates.contains(name))
    }
}

/// A timeout of the wire. Negative ones, which only a broken client sends, are zero.
pub(crate) fn millis(timeout_ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0))
}
