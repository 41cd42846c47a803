//! Which of several instances writes: an election by Kafka's group protocol.
//!
//! The instances of a registry are members of one group (`schema.registry.group.id`) of the protocol type `sr`. The
//! member that the group calls its leader computes who is to write, and every member is told ([`protocol`]); Confluent's
//! registries elect in the same way, so both kinds may be members of one group. An instance that dies is missed after
//! the session timeout, and the next one is elected.
//!
//! The election is a hint, not a lock: [`crate::log`] says why nothing depends on it but progress.
//!
//! **Lifecycle:** [`Elector::run`] ends when it is told to, and leaves the group then, so that the others need not wait.

pub mod protocol;

use std::sync::Arc;
use std::time::Duration;

use base::ErrorChain;
use bytes::Bytes;
use client::{Admin, ClientError, Connection};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wire::ErrorCode;
use wire::messages::join_group_request::JoinGroupRequestProtocol;
use wire::messages::leave_group_request::MemberIdentity;
use wire::messages::sync_group_request::SyncGroupRequestAssignment;
use wire::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
};

use crate::log::Writer;
use crate::metrics;
use crate::service::Leadership;
use protocol::{Assignment, Identity};

const PROTOCOL_TYPE: &str = "sr";
const PROTOCOL: &str = "v0";
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
const REBALANCE_TIMEOUT: Duration = Duration::from_secs(10);
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(200);

/// A member of the group.
#[derive(Debug)]
pub struct Elector {
    admin: Admin,
    group_id: String,
    identity: Identity,
    writers: Vec<Arc<dyn Writer>>,
    leadership: watch::Sender<Leadership>,
    member_id: String,
}

/// Why a membership ended; the next one starts from here.
#[derive(Debug, thiserror::Error)]
enum Left {
    #[error("the group's coordinator does not answer")]
    Client(#[from] ClientError),
    #[error("{api} was answered with {}", ErrorCode::from_code(*.code).map_or("an unknown error code", ErrorCode::name))]
    Refused { api: &'static str, code: i16 },
    #[error("a heartbeat was not answered for {} ms", SESSION_TIMEOUT.as_millis())]
    Silent,
    #[error("the assignment is not what the protocol says")]
    Assignment(#[from] serde_json::Error),
}

/// A generation that this instance is a member of.
struct Membership {
    coordinator: Connection,
    generation_id: i32,
}

impl Elector {
    /// A member that has not joined yet; what it learns goes to `leadership`, and to the `writers` of all topics.
    #[must_use]
    pub fn new(
        admin: Admin,
        group_id: String,
        identity: Identity,
        writers: Vec<Arc<dyn Writer>>,
        leadership: watch::Sender<Leadership>,
    ) -> Self {
        Self {
            admin,
            group_id,
            identity,
            writers,
            leadership,
            member_id: String::new(),
        }
    }

    /// Takes part until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut last = None;
        while !stop.is_cancelled() {
            let joined = tokio::select! {
                () = stop.cancelled() => break,
                joined = self.join() => joined,
            };
            let left = match joined {
                Ok(membership) => {
                    last = Some(membership.coordinator.clone());
                    self.stay(&membership, &stop).await
                }
                Err(left) => left,
            };
            match left {
                Left::Refused { code, .. } if code == ErrorCode::RebalanceInProgress as i16 => {}
                _ if stop.is_cancelled() => {}
                left => {
                    tracing::warn!(
                        group_id = self.group_id,
                        error = %ErrorChain(&left),
                        "not a member of the registry's group; joining again"
                    );
                    self.follow(Leadership::Unknown);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        self.follow(Leadership::Unknown);
        if let Some(coordinator) = last {
            self.leave(&coordinator).await;
        }
    }

    /// Joins, and is told who writes.
    async fn join(&mut self) -> Result<Membership, Left> {
        let coordinator = self.admin.group_coordinator(&self.group_id).await?;
        let joined = self.join_group(&coordinator).await?;
        self.member_id.clone_from(&joined.member_id);
        let is_group_leader = joined.leader == joined.member_id;
        let assignments = if is_group_leader {
            metrics::nodes(joined.members.len());
            assign(&joined)
        } else {
            Vec::new()
        };
        let request = SyncGroupRequest {
            group_id: self.group_id.clone(),
            generation_id: joined.generation_id,
            member_id: self.member_id.clone(),
            protocol_type: Some(PROTOCOL_TYPE.to_owned()),
            protocol_name: Some(PROTOCOL.to_owned()),
            assignments,
            ..SyncGroupRequest::default()
        };
        let synced = coordinator.send(&request).await?;
        check("SyncGroup", synced.error_code)?;
        self.obey(&Assignment::decode(&synced.assignment)?);
        Ok(Membership {
            coordinator,
            generation_id: joined.generation_id,
        })
    }

    async fn join_group(&mut self, coordinator: &Connection) -> Result<JoinGroupResponse, Left> {
        let metadata = Bytes::from(self.identity.encode());
        loop {
            let request = JoinGroupRequest {
                group_id: self.group_id.clone(),
                session_timeout_ms: millis(SESSION_TIMEOUT),
                rebalance_timeout_ms: millis(REBALANCE_TIMEOUT),
                member_id: self.member_id.clone(),
                protocol_type: PROTOCOL_TYPE.to_owned(),
                protocols: vec![JoinGroupRequestProtocol {
                    name: PROTOCOL.to_owned(),
                    metadata: metadata.clone(),
                }],
                ..JoinGroupRequest::default()
            };
            let joined = coordinator.send(&request).await?;
            match ErrorCode::from_code(joined.error_code) {
                Some(ErrorCode::None) => return Ok(joined),
                Some(ErrorCode::MemberIdRequired) => self.member_id = joined.member_id,
                code => {
                    if code == Some(ErrorCode::UnknownMemberId) {
                        self.member_id.clear();
                    }
                    check("JoinGroup", joined.error_code)?;
                }
            }
        }
    }

    fn obey(&mut self, assignment: &Assignment) {
        if assignment.error != 0 {
            tracing::error!(
                url = self.identity.url(),
                "several instances of the registry have one URL; set host.name to a name of each's own"
            );
        }
        let leadership = match &assignment.master_identity {
            None => Leadership::Unknown,
            Some(_) if assignment.master.as_deref() == Some(&self.member_id) => Leadership::Here,
            Some(leader) => Leadership::At(leader.url()),
        };
        self.follow(leadership);
    }

    fn follow(&mut self, leadership: Leadership) {
        let is_here = leadership == Leadership::Here;
        metrics::leads(is_here);
        self.identity.leader = is_here;
        for writer in &self.writers {
            if is_here {
                writer.lead();
            } else {
                writer.step_down();
            }
        }
        let changed = self.leadership.send_if_modified(|current| {
            let changed = *current != leadership;
            current.clone_from(&leadership);
            changed
        });
        if changed {
            tracing::info!(
                group_id = self.group_id,
                ?leadership,
                "who writes to the registry"
            );
        }
    }

    /// Beats until the group rebalances, the membership is lost, or this instance is deposed.
    async fn stay(&mut self, membership: &Membership, stop: &CancellationToken) -> Left {
        let rejoin = Left::Refused {
            api: "Heartbeat",
            code: ErrorCode::RebalanceInProgress as i16,
        };
        loop {
            let writers = self.writers.clone();
            let deposed = writers.iter().map(|writer| writer.deposed());
            tokio::select! {
                () = stop.cancelled() => return rejoin,
                _ = futures::future::select_all(deposed) => {
                    self.follow(Leadership::Unknown);
                    return rejoin;
                }
                () = tokio::time::sleep(HEARTBEAT_INTERVAL) => {}
            }
            let request = HeartbeatRequest {
                group_id: self.group_id.clone(),
                generation_id: membership.generation_id,
                member_id: self.member_id.clone(),
                ..HeartbeatRequest::default()
            };
            let beat = membership.coordinator.send(&request);
            let beat = match tokio::time::timeout(SESSION_TIMEOUT, beat).await {
                Ok(Ok(beat)) => beat,
                Ok(Err(error)) => return Left::Client(error),
                // The group has given this member up by now.
                Err(_) => return Left::Silent,
            };
            if let Err(left) = check("Heartbeat", beat.error_code) {
                if beat.error_code == ErrorCode::UnknownMemberId as i16 {
                    self.member_id.clear();
                }
                return left;
            }
        }
    }

    async fn leave(&self, coordinator: &Connection) {
        let request = LeaveGroupRequest {
            group_id: self.group_id.clone(),
            member_id: self.member_id.clone(),
            members: vec![MemberIdentity {
                member_id: self.member_id.clone(),
                reason: Some("the registry is shutting down".to_owned()),
                ..MemberIdentity::default()
            }],
        };
        let version = match coordinator.version_of::<LeaveGroupRequest>() {
            Ok(version) => version,
            Err(_) => return,
        };
        // Before version 3 there is one member, later a list.
        let request = if version >= 3 {
            LeaveGroupRequest {
                member_id: String::new(),
                ..request
            }
        } else {
            LeaveGroupRequest {
                members: Vec::new(),
                ..request
            }
        };
        let left = tokio::time::timeout(HEARTBEAT_INTERVAL, coordinator.send(&request)).await;
        if !matches!(left, Ok(Ok(_))) {
            tracing::debug!("the group was not told; it will find out by the session timeout");
        }
    }
}

/// The same assignment for all members.
fn assign(joined: &JoinGroupResponse) -> Vec<SyncGroupRequestAssignment> {
    let members: Vec<(String, Identity)> = joined
        .members
        .iter()
        .filter_map(|member| {
            let identity = Identity::decode(&member.metadata);
            if identity.is_err() {
                tracing::warn!(
                    member_id = member.member_id,
                    "a member that cannot be read is passed over"
                );
            }
            Some((member.member_id.clone(), identity.ok()?))
        })
        .collect();
    let assignment = Bytes::from(protocol::elect(&members).encode());
    joined
        .members
        .iter()
        .map(|member| SyncGroupRequestAssignment {
            member_id: member.member_id.clone(),
            assignment: assignment.clone(),
        })
        .collect()
}

fn check(api: &'static str, code: i16) -> Result<(), Left> {
    if code == ErrorCode::None as i16 {
        Ok(())
    } else {
        Err(Left::Refused { api, code })
    }
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
