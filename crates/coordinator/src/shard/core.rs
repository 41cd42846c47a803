//! What every handler of a shard uses: settings, time, identities, timers, appends in flight, and the
//! actions collected so far.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Timestamp};
use wire::messages::{JoinGroupResponse, SyncGroupResponse};
use wire::{EncodeError, ErrorCode};

use super::effect::Effect;
use crate::action::{
    Action, CommitId, CoordinatorRecord, Response, Token, TransactionMarker, TransactionalProducer,
};
use crate::config::GroupConfig;
use crate::group::MemberIds;
use crate::timer::{MemberTimer, TimerKey, Timers};

/// An append whose outcome is not known yet.
#[derive(Debug)]
pub(crate) struct PendingCommit {
    /// What happens once it is known.
    pub(crate) effect: Effect,
    /// The request that waits for it, until it is answered.
    pub(crate) reply: Option<(Token, Response)>,
    /// Requests that write nothing, whose answers tell of what this append does.
    pub(crate) followers: Vec<(Token, Response)>,
}

impl PendingCommit {
    /// Takes every answer that waits for the append.
    pub(crate) fn take_replies(&mut self) -> impl Iterator<Item = (Token, Response)> + use<> {
        let followers = std::mem::take(&mut self.followers);
        self.reply.take().into_iter().chain(followers)
    }
}

/// A JoinGroup or SyncGroup that is answered later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) token: Token,
    pub(crate) version: i16,
}

/// The parts of a shard that are not groups or offsets.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: GroupConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Box<dyn MemberIds>,
    pub(crate) timers: Timers,
    pub(crate) commits: BTreeMap<CommitId, PendingCommit>,
    /// Appends whose records could not be encoded: failed before they reached the broker.
    pub(crate) unencodable: Vec<CommitId>,
    next_commit: u64,
    next_incarnation: u64,
    out: Vec<Action>,
}

impl Core {
    pub(crate) fn new(config: GroupConfig, clock: Arc<dyn Clock>, ids: Box<dyn MemberIds>) -> Core {
        Core {
            config,
            clock,
            ids,
            timers: Timers::default(),
            commits: BTreeMap::new(),
            unencodable: Vec::new(),
            next_commit: 0,
            next_incarnation: 0,
            out: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.monotonic()
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// A number no other group of this shard had: tells a group from a later one of the same id.
    pub(crate) fn incarnation(&mut self) -> u64 {
        self.next_incarnation += 1;
        self.next_incarnation
    }

    pub(crate) fn schedule(&mut self, key: TimerKey, delay: Duration) {
        let at = self.now().after(delay);
        self.timers.schedule(key, at);
    }

    /// Gives a member `timeout` from now until its next heartbeat.
    pub(crate) fn schedule_session(
        &mut self,
        group: &Arc<str>,
        member: &Arc<str>,
        timeout: Duration,
    ) {
        self.schedule(TimerKey::session(group, member), timeout);
    }

    pub(crate) fn cancel_session(&mut self, group: &Arc<str>, member: &Arc<str>) {
        self.timers.cancel(&TimerKey::session(group, member));
    }

    /// Drops every deadline of a member.
    pub(crate) fn cancel_member_timers(&mut self, group: &Arc<str>, member: &Arc<str>) {
        self.cancel_session(group, member);
        for timer in MemberTimer::ALL {
            self.timers.cancel(&TimerKey::member(group, member, timer));
        }
    }

    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.out)
    }

    pub(crate) fn reply(&mut self, token: Token, response: Response) {
        self.out.push(Action::Reply { token, response });
    }

    pub(crate) fn reply_join(&mut self, waiting: Waiting, mut response: JoinGroupResponse) {
        // Null came with version 7; older versions say it with an empty string (`JoinGroupResponse.java`).
        if waiting.version < 7 && response.protocol_name.is_none() {
            response.protocol_name = Some(String::new());
        }
        self.reply(waiting.token, Response::JoinGroup(response));
    }

    pub(crate) fn reply_join_error(&mut self, waiting: Waiting, member_id: &str, error: ErrorCode) {
        let response = JoinGroupResponse {
            error_code: error.code(),
            member_id: member_id.to_owned(),
            protocol_name: None,
            ..JoinGroupResponse::default()
        };
        self.reply_join(waiting, response);
    }

    pub(crate) fn reply_sync_error(&mut self, waiting: Waiting, error: ErrorCode) {
        let response = SyncGroupResponse {
            error_code: error.code(),
            ..Default::default()
        };
        self.reply(waiting.token, Response::SyncGroup(response));
    }

    /// As [`Core::append`], within a producer's transaction.
    pub(crate) fn append_transactional(
        &mut self,
        effect: Effect,
        reply: Option<(Token, Response)>,
        producer: TransactionalProducer,
        records: Result<Vec<CoordinatorRecord>, EncodeError>,
    ) -> CommitId {
        self.append_as(effect, reply, records, |commit, records| {
            Action::AppendTransactional {
                commit,
                producer,
                records,
            }
        })
    }

    /// Starts the append of a marker.
    pub(crate) fn append_marker(
        &mut self,
        effect: Effect,
        reply: Option<(Token, Response)>,
        marker: TransactionMarker,
    ) -> CommitId {
        let commit = self.begin_commit(effect, reply);
        self.out.push(Action::AppendMarker { commit, marker });
        commit
    }

    fn begin_commit(&mut self, effect: Effect, reply: Option<(Token, Response)>) -> CommitId {
        let commit = CommitId(self.next_commit);
        self.next_commit += 1;
        let pending = PendingCommit {
            effect,
            reply,
            followers: Vec::new(),
        };
        self.commits.insert(commit, pending);
        self.schedule(TimerKey::Commit(commit), self.config.commit_timeout);
        commit
    }

    /// Starts an append. `reply` is sent when it is durable, or as an error when it is not.
    ///
    /// Records that do not encode (a name too long for the record's format) make an append that fails as
    /// one that is too large does, before the call that started it returns.
    pub(crate) fn append(
        &mut self,
        effect: Effect,
        reply: Option<(Token, Response)>,
        records: Result<Vec<CoordinatorRecord>, EncodeError>,
    ) -> CommitId {
        self.append_as(effect, reply, records, |commit, records| Action::Append {
            commit,
            records,
        })
    }

    fn append_as(
        &mut self,
        effect: Effect,
        reply: Option<(Token, Response)>,
        records: Result<Vec<CoordinatorRecord>, EncodeError>,
        action: impl FnOnce(CommitId, Vec<CoordinatorRecord>) -> Action,
    ) -> CommitId {
        let commit = self.begin_commit(effect, reply);
        match records {
            Ok(records) => self.out.push(action(commit, records)),
            Err(error) => {
                tracing::warn!(%error, commit = commit.0, "coordinator records do not encode");
                self.unencodable.push(commit);
            }
        }
        commit
    }
}
