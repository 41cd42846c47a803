//! One share partition at the leader of its partition: the state machine with its loading, its writes and its locks.
//!
//! Writes go out one at a time and in order; what comes up while one is on its way goes with the next. A write that the
//! share coordinator fences ends the leader: whoever comes next loads the state anew (`SharePartitionManager`'s
//! fencedSharePartitionHandler).
//!
//! While records are acquired a task waits for the first lock to run out; there is no task otherwise.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use base::{Offset, Timestamp};
use coordinator::share_partition::{
    AcknowledgeError, Acknowledgement, Limits, SharePartition, StateWrite, WriteId,
};
use coordinator::share_state::{ShareKey, StateBatch, StateError, WriteState};
use storage::ReadLimit;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wire::ErrorCode;

use crate::config::{ShareAutoOffsetReset, ShareGroupSettings};
use crate::server::Server;
use crate::topics::Partition;

/// How often a call of the share coordinator is tried while it loads or moves (`PersisterStateManager`).
const ATTEMPTS: u32 = 5;
/// How long to wait before the second attempt; twice as long before each further one.
const BACKOFF: Duration = Duration::from_millis(100);

/// An acknowledgement or release on its way: its outcome, once it is durable.
pub(crate) type Outcome = oneshot::Receiver<Result<(), AcknowledgeError>>;

#[derive(Debug)]
enum Phase {
    Loading,
    Ready(SharePartition),
    /// It could not be loaded.
    Failed(AcknowledgeError),
    /// Another leader, another state, or nobody who needs it.
    Ended,
}

#[derive(Debug)]
struct Queued {
    write: StateWrite,
    outcome: Option<oneshot::Sender<Result<(), AcknowledgeError>>>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    queue: VecDeque<Queued>,
    writing: bool,
    timing: bool,
    /// To be ended as soon as nothing is on its way: its group has no sessions.
    unused: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct ShareLeader {
    key: ShareKey,
    partition: Partition,
    state: Mutex<State>,
    /// Held while records are read and acquired.
    fetching: AtomicBool,
    /// Somebody wanted to fetch meanwhile.
    contended: AtomicBool,
    waiters: Mutex<Vec<Weak<Notify>>>,
    /// Locks have been taken.
    locked: Notify,
    stopping: CancellationToken,
}

/// The right to read and acquire.
#[derive(Debug)]
pub(crate) struct FetchGuard {
    leader: Arc<ShareLeader>,
}

impl Drop for FetchGuard {
    fn drop(&mut self) {
        self.leader.fetching.store(false, Ordering::Release);
        if self.leader.contended.swap(false, Ordering::AcqRel) {
            self.leader.wake();
        }
    }
}

/// The values of a group's configs that share partitions go by.
pub(crate) fn limits(settings: &ShareGroupSettings) -> Limits {
    Limits {
        delivery_count: settings.delivery_count_limit,
        lock_duration: settings.record_lock_duration,
        record_locks: i64::from(settings.partition_max_record_locks),
        renew: settings.renew_acknowledge_enable,
    }
}

/// What is in force for a share group.
pub(crate) fn group_settings(server: &Server, group_id: &str) -> ShareGroupSettings {
    let image = server.metadata().image();
    let settings = server.settings();
    settings.share.of_group(image.group_configs().get(group_id))
}

impl ShareLeader {
    /// Makes the leader and begins to load its state.
    pub(super) fn start(
        server: &Arc<Server>,
        key: ShareKey,
        partition: Partition,
        stopping: CancellationToken,
    ) -> Arc<ShareLeader> {
        let leader = Arc::new(ShareLeader {
            key,
            partition,
            state: Mutex::new(State {
                phase: Phase::Loading,
                queue: VecDeque::new(),
                writing: false,
                timing: false,
                unused: false,
            }),
            fetching: AtomicBool::new(false),
            contended: AtomicBool::new(false),
            waiters: Mutex::default(),
            locked: Notify::new(),
            stopping,
        });
        let (loading, server) = (Arc::clone(&leader), Arc::clone(server));
        let tasks = server.tasks().clone();
        tasks.spawn("share partition load", async move {
            match loading.load(&server).await {
                Ok(partition) => {
                    let mut state = loading.lock();
                    state.phase = Phase::Ready(partition);
                    end_unused(&mut state);
                }
                Err(error) => {
                    tracing::info!(share_partition = %loading.key, %error,
                        "cannot load a share partition");
                    loading.lock().phase = Phase::Failed(error);
                    server.share_groups().forget(&loading);
                }
            }
            server.share_groups().forget_ended(&loading);
            loading.wake();
        });
        leader
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn key(&self) -> &ShareKey {
        &self.key
    }

    pub(crate) fn partition(&self) -> &Partition {
        &self.partition
    }

    /// Why the state could not be loaded.
    pub(crate) fn failure(&self) -> Option<AcknowledgeError> {
        match &self.lock().phase {
            Phase::Failed(error) => Some(error.clone()),
            Phase::Loading | Phase::Ready(_) | Phase::Ended => None,
        }
    }

    /// Somebody needs it. Returns whether it can be used, or will be.
    pub(super) fn reuse(&self) -> bool {
        let mut state = self.lock();
        state.unused = false;
        matches!(state.phase, Phase::Loading | Phase::Ready(_))
    }

    /// Nobody needs it. Returns whether it has ended; otherwise it will, once its writes are durable.
    pub(super) fn retire(&self) -> bool {
        let mut state = self.lock();
        state.unused = true;
        end_unused(&mut state)
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.lock().phase, Phase::Ended)
    }

    /// Wakes `notify` once when something may be acquired that could not be before. Subscribe first, then look.
    pub(crate) fn subscribe(&self, notify: &Arc<Notify>) {
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        waiters.retain(|waiter| waiter.strong_count() > 0);
        waiters.push(Arc::downgrade(notify));
    }

    fn wake(&self) {
        let waiters =
            std::mem::take(&mut *self.waiters.lock().unwrap_or_else(PoisonError::into_inner));
        for waiter in waiters.iter().filter_map(Weak::upgrade) {
            waiter.notify_one();
        }
    }

    /// Takes the right to fetch; none while somebody else has it, after which subscribers are woken.
    pub(crate) fn begin_fetch(self: &Arc<Self>) -> Option<FetchGuard> {
        if self.fetching.swap(true, Ordering::AcqRel) {
            self.contended.store(true, Ordering::Release);
            // Whoever had it may have let go just before it could see that.
            if self.fetching.swap(true, Ordering::AcqRel) {
                return None;
            }
        }
        Some(FetchGuard {
            leader: Arc::clone(self),
        })
    }

    /// Where to read next; none while nothing can be acquired. The log's start is looked at first.
    pub(crate) fn fetch_offset(&self, limits: &Limits) -> Option<Offset> {
        let mut state = self.lock();
        let Phase::Ready(partition) = &mut state.phase else {
            return None;
        };
        partition.log_start_moved(self.partition.log.log_start_offset());
        partition
            .can_acquire(limits)
            .then(|| partition.next_fetch_offset())
    }

    /// The last offset that `records_max` records from an offset on can reach to; what lies behind need not be looked at.
    pub(crate) fn reach(&self, from: Offset, records_max: i64) -> Offset {
        let state = self.lock();
        let end = match &state.phase {
            Phase::Ready(partition) => partition.end_offset().max(from),
            Phase::Loading | Phase::Failed(_) | Phase::Ended => from,
        };
        Offset(end.0.saturating_add(records_max))
    }

    /// Does something with the state, if it is there, and sees to the locks that it leaves.
    pub(crate) fn with<T>(
        self: &Arc<Self>,
        server: &Arc<Server>,
        run: impl FnOnce(&mut SharePartition) -> T,
    ) -> Option<T> {
        let mut state = self.lock();
        let Phase::Ready(partition) = &mut state.phase else {
            return None;
        };
        let result = run(partition);
        self.time_locks(server, &mut state);
        Some(result)
    }

    /// Takes a member's acknowledgements. What they change is written in the background; the outcome tells.
    ///
    /// # Errors
    /// Those of [`SharePartition::acknowledge`]; UNKNOWN_TOPIC_OR_PARTITION when the state is not there.
    pub(crate) fn acknowledge(
        self: &Arc<Self>,
        server: &Arc<Server>,
        member_id: &str,
        acknowledgements: &[Acknowledgement],
        limits: &Limits,
    ) -> Result<Option<Outcome>, AcknowledgeError> {
        let now = server.clock().monotonic();
        let mut state = self.lock();
        let Phase::Ready(partition) = &mut state.phase else {
            return Err(of_code(ErrorCode::UnknownTopicOrPartition));
        };
        let write = partition.acknowledge(member_id, acknowledgements, limits, now)?;
        self.time_locks(server, &mut state);
        Ok(write.map(|write| self.enqueue(server, &mut state, write)))
    }

    /// Takes back what a member has.
    pub(crate) fn release(
        self: &Arc<Self>,
        server: &Arc<Server>,
        member_id: &str,
        limits: &Limits,
    ) -> Option<Outcome> {
        let mut state = self.lock();
        let Phase::Ready(partition) = &mut state.phase else {
            return None;
        };
        let write = partition.release(member_id, limits)?;
        Some(self.enqueue(server, &mut state, write))
    }

    async fn load(&self, server: &Arc<Server>) -> Result<SharePartition, AcknowledgeError> {
        let leader_epoch = self.partition.leader_epoch.0;
        let mut attempt = 1;
        let read = loop {
            let key = self.key.clone();
            match server
                .persister()
                .read_state(server, key, leader_epoch)
                .await
            {
                Err(error) if passes(error.code) && attempt < ATTEMPTS => {
                    self.back_off(attempt).await;
                    attempt += 1;
                }
                other => break other.map_err(of_persister)?,
            }
        };
        let start = match read.start_offset {
            Some(start) => start,
            None => self.initial_offset(server).await?,
        };
        SharePartition::load(&read, start, leader_epoch).map_err(|error| {
            tracing::error!(share_partition = %self.key, %error, "share state is not usable");
            of_code(ErrorCode::UnknownServerError)
        })
    }

    /// Where a group begins that has read nothing yet (`SharePartition.startOffsetDuringInitialization`).
    ///
    /// Differs: with `by_duration` and no record young enough it begins at the end; Kafka answers OFFSET_NOT_AVAILABLE
    /// until there is one.
    async fn initial_offset(&self, server: &Server) -> Result<Offset, AcknowledgeError> {
        let log = Arc::clone(&self.partition.log);
        match group_settings(server, &self.key.group_id).auto_offset_reset {
            ShareAutoOffsetReset::Latest => Ok(log.high_watermark()),
            ShareAutoOffsetReset::Earliest => Ok(log.log_start_offset()),
            ShareAutoOffsetReset::ByDuration(duration) => {
                let ago = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
                let timestamp = server.clock().now_ms().saturating_sub(ago).max(0);
                let end = log.high_watermark();
                let searching =
                    move || log.offset_for_timestamp(timestamp, ReadLimit::HighWatermark);
                let found = tokio::task::spawn_blocking(searching)
                    .await
                    .map_err(|_| of_code(ErrorCode::UnknownServerError))?
                    .map_err(|error| of_code(crate::errors::of_read(&error)))?;
                Ok(found.map_or(end, |found| found.offset))
            }
        }
    }

    async fn back_off(&self, attempt: u32) {
        let delay = BACKOFF.saturating_mul(1 << attempt.min(10));
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.stopping.cancelled() => {}
        }
    }

    fn enqueue(
        self: &Arc<Self>,
        server: &Arc<Server>,
        state: &mut State,
        write: StateWrite,
    ) -> Outcome {
        let (sender, outcome) = oneshot::channel();
        self.push(server, state, write, Some(sender));
        outcome
    }

    fn push(
        self: &Arc<Self>,
        server: &Arc<Server>,
        state: &mut State,
        write: StateWrite,
        outcome: Option<oneshot::Sender<Result<(), AcknowledgeError>>>,
    ) {
        state.queue.push_back(Queued { write, outcome });
        if !state.writing {
            state.writing = true;
            let (leader, server) = (Arc::clone(self), Arc::clone(server));
            let tasks = server.tasks().clone();
            tasks.spawn("share partition write", async move {
                leader.write_all(&server).await
            });
        }
    }

    /// Writes until nothing is queued.
    async fn write_all(self: Arc<Self>, server: &Arc<Server>) {
        while let Some((ids, outcomes, write)) = self.next_write() {
            let written = self.write(server, write).await;
            let fenced = matches!(&written, Err(error) if ends_leader(error.code));
            let mut state = self.lock();
            if let Phase::Ready(partition) = &mut state.phase {
                for id in ids {
                    partition.written(id, written.is_ok());
                }
            }
            if fenced {
                state.phase = Phase::Ended;
            }
            self.time_locks(server, &mut state);
            let left = if fenced {
                std::mem::take(&mut state.queue)
            } else {
                VecDeque::new()
            };
            drop(state);
            if fenced {
                tracing::info!(share_partition = %self.key, error = ?written, "share partition is fenced");
                server.share_groups().forget(&self);
            }
            let late = left.into_iter().filter_map(|queued| queued.outcome);
            for outcome in outcomes.into_iter().chain(late) {
                // Whoever asked may have gone.
                outcome.send(written.clone()).ok();
            }
            self.wake();
        }
        server.share_groups().forget_ended(&self);
    }

    /// What is queued, as one write; nothing ends the writing.
    #[expect(clippy::type_complexity, reason = "taken apart by its one caller")]
    fn next_write(
        &self,
    ) -> Option<(
        Vec<WriteId>,
        Vec<oneshot::Sender<Result<(), AcknowledgeError>>>,
        WriteState,
    )> {
        let mut state = self.lock();
        let Some(first) = state.queue.pop_front() else {
            state.writing = false;
            end_unused(&mut state);
            return None;
        };
        let mut ids = vec![first.write.id];
        let mut outcomes: Vec<_> = first.outcome.into_iter().collect();
        let mut write = first.write.state;
        let mut taken = by_offset(&write.batches);
        while let Some(next) = state.queue.front() {
            if !is_apart(&taken, &next.write.state.batches) {
                break;
            }
            let Some(next) = state.queue.pop_front() else {
                break;
            };
            ids.push(next.write.id);
            outcomes.extend(next.outcome);
            taken.extend(by_offset(&next.write.state.batches));
            let batches = std::mem::take(&mut write.batches);
            write = next.write.state;
            write.batches.splice(0..0, batches);
        }
        Some((ids, outcomes, write))
    }

    async fn write(&self, server: &Arc<Server>, write: WriteState) -> Result<(), AcknowledgeError> {
        let mut attempt = 1;
        loop {
            let (key, state) = (self.key.clone(), write.clone());
            match server.persister().write_state(server, key, state).await {
                Err(error) if passes(error.code) && attempt < ATTEMPTS => {
                    self.back_off(attempt).await;
                    attempt += 1;
                }
                other => return other.map_err(of_persister),
            }
        }
    }

    /// Sees to it that a task waits for the first lock to run out.
    fn time_locks(self: &Arc<Self>, server: &Arc<Server>, state: &mut State) {
        let Phase::Ready(partition) = &state.phase else {
            return;
        };
        if partition.next_deadline().is_none() {
            return;
        }
        if state.timing {
            self.locked.notify_one();
            return;
        }
        state.timing = true;
        let (leader, server) = (Arc::clone(self), Arc::clone(server));
        let tasks = server.tasks().clone();
        tasks.spawn("share partition locks", async move {
            leader.expire_locks(&server).await
        });
    }

    async fn expire_locks(self: Arc<Self>, server: &Arc<Server>) {
        while let Some(deadline) = self.expire(server) {
            let wait = deadline.since(server.clock().monotonic());
            tokio::select! {
                () = tokio::time::sleep_until(Instant::now() + wait) => {}
                () = self.locked.notified() => {}
                () = self.stopping.cancelled() => return,
            }
        }
    }

    /// Releases what was locked for too long. Returns when to look again; nothing ends the waiting.
    fn expire(self: &Arc<Self>, server: &Arc<Server>) -> Option<Timestamp> {
        let limits = limits(&group_settings(server, &self.key.group_id));
        let now = server.clock().monotonic();
        let mut state = self.lock();
        let (write, deadline) = match &mut state.phase {
            Phase::Ready(partition) => (partition.expire(&limits, now), partition.next_deadline()),
            Phase::Loading | Phase::Failed(_) | Phase::Ended => (None, None),
        };
        let expired = write.is_some();
        if let Some(write) = write {
            self.push(server, &mut state, write, None);
        }
        state.timing = deadline.is_some();
        drop(state);
        if expired {
            self.wake();
        }
        deadline
    }
}

/// Ends it if nobody needs it and nothing is on its way. Returns whether it has ended.
fn end_unused(state: &mut State) -> bool {
    if state.unused && !state.writing && matches!(state.phase, Phase::Ready(_)) {
        state.phase = Phase::Ended;
    }
    matches!(state.phase, Phase::Ended)
}

fn by_offset(batches: &[StateBatch]) -> BTreeMap<i64, i64> {
    let batches = batches.iter();
    batches
        .map(|batch| (batch.first_offset.0, batch.last_offset.0))
        .collect()
}

/// Whether no offset of `batches` is among those taken.
fn is_apart(taken: &BTreeMap<i64, i64>, batches: &[StateBatch]) -> bool {
    batches.iter().all(|batch| {
        taken
            .range(..=batch.last_offset.0)
            .next_back()
            .is_none_or(|(_, last)| *last < batch.first_offset.0)
    })
}

/// Whether trying again may help.
fn passes(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::NotCoordinator
    )
}

/// Whether the state is no longer this leader's.
fn ends_leader(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NotLeaderOrFollower
            | ErrorCode::GroupIdNotFound
            | ErrorCode::UnknownTopicOrPartition
    )
}

/// What clients are told of the share coordinator's errors (`SharePartition.fetchPersisterError`).
fn of_persister(error: StateError) -> AcknowledgeError {
    let code = match error.code {
        ErrorCode::NotCoordinator
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::CoordinatorLoadInProgress => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::GroupIdNotFound => ErrorCode::GroupIdNotFound,
        ErrorCode::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
        ErrorCode::FencedLeaderEpoch | ErrorCode::FencedStateEpoch => {
            ErrorCode::NotLeaderOrFollower
        }
        _ => ErrorCode::UnknownServerError,
    };
    AcknowledgeError {
        code,
        message: error.message,
    }
}

/// An error that its code says all of.
pub(crate) fn of_code(code: ErrorCode) -> AcknowledgeError {
    AcknowledgeError {
        code,
        message: String::new(),
    }
}
