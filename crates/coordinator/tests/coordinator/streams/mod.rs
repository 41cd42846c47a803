//! Streams groups of KIP-1071: requests as short as a test wants them.

mod heartbeat;
mod log;
mod offsets;
mod simulation;
mod static_members;
mod topics;

use std::time::Duration;

use coordinator::{GroupConfig, Response, StreamsHeartbeat, Token};
use wire::messages::StreamsGroupHeartbeatRequest;
use wire::messages::streams_group_describe_response::{Assignment, DescribedGroup};
use wire::messages::streams_group_heartbeat_request::{
    KeyValue, Subtopology, TaskIds, TopicInfo, Topology,
};
use wire::messages::streams_group_heartbeat_response::TaskIds as AssignedTasks;

use crate::harness::{Bench, code, context};

/// What a heartbeat says of tasks: active, then standby.
pub(crate) type Owned<'a> = (&'a [(&'a str, &'a [i32])], &'a [(&'a str, &'a [i32])]);

/// A heartbeat that says nothing new.
pub(crate) fn beat(member: &str, epoch: i32) -> StreamsGroupHeartbeatRequest {
    StreamsGroupHeartbeatRequest {
        group_id: "g".into(),
        member_id: member.into(),
        member_epoch: epoch,
        ..StreamsGroupHeartbeatRequest::default()
    }
}

/// A first heartbeat, of a process named as the member: 60 s rebalance timeout, nothing owned.
pub(crate) fn enter(member: &str, topology: &Topology) -> StreamsGroupHeartbeatRequest {
    StreamsGroupHeartbeatRequest {
        rebalance_timeout_ms: 60_000,
        topology: Some(topology.clone()),
        active_tasks: Some(Vec::new()),
        standby_tasks: Some(Vec::new()),
        warmup_tasks: Some(Vec::new()),
        process_id: Some(format!("p-{member}")),
        ..beat(member, 0)
    }
}

/// A heartbeat with the tasks the member has.
pub(crate) fn owning(member: &str, epoch: i32, owned: Owned<'_>) -> StreamsGroupHeartbeatRequest {
    let ids = |tasks: &[(&str, &[i32])]| {
        let tasks = tasks.iter().map(|(subtopology, partitions)| TaskIds {
            subtopology_id: (*subtopology).into(),
            partitions: partitions.to_vec(),
        });
        Some(tasks.collect())
    };
    StreamsGroupHeartbeatRequest {
        active_tasks: ids(owned.0),
        standby_tasks: ids(owned.1),
        warmup_tasks: Some(Vec::new()),
        ..beat(member, epoch)
    }
}

/// A subtopology that reads these topics.
pub(crate) fn reads(id: &str, sources: &[&str]) -> Subtopology {
    Subtopology {
        subtopology_id: id.into(),
        source_topics: sources.iter().map(|topic| (*topic).to_owned()).collect(),
        ..Subtopology::default()
    }
}

/// An internal topic whose number of partitions the topology fixes, or leaves open with 0.
pub(crate) fn internal(name: &str, partitions: i32) -> TopicInfo {
    TopicInfo {
        name: name.into(),
        partitions,
        replication_factor: 0,
        topic_configs: vec![KeyValue {
            key: "cleanup.policy".into(),
            value: "compact".into(),
        }],
    }
}

pub(crate) fn topology(subtopologies: Vec<Subtopology>) -> Topology {
    Topology {
        epoch: 0,
        subtopologies,
    }
}

/// One subtopology `0` that reads `t`, without state.
pub(crate) fn stateless() -> Topology {
    topology(vec![reads("0", &["t"])])
}

/// Subtopology `0` reads `t` and writes `r`, subtopology `1` reads `r` and keeps state in `c`.
pub(crate) fn word_count() -> Topology {
    let mut split = reads("0", &["t"]);
    split.repartition_sink_topics = vec!["r".into()];
    let mut count = reads("1", &[]);
    count.repartition_source_topics = vec![internal("r", 0)];
    count.state_changelog_topics = vec![internal("c", 0)];
    topology(vec![split, count])
}

/// A shard whose streams groups do not wait for members.
pub(crate) fn prompt() -> Bench {
    let mut config = GroupConfig::default();
    config.streams.settings.initial_rebalance_delay = Duration::ZERO;
    Bench::with(config)
}

impl Bench {
    pub(crate) fn send_streams(&mut self, request: &StreamsGroupHeartbeatRequest) -> Token {
        let token = self.token();
        let actions = self
            .shard
            .streams_group_heartbeat(token, &context(1), request);
        self.run(actions);
        token
    }

    pub(crate) fn streams_answer(&mut self, token: Token) -> StreamsHeartbeat {
        match self.response(token) {
            Response::StreamsGroupHeartbeat(answer) => *answer,
            other => panic!("not a StreamsGroupHeartbeat response: {other:?}"),
        }
    }

    pub(crate) fn answered_streams(
        &mut self,
        request: &StreamsGroupHeartbeatRequest,
    ) -> StreamsHeartbeat {
        let token = self.send_streams(request);
        self.streams_answer(token)
    }

    /// The answer as text: `epoch 0[0, 1] + 1[0]` with active and standby tasks, `epoch -` without, then the codes of
    /// the status; or the error.
    pub(crate) fn streams(&mut self, request: &StreamsGroupHeartbeatRequest) -> String {
        let answer = self.answered_streams(request);
        show(&answer)
    }

    pub(crate) fn described_streams(&self) -> DescribedGroup {
        self.shard.describe_streams_group("g", false)
    }

    /// `state group-epoch/assignment-epoch`, then `member@epoch assignment -> target` for each.
    pub(crate) fn streams_state(&self) -> String {
        let described = self.described_streams();
        if described.error_code != 0 {
            return code(described.error_code).name().into();
        }
        let mut shown = vec![format!(
            "{} {}/{}",
            described.group_state, described.group_epoch, described.assignment_epoch
        )];
        shown.extend(described.members.iter().map(|member| {
            let tasks = |assignment: &Assignment| {
                let ids = |tasks: &[wire::messages::streams_group_describe_response::TaskIds]| {
                    let tasks: Vec<String> = tasks
                        .iter()
                        .map(|task| format!("{}{:?}", task.subtopology_id, task.partitions))
                        .collect();
                    tasks.join(" ")
                };
                let active = ids(&assignment.active_tasks);
                match assignment.standby_tasks.is_empty() {
                    true => active,
                    false => format!("{active} + {}", ids(&assignment.standby_tasks)),
                }
            };
            let (has, shall) = (&member.assignment, &member.target_assignment);
            let at = format!("{}@{}", member.member_id, member.member_epoch);
            if has == shall {
                format!("{at} {}", tasks(has))
            } else {
                format!("{at} {} -> {}", tasks(has), tasks(shall))
            }
        }));
        shown.join("; ")
    }

    /// Two members, stable, with the four tasks of subtopology `0` between them.
    pub(crate) fn streams_pair(&mut self) {
        self.topic("t", 4);
        assert_eq!(self.streams(&enter("a", &stateless())), "2 0[0, 1, 2, 3]");
        self.advance(1_000);
        assert_eq!(self.streams(&enter("b", &stateless())), "3");
        assert_eq!(self.streams(&beat("a", 2)), "2 0[0, 1]");
        assert_eq!(
            self.streams(&owning("a", 2, (&[("0", &[0, 1])], &[]))),
            "3 -"
        );
        assert_eq!(self.streams(&beat("b", 3)), "3 0[2, 3]");
        assert_eq!(self.streams_state(), "Stable 3/3; a@3 0[0, 1]; b@3 0[2, 3]");
        self.advance(1_000);
    }
}

pub(crate) fn show(answer: &StreamsHeartbeat) -> String {
    let response = &answer.response;
    if response.error_code != 0 {
        return code(response.error_code).name().into();
    }
    let ids = |tasks: &[AssignedTasks]| {
        let tasks: Vec<String> = tasks
            .iter()
            .map(|task| format!("{}{:?}", task.subtopology_id, task.partitions))
            .collect();
        tasks.join(" ")
    };
    let tasks = match (&response.active_tasks, &response.standby_tasks) {
        (None, _) => "-".into(),
        (Some(active), Some(standby)) if !standby.is_empty() => {
            format!("{} + {}", ids(active), ids(standby))
        }
        (Some(active), _) => ids(active),
    };
    let codes = response.status.iter().flatten();
    let codes: Vec<String> = codes
        .map(|status| match status.status_code {
            0 => "STALE_TOPOLOGY",
            1 => "MISSING_SOURCE_TOPICS",
            2 => "INCORRECTLY_PARTITIONED_TOPICS",
            3 => "MISSING_INTERNAL_TOPICS",
            4 => "SHUTDOWN_APPLICATION",
            5 => "ASSIGNMENT_DELAYED",
            _ => "?",
        })
        .map(str::to_owned)
        .collect();
    format!("{} {tasks} {}", response.member_epoch, codes.join(" "))
        .trim_end()
        .into()
}

/// The details of the status, in order.
pub(crate) fn details(answer: &StreamsHeartbeat) -> Vec<&str> {
    let status = answer.response.status.iter().flatten();
    status.map(|status| status.status_detail.as_str()).collect()
}
