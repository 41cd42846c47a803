//! A consumer in a group: reads what it is given, commits now and then, leaves and comes back.

use chaos::checker::{Event, Place};
use wire::ErrorCode;

use super::Net;
use super::deleter::log_start;
use super::group::{Membership, Protocol};

/// Reads `topic` as a member of `group` until the clients are stopped.
pub async fn run(
    net: Net,
    name: String,
    group: &'static str,
    protocol: Protocol,
    topic: &'static str,
) {
    let mut member = Membership::new(&net, name, group, protocol, topic);
    while !net.stopped.get() {
        member.beat().await;
        let places: Vec<Place> = member.positions.keys().cloned().collect();
        for place in places {
            read(&net, &mut member, &place).await;
        }
        net.pause(15).await;
        if net.core.chance(0.004) {
            // A restart; half of them are crashes, which nobody hears of.
            let says_so = net.core.chance(0.5);
            member.leave(says_so).await;
            net.pause(300).await;
        }
    }
    member.leave(true).await;
}

async fn read(net: &Net, member: &mut Membership, place: &Place) {
    let Some(from) = member.position(place).await else {
        return;
    };
    let wanted = place.clone();
    let answer = net
        .call("fetch", move |broker, reply| {
            reply.send(broker.fetch(&wanted, from, true));
        })
        .await;
    if answer
        .as_ref()
        .is_some_and(|answer| answer.as_ref().err() == Some(&ErrorCode::OffsetOutOfRange))
    {
        // What it was to read is deleted: it goes on where the log begins (`auto.offset.reset`).
        if let Some(start) = log_start(net, place).await.filter(|start| *start > from) {
            let (consumer, place) = (member.name.clone(), place.clone());
            member.positions.insert(place.clone(), start);
            net.record(Event::Seek { consumer, place });
        }
        return;
    }
    let Some(Ok(found)) = answer else { return };
    member.positions.insert(place.clone(), found.next);
    let any = !found.records.is_empty();
    net.record(Event::Poll {
        consumer: member.name.clone(),
        committed_only: true,
        txn: None,
        place: place.clone(),
        records: found.records,
    });
    if any && net.core.chance(0.3) {
        member.commit(place, found.next).await;
    }
}
