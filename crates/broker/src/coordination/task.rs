//! The task of one coordinator, and the way to it.
//!
//! It selects over what requests queued, the journal's watermark and the machine's own deadline, takes the machine's seat
//! ([`super::seat`]) for each, and carries out the actions that yields. While the machine is loading, a second, empty one
//! answers COORDINATOR_LOAD_IN_PROGRESS in its place.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::ErrorChain;
use coordinator::{Actions, AppendError, Token};
use storage::{Lsn, WhenToWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use wire::ErrorCode;

use super::seat::{Armed, Begun, Seat, Shared};
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

/// The way to a coordinator. Its task ends when it is told to unload or the last handle is gone.
#[derive(Debug)]
pub(crate) struct Handle<M: Coordinated> {
    commands: mpsc::Sender<Command<M>>,
    shared: Arc<Shared<M>>,
}

impl<M: Coordinated> Clone for Handle<M> {
    fn clone(&self) -> Handle<M> {
        Handle {
            commands: self.commands.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<M: Coordinated> Handle<M> {
    /// Another handle, as long as there is one.
    pub(super) fn of(shared: &Arc<Shared<M>>) -> Option<Handle<M>> {
        Some(Handle {
            commands: shared.commands.upgrade()?,
            shared: Arc::clone(shared),
        })
    }

    pub(super) async fn send(&self, command: Command<M>) -> Result<(), ErrorCode> {
        let place = self.commands.reserve().await;
        let place = place.map_err(|_| ErrorCode::NotCoordinator)?;
        // Before it is sent: from here on nobody overtakes it.
        self.shared.queued.fetch_add(1, Ordering::AcqRel);
        place.send(command);
        Ok(())
    }

    /// Waits until the coordinator has ended.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn closed(&self) {
        self.commands.closed().await;
    }

    /// Runs a request, at once when it is its turn, and waits for its answer as long as that takes.
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
        let answer = match self.shared.request_now(run) {
            Ok(Begun::Answered(answer)) => return Ok(answer),
            Ok(Begun::Waits(answer)) => answer,
            Err(run) => {
                let (reply, answer) = oneshot::channel();
                let run = Box::new(run);
                self.send(Command::Request { run, reply }).await?;
                answer
            }
        };
        answer.await.map_err(|_| ErrorCode::NotCoordinator)
    }

    /// Runs a request now, unless something is in the way.
    pub(super) fn request_now(
        &self,
        run: impl FnOnce(&mut M, Token) -> Actions<M>,
    ) -> Option<Begun<M::Response>> {
        self.shared.request_now(run).ok()
    }

    /// Asks something that is answered at once.
    ///
    /// # Errors
    /// As [`Handle::request`].
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut M) -> T + Send + 'static,
    ) -> Result<T, ErrorCode> {
        let ask = match self.query_now(ask) {
            Ok(answer) => return Ok(answer),
            Err(ask) => ask,
        };
        let (reply, answer) = oneshot::channel();
        self.send(Command::Query(Box::new(move |machine| {
            // The asker may have gone; there is nobody else to tell.
            drop(reply.send(ask(machine)));
        })))
        .await?;
        answer.await.map_err(|_| ErrorCode::NotCoordinator)
    }

    fn query_now<T, A: FnOnce(&mut M) -> T>(&self, ask: A) -> Result<T, A> {
        let Some(mut seat) = self.shared.enter() else {
            return Err(ask);
        };
        let answer = ask(&mut seat.machine);
        seat.leave();
        Ok(answer)
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
    let shared = Arc::new(Shared::new(&server, partition, commands.downgrade()));
    let tasks = server.tasks().clone();
    let task = Task {
        server,
        shared: Arc::clone(&shared),
    };
    tasks.spawn(M::TASK, task.run(receiver));
    Handle { commands, shared }
}

struct Task<M: Coordinated> {
    server: Arc<Server>,
    shared: Arc<Shared<M>>,
}

enum Event<M: Coordinated> {
    Command(Option<Command<M>>),
    /// What became of the append at this LSN.
    Journal(Lsn, Result<(), storage::StorageError>),
    Deadline,
    Loaded(Result<Box<M>, String>),
    /// Somebody left the seat with something to do.
    Woken,
}

/// However the task ends, the machine ends with it.
impl<M: Coordinated> Drop for Task<M> {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl<M: Coordinated> Task<M> {
    async fn run(self, mut commands: mpsc::Receiver<Command<M>>) {
        let mut loading = Some(self.start_loading());
        let mut armed = self.shared.take().await.arm();
        loop {
            let event = self.next_event(armed, &mut commands, &mut loading).await;
            let mut seat = self.shared.take().await;
            if self.shared.has_ended() {
                return;
            }
            // What a request left behind comes first.
            self.perform(&mut seat, Vec::new()).await;
            let (actions, queued) = match event {
                Event::Command(None) => return,
                Event::Command(Some(Command::Unload)) => {
                    let actions = seat.machine.unload();
                    self.perform(&mut seat, actions).await;
                    return;
                }
                Event::Command(Some(command)) => (run(&mut seat, command), true),
                Event::Journal(lsn, outcome) => (self.on_journal(&mut seat, lsn, outcome), false),
                Event::Deadline => (seat.machine.tick(), false),
                Event::Loaded(loaded) => {
                    loading = None;
                    (self.on_loaded(&mut seat, loaded), false)
                }
                Event::Woken => (Vec::new(), false),
            };
            self.perform(&mut seat, actions).await;
            if queued {
                self.shared.queued.fetch_sub(1, Ordering::AcqRel);
            }
            armed = seat.arm();
        }
    }

    fn on_loaded(&self, seat: &mut Seat<M>, loaded: Result<Box<M>, String>) -> Actions<M> {
        match loaded {
            Ok(machine) => {
                seat.machine = *machine;
                seat.machine.loaded()
            }
            Err(reason) => {
                // As Kafka's coordinator does: whoever asks is told NOT_COORDINATOR from here on.
                tracing::error!(
                    topic = M::TOPIC,
                    partition = self.shared.partition.index.0,
                    reason,
                    "coordinator partition cannot be loaded; what it coordinates is unavailable"
                );
                seat.machine.unload()
            }
        }
    }

    fn start_loading(&self) -> JoinHandle<Result<Box<M>, String>> {
        let partition = &self.shared.partition;
        let mut machine = Box::new(M::create(&self.server, partition));
        let log = Arc::clone(&partition.log);
        let partition = partition.index;
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
        &self,
        armed: Armed,
        commands: &mut mpsc::Receiver<Command<M>>,
        loading: &mut Option<JoinHandle<Result<Box<M>, String>>>,
    ) -> Event<M> {
        let first = armed.append;
        let wait = armed
            .deadline
            .map(|deadline| deadline.since(self.server.clock().monotonic()));
        let lsn = first.unwrap_or_default();
        tokio::select! {
            outcome = self.server.storage().wait_durable(lsn),
                if first.is_some() => Event::Journal(lsn, outcome),
            loaded = joined(loading), if loading.is_some() => Event::Loaded(loaded),
            () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => Event::Deadline,
            () = self.shared.wake.notified() => Event::Woken,
            command = commands.recv() => Event::Command(command),
        }
    }

    fn on_journal(
        &self,
        seat: &mut Seat<M>,
        lsn: Lsn,
        outcome: Result<(), storage::StorageError>,
    ) -> Actions<M> {
        let Err(error) = outcome else {
            // Maybe whoever wrote it has told the machine already.
            let durable = seat.next_durable(self.server.storage());
            return durable.map_or_else(Vec::new, |commit| seat.machine.committed(commit));
        };
        match seat.appends.front() {
            Some((commit, first)) if *first == lsn => {
                let commit = *commit;
                seat.appends.pop_front();
                tracing::warn!(topic = M::TOPIC, error = %ErrorChain(&error),
                    "coordinator records are not durable");
                seat.machine.failed(commit, AppendError::Storage)
            }
            _ => Vec::new(),
        }
    }

    /// Carries out actions, and those that their failures yield, waiting for room in the journal as often as it takes.
    async fn perform(&self, seat: &mut Seat<M>, actions: Actions<M>) {
        seat.carry_out(&self.shared, &self.server, WhenToWrite::AtOnce, actions);
        while let Some(bytes) = seat.room_wanted() {
            let room = append::await_room(&self.server, &self.shared.partition, bytes).await;
            if let Err(error) = room {
                seat.fail_held_up(error);
            }
            seat.carry_out(&self.shared, &self.server, WhenToWrite::AtOnce, Vec::new());
        }
    }
}

fn run<M: Coordinated>(seat: &mut Seat<M>, command: Command<M>) -> Actions<M> {
    match command {
        Command::Request { run, reply } => {
            let token = seat.next_token();
            seat.send_to(token, reply);
            run(&mut seat.machine, token)
        }
        Command::Run(run) => run(&mut seat.machine),
        Command::Query(ask) => {
            ask(&mut seat.machine);
            Vec::new()
        }
        Command::Unload => Vec::new(),
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
