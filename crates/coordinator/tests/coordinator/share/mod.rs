//! Share groups of KIP-932: requests as short as a test wants them.

mod heartbeat;
mod simulation;
mod states;

use coordinator::share_group::{ShareHeartbeat, SharePartitions, ShareStates};
use coordinator::{Response, Token};
use wire::ErrorCode;
use wire::messages::ShareGroupHeartbeatRequest;

use crate::harness::{Bench, code, context};

/// A heartbeat that says nothing new.
pub(crate) fn beat(group: &str, member: &str, epoch: i32) -> ShareGroupHeartbeatRequest {
    ShareGroupHeartbeatRequest {
        group_id: group.into(),
        member_id: member.into(),
        member_epoch: epoch,
        ..ShareGroupHeartbeatRequest::default()
    }
}

/// A first heartbeat.
pub(crate) fn enter(group: &str, member: &str, topics: &[&str]) -> ShareGroupHeartbeatRequest {
    wanting(beat(group, member, 0), topics)
}

pub(crate) fn wanting(
    mut beat: ShareGroupHeartbeatRequest,
    topics: &[&str],
) -> ShareGroupHeartbeatRequest {
    let names = topics.iter().map(|topic| (*topic).to_owned());
    beat.subscribed_topic_names = Some(names.collect());
    beat
}

impl Bench {
    pub(crate) fn send_share(&mut self, request: &ShareGroupHeartbeatRequest) -> Token {
        let token = self.token();
        let actions = self
            .shard
            .share_group_heartbeat(token, &context(1), request);
        self.run(actions);
        token
    }

    pub(crate) fn share_beaten(&mut self, token: Token) -> ShareHeartbeat {
        match self.response(token) {
            Response::ShareGroupHeartbeat(heartbeat) => *heartbeat,
            other => panic!("not a ShareGroupHeartbeat response: {other:?}"),
        }
    }

    /// The answer as text: `epoch topic[partitions] ...`, `epoch -` without an assignment, or the error. What is
    /// to be initialized follows `+`, and is initialized at once.
    pub(crate) fn share_beat(&mut self, request: &ShareGroupHeartbeatRequest) -> String {
        let token = self.send_share(request);
        let heartbeat = self.share_beaten(token);
        let shown = self.show_share(&heartbeat);
        if let Some(states) = heartbeat.initialize {
            self.share_initialized(&request.group_id, &states.partitions());
        }
        shown
    }

    pub(crate) fn show_share(&self, heartbeat: &ShareHeartbeat) -> String {
        let response = &heartbeat.response;
        if response.error_code != 0 {
            return code(response.error_code).name().into();
        }
        let mut shown = response.member_epoch.to_string();
        match &response.assignment {
            Some(assignment) => {
                let topics = assignment.topic_partitions.iter();
                let mut topics: Vec<String> = topics
                    .map(|topic| {
                        format!(" {}{:?}", self.topic_name(topic.topic_id), topic.partitions)
                    })
                    .collect();
                topics.sort();
                shown.push_str(&topics.concat());
            }
            None => shown.push_str(" -"),
        }
        if let Some(states) = &heartbeat.initialize {
            shown.push_str(&format!(" +{}", self.show_states(states)));
        }
        shown
    }

    fn show_states(&self, states: &ShareStates) -> String {
        let topics = states.start_offsets.iter().map(|(id, partitions)| {
            let partitions: Vec<i32> = partitions.keys().copied().collect();
            format!("{}{partitions:?}", self.topic_name(*id))
        });
        let mut topics: Vec<String> = topics.collect();
        topics.sort();
        topics.join(" ")
    }

    fn topic_name(&self, id: base::Uuid) -> String {
        use coordinator::ClusterView;
        let topic = self.cluster.topic_by_id(id);
        topic.map_or_else(|| id.to_string(), |topic| topic.name.to_string())
    }

    pub(crate) fn share_initialized(&mut self, group: &str, partitions: &SharePartitions) {
        let token = self.token();
        let actions = self
            .shard
            .share_states_initialized(token, group, partitions);
        self.run(actions);
        if !self.is_waiting(token) {
            assert_eq!(
                self.response(token),
                Response::ShareStatesWritten(ErrorCode::None)
            );
        }
    }

    /// `state group-epoch/assignment-epoch`, then `member@epoch assignment` for each.
    pub(crate) fn share_state(&self, group: &str) -> String {
        let described = self.shard.describe_share_group(group);
        if described.error_code != 0 {
            return code(described.error_code).name().into();
        }
        assert_eq!(described.assignor_name, "simple");
        let mut shown = vec![format!(
            "{} {}/{}",
            described.group_state, described.group_epoch, described.assignment_epoch
        )];
        shown.extend(described.members.iter().map(|member| {
            let topics = member.assignment.topic_partitions.iter();
            let topics: Vec<String> = topics
                .map(|topic| format!(" {}{:?}", topic.topic_name, topic.partitions))
                .collect();
            format!(
                "{}@{}{}",
                member.member_id,
                member.member_epoch,
                topics.concat()
            )
        }));
        shown.join("; ")
    }

    pub(crate) fn initialized(&self, group: &str) -> SharePartitions {
        self.shard.initialized_share_partitions(group)
    }
}
