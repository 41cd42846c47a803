//! A transactional producer of either protocol, and the transaction it has open.

use std::collections::{BTreeMap, BTreeSet};

use chaos::checker::{Event, Outcome, Place, Source, TxnOutcome, events::value_of};
use coordinator::transaction::{ClientVersion, EndTxn};
use wire::ErrorCode;

use super::Net;
use crate::broker::Produce;

/// A producer and what it knows.
#[derive(Debug)]
pub struct Producer {
    net: Net,
    /// Its number in the history.
    number: u32,
    /// Its transactional id.
    pub id: String,
    /// Its protocol.
    pub version: ClientVersion,
    /// Producer id and epoch.
    pub current: (i64, i16),
    sequences: BTreeMap<Place, i32>,
    added: BTreeSet<Place>,
    counter: u64,
    /// The open transaction.
    pub txn: u64,
    is_open: bool,
}

impl Producer {
    /// A producer that has not begun.
    #[must_use]
    pub fn new(net: &Net, number: u32, version: ClientVersion) -> Producer {
        let net = Net {
            comes_late: version == ClientVersion::V2,
            ..net.clone()
        };
        Producer {
            net,
            number,
            id: format!("txn-{number}"),
            version,
            current: (-1, -1),
            sequences: BTreeMap::new(),
            added: BTreeSet::new(),
            counter: 0,
            txn: 0,
            is_open: false,
        }
    }

    /// InitProducerId, until it succeeds or the clients are stopped. Whatever was open is aborted by it.
    pub async fn init(&mut self) -> bool {
        self.is_open = false;
        self.sequences.clear();
        self.added.clear();
        loop {
            let id = Some(self.id.clone());
            let answer = self
                .net
                .call("init-txn", |broker, reply| {
                    broker.init_producer_id(id, reply)
                })
                .await;
            if let Some(Ok(current)) = answer {
                self.current = current;
                return true;
            }
            if self.net.stopped.get() {
                return false;
            }
            self.net.pause(40).await;
        }
    }

    /// Begins a transaction.
    pub fn begin(&mut self) {
        self.txn = self.net.new_txn();
        self.added.clear();
        self.is_open = false;
    }

    /// Adds a partition by request, which classic producers must before they write to it.
    pub async fn add(&mut self, place: &Place) -> bool {
        if self.version == ClientVersion::V2 || self.added.contains(place) {
            return true;
        }
        for _ in 0..10 {
            let (id, current, place) = (self.id.clone(), self.current, place.clone());
            let wanted = place.clone();
            let answer = self
                .net
                .call("add", move |broker, reply| {
                    broker.add_partition(&id, current, &wanted, reply);
                })
                .await;
            match answer {
                Some(ErrorCode::None) => {
                    self.added.insert(place);
                    self.is_open = true;
                    return true;
                }
                Some(ErrorCode::ConcurrentTransactions) | None => self.net.pause(20).await,
                Some(_) => return false,
            }
        }
        false
    }

    /// Sends one record in the transaction. `false` when the transaction cannot be committed any more.
    pub async fn send(&mut self, place: &Place, source: Option<Source>) -> bool {
        if !self.add(place).await {
            return false;
        }
        let value = value_of(self.number, self.counter);
        self.counter += 1;
        let outcome = self.produce(place, value).await;
        if matches!(outcome, Outcome::Ok(_)) {
            *self.sequences.entry(place.clone()).or_insert(0) += 1;
            self.is_open = true;
        }
        self.net.record(Event::Send {
            place: place.clone(),
            value,
            txn: Some(self.txn),
            source,
            key: None,
            outcome,
        });
        matches!(outcome, Outcome::Ok(_))
    }

    async fn produce(&self, place: &Place, value: u64) -> Outcome {
        let request = Produce {
            place: place.clone(),
            values: vec![value],
            producer: self.current,
            sequence: self.sequences.get(place).copied().unwrap_or(0),
            txn: Some((self.id.clone(), self.version)),
            keys: 0,
        };
        for _ in 0..self.net.core.pick(1..8) {
            let request = request.clone();
            let answer = self
                .net
                .call("produce-txn", move |broker, reply| {
                    broker.produce(request, reply)
                })
                .await;
            match answer {
                Some(Ok(offset)) => return Outcome::Ok(Some(offset)),
                Some(Err(
                    ErrorCode::ConcurrentTransactions
                    | ErrorCode::KafkaStorageError
                    | ErrorCode::CoordinatorLoadInProgress
                    | ErrorCode::NotCoordinator,
                ))
                | None => self.net.pause(15).await,
                // An earlier attempt may be on its way still.
                Some(Err(_)) => return Outcome::Unknown,
            }
        }
        Outcome::Unknown
    }

    /// Commits or aborts. `true` when the producer can go on with its next transaction.
    pub async fn end(&mut self, commit: bool) -> bool {
        let commit = commit && self.is_open;
        let txn = self.txn;
        if commit {
            self.net.record(Event::CommitAsked { txn });
        }
        let mut outcome = if commit {
            TxnOutcome::Unknown
        } else {
            TxnOutcome::Aborted
        };
        let mut goes_on = false;
        for _ in 0..60 {
            let request = EndTxn {
                transactional_id: self.id.clone(),
                producer_id: self.current.0,
                producer_epoch: self.current.1,
                commit,
                version: self.version,
                new_producer_id: None,
            };
            let answer = self
                .net
                .call("end", move |broker, reply| broker.end_txn(request, reply))
                .await;
            match answer {
                Some(Ok(next)) => {
                    if commit {
                        outcome = TxnOutcome::Committed;
                    }
                    if self.version == ClientVersion::V2 {
                        self.current = next;
                        self.sequences.clear();
                    }
                    goes_on = true;
                    break;
                }
                Some(Err(
                    ErrorCode::ConcurrentTransactions
                    | ErrorCode::NotCoordinator
                    | ErrorCode::CoordinatorLoadInProgress,
                ))
                | None => self.net.pause(30).await,
                Some(Err(_)) => break,
            }
        }
        self.net.record(Event::Ended { txn, outcome });
        self.is_open = false;
        goes_on
    }

    /// What a producer does that was fenced and has not noticed: it writes on, in a transaction that is over.
    pub async fn write_as_zombie(&mut self, before: (i64, i16), txn: u64, place: &Place) {
        let (current, open) = (self.current, self.txn);
        let sequences = std::mem::take(&mut self.sequences);
        (self.current, self.txn) = (before, txn);
        let value = value_of(self.number, self.counter);
        self.counter += 1;
        let outcome = self.produce(place, value).await;
        self.net.record(Event::Send {
            place: place.clone(),
            value,
            txn: Some(txn),
            source: None,
            key: None,
            outcome,
        });
        (self.current, self.txn) = (current, open);
        self.sequences = sequences;
    }
}

/// Transactions over several partitions of `topic`, some aborted, some left open, some by a fenced producer; each may
/// read what others have committed.
pub async fn run(net: Net, number: u32, version: ClientVersion, topic: &'static str) {
    let mut producer = Producer::new(&net, number, version);
    let mut positions: BTreeMap<Place, i64> = BTreeMap::new();
    'life: while !net.stopped.get() {
        if !producer.init().await {
            return;
        }
        while !net.stopped.get() {
            net.pause(20).await;
            producer.begin();
            let mut sound = true;
            for _ in 0..net.core.pick(1..5) {
                let place = net.any_place(topic);
                sound = sound && producer.send(&place, None).await;
                if net.core.chance(0.3) {
                    read(&net, &producer, &mut positions, topic).await;
                }
            }
            if !sound || net.core.chance(0.06) {
                // It stops half-way: the next life aborts what is open.
                let before = producer.current;
                let txn = producer.txn;
                let outcome = TxnOutcome::Aborted;
                net.record(Event::Ended { txn, outcome });
                if sound && producer.init().await {
                    let place = net.any_place(topic);
                    producer.begin();
                    let began = producer.send(&place, None).await;
                    producer.write_as_zombie(before, txn, &place).await;
                    // What the zombie wrote there may be taken for its own.
                    producer.end(began).await;
                }
                continue 'life;
            }
            let commit = net.core.chance(0.8);
            if !producer.end(commit).await {
                continue 'life;
            }
        }
    }
}

async fn read(
    net: &Net,
    producer: &Producer,
    positions: &mut BTreeMap<Place, i64>,
    topic: &'static str,
) {
    let place = net.any_place(topic);
    let from = positions.get(&place).copied().unwrap_or(0);
    let wanted = place.clone();
    let answer = net
        .call("fetch", move |broker, reply| {
            reply.send(broker.fetch(&wanted, from, true));
        })
        .await;
    if let Some(Ok(found)) = answer {
        positions.insert(place.clone(), found.next);
        net.record(Event::Poll {
            consumer: producer.id.clone(),
            committed_only: true,
            txn: Some(producer.txn),
            place,
            records: found.records,
        });
    }
}
