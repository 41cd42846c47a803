//! An idempotent producer without transactions: one batch at a time, sent again until it is answered.

use std::collections::BTreeMap;

use chaos::checker::{Event, Outcome, Place, events::value_of};
use wire::ErrorCode;

use super::Net;
use crate::broker::Produce;

/// How often a batch is sent before the producer gives up and begins with a new id.
const ATTEMPTS: usize = 40;

/// Produces to `topic` until the clients are stopped; records with so many keys, or with none for 0.
pub async fn run(net: Net, producer: u32, topic: &'static str, keys: u64) {
    let (mut counter, mut lives) = (0, 0);
    while !net.stopped.get() {
        let Some(Ok(id)) = net
            .call("init", |broker, reply| broker.init_producer_id(None, reply))
            .await
        else {
            net.pause(20).await;
            continue;
        };
        // Order is promised to a producer id: a batch that an earlier one gave up may still come late.
        let number = producer + 1_000 * lives;
        lives += 1;
        let mut sequences: BTreeMap<Place, i32> = BTreeMap::new();
        while !net.stopped.get() {
            net.pause(8).await;
            let place = net.any_place(topic);
            let count = net.core.pick(1..4);
            let values: Vec<u64> = (counter..counter + count)
                .map(|c| value_of(number, c))
                .collect();
            counter += count;
            let sequence = sequences.get(&place).copied().unwrap_or(0);
            let request = Produce {
                place: place.clone(),
                values: values.clone(),
                producer: id,
                sequence,
                txn: None,
                keys,
            };
            let outcome = send(&net, &request).await;
            for (index, value) in (0..).zip(&values) {
                net.record(Event::Send {
                    place: place.clone(),
                    value: *value,
                    txn: None,
                    source: None,
                    key: (keys > 0).then(|| value % keys),
                    outcome: match outcome {
                        Outcome::Ok(base) => Outcome::Ok(base.map(|base| base + index)),
                        other => other,
                    },
                });
            }
            if !matches!(outcome, Outcome::Ok(_)) {
                break;
            }
            let next = sequence + i32::try_from(values.len()).unwrap_or(0);
            sequences.insert(place, next);
        }
    }
}

async fn send(net: &Net, request: &Produce) -> Outcome {
    for _ in 0..ATTEMPTS {
        let request = request.clone();
        let answer = net
            .call("produce", move |broker, reply| {
                broker.produce(request, reply)
            })
            .await;
        match answer {
            Some(Ok(base)) => return Outcome::Ok(Some(base)),
            // Sent again: an earlier attempt may have been taken.
            Some(Err(ErrorCode::DuplicateSequenceNumber)) => return Outcome::Ok(None),
            Some(Err(_)) | None => net.pause(30).await,
        }
    }
    Outcome::Unknown
}
