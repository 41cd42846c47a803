//! An exactly-once loop: reads as a member of a group, writes results, and commits both in one transaction.

use chaos::checker::{Event, Place, Source};
use coordinator::transaction::ClientVersion;
use wire::ErrorCode;
use wire::messages::TxnOffsetCommitRequest;
use wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};

use super::Net;
use super::group::{Membership, Protocol};
use super::transactional::Producer;
use crate::broker::{OFFSETS, TxnOffsets};

/// Records of one transaction.
const BATCH: usize = 4;

/// From `from` to `to`, until the clients are stopped.
pub async fn run(
    net: Net,
    number: u32,
    (group, protocol): (&'static str, Protocol),
    version: ClientVersion,
    (from, to): (&'static str, &'static str),
) {
    let name = format!("{group}-{number}");
    let net = Net {
        comes_late: version == ClientVersion::V2,
        ..net
    };
    let mut member = Membership::new(&net, name, group, protocol, from);
    let mut producer = Producer::new(&net, number, version);
    let mut sound = false;
    while !net.stopped.get() {
        if !sound && !producer.init().await {
            break;
        }
        sound = true;
        member.beat().await;
        let places: Vec<Place> = member.positions.keys().cloned().collect();
        for place in places {
            if sound {
                sound = process(&net, &mut member, &mut producer, &place, to).await;
            }
        }
        net.pause(15).await;
        if net.core.chance(0.003) {
            member.leave(net.core.chance(0.5)).await;
            net.pause(300).await;
        }
    }
    member.leave(true).await;
}

/// One transaction. `false` when the producer must begin anew.
async fn process(
    net: &Net,
    member: &mut Membership,
    producer: &mut Producer,
    place: &Place,
    to: &'static str,
) -> bool {
    let Some(from) = member.position(place).await else {
        return true;
    };
    let wanted = place.clone();
    let answer = net
        .call("fetch", move |broker, reply| {
            reply.send(broker.fetch(&wanted, from, true));
        })
        .await;
    let Some(Ok(mut found)) = answer else {
        return true;
    };
    if found.records.is_empty() {
        member.positions.insert(place.clone(), found.next);
        return true;
    }
    if found.records.len() > BATCH {
        found.records.truncate(BATCH);
        found.next = found
            .records
            .last()
            .map_or(found.next, |last| last.offset + 1);
    }
    producer.begin();
    net.record(Event::Poll {
        consumer: member.name.clone(),
        committed_only: true,
        txn: Some(producer.txn),
        place: place.clone(),
        records: found.records.clone(),
    });
    let mut sound = true;
    for seen in &found.records {
        let source = Source {
            group: member.group.clone(),
            place: place.clone(),
            offset: seen.offset,
        };
        let target = net.any_place(to);
        sound = sound && producer.send(&target, Some(source)).await;
    }
    let sound = sound && offsets(net, member, producer, place, found.next).await;
    let commit = sound && net.core.chance(0.95);
    let goes_on = producer.end(commit).await;
    if goes_on && commit {
        member.positions.insert(place.clone(), found.next);
        return true;
    }
    // Back to what is committed: the transaction was aborted, or nobody knows.
    net.record(Event::Seek {
        consumer: member.name.clone(),
        place: place.clone(),
    });
    if member.positions.contains_key(place) {
        member.positions.insert(place.clone(), -1);
    }
    goes_on && sound
}

async fn offsets(
    net: &Net,
    member: &Membership,
    producer: &mut Producer,
    place: &Place,
    offset: i64,
) -> bool {
    if !producer.add(&Place::new(OFFSETS, 0)).await {
        return false;
    }
    net.record(Event::OffsetAsked {
        group: member.group.clone(),
        place: place.clone(),
        offset,
        txn: Some(producer.txn),
    });
    let offsets = TxnOffsets {
        request: TxnOffsetCommitRequest {
            transactional_id: producer.id.clone(),
            group_id: member.group.clone(),
            producer_id: producer.current.0,
            producer_epoch: producer.current.1,
            generation_id_or_member_epoch: member.epoch,
            member_id: member.member_id.clone(),
            topics: vec![TxnOffsetCommitRequestTopic {
                name: place.topic.clone(),
                partitions: vec![TxnOffsetCommitRequestPartition {
                    partition_index: place.partition,
                    committed_offset: offset,
                    ..TxnOffsetCommitRequestPartition::default()
                }],
                ..TxnOffsetCommitRequestTopic::default()
            }],
            ..TxnOffsetCommitRequest::default()
        },
        version: producer.version,
    };
    for _ in 0..4 {
        let offsets = offsets.clone();
        let answer = net
            .call("txn-commit", |broker, reply| {
                broker.txn_offset_commit(offsets, reply);
            })
            .await;
        match answer {
            Some(ErrorCode::None) => return true,
            Some(ErrorCode::CoordinatorLoadInProgress | ErrorCode::NotCoordinator) | None => {
                net.pause(20).await;
            }
            Some(_) => return false,
        }
    }
    false
}
