//! Consumer groups of KIP-848: requests as short as a test wants them.

mod classic;
mod heartbeat;
mod log;
mod migrate;
mod offsets;
mod regex;
mod simulation;
mod static_members;

use coordinator::{Response, Token};
use wire::ErrorCode;
use wire::messages::consumer_group_describe_response::DescribedGroup;
use wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use crate::harness::{Bench, code, context};

/// A heartbeat under construction, of version 1.
#[derive(Clone)]
pub(crate) struct Beat {
    pub(crate) request: ConsumerGroupHeartbeatRequest,
    pub(crate) version: i16,
}

/// A heartbeat that says nothing new.
pub(crate) fn beat(group: &str, member: &str, epoch: i32) -> Beat {
    Beat {
        request: ConsumerGroupHeartbeatRequest {
            group_id: group.into(),
            member_id: member.into(),
            member_epoch: epoch,
            ..ConsumerGroupHeartbeatRequest::default()
        },
        version: 1,
    }
}

/// A first heartbeat: 60 s rebalance timeout, nothing owned.
pub(crate) fn enter(group: &str, member: &str, topics: &[&str]) -> Beat {
    let mut beat = beat(group, member, 0);
    beat.request.rebalance_timeout_ms = 60_000;
    beat.request.topic_partitions = Some(Vec::new());
    beat.topics(topics)
}

impl Beat {
    pub(crate) fn topics(mut self, topics: &[&str]) -> Beat {
        let names = topics.iter().map(|topic| (*topic).to_owned());
        self.request.subscribed_topic_names = Some(names.collect());
        self
    }

    pub(crate) fn regex(mut self, regex: &str) -> Beat {
        self.request.subscribed_topic_names = None;
        self.request.subscribed_topic_regex = Some(regex.into());
        self
    }

    pub(crate) fn instance(mut self, instance: &str) -> Beat {
        self.request.instance_id = Some(instance.into());
        self
    }

    pub(crate) fn assignor(mut self, assignor: &str) -> Beat {
        self.request.server_assignor = Some(assignor.into());
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut ConsumerGroupHeartbeatRequest)) -> Beat {
        change(&mut self.request);
        self
    }
}

impl Bench {
    pub(crate) fn send_beat(&mut self, beat: &Beat) -> Token {
        self.send_beat_seeing(beat, &|_| true)
    }

    pub(crate) fn send_beat_seeing(
        &mut self,
        beat: &Beat,
        may_see: &dyn Fn(&str) -> bool,
    ) -> Token {
        let token = self.token();
        let context = context(beat.version);
        let actions = self
            .shard
            .consumer_group_heartbeat(token, &context, &beat.request, may_see);
        self.run(actions);
        token
    }

    pub(crate) fn beaten(&mut self, token: Token) -> ConsumerGroupHeartbeatResponse {
        match self.response(token) {
            Response::ConsumerGroupHeartbeat(response) => response,
            other => panic!("not a ConsumerGroupHeartbeat response: {other:?}"),
        }
    }

    /// The answer as text: `epoch topic[partitions] ...`, `epoch -` without an assignment, or the error.
    pub(crate) fn beat(&mut self, beat: &Beat) -> String {
        let token = self.send_beat(beat);
        let response = self.beaten(token);
        self.show_beat(&response)
    }

    pub(crate) fn show_beat(&self, response: &ConsumerGroupHeartbeatResponse) -> String {
        if response.error_code != 0 {
            return code(response.error_code).name().into();
        }
        let Some(assignment) = &response.assignment else {
            return format!("{} -", response.member_epoch);
        };
        let topics = assignment.topic_partitions.iter();
        let mut shown: Vec<String> = topics
            .map(|topic| format!("{}{:?}", self.name(topic.topic_id), topic.partitions))
            .collect();
        shown.sort();
        format!("{} {}", response.member_epoch, shown.join(" "))
            .trim_end()
            .into()
    }

    fn name(&self, id: base::Uuid) -> String {
        use coordinator::ClusterView;
        let topic = self.cluster.topic_by_id(id);
        topic.map_or_else(|| id.to_string(), |topic| topic.name.to_string())
    }

    /// What a heartbeat says is owned.
    pub(crate) fn owned(&self, owned: &[(&str, &[i32])]) -> Option<Vec<TopicPartitions>> {
        let topics = owned.iter().map(|(topic, partitions)| TopicPartitions {
            topic_id: self.cluster.id(topic),
            partitions: partitions.to_vec(),
        });
        Some(topics.collect())
    }

    /// A heartbeat with what the member owns.
    pub(crate) fn beat_owning(&mut self, beat: Beat, owned: &[(&str, &[i32])]) -> String {
        let owned = self.owned(owned);
        self.beat(&beat.with(|request| request.topic_partitions = owned))
    }

    pub(crate) fn described(&self, group: &str) -> DescribedGroup {
        self.shard.describe_consumer_group(group)
    }

    /// `state group-epoch/assignment-epoch`, then `member@epoch assignment -> target` for each.
    pub(crate) fn consumer_state(&self, group: &str) -> String {
        let described = self.described(group);
        if described.error_code != 0 {
            return code(described.error_code).name().into();
        }
        let mut shown = vec![format!(
            "{} {}/{}",
            described.group_state, described.group_epoch, described.assignment_epoch
        )];
        shown.extend(described.members.iter().map(|member| {
            let partitions =
                |assignment: &wire::messages::consumer_group_describe_response::Assignment| {
                    let topics = assignment.topic_partitions.iter();
                    let topics: Vec<String> = topics
                        .map(|topic| format!("{}{:?}", topic.topic_name, topic.partitions))
                        .collect();
                    topics.join(" ")
                };
            let (has, shall) = (&member.assignment, &member.target_assignment);
            let at = format!("{}@{}", member.member_id, member.member_epoch);
            if has == shall {
                format!("{at} {}", partitions(has))
            } else {
                format!("{at} {} -> {}", partitions(has), partitions(shall))
            }
        }));
        shown.join("; ")
    }

    /// Two members of group `g`, stable, with topic `t` of four partitions between them: a at epoch 3 with
    /// 2 of them, b at epoch 3 with the others.
    pub(crate) fn pair(&mut self) {
        self.topic("t", 4);
        assert_eq!(self.beat(&enter("g", "a", &["t"])), "2 t[0, 1, 2, 3]");
        self.advance(1_000);
        assert_eq!(self.beat(&enter("g", "b", &["t"])), "3");
        assert_eq!(self.beat(&beat("g", "a", 2)), "2 t[0, 1]");
        assert_eq!(
            self.beat_owning(beat("g", "a", 2), &[("t", &[0, 1])]),
            "3 -"
        );
        assert_eq!(self.beat(&beat("g", "b", 3)), "3 t[2, 3]");
        assert_eq!(
            self.consumer_state("g"),
            "Stable 3/3; a@3 t[0, 1]; b@3 t[2, 3]"
        );
        self.advance(1_000);
    }
}

pub(crate) fn error(response: &ConsumerGroupHeartbeatResponse) -> (ErrorCode, String) {
    let message = response.error_message.clone().unwrap_or_default();
    (code(response.error_code), message)
}
