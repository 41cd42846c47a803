//! The requests of the simulated clients, each as the real broker's handler serves it.

use std::sync::Arc;

use base::Offset;
use chaos::checker::{Place, Seen};
use coordinator::transaction::{
    AddPartitions, ClientVersion, EndTxn, InitProducerId, PartitionsMode, Response as TxnResponse,
    TopicPartition, TransactionCoordinator,
};
use coordinator::{Response, Shard};
use storage::{
    AppendOrigin, Lsn, PartitionLog, ReadError, ReadLimit, VerificationGuard, VerificationRequest,
};
use wire::ErrorCode;
use wire::messages::TxnOffsetCommitRequest;
use wire::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use wire::record_batch::BatchHeader;
use wire::record_data::{BatchOptions, RecordBatchBuilder, batches, records};

use super::{Broker, OFFSETS, in_memory};
use crate::clients::Reply;
use crate::plant::Plant;

/// A batch of values.
#[derive(Clone, Debug)]
pub struct Produce {
    /// Where to.
    pub place: Place,
    /// The records.
    pub values: Vec<u64>,
    /// The producer's id and epoch.
    pub producer: (i64, i16),
    /// The sequence of the first record.
    pub sequence: i32,
    /// The transactional id, and the protocol.
    pub txn: Option<(String, ClientVersion)>,
    /// How many keys the records have; none for 0.
    pub keys: u64,
}

/// What a fetch found.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// Records of committed transactions, or of none.
    pub records: Vec<Seen>,
    /// Where the next fetch goes on.
    pub next: i64,
}

/// Offsets that a transaction commits.
#[derive(Clone, Debug)]
pub struct TxnOffsets {
    /// The request.
    pub request: TxnOffsetCommitRequest,
    /// The protocol.
    pub version: ClientVersion,
}

/// The answer to a request.
pub(crate) type Answer<T> = Result<T, ErrorCode>;

fn code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError)
}

fn code_of(error: &storage::AppendError) -> ErrorCode {
    use storage::AppendError as E;
    match error {
        E::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        E::DuplicateSequence { .. } => ErrorCode::DuplicateSequenceNumber,
        E::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        E::InvalidTxnState { .. } => ErrorCode::InvalidTxnState,
        _ => ErrorCode::KafkaStorageError,
    }
}

impl Broker {
    /// Produce.
    pub fn produce(&mut self, request: Produce, reply: Reply<Answer<i64>>) {
        let Some(log) = self.log(&request.place.topic, request.place.partition) else {
            reply.send(Err(ErrorCode::UnknownTopicOrPartition));
            return;
        };
        let Some((id, version)) = request.txn.clone() else {
            self.append_produce(&log, &request, AppendOrigin::Client, reply);
            return;
        };
        let guard = log.begin_verification(&VerificationRequest {
            producer_id: request.producer.0,
            producer_epoch: request.producer.1,
            base_sequence: request.sequence,
            supports_epoch_bump: version == ClientVersion::V2,
        });
        let Some(guard) = guard else {
            let origin = AppendOrigin::VerifiedClient(VerificationGuard::NONE);
            self.append_produce(&log, &request, origin, reply);
            return;
        };
        let partition = (request.place.topic.as_str().into(), request.place.partition);
        let producer = request.producer;
        self.verify(
            &id,
            producer,
            version,
            partition,
            move |broker, code| match code {
                ErrorCode::None => {
                    let origin = AppendOrigin::VerifiedClient(guard);
                    broker.append_produce(&log, &request, origin, reply);
                }
                ErrorCode::ProducerFenced if broker.plant == Some(Plant::EpochNotFenced) => {
                    broker.append_unfenced(&log, &request, reply);
                }
                code => {
                    if code == ErrorCode::InvalidProducerIdMapping {
                        log.drop_verification(request.producer.0);
                    }
                    reply.send(Err(code));
                }
            },
        );
    }

    /// Asks the transaction coordinator whether a partition belongs to a transaction, or adds it.
    fn verify(
        &mut self,
        id: &str,
        producer: (i64, i16),
        version: ClientVersion,
        partition: TopicPartition,
        then: impl FnOnce(&mut Broker, ErrorCode) + 'static,
    ) {
        let request = AddPartitions {
            transactional_id: id.to_owned(),
            producer_id: producer.0,
            producer_epoch: producer.1,
            mode: match version {
                ClientVersion::V2 => PartitionsMode::Add(version),
                ClientVersion::Classic => PartitionsMode::Verify,
            },
            partitions: vec![partition],
        };
        self.request::<TransactionCoordinator>(
            |machine, token| machine.add_partitions(token, request),
            move |broker, response| {
                let code = match response {
                    TxnResponse::Partitions(codes) => codes.first().copied(),
                    _ => None,
                };
                then(broker, code.unwrap_or(ErrorCode::UnknownServerError));
            },
        );
    }

    fn append_produce(
        &mut self,
        log: &Arc<PartitionLog>,
        request: &Produce,
        origin: AppendOrigin,
        reply: Reply<Answer<i64>>,
    ) {
        let is_forgetful = self.plant == Some(Plant::SequencesForgotten) && request.txn.is_none();
        let origin = if is_forgetful {
            AppendOrigin::Coordinator
        } else {
            origin
        };
        let mut builder = RecordBatchBuilder::new(BatchOptions {
            producer_id: request.producer.0,
            producer_epoch: request.producer.1,
            base_sequence: request.sequence,
            transactional: request.txn.is_some(),
            ..BatchOptions::default()
        });
        // Padding, so that batches cross the disk's blocks.
        let padding = vec![b'.'; 40 + usize::try_from(self.core.pick(0..900)).unwrap_or(0)];
        for value in &request.values {
            let body = [&value.to_be_bytes()[..], &padding].concat();
            let now_ms = base::Clock::now_ms(&*self.core.clock);
            let key = (request.keys > 0).then(|| {
                // The planted fault: now and then it is the next one's.
                let is_other = self.plant == Some(Plant::KeysMixedUp) && self.core.chance(0.05);
                let key = value % request.keys + u64::from(is_other);
                key.to_be_bytes()
            });
            let key = key.as_ref().map(<[u8; 8]>::as_slice);
            if builder.append(now_ms, key, Some(&body), &[]).is_err() {
                reply.send(Err(ErrorCode::CorruptMessage));
                return;
            }
        }
        let Ok(batch) = builder.finish() else {
            reply.send(Err(ErrorCode::CorruptMessage));
            return;
        };
        match self.append(log, &batch, origin) {
            Ok(appended) => {
                let base = appended.base_offset.0;
                if self.plant == Some(Plant::AckBeforeDurable) {
                    reply.send(Ok(base));
                } else {
                    self.when_durable(appended.lsn, move |_| reply.send(Ok(base)));
                }
            }
            Err(storage::AppendError::InvalidProducerEpoch { .. })
                if self.plant == Some(Plant::EpochNotFenced) =>
            {
                self.append_unfenced(log, request, reply);
            }
            Err(error) => reply.send(Err(code_of(&error))),
        }
    }

    /// The planted fault: the records of a fenced producer go into the transaction of whoever fenced it.
    fn append_unfenced(
        &mut self,
        log: &Arc<PartitionLog>,
        request: &Produce,
        reply: Reply<Answer<i64>>,
    ) {
        let current = log
            .active_producers()
            .into_iter()
            .find(|known| known.producer_id.0 == request.producer.0);
        let Some(current) = current.filter(|known| known.producer_epoch.0 > request.producer.1)
        else {
            reply.send(Err(ErrorCode::InvalidProducerEpoch));
            return;
        };
        let mut forged = request.clone();
        forged.producer.1 = current.producer_epoch.0;
        self.append_produce(log, &forged, AppendOrigin::Coordinator, reply);
    }

    /// Fetch, and what a consumer makes of it. An `Err` when the partition is not there or not readable.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn fetch(&mut self, place: &Place, from: i64, committed_only: bool) -> Answer<Fetched> {
        let log = self.log(&place.topic, place.partition);
        let log = log.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let is_planted = |plant| self.plant == Some(plant);
        let limit = if committed_only && !is_planted(Plant::StableOffsetIgnored) {
            ReadLimit::LastStableOffset
        } else {
            ReadLimit::HighWatermark
        };
        let repeats = is_planted(Plant::FetchRepeats) && from > 0 && self.core.chance(0.1);
        let begin = if repeats { from - 1 } else { from };
        let read = log.read_remote(Offset(begin), 4 << 10, limit, true, None);
        let read = read.map_err(|error| {
            let why = base::ErrorChain(&error);
            self.core
                .trace(format_args!("cannot read {place} at {from}: {why}"));
            match error {
                ReadError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
                _ => ErrorCode::KafkaStorageError,
            }
        })?;
        let aborted = if is_planted(Plant::AbortedListIgnored) {
            Vec::new()
        } else {
            read.aborted_transactions
        };
        let bytes = in_memory(&read.records);
        let mut found = Fetched {
            records: Vec::new(),
            next: read.next_offset.0.max(from),
        };
        let mut skip = is_planted(Plant::FetchSkips) && self.core.chance(0.05);
        for batch in batches(&bytes) {
            let (_, batch) = batch.map_err(|_| ErrorCode::CorruptMessage)?;
            let batch = records(&batch, 1 << 24).map_err(|_| ErrorCode::CorruptMessage)?;
            let header = *batch.header();
            if header.attributes.is_control() || is_aborted(&header, &aborted, committed_only) {
                continue;
            }
            if std::mem::take(&mut skip) {
                continue;
            }
            for record in batch {
                let record = record.map_err(|_| ErrorCode::CorruptMessage)?;
                let value = record.value.as_ref().and_then(|v| v.first_chunk().copied());
                if record.offset >= begin
                    && let Some(value) = value
                {
                    let (offset, value) = (record.offset, u64::from_be_bytes(value));
                    found.records.push(Seen { offset, value });
                }
            }
        }
        Ok(found)
    }

    /// DeleteRecords of a part of what there is, in percent. Answers where the log starts then, once that is durable.
    pub fn delete_records(&mut self, place: &Place, percent: u64, reply: Reply<Answer<i64>>) {
        let Some(log) = self.log(&place.topic, place.partition) else {
            reply.send(Err(ErrorCode::UnknownTopicOrPartition));
            return;
        };
        let (start, end) = (log.log_start_offset().0, log.high_watermark().0);
        let ahead = (end - start) * i64::try_from(percent).unwrap_or(0) / 100;
        if self.plant == Some(Plant::DeleteBeforeDurable) && self.core.chance(0.2) {
            // As if the broker had ended just then.
            reply.send(Ok(start + ahead));
            return;
        }
        match log.delete_records(Some(Offset(start + ahead))) {
            // On a full disk it is durable with the next checkpoint, which nobody waits for.
            Ok(deleted) if deleted.lsn == Lsn::ZERO => {
                reply.send(Err(ErrorCode::KafkaStorageError))
            }
            Ok(deleted) => self.when_durable(deleted.lsn, move |_| {
                reply.send(Ok(deleted.log_start_offset.0));
            }),
            Err(_) => reply.send(Err(ErrorCode::KafkaStorageError)),
        }
    }

    /// InitProducerId. Without a transactional id it is a new id.
    pub fn init_producer_id(&mut self, id: Option<String>, reply: Reply<Answer<(i64, i16)>>) {
        self.next_producer_id += 1;
        let fresh = self.next_producer_id;
        let Some(id) = id else {
            reply.send(Ok((fresh, 0)));
            return;
        };
        let mut request = InitProducerId {
            transactional_id: id,
            timeout_ms: 5_000,
            expected: None,
            new_producer_id: None,
        };
        let again = request.clone();
        request.new_producer_id = Some(fresh);
        self.request::<TransactionCoordinator>(
            move |machine, token| machine.init_producer_id(token, again),
            move |broker, response| match response {
                TxnResponse::ProducerIdWanted => broker.request::<TransactionCoordinator>(
                    move |machine, token| machine.init_producer_id(token, request),
                    move |_, response| reply.send(initialised(&response)),
                ),
                response => reply.send(initialised(&response)),
            },
        );
    }

    /// AddPartitionsToTxn of a classic producer.
    pub fn add_partition(
        &mut self,
        id: &str,
        producer: (i64, i16),
        place: &Place,
        reply: Reply<ErrorCode>,
    ) {
        let request = AddPartitions {
            transactional_id: id.to_owned(),
            producer_id: producer.0,
            producer_epoch: producer.1,
            mode: PartitionsMode::Add(ClientVersion::Classic),
            partitions: vec![(place.topic.as_str().into(), place.partition)],
        };
        self.request::<TransactionCoordinator>(
            |machine, token| machine.add_partitions(token, request),
            |_, response| match response {
                TxnResponse::Partitions(codes) => {
                    reply.send(
                        codes
                            .first()
                            .copied()
                            .unwrap_or(ErrorCode::UnknownServerError),
                    );
                }
                _ => reply.send(ErrorCode::UnknownServerError),
            },
        );
    }

    /// EndTxn. Answers the producer id and epoch to go on with.
    pub fn end_txn(&mut self, mut request: EndTxn, reply: Reply<Answer<(i64, i16)>>) {
        if self.plant == Some(Plant::DecisionNotLogged) && request.commit && self.core.chance(0.1) {
            let next = i16::from(request.version == ClientVersion::V2);
            reply.send(Ok((request.producer_id, request.producer_epoch + next)));
            return;
        }
        self.next_producer_id += 1;
        let again = request.clone();
        request.new_producer_id = Some(self.next_producer_id);
        self.request::<TransactionCoordinator>(
            move |machine, token| machine.end_txn(token, again),
            move |broker, response| match response {
                TxnResponse::ProducerIdWanted => broker.request::<TransactionCoordinator>(
                    move |machine, token| machine.end_txn(token, request),
                    move |_, response| reply.send(ended(&response)),
                ),
                response => reply.send(ended(&response)),
            },
        );
    }

    /// TxnOffsetCommit.
    pub fn txn_offset_commit(&mut self, offsets: TxnOffsets, reply: Reply<ErrorCode>) {
        let TxnOffsets { request, version } = offsets;
        let producer = (request.producer_id, request.producer_epoch);
        let guard = self.groups.log.begin_verification(&VerificationRequest {
            producer_id: producer.0,
            producer_epoch: producer.1,
            base_sequence: 0,
            supports_epoch_bump: version == ClientVersion::V2,
        });
        let commit = move |broker: &mut Broker, guard: VerificationGuard| {
            let id = request.transactional_id.clone();
            broker.request::<Shard>(
                move |shard, token| shard.txn_offset_commit(token, request, guard.to_raw()),
                move |_, response| match response {
                    Response::TxnOffsetCommit(response) => {
                        let mut parts = response.topics.iter().flat_map(|t| &t.partitions);
                        let failed = parts.find(|part| part.error_code != 0);
                        reply.send(failed.map_or(ErrorCode::None, |part| code(part.error_code)));
                    }
                    other => panic!("{id}: not an answer to TxnOffsetCommit: {other:?}"),
                },
            );
        };
        let Some(guard) = guard else {
            commit(self, VerificationGuard::NONE);
            return;
        };
        // Who was refused hears nothing; the client gives the transaction up.
        let id = self.id_of(producer);
        let partition = (OFFSETS.into(), 0);
        self.verify(&id, producer, version, partition, move |broker, code| {
            if code == ErrorCode::None {
                commit(broker, guard);
            }
        });
    }

    /// The transactional id of a producer, as its coordinator lists it.
    fn id_of(&self, producer: (i64, i16)) -> String {
        let filter = coordinator::transaction::ListFilter {
            producer_ids: vec![producer.0],
            duration_ms: -1,
            ..Default::default()
        };
        let listed = self.transactions.machine.list(&filter).unwrap_or_default();
        listed
            .first()
            .map(|one| one.transactional_id.clone())
            .unwrap_or_default()
    }

    /// OffsetFetch of one partition, stable.
    pub fn committed_offset(&mut self, group: &str, place: &Place, reply: Reply<Answer<i64>>) {
        let request = OffsetFetchRequestGroup {
            group_id: group.to_owned(),
            member_epoch: -1,
            topics: Some(vec![OffsetFetchRequestTopics {
                name: place.topic.clone(),
                partition_indexes: vec![place.partition],
                ..OffsetFetchRequestTopics::default()
            }]),
            ..OffsetFetchRequestGroup::default()
        };
        self.request::<Shard>(
            |shard, token| shard.offset_fetch(token, request, true),
            |_, response| {
                let Response::OffsetFetch(response) = response else {
                    reply.send(Err(ErrorCode::UnknownServerError));
                    return;
                };
                let part = response.topics.first().and_then(|t| t.partitions.first());
                reply.send(match (response.error_code, part) {
                    (0, Some(part)) if part.error_code == 0 => Ok(part.committed_offset),
                    (0, Some(part)) => Err(code(part.error_code)),
                    (error, _) => Err(code(error)),
                });
            },
        );
    }
}

pub(super) fn is_aborted(
    header: &BatchHeader,
    aborted: &[storage::AbortedTxn],
    committed_only: bool,
) -> bool {
    committed_only
        && header.attributes.is_transactional()
        && aborted.iter().any(|txn| {
            txn.producer_id.0 == header.producer_id
                && (txn.first_offset.0..=txn.last_offset.0).contains(&header.base_offset)
        })
}

fn initialised(response: &TxnResponse) -> Answer<(i64, i16)> {
    match response {
        TxnResponse::InitProducerId(response) => match code(response.error_code) {
            ErrorCode::None => Ok((response.producer_id, response.producer_epoch)),
            error => Err(error),
        },
        _ => Err(ErrorCode::UnknownServerError),
    }
}

fn ended(response: &TxnResponse) -> Answer<(i64, i16)> {
    match response {
        TxnResponse::EndTxn(response) => match code(response.error_code) {
            ErrorCode::None => Ok((response.producer_id, response.producer_epoch)),
            error => Err(error),
        },
        _ => Err(ErrorCode::UnknownServerError),
    }
}
