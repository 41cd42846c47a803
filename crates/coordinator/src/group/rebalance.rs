//! The transitions of a rebalance: prepare, complete the join phase, and the timers of both phases.
//!
//! Source: Kafka's `GroupMetadataManager` (`prepareRebalance`, `completeClassicGroupJoin`,
//! `tryCompleteInitialRebalanceElseSchedule`, `expirePendingSync`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wire::ErrorCode;
use wire::messages::{JoinGroupResponse, SyncGroupResponse};

use super::GroupState;
use super::classic::{ClassicGroup, JoinPhase};
use super::join::one;
use crate::action::{Response, Token};
use crate::record;
use crate::shard::core::Core;
use crate::shard::effect::Effect;
use crate::timer::TimerKey;

impl ClassicGroup {
    /// Starts a rebalance if the state allows one, else ends the join phase if it can end.
    pub(super) fn rebalance_or_complete_join(&mut self, core: &mut Core, reason: &str) {
        match self.state {
            GroupState::Stable | GroupState::CompletingRebalance | GroupState::Empty => {
                self.prepare_rebalance(core, reason);
            }
            GroupState::PreparingRebalance | GroupState::Dead => self.maybe_complete_join(core),
        }
    }

    /// Enters the join phase, and ends it at once if everyone has joined.
    pub(crate) fn prepare_rebalance(&mut self, core: &mut Core, reason: &str) {
        self.prepare_rebalance_for(core, reason, None);
    }

    /// As [`ClassicGroup::prepare_rebalance`]; `reply` is sent once what that writes is durable, at once if
    /// it writes nothing.
    pub(super) fn prepare_rebalance_for(
        &mut self,
        core: &mut Core,
        reason: &str,
        reply: Option<(Token, Response)>,
    ) {
        if self.state == GroupState::CompletingRebalance {
            self.reset_assignment(core, ErrorCode::RebalanceInProgress);
        }
        self.pending_sync.clear();
        core.timers.cancel(&self.sync_key());
        let initial = self.state == GroupState::Empty;
        self.transition(core, GroupState::PreparingRebalance);
        tracing::info!(group_id = %self.id, generation = self.generation, reason, "preparing to rebalance group");
        if !initial && self.has_all_joined() {
            self.complete_join(core, reply);
            return;
        }
        if initial {
            let delay = core.config.initial_rebalance_delay;
            let remaining = self.rebalance_timeout().saturating_sub(delay);
            self.wait_for_initial_members(core, delay, remaining);
        } else {
            self.wait_for_rejoins(core);
        }
        if let Some((token, response)) = reply {
            core.reply(token, response);
        }
    }

    /// Ends the join phase if everyone is there; the initial delay always runs its time.
    pub(super) fn maybe_complete_join(&mut self, core: &mut Core) {
        self.maybe_complete_join_for(core, None);
    }

    /// As [`ClassicGroup::maybe_complete_join`]; `reply` is sent once what that writes is durable, at once
    /// if it writes nothing.
    pub(super) fn maybe_complete_join_for(
        &mut self,
        core: &mut Core,
        reply: Option<(Token, Response)>,
    ) {
        let ready = self.state == GroupState::PreparingRebalance
            && self.previous_state != GroupState::Empty
            && self.has_all_joined();
        if ready {
            self.complete_join(core, reply);
        } else if let Some((token, response)) = reply {
            core.reply(token, response);
        }
    }

    /// The timer of the join phase.
    pub(crate) fn expire_join(&mut self, core: &mut Core) {
        if self.state != GroupState::PreparingRebalance {
            return;
        }
        match self.join_phase {
            JoinPhase::Initial { delay, remaining }
                if self.new_member_added && !remaining.is_zero() =>
            {
                self.new_member_added = false;
                let next = core.config.initial_rebalance_delay.min(remaining);
                self.wait_for_initial_members(core, next, remaining.saturating_sub(delay));
            }
            JoinPhase::Initial { .. } | JoinPhase::Rejoin => self.complete_join(core, None),
        }
    }

    /// Ends the join phase: members that did not come back are removed, static ones stay, and the next
    /// generation begins. `reply` is sent once what that writes is durable, at once if it writes nothing.
    pub(super) fn complete_join(&mut self, core: &mut Core, reply: Option<(Token, Response)>) {
        core.timers.cancel(&self.join_key());
        let gone: Vec<Arc<str>> = self
            .members
            .values()
            .filter(|member| member.awaiting_join.is_none() && !member.is_static())
            .map(|member| member.id.clone())
            .collect();
        for member_id in gone {
            tracing::info!(group_id = %self.id, %member_id, "removing member that did not rejoin");
            self.remove(core, &member_id);
        }
        if !self.elect_joined_leader() && !self.members.is_empty() {
            // Only static members are left, and none came: wait for one, or for their sessions to end.
            self.wait_for_rejoins(core);
        } else {
            self.init_next_generation(core);
            if self.state == GroupState::Empty {
                self.append_empty_generation(core, reply);
                return;
            }
            self.announce_generation(core);
        }
        if let Some((token, response)) = reply {
            core.reply(token, response);
        }
    }

    fn append_empty_generation(&self, core: &mut Core, reply: Option<(Token, Response)>) {
        tracing::info!(group_id = %self.id, generation = self.generation, "group is now empty");
        let value = self.to_record(|_| Bytes::new());
        let effect = Effect::EmptyGroup {
            group: self.id.clone(),
            incarnation: self.lifecycle.incarnation,
        };
        core.append(effect, reply, one(record::group_metadata(&self.id, &value)));
    }

    /// Answers every waiting JoinGroup and starts the sync phase.
    fn announce_generation(&mut self, core: &mut Core) {
        tracing::info!(
            group_id = %self.id, generation = self.generation, members = self.members.len(),
            "group has a new generation"
        );
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            if let Some(waiting) = self.take_awaiting_join_of(&id) {
                let members = if self.is_leader(&id) {
                    self.members_for_leader()
                } else {
                    Vec::new()
                };
                let response = JoinGroupResponse {
                    members,
                    ..self.join_response(&id)
                };
                core.reply_join(waiting, response);
            }
            if let Some(member) = self.members.get_mut(&id) {
                member.is_new = false;
                let timeout = member.session_timeout();
                core.schedule_session(&self.id, &id, timeout);
            }
            self.pending_sync.insert(id);
        }
        core.schedule(self.sync_key(), self.rebalance_timeout());
    }

    /// The timer of the sync phase: members that joined and never synced are removed.
    pub(crate) fn expire_sync(&mut self, core: &mut Core) {
        let running = matches!(
            self.state,
            GroupState::CompletingRebalance | GroupState::Stable
        );
        if !running || self.pending_sync.is_empty() {
            return;
        }
        for member_id in std::mem::take(&mut self.pending_sync) {
            tracing::info!(group_id = %self.id, %member_id, "removing member that did not sync");
            self.remove(core, &member_id);
        }
        self.prepare_rebalance(
            core,
            "members sent no SyncGroup within the rebalance timeout",
        );
    }

    /// Forgets the assignment of this generation; every waiting SyncGroup gets `error`.
    pub(super) fn reset_assignment(&mut self, core: &mut Core, error: ErrorCode) {
        self.assignment_pending = false;
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
        }
        self.propagate_assignment(core, error);
    }

    /// Answers every waiting SyncGroup and gives those members a full session: their timers may have
    /// fired, without effect, while they waited.
    pub(super) fn propagate_assignment(&mut self, core: &mut Core, error: ErrorCode) {
        let named = !error.is_error();
        let mut answered = Vec::new();
        for member in self.members.values_mut() {
            let Some(waiting) = member.awaiting_sync.take() else {
                continue;
            };
            let response = SyncGroupResponse {
                error_code: error.code(),
                protocol_type: self.protocol_type.clone().filter(|_| named),
                protocol_name: self.protocol_name.clone().filter(|_| named),
                assignment: member.assignment.clone(),
                ..SyncGroupResponse::default()
            };
            core.reply(waiting.token, Response::SyncGroup(response));
            answered.push((member.id.clone(), member.session_timeout()));
        }
        for (id, timeout) in answered {
            core.schedule_session(&self.id, &id, timeout);
        }
    }

    pub(super) fn sync_key(&self) -> TimerKey {
        TimerKey::Sync(self.id.clone())
    }

    fn wait_for_initial_members(&mut self, core: &mut Core, delay: Duration, remaining: Duration) {
        self.join_phase = JoinPhase::Initial { delay, remaining };
        core.schedule(self.join_key(), delay);
    }

    fn wait_for_rejoins(&mut self, core: &mut Core) {
        self.join_phase = JoinPhase::Rejoin;
        core.schedule(self.join_key(), self.rebalance_timeout());
    }
}
