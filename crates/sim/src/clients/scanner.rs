//! A consumer without a group that reads a topic from its beginning, again and again: what is only in the remote store too.

use chaos::checker::{Event, Place};

use super::Net;
use super::deleter::log_start;

/// Fetches of one round.
const FETCHES: usize = 60;

/// Reads `topic` until the clients are stopped.
pub async fn run(net: Net, name: String, topic: &'static str) {
    while !net.stopped.get() {
        net.pause(600).await;
        let place = net.any_place(topic);
        if let Some(start) = log_start(&net, &place).await {
            net.record(Event::Seek {
                consumer: name.clone(),
                place: place.clone(),
            });
            scan(&net, &name, &place, start).await;
        }
    }
}

async fn scan(net: &Net, name: &str, place: &Place, start: i64) {
    let mut from = start;
    for _ in 0..FETCHES {
        let wanted = place.clone();
        let answer = net
            .call("scan", move |broker, reply| {
                reply.send(broker.fetch(&wanted, from, true));
            })
            .await;
        // A lost answer, a log that begins later by now, or its end: the next round begins anew.
        let Some(Ok(found)) =
            answer.filter(|answer| answer.as_ref().is_ok_and(|found| found.next > from))
        else {
            return;
        };
        from = found.next;
        net.record(Event::Poll {
            consumer: name.to_owned(),
            committed_only: true,
            txn: None,
            place: place.clone(),
            records: found.records,
        });
    }
}
