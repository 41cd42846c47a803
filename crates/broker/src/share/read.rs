//! Reading and acquiring from many share partitions within one response's limits (`DelayedShareFetch`).
//!
//! First everything is read, and only when that is enough is any of it acquired: records that are acquired are out of
//! everybody else's reach. One fetch at a time reads a share partition.
//!
//! What lies below the local log start is read from the remote store (KIP-405), on blocking threads and for
//! `remote.fetch.max.wait.ms` at most; what has not come by then comes with a later fetch.

use std::sync::Arc;
use std::time::Duration;

use base::Offset;
use coordinator::share_partition::{
    AcknowledgeError, Acquire, AcquireMode, AcquiredRecords, Limits,
};
use storage::{ReadError, ReadLimit, ReadResult};
use tokio::sync::Notify;
use tokio::time::Instant;
use wire::{ErrorCode, Records};

use super::fetched::Fetched;
use super::leader::{FetchGuard, ShareLeader, of_code};
use super::sessions::TopicIdPartition;
use crate::errors;
use crate::server::Server;

/// What a member asks for.
#[derive(Debug)]
pub(crate) struct ShareRead {
    pub(crate) group_id: Arc<str>,
    pub(crate) member_id: Arc<str>,
    pub(crate) mode: AcquireMode,
    pub(crate) batch_size: i64,
    pub(crate) records_max: i64,
    pub(crate) bytes_min: usize,
    pub(crate) bytes_max: usize,
    pub(crate) wait_max: Duration,
    pub(crate) limits: Limits,
    /// How far the group may see.
    pub(crate) up_to: ReadLimit,
    /// How long the remote store may take.
    pub(crate) remote_wait_max: Duration,
}

/// What a member got of one partition.
#[derive(Debug)]
pub(crate) struct Acquired {
    pub(crate) records: Records,
    pub(crate) acquired: Vec<AcquiredRecords>,
}

/// Per partition, what a member got or why not; partitions without records are left out.
pub(crate) type Answers = Vec<(TopicIdPartition, Result<Acquired, AcknowledgeError>)>;

/// A partition of the fetch, as far as it is known.
struct Sought {
    partition: TopicIdPartition,
    leader: Result<Arc<ShareLeader>, AcknowledgeError>,
}

/// A partition whose records are in the remote store only.
struct Remote {
    place: usize,
    leader: Arc<ShareLeader>,
    offset: Offset,
    at_least_one: bool,
    guard: FetchGuard,
}

/// What one look at all partitions gave.
#[derive(Default)]
struct Looked {
    reads: Vec<Read>,
    remote: Vec<Remote>,
    answers: Answers,
    /// Bytes for each partition.
    share: usize,
    /// Whether the remote store took too long: there is nothing more to wait for in this fetch.
    late: bool,
}

/// A partition that was read and not acquired yet.
struct Read {
    place: usize,
    leader: Arc<ShareLeader>,
    offset: Offset,
    read: ReadResult,
    _guard: FetchGuard,
}

impl ShareRead {
    /// Acquires from the partitions, in order, as soon as there is enough, or what there is once the wait is over.
    ///
    /// Partitions in error do not end the wait for the others.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is acquired unless it is returned.
    pub(crate) async fn run(
        &self,
        server: &Arc<Server>,
        partitions: &[TopicIdPartition],
    ) -> Answers {
        let deadline = Instant::now() + self.wait_max;
        let mut sought: Vec<Sought> = partitions
            .iter()
            .map(|partition| Sought {
                partition: *partition,
                leader: self.resolve(server, *partition),
            })
            .collect();
        if self.records_max <= 0 || self.bytes_max == 0 {
            return Vec::new();
        }
        loop {
            let notify = Arc::new(Notify::new());
            for leader in sought
                .iter()
                .filter_map(|sought| sought.leader.as_ref().ok())
            {
                leader.subscribe(&notify);
                leader.partition().log.subscribe(&notify);
            }
            let mut looked = self.read_all(&sought);
            self.read_remote(&sought, &mut looked).await;
            let over = Instant::now() >= deadline || looked.late;
            let answers = self.acquire_all(server, &sought, looked, over);
            let nobody = sought.iter().all(|sought| sought.leader.is_err());
            if over || nobody || answers.iter().any(|(_, answer)| answer.is_ok()) {
                return with_errors(answers, &sought);
            }
            // Elapsed or not, there is one more look.
            tokio::time::timeout_at(deadline, notify.notified())
                .await
                .ok();
            for sought in &mut sought {
                self.look_again(server, sought);
            }
        }
    }

    fn resolve(
        &self,
        server: &Arc<Server>,
        partition: TopicIdPartition,
    ) -> Result<Arc<ShareLeader>, AcknowledgeError> {
        server
            .share_groups()
            .get_or_load(server, &self.group_id, partition)
            .map_err(of_code)
    }

    /// What could not be loaded is not tried again by this fetch; what has ended is loaded anew.
    fn look_again(&self, server: &Arc<Server>, sought: &mut Sought) {
        if let Ok(leader) = &sought.leader {
            sought.leader = match leader.failure() {
                Some(error) => Err(error),
                None => self.resolve(server, sought.partition),
            };
        }
    }

    /// Acquires from what was read, if that is enough.
    fn acquire_all(
        &self,
        server: &Arc<Server>,
        sought: &[Sought],
        looked: Looked,
        over: bool,
    ) -> Answers {
        let Looked {
            reads, mut answers, ..
        } = looked;
        let bytes: usize = reads.iter().map(|read| read.read.records.len()).sum();
        if bytes < self.bytes_min && !over {
            return answers;
        }
        let mut left = self.records_max;
        for read in reads {
            if left <= 0 {
                break;
            }
            let Some(sought) = sought.get(read.place) else {
                continue;
            };
            match self.acquire(server, &read, left) {
                Ok(acquired) if acquired.acquired.is_empty() => {}
                Ok(acquired) => {
                    left -= acquired
                        .acquired
                        .iter()
                        .map(AcquiredRecords::count)
                        .sum::<i64>();
                    answers.push((sought.partition, Ok(acquired)));
                }
                Err(code) => answers.push((sought.partition, Err(of_code(code)))),
            }
        }
        answers
    }

    fn read_all(&self, sought: &[Sought]) -> Looked {
        let acquirable: Vec<(usize, Arc<ShareLeader>, FetchGuard, Offset)> = sought
            .iter()
            .enumerate()
            .filter_map(|(place, sought)| {
                let leader = sought.leader.as_ref().ok()?;
                let guard = leader.begin_fetch()?;
                let offset = leader.fetch_offset(&self.limits)?;
                Some((place, Arc::clone(leader), guard, offset))
            })
            .collect();
        // Each has its share of the response (`PartitionMaxBytesStrategy.UNIFORM`).
        let share = self.bytes_max / acquirable.len().max(1);
        let mut looked = Looked {
            share,
            ..Looked::default()
        };
        let mut empty = true;
        for (place, leader, guard, offset) in acquirable {
            let log = &leader.partition().log;
            match log.read(offset, share, self.up_to, empty) {
                Ok(read) if read.records.is_empty() => {}
                Ok(read) => {
                    empty = false;
                    looked.reads.push(Read {
                        place,
                        leader,
                        offset,
                        read,
                        _guard: guard,
                    });
                }
                Err(ReadError::Tiered(_)) => {
                    looked.remote.push(Remote {
                        place,
                        leader,
                        offset,
                        at_least_one: empty,
                        guard,
                    });
                    empty = false;
                }
                // Retention was quicker; the next look begins where the log does.
                Err(ReadError::OffsetOutOfRange { .. }) => {}
                Err(error) => {
                    looked.failed(sought, place, &error);
                }
            }
        }
        looked
    }

    /// Reads what only the remote store has, of all such partitions at the same time.
    ///
    /// # Cancel safety
    /// Cancel safe: reads that have begun end by themselves, at the deadline.
    async fn read_remote(&self, sought: &[Sought], looked: &mut Looked) {
        if looked.remote.is_empty() {
            return;
        }
        let deadline = std::time::Instant::now() + self.remote_wait_max;
        let (share, up_to) = (looked.share, self.up_to);
        let mut reading = Vec::with_capacity(looked.remote.len());
        for remote in looked.remote.drain(..) {
            let log = Arc::clone(&remote.leader.partition().log);
            let (offset, at_least_one) = (remote.offset, remote.at_least_one);
            let read = tokio::task::spawn_blocking(move || {
                log.read_remote(offset, share, up_to, at_least_one, Some(deadline))
            });
            reading.push((remote, read));
        }
        for (remote, read) in reading {
            match read.await {
                Ok(Ok(read)) if read.records.is_empty() => {}
                Ok(Ok(read)) => looked.reads.push(Read {
                    place: remote.place,
                    leader: remote.leader,
                    offset: remote.offset,
                    read,
                    _guard: remote.guard,
                }),
                Ok(Err(ReadError::RemotePending)) => looked.late = true,
                Ok(Err(ReadError::OffsetOutOfRange { .. })) => {}
                Ok(Err(error)) => looked.failed(sought, remote.place, &error),
                Err(_) => {
                    if let Some(sought) = sought.get(remote.place) {
                        let error = of_code(ErrorCode::UnknownServerError);
                        looked.answers.push((sought.partition, Err(error)));
                    }
                }
            }
        }
        looked.reads.sort_by_key(|read| read.place);
    }

    fn acquire(
        &self,
        server: &Arc<Server>,
        read: &Read,
        records_max: i64,
    ) -> Result<Acquired, ErrorCode> {
        let records = &read.read.records;
        let reach = read.leader.reach(read.offset, records_max);
        let fetched = Fetched::scan(records, &read.read.aborted_transactions, reach)
            .map_err(|_| ErrorCode::KafkaStorageError)?;
        let request = Acquire {
            member: &self.member_id,
            mode: self.mode,
            batch_size: self.batch_size,
            records_max,
            fetch_offset: read.offset,
            fetched: &fetched.batches,
            aborted: &fetched.aborted,
        };
        let now = server.clock().monotonic();
        let acquired = read
            .leader
            .with(server, |partition| {
                partition.acquire(&request, &self.limits, now)
            })
            .unwrap_or_default();
        let records = fetched.slice(records, &acquired);
        Ok(Acquired { records, acquired })
    }
}

impl Looked {
    fn failed(&mut self, sought: &[Sought], place: usize, error: &ReadError) {
        if let Some(sought) = sought.get(place) {
            let error = of_code(errors::of_read(error));
            self.answers.push((sought.partition, Err(error)));
        }
    }
}

fn with_errors(mut answers: Answers, sought: &[Sought]) -> Answers {
    for sought in sought {
        if let Err(error) = &sought.leader {
            answers.push((sought.partition, Err(error.clone())));
        }
    }
    answers
}
