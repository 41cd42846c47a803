//! The handle of an instance: what requests ask of its thread.

use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use client::data::{BaseConsumer, Message as _, OwnedMessage};
use tokio::sync::oneshot;

use super::context::{Context, Shared};
use super::reading::Wanted;
use super::record::{Interest, Place, Positions, Settings};
use super::worker::{Command, Worker};
use crate::error::RestError;

/// Requests that may wait for one instance.
const COMMANDS_MAX: usize = 64;

/// Where to begin: what an instance that is taken over read.
#[derive(Debug, Default)]
pub(super) struct Resume {
    pub(super) interest: Interest,
    pub(super) positions: Positions,
}

/// The handle of an instance.
#[derive(Debug)]
pub(crate) struct Instance {
    settings: Settings,
    commands: SyncSender<Command>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Instance {
    /// Starts the thread; `config` are librdkafka's settings.
    ///
    /// # Errors
    /// 422/42204 when librdkafka does not take them.
    pub(super) fn start(
        config: &client::data::ClientConfig,
        settings: Settings,
        resume: Resume,
    ) -> Result<Self, RestError> {
        let shared = Arc::new(Shared::default());
        let is_subscription = !matches!(resume.interest, Interest::Partitions(_));
        let at_first = if is_subscription {
            resume.positions.clone()
        } else {
            Positions::new()
        };
        let context = Context::new(Arc::clone(&shared), at_first);
        let consumer: BaseConsumer<Context> = config
            .create_with_context(context)
            .map_err(|error| RestError::invalid_consumer_config(&error.to_string()))?;
        let (commands, received) = mpsc::sync_channel(COMMANDS_MAX);
        let commits = settings.commit != Some(false);
        let mut worker = Worker::new(consumer, Arc::clone(&shared), commits);
        shared.progress().positions = resume.positions;
        worker.set_interest(resume.interest)?;
        let thread = std::thread::Builder::new()
            .name("rest-consumer".to_owned())
            .spawn(move || worker.run(&received))
            .map_err(|error| RestError::internal(format!("no thread can be started: {error}")))?;
        Ok(Self {
            settings,
            commands,
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// The settings with which it was made.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether another owner has it.
    pub(super) fn is_lost(&self) -> bool {
        self.shared.is_lost()
    }

    /// What it reads, and where the client is.
    pub(crate) fn progress(&self) -> (Interest, Positions) {
        let progress = self.shared.progress();
        (progress.interest.clone(), progress.positions.clone())
    }

    /// The client asks again, so it has what was sent. Gives whether that is news.
    pub(super) fn confirm(&self) -> bool {
        let sent = {
            let mut progress = self.shared.progress();
            let sent = std::mem::take(&mut progress.sent);
            progress.positions.extend(sent.clone());
            sent
        };
        if sent.is_empty() {
            return false;
        }
        if self.settings.commit != Some(false) {
            let store = Box::new(move |worker: &mut Worker| worker.store(&sent));
            // A queue that is full gives the next confirmation the chance.
            if self.commands.try_send(Command::Do(store)).is_err() {
                tracing::debug!("offsets are committed with the next request");
            }
        }
        true
    }

    /// Has the thread do something.
    ///
    /// # Cancel safety
    /// Dropping the future loses the answer; what was asked for is done all the same.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Worker) -> Result<T, RestError> + Send + 'static,
    ) -> Result<T, RestError> {
        let (reply, answer) = oneshot::channel();
        let work = Box::new(move |worker: &mut Worker| {
            if reply.send(work(worker)).is_err() {
                tracing::debug!("a request for a consumer instance went away");
            }
        });
        self.send(Command::Do(work))?;
        answer
            .await
            .unwrap_or_else(|_| Err(RestError::instance_is_moving()))
    }

    /// Reads records. What is not settled goes back to the instance.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn read(self: &Arc<Self>, wanted: Wanted) -> Result<Batch, RestError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Read(wanted, reply))?;
        let messages = answer
            .await
            .unwrap_or_else(|_| Err(RestError::instance_is_moving()))?;
        Ok(Batch {
            messages,
            instance: Arc::clone(self),
        })
    }

    fn send(&self, command: Command) -> Result<(), RestError> {
        self.commands
            .try_send(command)
            .map_err(|refused| match refused {
                mpsc::TrySendError::Full(_) => RestError::illegal_state(&format!(
                    "{COMMANDS_MAX} requests wait for this consumer instance"
                )),
                mpsc::TrySendError::Disconnected(_) => RestError::instance_is_moving(),
            })
    }

    /// Ends the thread, and waits until the consumer is closed.
    pub(super) async fn close(&self) {
        let thread = {
            let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
            thread.take()
        };
        let commands = self.commands.clone();
        let close = move || {
            // The thread may have ended by itself.
            let told = commands.send(Command::Close).is_ok();
            let ended = thread.is_none_or(|thread| thread.join().is_ok());
            (told, ended)
        };
        if !matches!(tokio::task::spawn_blocking(close).await, Ok((_, true))) {
            tracing::error!("the thread of a consumer instance panicked");
        }
    }
}

/// Records of one read, until it is said how many the client gets.
#[derive(Debug)]
pub(crate) struct Batch {
    messages: Vec<OwnedMessage>,
    instance: Arc<Instance>,
}

impl Batch {
    pub(crate) fn messages(&self) -> &[OwnedMessage] {
        &self.messages
    }

    /// The client gets the first so many; the others are read again.
    pub(crate) fn settle(mut self, count: usize) {
        let rest = self.messages.split_off(count.min(self.messages.len()));
        let sent = std::mem::replace(&mut self.messages, rest);
        let mut progress = self.instance.shared.progress();
        for message in &sent {
            let place = Place {
                topic: message.topic().to_owned(),
                partition: message.partition(),
            };
            progress
                .sent
                .insert(place, message.offset().saturating_add(1));
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let back = std::mem::take(&mut self.messages);
        if back.is_empty() {
            return;
        }
        let give = Box::new(move |worker: &mut Worker| worker.give_back(back));
        if self.instance.send(Command::Do(give)).is_err() {
            tracing::debug!("records go back to an instance that is gone");
        }
    }
}
