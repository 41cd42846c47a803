//! Checks of a StreamsGroupHeartbeat that look at nothing but the request. Source: Kafka's
//! `GroupCoordinatorService.throwIfStreamsGroupHeartbeatRequestIsInvalid`, 4.3, and what 4.4 has lifted of
//! `throwIfStreamsGroupHeartbeatRequestIsUsingUnsupportedFeatures`.

use wire::ErrorCode;
use wire::messages::StreamsGroupHeartbeatRequest;
use wire::messages::streams_group_heartbeat_request::{TaskIds, Topology};

use crate::consumer::Failure;
use crate::consumer::member::{JOIN_EPOCH, STATIC_LEAVE_EPOCH};

/// Whether the request makes sense.
///
/// # Errors
/// INVALID_REQUEST, and STREAMS_INVALID_TOPOLOGY for a changelog topic with a fixed number of partitions.
pub(super) fn check(request: &StreamsGroupHeartbeatRequest) -> Result<(), Failure> {
    // A text that is there must not be blank.
    let text = |value: Option<&str>| value.is_none_or(|value| !value.trim().is_empty());
    let subtopologies = request
        .topology
        .iter()
        .flat_map(|topology| &topology.subtopologies);
    let mut patterns = subtopologies.flat_map(|subtopology| &subtopology.source_topic_regex);
    require(
        patterns.next().is_none(),
        "Regular expressions for source topics are not supported yet.",
    )?;
    require(text(Some(&request.member_id)), "MemberId can't be empty.")?;
    require(text(Some(&request.group_id)), "GroupId can't be empty.")?;
    require(
        text(request.instance_id.as_deref()),
        "InstanceId can't be empty.",
    )?;
    require(text(request.rack_id.as_deref()), "RackId can't be empty.")?;
    let epoch = request.member_epoch;
    if epoch == JOIN_EPOCH {
        check_join(request)?;
    } else if epoch == STATIC_LEAVE_EPOCH {
        require(request.instance_id.is_some(), "InstanceId can't be null.")?;
    } else if epoch < STATIC_LEAVE_EPOCH {
        return Err(Failure::new(
            ErrorCode::InvalidRequest,
            format!("MemberEpoch is {epoch}, but must be greater than or equal to -2."),
        ));
    }
    let roles = [
        &request.active_tasks,
        &request.standby_tasks,
        &request.warmup_tasks,
    ];
    let given = roles.into_iter().filter(|tasks| tasks.is_some()).count();
    require(
        given == 0 || given == roles.len(),
        "If one task-type is non-null, all must be non-null.",
    )?;
    require(
        epoch == JOIN_EPOCH || request.topology.is_none(),
        "Topology can only be provided when (re-)joining.",
    )
}

fn check_join(request: &StreamsGroupHeartbeatRequest) -> Result<(), Failure> {
    require(
        request.rebalance_timeout_ms != -1,
        "RebalanceTimeoutMs must be provided in first request.",
    )?;
    let none = |tasks: &Option<Vec<TaskIds>>| tasks.as_ref().is_some_and(Vec::is_empty);
    let roles = [
        ("ActiveTasks", &request.active_tasks),
        ("StandbyTasks", &request.standby_tasks),
        ("WarmupTasks", &request.warmup_tasks),
    ];
    for (name, tasks) in roles {
        let message = format!("{name} must be empty when (re-)joining.");
        require(none(tasks), &message)?;
    }
    require(
        request.topology.is_some(),
        "Topology must be non-null when (re-)joining.",
    )?;
    request.topology.as_ref().map_or(Ok(()), check_changelogs)
}

fn check_changelogs(topology: &Topology) -> Result<(), Failure> {
    let subtopologies = topology.subtopologies.iter();
    let mut changelogs = subtopologies.flat_map(|subtopology| &subtopology.state_changelog_topics);
    match changelogs.find(|topic| topic.partitions != 0) {
        None => Ok(()),
        Some(topic) => Err(Failure::new(
            ErrorCode::StreamsInvalidTopology,
            format!(
                "Changelog topic {} must have an undefined partition count, but it is set to {}.",
                topic.name, topic.partitions
            ),
        )),
    }
}

fn require(holds: bool, message: &str) -> Result<(), Failure> {
    match holds {
        true => Ok(()),
        false => Err(Failure::new(ErrorCode::InvalidRequest, message)),
    }
}
