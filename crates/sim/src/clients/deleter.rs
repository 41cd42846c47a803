//! An administrator that deletes records.

use chaos::checker::{Event, Place};

use super::Net;

/// Deletes some of what `topic` holds, now and then, until the clients are stopped.
pub async fn run(net: Net, topic: &'static str) {
    let net = Net {
        comes_late: false,
        ..net
    };
    while !net.stopped.get() {
        net.pause(400).await;
        let place = net.any_place(topic);
        let (at, part) = (place.clone(), net.core.pick(1..60));
        let answer = net
            .call("delete-records", move |broker, reply| {
                broker.delete_records(&at, part, reply);
            })
            .await;
        if let Some(Ok(start)) = answer {
            net.record(Event::LogStart { place, start });
        }
    }
}

/// Where a partition starts, for a reader whose position is gone.
pub async fn log_start(net: &Net, place: &Place) -> Option<i64> {
    let at = place.clone();
    net.call("log-start", move |broker, reply| {
        let log = broker.log(&at.topic, at.partition);
        reply.send(log.map(|log| log.log_start_offset().0));
    })
    .await?
}
