//! Group membership: the classic rebalance protocol.
//!
//! Words used here, all Kafka's: a *member* joins a *group*; a *rebalance* collects the members' JoinGroup
//! requests (the join phase, state PreparingRebalance), then hands the leader's assignment to all of them by
//! SyncGroup (the sync phase, CompletingRebalance), which makes a *generation* (Stable). A *pending* member
//! was given an id and has not joined with it yet; a *static* member has a `group.instance.id` and keeps its
//! place over restarts.
//!
//! [`classic::ClassicGroup`] is the state; `join`, `sync`, `liveness` and `admin` hold the requests;
//! `rebalance` the transitions between states; `static_member` the restart of a static member.

mod admin;
mod classic;
mod join;
mod liveness;
mod member;
mod rebalance;
mod static_member;
mod sync;

pub(crate) use classic::{CONSUMER_PROTOCOL_TYPE, ClassicGroup};
pub(crate) use member::{Member, millis};

use std::fmt;

/// The random part of member ids.
///
/// Implemented by closures: `Box::new(move || rng.random())`.
pub trait MemberIds: Send {
    /// 16 random bytes, fresh with each call.
    fn next_random(&mut self) -> [u8; 16];
}

impl<F: FnMut() -> [u8; 16] + Send> MemberIds for F {
    fn next_random(&mut self) -> [u8; 16] {
        self()
    }
}

impl fmt::Debug for dyn MemberIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemberIds")
    }
}

/// The state of a classic group (`ClassicGroupState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// The join phase: waits for JoinGroup of every member.
    PreparingRebalance,
    /// The sync phase: waits for the leader's assignment.
    CompletingRebalance,
    /// A generation is at work.
    Stable,
    /// The group is gone. Only ever reported, of groups that do not exist.
    Dead,
    /// No members; the group may have offsets.
    Empty,
}

impl GroupState {
    /// The state's name in responses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            GroupState::PreparingRebalance => "PreparingRebalance",
            GroupState::CompletingRebalance => "CompletingRebalance",
            GroupState::Stable => "Stable",
            GroupState::Dead => "Dead",
            GroupState::Empty => "Empty",
        }
    }
}

/// The first part of a member id: `client_id-` or `group_instance_id-`, then a random UUID as Java prints
/// it (`ClassicGroup.generateMemberId`). Clients infer things from the prefix.
fn new_member_id(prefix: &str, ids: &mut dyn MemberIds) -> String {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] =
        base::Uuid::from_random(ids.next_random()).0;
    format!(
        "{prefix}-{a:02x}{b:02x}{c:02x}{d:02x}-{e:02x}{f:02x}-{g:02x}{h:02x}-{i:02x}{j:02x}-\
         {k:02x}{l:02x}{m:02x}{n:02x}{o:02x}{p:02x}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_id_is_the_client_id_and_a_java_uuid() {
        let mut ids = || std::array::from_fn(|i| i as u8 * 17);
        assert_eq!(
            new_member_id("rdkafka", &mut ids),
            "rdkafka-00112233-4455-4677-8899-aabbccddeeff"
        );
    }
}
