//! The task that owns one coordinator.
//!
//! It selects over requests, the journal's watermark and the machine's own deadline, and carries out the
//! actions each of them yields. While the machine is loading, a second, empty one answers
//! COORDINATOR_LOAD_IN_PROGRESS in its place.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use base::ErrorChain;
use coordinator::{Action, Actions, AppendError, CommitId, Token};
use storage::{Appended, Lsn};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use wire::ErrorCode;

use super::{Coordinated, append, load};
use crate::server::Server;
use crate::topics::Partition;

/// Requests that may wait for one coordinator.
const QUEUE_MAX: usize = 1_024;

type Run<M> = Box<dyn FnOnce(&mut M, Token) -> Actions<M> + Send>;
type RunUnasked<M> = Box<dyn FnOnce(&mut M) -> Actions<M> + Send>;

/// What a coordinator's task is asked to do.
pub(super) enum Command<M: Coordinated> {
    /// Run a request and send its answer.
    Request {
        run: Run<M>,
        reply: oneshot::Sender<M::Response>,
    },
    /// Run something that yields actions but no answer.
    Run(RunUnasked<M>),
    /// Run something that answers itself.
    Query(Box<dyn FnOnce(&mut M) + Send>),
    /// End the coordinator.
    Unload,
}

/// The way to a coordinator's task. The task ends when it is told to unload or the last handle is gone.
#[derive(Debug)]
pub(crate) struct Handle<M: Coordinated> {
    commands: mpsc::Sender<Command<M>>,
}

impl<M: Coordinated> Clone for Handle<M> {
    fn clone(&self) -> Handle<M> {
        Handle {
            commands: self.commands.clone(),
        }
    }
}

impl<M: Coordinated> Handle<M> {
    pub(super) async fn send(&self, command: Command<M>) -> Result<(), ErrorCode> {
        self.commands
            .send(command)
            .await
            .map_err(|_| ErrorCode::NotCoordinator)
    }

    /// Waits until the coordinator has ended.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn closed(&self) {
        self.commands.closed().await;
    }

    /// Runs a request and waits for its answer, as long as that takes.
    ///
    /// # Errors
    /// NOT_COORDINATOR when the coordinator ended meanwhile.
    ///
    /// # Cancel safety
    /// Cancel safe: the machine runs the request whether or not anyone waits for its answer.
    pub(crate) async fn request(
        &self,
        run: impl FnOnce(&mut M, Token) -> Actions<M> + Send + 'static,
    ) -> Result<M::Response, ErrorCode> {
        let (reply, answer) = oneshot::channel();
        let run = Box::new(run);
        self.send(Command::Request { run, reply }).await?;
        answer.await.map_err(|_| ErrorCode::NotCoordinator)
    }

    /// Asks something that is answered at once.
    ///
    /// # Errors
    /// As [`Handle::request`].
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut M) -> T + Send + 'static,
    ) -> Result<T, ErrorCode> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Query(Box::new(move |machine| {
            // The asker may have gone; there is nobody else to tell.
            drop(reply.send(ask(machine)));
        })))
        .await?;
        answer.await.map_err(|_| ErrorCode::NotCoordinator)
    }

    /// Runs something that yields actions but no answer.
    ///
    /// # Errors
    /// NOT_COORDINATOR when the coordinator has ended.
    pub(crate) async fn tell(
        &self,
        run: impl FnOnce(&mut M) -> Actions<M> + Send + 'static,
    ) -> Result<(), ErrorCode> {
        self.send(Command::Run(Box::new(run))).await
    }
}

/// Starts the task of the coordinator of `partition`.
pub(super) fn spawn<M: Coordinated>(server: Arc<Server>, partition: Partition) -> Handle<M> {
    let (commands, receiver) = mpsc::channel(QUEUE_MAX);
    let tasks = server.tasks().clone();
    let task = Task::<M>::new(server, partition, commands.downgrade());
    tasks.spawn(M::TASK, task.run(receiver));
    Handle { commands }
}

struct Task<M: Coordinated> {
    server: Arc<Server>,
    partition: Partition,
    machine: M,
    /// For effects that report back; weak, or the task would keep itself alive.
    commands: mpsc::WeakSender<Command<M>>,
    replies: HashMap<Token, oneshot::Sender<M::Response>>,
    next_token: u64,
    appends: VecDeque<(CommitId, Lsn)>,
}

enum Event<M: Coordinated> {
    Command(Option<Command<M>>),
    Durable(Result<(), storage::StorageError>),
    Deadline,
    Loaded(Result<Box<M>, String>),
}

impl<M: Coordinated> Task<M> {
    fn new(
        server: Arc<Server>,
        partition: Partition,
        commands: mpsc::WeakSender<Command<M>>,
    ) -> Task<M> {
        let machine = M::create(&server, &partition);
        Task {
            server,
            partition,
            machine,
            commands,
            replies: HashMap::new(),
            next_token: 0,
            appends: VecDeque::new(),
        }
    }

    async fn run(mut self, mut commands: mpsc::Receiver<Command<M>>) {
        let mut loading = Some(self.start_loading());
        loop {
            let event = self.next_event(&mut commands, &mut loading).await;
            let actions = match event {
                Event::Command(None) => return,
                Event::Command(Some(Command::Unload)) => {
                    let actions = self.machine.unload();
                    self.perform(actions).await;
                    return;
                }
                Event::Command(Some(command)) => self.take(command),
                Event::Durable(outcome) => self.on_journal(outcome),
                Event::Deadline => self.machine.tick(),
                Event::Loaded(Ok(machine)) => {
                    loading = None;
                    self.machine = *machine;
                    self.machine.loaded()
                }
                Event::Loaded(Err(reason)) => {
                    // As Kafka's coordinator does: whoever asks is told NOT_COORDINATOR from here on.
                    loading = None;
                    tracing::error!(
                        topic = M::TOPIC,
                        partition = self.partition.index.0,
                        reason,
                        "coordinator partition cannot be loaded; what it coordinates is unavailable"
                    );
                    self.machine.unload()
                }
            };
            self.perform(actions).await;
        }
    }

    fn start_loading(&self) -> JoinHandle<Result<Box<M>, String>> {
        let mut machine = Box::new(M::create(&self.server, &self.partition));
        let log = Arc::clone(&self.partition.log);
        let partition = self.partition.index;
        tokio::task::spawn_blocking(move || {
            let replayed = load::load(&mut *machine, &log)?;
            if replayed > 0 {
                tracing::info!(
                    topic = M::TOPIC,
                    partition = partition.0,
                    replayed,
                    "loaded coordinator"
                );
            }
            Ok(machine)
        })
    }

    async fn next_event(
        &mut self,
        commands: &mut mpsc::Receiver<Command<M>>,
        loading: &mut Option<JoinHandle<Result<Box<M>, String>>>,
    ) -> Event<M> {
        let first = self.appends.front().map(|(_, lsn)| *lsn);
        let wait = self
            .machine
            .next_deadline()
            .map(|deadline| deadline.since(self.server.clock().monotonic()));
        tokio::select! {
            outcome = self.server.storage().wait_durable(first.unwrap_or_default()),
                if first.is_some() => Event::Durable(outcome),
            loaded = joined(loading), if loading.is_some() => Event::Loaded(loaded),
            () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => Event::Deadline,
            command = commands.recv() => Event::Command(command),
        }
    }

    fn take(&mut self, command: Command<M>) -> Actions<M> {
        match command {
            Command::Request { run, reply } => {
                let token = Token(self.next_token);
                self.next_token += 1;
                self.replies.insert(token, reply);
                run(&mut self.machine, token)
            }
            Command::Run(run) => run(&mut self.machine),
            Command::Query(ask) => {
                ask(&mut self.machine);
                Vec::new()
            }
            Command::Unload => Vec::new(),
        }
    }

    fn on_journal(&mut self, outcome: Result<(), storage::StorageError>) -> Actions<M> {
        let Some((commit, _)) = self.appends.pop_front() else {
            return Vec::new();
        };
        match outcome {
            Ok(()) => self.machine.committed(commit),
            Err(error) => {
                tracing::warn!(topic = M::TOPIC, error = %ErrorChain(&error),
                    "coordinator records are not durable");
                self.machine.failed(commit, AppendError::Storage)
            }
        }
    }

    /// Carries out actions, and those that their failures yield.
    async fn perform(&mut self, actions: Actions<M>) {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            let (commit, appended) = match action {
                Action::Reply { token, response } => {
                    if let Some(reply) = self.replies.remove(&token) {
                        // A client that hung up does not hear its answer.
                        drop(reply.send(response));
                    }
                    continue;
                }
                Action::Effect(effect) => {
                    if let Some(commands) = self.commands.upgrade() {
                        M::perform(&self.server, &self.partition, Handle { commands }, effect);
                    }
                    continue;
                }
                Action::Append { commit, records } => {
                    let (server, partition) = (&self.server, &self.partition);
                    let appended = append::records(server, partition, &records).await;
                    (commit, self.noted(commit, appended))
                }
                Action::AppendTransactional {
                    commit,
                    producer,
                    records,
                } => {
                    let (server, partition) = (&self.server, &self.partition);
                    let appended =
                        append::in_transaction(server, partition, producer, &records).await;
                    (commit, self.noted(commit, appended))
                }
                Action::AppendMarker { commit, marker } => {
                    let appended = append::marker(&self.server, &self.partition, marker).await;
                    (commit, appended)
                }
            };
            match appended {
                Ok(lsn) => self.appends.push_back((commit, lsn)),
                Err(error) => actions.extend(self.machine.failed(commit, error)),
            }
        }
    }
}

impl<M: Coordinated> Task<M> {
    /// Tells the machine where its records are.
    fn noted(
        &mut self,
        commit: CommitId,
        appended: Result<Appended, AppendError>,
    ) -> Result<Lsn, AppendError> {
        let appended = appended?;
        self.machine.appended(commit, appended.base_offset);
        Ok(appended.lsn)
    }
}

async fn joined<M>(
    loading: &mut Option<JoinHandle<Result<Box<M>, String>>>,
) -> Result<Box<M>, String> {
    match loading {
        Some(task) => task.await.unwrap_or_else(|error| Err(error.to_string())),
        None => std::future::pending().await,
    }
}
