//! The steps of a heartbeat: from a member as it is now to the records that say so.
//!
//! A plan reads the group and collects records; nothing changes before those are written. Source: Kafka's
//! `GroupMetadataManager.streamsGroupHeartbeat` and what it calls, 4.3.

use std::collections::BTreeMap;
use std::sync::Arc;

use wire::ErrorCode;
use wire::messages::streams_group_heartbeat_request as request;
use wire::messages::streams_group_heartbeat_response as response;

use super::configured::ConfiguredTopology;
use super::group::StreamsGroup;
use super::internal_topics::Status;
use super::member::Member;
use super::reconcile::Reconciliation;
use super::records::{GroupMetadata, StreamsRecord};
use super::target::Target;
use super::tasks::{TaskSet, Tasks, each};
use super::topology::Topology;
use crate::cluster::{ClusterView, StreamsSettings};
use crate::consumer::Failure;
use crate::consumer::member::MemberState;
use crate::consumer::metadata_hash;
use crate::revocation::RebalanceTimer;

/// The assignment configs by Kafka's names: how many standby replicas, and the tags they are spread by.
const STANDBY_REPLICAS: &str = "num.standby.replicas";
const RACK_AWARE_TAGS: &str = "rack.aware.assignment.tags";

/// A change of a group in the making.
pub(super) struct Plan<'a> {
    pub(super) group: &'a StreamsGroup,
    pub(super) cluster: &'a dyn ClusterView,
    pub(super) settings: StreamsSettings,
    pub(super) now_ms: i64,
    /// The first assignment of the group waits for more members.
    pub(super) initial_delay: bool,
    pub(super) records: Vec<StreamsRecord>,
    pub(super) status: Vec<response::Status>,
    /// The group's epoch as it will be.
    pub(super) epoch: i32,
    pub(super) timer: RebalanceTimer,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        group: &'a StreamsGroup,
        cluster: &'a dyn ClusterView,
        settings: StreamsSettings,
        now_ms: i64,
        initial_delay: bool,
    ) -> Plan<'a> {
        Plan {
            group,
            cluster,
            settings,
            now_ms,
            initial_delay,
            records: Vec::new(),
            status: Vec::new(),
            epoch: group.metadata.epoch,
            timer: RebalanceTimer::Keep,
        }
    }

    pub(super) fn tell(&mut self, status: Status, detail: impl Into<String>) {
        self.status.push(response::Status {
            status_code: status.code(),
            status_detail: detail.into(),
        });
    }

    /// Puts `member`, a copy under a new id, in the place of the static member `old`.
    pub(super) fn replace_static_member(&mut self, old: &Member, member: &Member) {
        self.records
            .extend(StreamsRecord::of_removed_member(&old.id));
        let target = self.group.target.get(&old.id).cloned().unwrap_or_default();
        self.records.extend([
            StreamsRecord::Member(member.id.clone(), Some(member.metadata.clone())),
            StreamsRecord::Target(member.id.clone(), Some(target)),
            StreamsRecord::Current(member.id.clone(), Some(member.current.clone())),
        ]);
    }

    /// Writes down what changed about a member; whether the group has to be assigned anew for that.
    ///
    /// Of a static member only what the assignment depends on counts, so that it can come back from another address
    /// without a rebalance (KAFKA-20169); of any other member everything does.
    pub(super) fn update_member(&mut self, old: &Member, updated: &Member, is_new: bool) -> bool {
        if !is_new && old.metadata == updated.metadata {
            return false;
        }
        self.records.push(StreamsRecord::Member(
            updated.id.clone(),
            Some(updated.metadata.clone()),
        ));
        let is_static = updated.metadata.instance_id.is_some();
        is_new || !is_static || !old.metadata.is_assigned_like(&updated.metadata)
    }

    /// The group's topology: that of the first member, which all later ones have to have too.
    ///
    /// # Errors
    /// INVALID_REQUEST for another topology of the same or a later epoch; STREAMS_INVALID_TOPOLOGY.
    pub(super) fn update_topology(
        &mut self,
        requested: Option<&request::Topology>,
    ) -> Result<Arc<Topology>, Failure> {
        let current = self.group.topology.as_ref();
        let Some(requested) = requested else {
            return current
                .cloned()
                .ok_or_else(|| ErrorCode::UnknownServerError.into());
        };
        if let Some(current) = current
            && current.epoch > requested.epoch
        {
            return Ok(Arc::clone(current));
        }
        let requested = Topology::from_request(requested)?;
        match current {
            Some(current) if **current == requested => Ok(Arc::clone(current)),
            Some(_) => Err(Failure::new(
                ErrorCode::InvalidRequest,
                "Topology updates are not supported yet.",
            )),
            None => {
                let requested = Arc::new(requested);
                let record = StreamsRecord::Topology(Some(Arc::clone(&requested)));
                self.records.push(record);
                Ok(requested)
            }
        }
    }

    /// Tells a member that others run a later topology.
    pub(super) fn check_staleness(&mut self, member: &Member) {
        let Some(topology) = &self.group.topology else {
            return;
        };
        let (own, epoch) = (member.metadata.topology_epoch, topology.epoch);
        if own < epoch {
            self.tell(
                Status::StaleTopology,
                format!(
                    "The member's topology epoch {own} is behind the group's topology epoch {epoch}."
                ),
            );
        }
    }

    /// The topology with the topics there are, the hash of those, and whether that hash is new.
    ///
    /// # Errors
    /// STREAMS_INVALID_TOPOLOGY.
    pub(super) fn configure(
        &self,
        topology: &Topology,
    ) -> Result<(Arc<ConfiguredTopology>, i64, bool), Failure> {
        let known = self.group.metadata.metadata_hash;
        let configured = self.group.configured.as_ref();
        if let Some(configured) = configured
            && !self.group.refresh_due
        {
            return Ok((Arc::clone(configured), known, false));
        }
        let required = topology.required_topics().into_iter();
        let existing = required.filter(|topic| self.cluster.topic(topic).is_some());
        let hash = metadata_hash::of_topics(self.cluster, existing);
        match configured {
            Some(configured) if hash == known => Ok((Arc::clone(configured), hash, false)),
            _ => {
                let configured = Arc::new(ConfiguredTopology::new(topology, self.cluster)?);
                tracing::info!(
                    group_id = %self.group.id, topology_epoch = topology.epoch, ready = configured.is_ready(),
                    problem = configured.problem.as_ref().map(|problem| problem.detail.as_str()),
                    "configured the topology of a streams group"
                );
                Ok((configured, hash, hash != known))
            }
        }
    }

    /// Refuses tasks that do not exist.
    ///
    /// # Errors
    /// INVALID_REQUEST.
    pub(super) fn check_tasks(
        topology: &ConfiguredTopology,
        reported: Option<&Tasks>,
    ) -> Result<(), Failure> {
        let Some(reported) = reported.filter(|_| topology.is_ready()) else {
            return Ok(());
        };
        let check = |tasks: &TaskSet| {
            for (id, partition) in each(tasks) {
                let subtopologies = topology.subtopologies.as_ref();
                let tasks = subtopologies
                    .and_then(|subtopologies| subtopologies.get(id))
                    .map(|subtopology| subtopology.tasks);
                let message = match tasks {
                    None => format!("Subtopology {id} does not exist in the topology."),
                    Some(tasks) if (0..tasks).contains(&partition) => continue,
                    Some(tasks) => format!(
                        "Task {partition} for subtopology {id} is invalid. Number of tasks for this subtopology: \
                         {tasks}"
                    ),
                };
                return Err(Failure::new(ErrorCode::InvalidRequest, message));
            }
            Ok(())
        };
        check(&reported.active)?;
        check(&reported.standby)?;
        check(&reported.warmup)
    }

    /// Moves the group to its next epoch if `bump` says so, other topics are validated, or the assignor is to be
    /// told something else.
    pub(super) fn update_epoch(&mut self, bump: bool, hash: i64, topology: &ConfiguredTopology) {
        let before = &self.group.metadata;
        let validated = match topology.is_ready() {
            true => topology.epoch,
            false => -1,
        };
        let mut configs = BTreeMap::from([(
            STANDBY_REPLICAS.to_owned(),
            self.settings.standby_replicas.to_string(),
        )]);
        if !self.settings.rack_aware_tags.is_empty() {
            let tags = self.settings.rack_aware_tags.join(",");
            configs.insert(RACK_AWARE_TAGS.to_owned(), tags);
        }
        let unchanged =
            validated == before.validated_topology_epoch && configs == before.assignment_configs;
        if !bump && unchanged {
            return;
        }
        self.epoch = before.epoch.saturating_add(1);
        tracing::info!(
            group_id = %self.group.id, epoch = self.epoch, metadata_hash = hash,
            validated_topology_epoch = validated, "streams group epoch"
        );
        self.records.push(StreamsRecord::Group(Some(GroupMetadata {
            epoch: self.epoch,
            metadata_hash: hash,
            validated_topology_epoch: validated,
            assignment_configs: configs,
            description_epochs: before.description_epochs,
        })));
    }

    /// The target assignment that `updated` is reconciled to, with its epoch: a new one when the group is at a later
    /// epoch than the last, unless that is younger than the assignment interval or the group still waits for members.
    pub(super) fn target(
        &mut self,
        updated: &Member,
        topology: &ConfiguredTopology,
    ) -> (i32, Arc<Tasks>) {
        let group = self.group;
        if self.initial_delay {
            self.tell(
                Status::AssignmentDelayed,
                "Assignment delayed due to the configured initial rebalance delay.",
            );
            return (group.assignment_epoch, Arc::default());
        }
        if group.assignment_epoch < self.epoch && !self.is_assignment_delayed() {
            let target = Target {
                group,
                topology,
                updated: Some(updated),
                settings: &self.settings,
                epoch: self.epoch,
                now_ms: self.now_ms,
            };
            let (records, own) = target.compute();
            self.records.extend(records);
            return (self.epoch, own);
        }
        if group.assignment_epoch < self.epoch {
            self.tell(
                Status::AssignmentDelayed,
                "Assignment delayed due to the configured assignment interval.",
            );
        }
        let instance = updated.metadata.instance_id.as_deref();
        (
            group.assignment_epoch,
            group.target_of(&updated.id, instance),
        )
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
        (target_epoch, target): (i32, &Tasks),
        reported: Option<&Tasks>,
    ) -> Result<(), Failure> {
        let reconciliation = Reconciliation {
            group: self.group,
            member,
            target_epoch,
            target,
            reported,
        };
        let Some(next) = reconciliation.run()? else {
            return Ok(());
        };
        self.timer = match next.state {
            MemberState::UnrevokedPartitions => RebalanceTimer::Set,
            _ => RebalanceTimer::Cancel,
        };
        member.current = next;
        self.records.push(StreamsRecord::Current(
            member.id.clone(),
            Some(member.current.clone()),
        ));
        Ok(())
    }
}
