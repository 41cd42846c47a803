//! An instance of a Kafka Streams application (KIP-1071): it holds tasks, and gives them up before others may have them.
//!
//! A task is written down as a partition of its subtopology, so that the rule of two owners holds of it.

use std::collections::BTreeSet;

use chaos::checker::{Event, Place};
use coordinator::{Response, Shard};
use wire::ErrorCode;
use wire::messages::streams_group_heartbeat_request::{Subtopology, TaskIds, Topology};
use wire::messages::{StreamsGroupHeartbeatRequest, StreamsGroupHeartbeatResponse};

use super::Net;
use super::group::context;
use crate::broker::SESSION_MS;
use crate::plant::Plant;

/// Milliseconds between two heartbeats.
const BEAT_MS: u64 = 500;
/// Each subtopology, and what it reads.
const SUBTOPOLOGIES: &[(&str, &str)] = &[("0", "in"), ("1", "mix")];

/// One member; each is a process of its own.
#[derive(Debug)]
struct Member {
    net: Net,
    name: String,
    group: &'static str,
    member_id: String,
    epoch: i32,
    lives: u32,
    active: BTreeSet<Place>,
    heard_us: u64,
    next_beat_us: u64,
}

/// Is a member of the streams group `group` until the clients are stopped.
pub async fn run(net: Net, name: String, group: &'static str) {
    let net = Net {
        comes_late: false,
        ..net
    };
    let mut member = Member {
        net: net.clone(),
        name,
        group,
        member_id: String::new(),
        epoch: 0,
        lives: 0,
        active: BTreeSet::new(),
        heard_us: 0,
        next_beat_us: 0,
    };
    while !net.stopped.get() {
        member.beat().await;
        net.pause(40).await;
        if net.core.chance(0.008) {
            let says_so = net.core.chance(0.5);
            member.leave(says_so).await;
            net.pause(300).await;
        }
    }
    member.leave(true).await;
}

fn tasks(active: &BTreeSet<Place>) -> Vec<TaskIds> {
    let each = SUBTOPOLOGIES.iter().map(|(subtopology, _)| TaskIds {
        subtopology_id: (*subtopology).to_owned(),
        partitions: active
            .iter()
            .filter(|task| task.topic.ends_with(&format!("/{subtopology}")))
            .map(|task| task.partition)
            .collect(),
    });
    each.filter(|tasks| !tasks.partitions.is_empty()).collect()
}

fn topology() -> Topology {
    let each = SUBTOPOLOGIES.iter();
    Topology {
        epoch: 0,
        subtopologies: each
            .map(|(id, topic)| Subtopology {
                subtopology_id: (*id).to_owned(),
                source_topics: vec![(*topic).to_owned()],
                ..Subtopology::default()
            })
            .collect(),
    }
}

impl Member {
    async fn beat(&mut self) {
        if self.net.core.now_us() >= self.next_beat_us {
            self.beat_now().await;
        }
        let silent = self.net.core.now_us().saturating_sub(self.heard_us);
        if silent > SESSION_MS * 1_000 * 2 / 3 {
            self.give_up(self.active.clone());
            self.epoch = 0;
        }
    }

    fn give_up(&mut self, tasks: BTreeSet<Place>) {
        if tasks.is_empty() {
            return;
        }
        self.active.retain(|task| !tasks.contains(task));
        self.net.record(Event::Revoked {
            member: self.name.clone(),
            group: self.group.to_owned(),
            places: tasks.into_iter().collect(),
        });
    }

    async fn beat_now(&mut self) {
        if self.member_id.is_empty() {
            self.lives += 1;
            self.member_id = format!("{}-{}", self.name, self.lives);
        }
        let joins = self.epoch == 0;
        let (sent_us, since) = (self.net.core.now_us(), self.net.recorder.count());
        let request = StreamsGroupHeartbeatRequest {
            group_id: self.group.to_owned(),
            member_id: self.member_id.clone(),
            member_epoch: self.epoch,
            rebalance_timeout_ms: if joins { 10_000 } else { -1 },
            topology: joins.then(topology),
            process_id: joins.then(|| self.name.clone()),
            active_tasks: Some(if joins {
                Vec::new()
            } else {
                tasks(&self.active)
            }),
            standby_tasks: Some(Vec::new()),
            warmup_tasks: Some(Vec::new()),
            ..StreamsGroupHeartbeatRequest::default()
        };
        let Some(response) = self.send(request).await else {
            self.net.pause(30).await;
            return;
        };
        match ErrorCode::from_code(response.error_code) {
            Some(ErrorCode::None) => {}
            Some(ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId) => {
                self.give_up(self.active.clone());
                self.epoch = 0;
                self.heard_us = sent_us;
                return;
            }
            _ => {
                self.net.pause(30).await;
                return;
            }
        }
        self.heard_us = sent_us;
        self.epoch = response.member_epoch;
        self.next_beat_us = self.net.core.now_us() + BEAT_MS * 1_000;
        self.net.record(Event::MemberEpoch {
            group: self.group.to_owned(),
            member: self.member_id.clone(),
            epoch: self.epoch,
            joins,
            since,
        });
        if let Some(active) = response.active_tasks {
            let target = active.iter().flat_map(|tasks| {
                let topic = format!("{}/{}", self.group, tasks.subtopology_id);
                let partitions = tasks.partitions.iter();
                partitions.map(move |index| Place::new(&topic, *index))
            });
            let target: BTreeSet<Place> = target.collect();
            self.follow(&target);
        }
    }

    fn follow(&mut self, target: &BTreeSet<Place>) {
        let gone: BTreeSet<Place> = self.active.difference(target).cloned().collect();
        if !gone.is_empty() {
            self.give_up(gone);
            self.next_beat_us = 0;
        }
        let new: Vec<Place> = target.difference(&self.active).cloned().collect();
        if !new.is_empty() {
            self.active.extend(new.iter().cloned());
            self.net.record(Event::Assigned {
                member: self.name.clone(),
                group: self.group.to_owned(),
                generation: None,
                places: new,
            });
        }
    }

    async fn send(
        &self,
        request: StreamsGroupHeartbeatRequest,
    ) -> Option<StreamsGroupHeartbeatResponse> {
        self.net
            .call("streams-heartbeat", move |broker, reply| {
                broker.request::<Shard>(
                    move |shard, token| shard.streams_group_heartbeat(token, &context(1), &request),
                    move |broker, response| {
                        let Response::StreamsGroupHeartbeat(mut beat) = response else {
                            return;
                        };
                        if broker.plant == Some(Plant::TaskGivenTwice)
                            && let Some(active) = &mut beat.response.active_tasks
                        {
                            for tasks in active {
                                tasks.partitions = vec![0, 1];
                            }
                        }
                        if broker.plant == Some(Plant::EpochGoesBack) && broker.core.chance(0.1) {
                            beat.response.member_epoch -= 1;
                        }
                        reply.send(beat.response);
                    },
                );
            })
            .await
    }

    async fn leave(&mut self, says_so: bool) {
        self.give_up(self.active.clone());
        if says_so && !self.member_id.is_empty() {
            let request = StreamsGroupHeartbeatRequest {
                group_id: self.group.to_owned(),
                member_id: self.member_id.clone(),
                member_epoch: -1,
                ..StreamsGroupHeartbeatRequest::default()
            };
            self.send(request).await;
        }
        self.member_id = String::new();
        self.epoch = 0;
        self.next_beat_us = 0;
    }
}
