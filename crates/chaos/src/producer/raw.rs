//! A producer over bare protocol frames: one connection, at most five batches in flight (what the broker can
//! tell duplicates among), the same producer id for its whole life.
//!
//! After any failure it reconnects and sends every unanswered batch again, in order and with the same sequence
//! numbers, as KIP-98 demands. A broker that lost an acknowledged batch, or its memory of the producer, answers
//! OUT_OF_ORDER_SEQUENCE_NUMBER then, which ends the producer with an error.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use testkit::Connection;
use testkit::calls::{self, PRODUCE_VERSION, Produced};
use testkit::connection::decode_response;
use testkit::wait::retry;
use wire::ErrorCode;
use wire::messages::ProduceRequest;
use wire::record_data::BatchOptions;

use crate::history::{Outcome, RecordId, Send};
use crate::producer::Signals;

const IN_FLIGHT_MAX: usize = 5;
/// How long the broker may be away.
const RECONNECT_LIMIT: Duration = Duration::from_secs(60);

/// Where and what to produce.
#[derive(Clone, Debug)]
pub struct RawOptions {
    /// The broker's port.
    pub port: u16,
    /// The topic.
    pub topic: String,
    /// Its partitions, which are written to in turn.
    pub partitions: i32,
    /// The producer's number in the history.
    pub producer: u32,
    /// Records in a batch.
    pub batch_records: u64,
    /// The length of a record's value.
    pub value_bytes: usize,
}

#[derive(Debug)]
struct InFlight {
    partition: i32,
    base_sequence: i32,
    first: RecordId,
    count: u64,
}

/// One partition's counters.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    next_sequence: i32,
    next_counter: u64,
}

struct RawProducer {
    options: RawOptions,
    signals: Signals,
    connection: Option<Connection>,
    identity: Option<(i64, i16)>,
    positions: Vec<Position>,
    turn: usize,
    in_flight: VecDeque<InFlight>,
    sends: Vec<Send>,
}

/// Produces until `signals` say stop, then waits for the last answers.
///
/// # Errors
/// When the broker answers what no correct broker can, or stays away too long.
pub fn run(options: RawOptions, signals: Signals) -> Result<Vec<Send>> {
    let partitions = usize::try_from(options.partitions)?;
    let producer = options.producer;
    let mut producer_state = RawProducer {
        options,
        signals,
        connection: None,
        identity: None,
        positions: vec![Position::default(); partitions],
        turn: 0,
        in_flight: VecDeque::new(),
        sends: Vec::new(),
    };
    producer_state
        .produce()
        .with_context(|| format!("raw producer {producer}"))?;
    Ok(producer_state.sends)
}

impl RawProducer {
    fn produce(&mut self) -> Result<()> {
        while !(self.signals.is_stopped() && self.in_flight.is_empty()) {
            if self.connection.is_none() {
                self.reconnect()?;
                // It may have broken again while the unanswered batches were sent once more.
                continue;
            }
            if self.step()?.is_none() {
                // The connection broke: whether the broker took what is in flight, the next one will say.
                self.connection = None;
            }
        }
        Ok(())
    }

    /// Sends until the window is full, then takes one answer. `None` when the connection must be given up.
    fn step(&mut self) -> Result<Option<()>> {
        while self.in_flight.len() < IN_FLIGHT_MAX && !self.signals.is_stopped() {
            let batch = self.next_batch();
            self.in_flight.push_back(batch);
            let index = self.in_flight.len() - 1;
            if self.send(index)?.is_none() {
                return Ok(None);
            }
        }
        if self.in_flight.is_empty() {
            return Ok(Some(()));
        }
        let connection = self.connection.as_mut().context("no connection")?;
        let Ok(Some(frame)) = connection.receive() else {
            return Ok(None);
        };
        let (_, answer) = decode_response::<ProduceRequest>(PRODUCE_VERSION, frame)?;
        let produced = calls::produced(answer)?
            .into_iter()
            .next()
            .context("an empty answer")?;
        self.take(&produced)
    }

    fn take(&mut self, produced: &Produced) -> Result<Option<()>> {
        let batch = self
            .in_flight
            .front()
            .context("an answer without a request")?;
        let outcome = |index: u64| -> Result<Outcome> {
            match produced.error {
                ErrorCode::None if produced.base_offset >= 0 => Ok(Outcome::Ok(Some(
                    produced.base_offset + i64::try_from(index)?,
                ))),
                ErrorCode::None | ErrorCode::DuplicateSequenceNumber => Ok(Outcome::Ok(None)),
                _ => Ok(Outcome::Fail),
            }
        };
        match produced.error {
            ErrorCode::None | ErrorCode::DuplicateSequenceNumber => {}
            // OUT_OF_ORDER_SEQUENCE_NUMBER is not retriable in Kafka either.
            error if error.is_retriable() => return Ok(None),
            error => bail!(
                "partition {} answered {} ({}) to sequence {}",
                batch.partition,
                error.name(),
                produced.message,
                batch.base_sequence
            ),
        }
        for index in 0..batch.count {
            let id = RecordId {
                counter: batch.first.counter + index,
                ..batch.first
            };
            self.sends.push(Send {
                id,
                outcome: outcome(index)?,
            });
        }
        self.signals.add_acknowledged(batch.count);
        self.in_flight.pop_front();
        Ok(Some(()))
    }

    fn next_batch(&mut self) -> InFlight {
        self.turn = (self.turn + 1) % self.positions.len();
        let count = self.options.batch_records;
        let partition = self.turn as i32;
        let position = &mut self.positions[self.turn];
        let batch = InFlight {
            partition,
            base_sequence: position.next_sequence,
            first: RecordId {
                producer: self.options.producer,
                partition,
                counter: position.next_counter,
            },
            count,
        };
        position.next_sequence =
            wire::record_batch::add_sequence(position.next_sequence, count as i32);
        position.next_counter += count;
        batch
    }

    /// Sends the batch at `index` of those in flight.
    fn send(&mut self, index: usize) -> Result<Option<()>> {
        let batch = self
            .in_flight
            .get(index)
            .context("no such batch in flight")?;
        let (producer_id, producer_epoch) = self.identity.context("no producer id yet")?;
        let values: Vec<Vec<u8>> = (0..batch.count)
            .map(|index| RecordId {
                counter: batch.first.counter + index,
                ..batch.first
            })
            .map(|id| id.to_value(self.options.value_bytes))
            .collect();
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        let options = BatchOptions {
            producer_id,
            producer_epoch,
            base_sequence: batch.base_sequence,
            ..BatchOptions::default()
        };
        let bytes = calls::batch_of(options, now_ms(), &values)?;
        let request = calls::produce_request(&self.options.topic, vec![(batch.partition, bytes)]);
        let connection = self.connection.as_mut().context("no connection")?;
        Ok(connection.send(PRODUCE_VERSION, &request).ok().map(|_| ()))
    }

    /// Connects, gets a producer id the first time, and sends again what was not answered.
    fn reconnect(&mut self) -> Result<()> {
        let port = self.options.port;
        let mut identity = self.identity;
        let connection = retry("a broker to produce to", RECONNECT_LIMIT, || {
            let mut connection = Connection::open(port)?;
            if identity.is_none() {
                identity = Some(calls::init_producer_id(&mut connection)?);
            }
            Ok(connection)
        })?;
        self.identity = identity;
        self.connection = Some(connection);
        for index in 0..self.in_flight.len() {
            if self.send(index)?.is_none() {
                self.connection = None;
                break;
            }
        }
        Ok(())
    }
}

fn now_ms() -> i64 {
    use base::Clock as _;
    base::SystemClock::new().now_ms()
}
