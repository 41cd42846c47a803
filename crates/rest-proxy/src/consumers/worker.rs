//! An instance at its owner: a thread with librdkafka's consumer, as [`super::instance`] is its handle.
//!
//! The thread does what it is told between polls, so that a commit need not wait for a read. While nobody reads it polls
//! all the same, for the group's sake: a rebalance that waits for the client's next request would hold up all members. What
//! that brings is kept for the next read; beyond [`AHEAD_BYTES_MAX`] the partitions are paused.
//!
//! **Lifecycle:** the thread ends when it is told to, or when the handle is dropped; the consumer then leaves without a
//! word to the group, since its member is static. [`super::membership`] tells the group where that is meant.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use base::ErrorChain;
use client::data::{
    BaseConsumer, Consumer as _, DataError, Message as _, OwnedMessage, RDKafkaErrorCode,
};
use tokio::sync::oneshot;

use super::context::{Context, Shared, places};
use super::operations::{list_of, of_data};
use super::reading::{Reading, Wanted, size};
use super::record::{Place, Positions};
use crate::error::RestError;

/// How often the thread polls while nobody reads.
const IDLE: Duration = Duration::from_millis(100);
/// How long a poll of a read may keep other requests waiting.
const SLICE: Duration = Duration::from_millis(20);
/// Bytes that are read ahead while nobody reads.
const AHEAD_BYTES_MAX: u64 = 1024 * 1024;

pub(super) type Work = Box<dyn FnOnce(&mut Worker) + Send>;
pub(super) type ReadReply = oneshot::Sender<Result<Vec<OwnedMessage>, RestError>>;

/// What a thread is asked.
pub(super) enum Command {
    Do(Work),
    Read(Wanted, ReadReply),
    Close,
}

/// The thread's side.
pub(crate) struct Worker {
    pub(super) consumer: BaseConsumer<Context>,
    pub(super) shared: Arc<Shared>,
    commits: bool,
    /// Read, and not asked for yet.
    ahead: VecDeque<OwnedMessage>,
    ahead_bytes: u64,
    is_paused: bool,
    reads: VecDeque<(Reading, ReadReply)>,
}

impl Worker {
    /// A worker that reads nothing yet; `commits` says whether it commits what the client has by itself.
    pub(super) fn new(consumer: BaseConsumer<Context>, shared: Arc<Shared>, commits: bool) -> Self {
        Self {
            consumer,
            shared,
            commits,
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            is_paused: false,
            reads: VecDeque::new(),
        }
    }

    /// Works until it is told to end.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        let mut polled = Instant::now();
        while !self.shared.is_lost() {
            let command = if self.reads.is_empty() {
                match commands.recv_timeout(IDLE) {
                    Ok(command) => Some(command),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            } else {
                match commands.try_recv() {
                    Ok(command) => Some(command),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => return,
                }
            };
            match command {
                Some(Command::Do(work)) => {
                    work(&mut self);
                    // However many there are: the group waits for polls.
                    if polled.elapsed() < IDLE {
                        continue;
                    }
                }
                Some(Command::Read(wanted, reply)) => {
                    self.reads.push_back((Reading::new(wanted), reply));
                }
                Some(Command::Close) => return,
                None => {}
            }
            polled = Instant::now();
            if self.reads.is_empty() {
                self.poll_ahead();
            } else {
                self.poll_for_read();
            }
        }
    }

    /// One poll; none when nothing came.
    fn poll(&mut self, wait: Duration) -> Option<Result<OwnedMessage, DataError>> {
        let polled = self
            .consumer
            .poll(wait)
            .map(|polled| polled.map(|message| message.detach()));
        self.forget_revoked();
        if let Some(Err(DataError::MessageConsumptionFatal(code))) = &polled {
            tracing::info!(%code, "a consumer instance has another owner");
            self.shared.lose();
        }
        polled
    }

    /// What is read ahead of partitions that are another member's now is not to be given.
    fn forget_revoked(&mut self) {
        let revoked = self.consumer.context().take_revoked();
        if !revoked.is_empty() {
            self.forget(&revoked);
            // What comes now is not paused.
            self.is_paused = false;
        }
    }

    pub(super) fn forget(&mut self, places: &BTreeSet<Place>) {
        self.ahead.retain(|message| {
            !places.contains(&Place {
                topic: message.topic().to_owned(),
                partition: message.partition(),
            })
        });
        self.ahead_bytes = self.ahead.iter().map(size).sum();
    }

    fn poll_ahead(&mut self) {
        while let Some(polled) = self.poll(Duration::ZERO) {
            match polled {
                Ok(message) => {
                    self.ahead_bytes = self.ahead_bytes.saturating_add(size(&message).max(1));
                    self.ahead.push_back(message);
                }
                // It comes again, or it is the read's to tell.
                Err(error) => {
                    tracing::debug!(error = %ErrorChain(&error), "a consumer instance");
                    return;
                }
            }
            if self.ahead_bytes >= AHEAD_BYTES_MAX {
                self.set_paused(true);
                return;
            }
        }
    }

    fn set_paused(&mut self, paused: bool) {
        if self.is_paused == paused {
            return;
        }
        let change = self.consumer.assignment().and_then(|partitions| {
            if paused {
                self.consumer.pause(&partitions)
            } else {
                self.consumer.resume(&partitions)
            }
        });
        match change {
            Ok(()) => self.is_paused = paused,
            Err(error) => {
                tracing::debug!(error = %ErrorChain(&error), paused, "partitions cannot be paused");
            }
        }
    }

    /// Goes on with the first read.
    fn poll_for_read(&mut self) {
        let Some((mut reading, reply)) = self.reads.pop_front() else {
            return;
        };
        if reply.is_closed() {
            return self.give_back(reading.finish());
        }
        self.set_paused(false);
        let outcome = self.fill(&mut reading);
        match outcome {
            Ok(false) => self.reads.push_front((reading, reply)),
            Ok(true) => {
                if let Err(Ok(back)) = reply.send(Ok(reading.finish())) {
                    self.give_back(back);
                }
            }
            Err(error) => {
                let back = reading.finish();
                if back.is_empty() {
                    // Whoever asked may be gone.
                    drop(reply.send(Err(error)));
                } else if let Err(Ok(back)) = reply.send(Ok(back)) {
                    self.give_back(back);
                }
            }
        }
    }

    /// Takes records for at most a slice of time; whether the read is done.
    fn fill(&mut self, reading: &mut Reading) -> Result<bool, RestError> {
        let begin = Instant::now();
        while let Some(message) = self.ahead.pop_front() {
            self.ahead_bytes = self.ahead_bytes.saturating_sub(size(&message).max(1));
            if let Some(back) = reading.offer(message) {
                self.put_back(back);
                return Ok(true);
            }
        }
        if reading.is_done(begin, false) {
            return Ok(true);
        }
        let mut wait = reading.left(begin).min(SLICE);
        if reading.is_done(begin, true) {
            wait = Duration::ZERO;
        }
        loop {
            let is_dry = match self.poll(wait) {
                None => true,
                Some(Ok(message)) => {
                    if let Some(back) = reading.offer(message) {
                        self.put_back(back);
                    }
                    false
                }
                Some(Err(error)) => match for_reader(&error) {
                    Some(error) => return Err(error),
                    None => true,
                },
            };
            let now = Instant::now();
            if reading.is_done(now, is_dry) {
                return Ok(true);
            }
            if is_dry || now.duration_since(begin) >= SLICE {
                return Ok(false);
            }
            wait = Duration::ZERO;
        }
    }

    /// What was read ahead is not to be given.
    pub(super) fn forget_all(&mut self) {
        self.ahead.clear();
        self.ahead_bytes = 0;
        self.is_paused = false;
    }

    fn put_back(&mut self, message: OwnedMessage) {
        self.ahead_bytes = self.ahead_bytes.saturating_add(size(&message).max(1));
        self.ahead.push_front(message);
    }

    /// Records that nobody got are the first to be read again, but for those of partitions that went since.
    pub(super) fn give_back(&mut self, messages: Vec<OwnedMessage>) {
        let held = self
            .consumer
            .assignment()
            .map(|list| places(&list))
            .unwrap_or_default();
        for message in messages.into_iter().rev() {
            let place = Place {
                topic: message.topic().to_owned(),
                partition: message.partition(),
            };
            if held.contains(&place) {
                self.put_back(message);
            }
        }
    }

    pub(super) fn store(&self, positions: &Positions) {
        if self.commits
            && let Err(error) =
                list_of(positions).and_then(|list| self.consumer.store_offsets(&list))
        {
            tracing::debug!(error = %ErrorChain(&error), "offsets are not stored");
        }
    }
}

/// An error that ends a read; librdkafka gets over the others by itself.
fn for_reader(error: &DataError) -> Option<RestError> {
    let code = error.rdkafka_error_code()?;
    match code {
        RDKafkaErrorCode::TopicAuthorizationFailed
        | RDKafkaErrorCode::GroupAuthorizationFailed
        | RDKafkaErrorCode::Authentication
        | RDKafkaErrorCode::AutoOffsetReset => Some(of_data(error)),
        _ if matches!(error, DataError::MessageConsumptionFatal(_)) => {
            Some(RestError::instance_is_moving())
        }
        _ => None,
    }
}
