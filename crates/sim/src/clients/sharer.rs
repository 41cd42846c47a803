//! A member of a share group: it takes what it is given, and accepts, releases, rejects or forgets it.

use std::collections::BTreeSet;

use base::Uuid;
use chaos::checker::{Delivered, Event, Place, ShareAck};
use coordinator::ClusterView;
use coordinator::share_partition::Acknowledgement;
use wire::ErrorCode;
use wire::messages::ShareGroupHeartbeatRequest;

use super::Net;

/// Milliseconds between two heartbeats.
const BEAT_MS: u64 = 500;

/// What a member does with what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Everything that a member may do, until the clients are stopped.
    Wild,
    /// Accepts all there is, and ends when there is no more.
    Tidy,
}

/// One member.
#[derive(Debug)]
struct Member {
    net: Net,
    name: String,
    group: &'static str,
    topic: &'static str,
    member_id: String,
    epoch: i32,
    lives: u32,
    places: BTreeSet<Place>,
    next_beat_us: u64,
}

/// Reads `topic` as a member of the share group `group`.
pub async fn run(net: Net, name: String, group: &'static str, topic: &'static str, habit: Habit) {
    // Its requests keep their order, as on one connection: a late acknowledgement would be one of a later delivery.
    let net = Net {
        comes_late: false,
        ..net
    };
    let mut member = Member {
        net: net.clone(),
        name,
        group,
        topic,
        member_id: String::new(),
        epoch: 0,
        lives: 0,
        places: BTreeSet::new(),
        next_beat_us: 0,
    };
    loop {
        let is_over = match habit {
            Habit::Wild => net.stopped.get(),
            Habit::Tidy => member.is_done(),
        };
        if is_over {
            break;
        }
        member.beat().await;
        for place in member.places.clone() {
            member.read(&place, habit).await;
        }
        net.pause(15).await;
        if habit == Habit::Wild && net.core.chance(0.004) {
            let says_so = net.core.chance(0.5);
            member.leave(says_so).await;
            net.pause(300).await;
        }
    }
    member.leave(true).await;
}

impl Member {
    async fn beat(&mut self) {
        if self.net.core.now_us() < self.next_beat_us {
            return;
        }
        if self.member_id.is_empty() {
            self.lives += 1;
            self.member_id = format!("{}-{}", self.name, self.lives);
        }
        let joins = self.epoch == 0;
        let since = self.net.recorder.count();
        let request = ShareGroupHeartbeatRequest {
            group_id: self.group.to_owned(),
            member_id: self.member_id.clone(),
            member_epoch: self.epoch,
            subscribed_topic_names: joins.then(|| vec![self.topic.to_owned()]),
            ..ShareGroupHeartbeatRequest::default()
        };
        let answer = self
            .net
            .call("share-heartbeat", |broker, reply| {
                broker.share_heartbeat(request, reply);
            })
            .await;
        let Some(response) = answer else {
            self.net.pause(30).await;
            return;
        };
        match ErrorCode::from_code(response.error_code) {
            Some(ErrorCode::None) => {}
            Some(ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId) => {
                self.places.clear();
                self.epoch = 0;
                return;
            }
            _ => {
                self.net.pause(30).await;
                return;
            }
        }
        self.epoch = response.member_epoch;
        self.next_beat_us = self.net.core.now_us() + BEAT_MS * 1_000;
        self.net.record(Event::MemberEpoch {
            group: self.group.to_owned(),
            member: self.member_id.clone(),
            epoch: self.epoch,
            joins,
            since,
        });
        let topic = self.topic_id();
        if let Some(assignment) = response.assignment {
            self.places = assignment
                .topic_partitions
                .iter()
                .filter(|part| Some(part.topic_id) == topic)
                .flat_map(|part| part.partitions.iter())
                .map(|index| Place::new(self.topic, *index))
                .collect();
        }
    }

    fn topic_id(&self) -> Option<Uuid> {
        let broker = self.net.broker.borrow();
        let topic = broker.as_ref()?.topics.topic(self.topic)?;
        Some(topic.id)
    }

    async fn read(&mut self, place: &Place, habit: Habit) {
        let (group, member, at) = (self.group, self.member_id.clone(), place.clone());
        let answer = self
            .net
            .call("share-fetch", move |broker, reply| {
                broker.share_fetch(group, &member, &at, reply);
            })
            .await;
        let Some(Ok(all)) = answer else { return };
        for delivered in all {
            self.process(delivered, habit).await;
        }
    }

    /// Settles what was delivered, in one piece or in two.
    async fn process(&mut self, delivered: Delivered, habit: Habit) {
        let core = &self.net.core;
        if habit == Habit::Wild && core.chance(0.05) {
            // It forgets; the lock runs out.
            return;
        }
        if habit == Habit::Wild && core.chance(0.05) {
            self.net.pause(1_500).await;
        }
        let mut parts = vec![delivered.clone()];
        if delivered.last > delivered.first && self.net.core.chance(0.3) {
            let length = u64::try_from(delivered.last - delivered.first).unwrap_or(1);
            let ahead = i64::try_from(self.net.core.pick(0..length)).unwrap_or(0);
            let middle = delivered.first + ahead;
            let head = Delivered {
                last: middle,
                ..delivered.clone()
            };
            let tail = Delivered {
                first: middle + 1,
                ..delivered
            };
            parts = vec![head, tail];
        }
        let parts: Vec<(Delivered, ShareAck)> = parts
            .into_iter()
            .map(|part| (part, self.choose(habit)))
            .collect();
        let mut acknowledgements = Vec::new();
        for (part, ack) in &parts {
            self.net.record(Event::ShareAsked {
                delivered: part.clone(),
                ack: *ack,
            });
            acknowledgements.push(Acknowledgement {
                first_offset: part.first,
                last_offset: part.last,
                types: vec![match ack {
                    ShareAck::Accept => 1,
                    ShareAck::Release => 2,
                    ShareAck::Reject => 3,
                }],
            });
        }
        let Some((first, _)) = parts.first() else {
            return;
        };
        let (group, member, at) = (self.group, first.member.clone(), first.place.clone());
        let answer = self
            .net
            .call("share-acknowledge", move |broker, reply| {
                broker.share_acknowledge(group, &member, &at, &acknowledgements, reply);
            })
            .await;
        if answer == Some(Ok(())) {
            for (delivered, ack) in parts {
                self.net.record(Event::ShareAcknowledged { delivered, ack });
            }
        }
    }

    fn choose(&self, habit: Habit) -> ShareAck {
        let core = &self.net.core;
        match habit {
            Habit::Tidy => ShareAck::Accept,
            Habit::Wild if core.chance(0.2) => ShareAck::Release,
            Habit::Wild if core.chance(0.04) => ShareAck::Reject,
            Habit::Wild => ShareAck::Accept,
        }
    }

    /// Ends; who says nothing is found out by its connection, or when the broker hears nothing for too long.
    async fn leave(&mut self, says_so: bool) {
        self.places.clear();
        let (group, member) = (self.group, self.member_id.clone());
        if says_so && !member.is_empty() {
            let request = ShareGroupHeartbeatRequest {
                group_id: group.to_owned(),
                member_id: member.clone(),
                member_epoch: -1,
                ..ShareGroupHeartbeatRequest::default()
            };
            self.net
                .call("share-leave", move |broker, reply| {
                    broker.share_release(group, &member);
                    broker.share_heartbeat(request, reply);
                })
                .await;
        } else if self.net.core.chance(0.5) {
            self.net
                .at_broker(1_000, move |broker| broker.share_release(group, &member));
        }
        self.member_id = String::new();
        self.epoch = 0;
        self.next_beat_us = 0;
    }

    /// Whether the group has dealt with all there is; writes down up to where.
    fn is_done(&self) -> bool {
        let count = self.net.partitions.borrow().get(self.topic).copied();
        let broker = self.net.broker.borrow();
        let Some(broker) = broker.as_ref() else {
            return false;
        };
        let mut all = Vec::new();
        for index in 0..count.unwrap_or(0) {
            let place = Place::new(self.topic, index);
            match broker.share_done(self.group, &place) {
                Some(start) => all.push((place, start)),
                None => return false,
            }
        }
        for (place, start) in all {
            self.net.record(Event::ShareDone {
                group: self.group.to_owned(),
                place,
                start,
            });
        }
        true
    }
}
