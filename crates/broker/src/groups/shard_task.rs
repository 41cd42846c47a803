//! The task that owns one shard of the group coordinator.
//!
//! It selects over requests, the journal's watermark and the shard's own deadline, and carries out the
//! actions each of them yields. While the shard is loading, a second, empty one answers
//! COORDINATOR_LOAD_IN_PROGRESS in its place.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use base::{Clock, ErrorChain};
use coordinator::{
    Action, AppendError, CommitId, CoordinatorRecord, GroupConfig, Response, Shard, Token,
};
use storage::{AppendOrigin, Lsn};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use wire::ErrorCode;
use wire::record_batch::BatchHeader;
use wire::record_data::{BatchOptions, RecordBatchBuilder};

use super::load;
use crate::server::Server;
use crate::topics::Partition;

/// Requests that may wait for one shard.
const QUEUE_MAX: usize = 1_024;

type Run = Box<dyn FnOnce(&mut Shard, Token) -> Vec<Action> + Send>;
type RunUnasked = Box<dyn FnOnce(&mut Shard) -> Vec<Action> + Send>;

/// What a shard's task is asked to do.
pub(super) enum Command {
    /// Run a request and send its answer.
    Request {
        run: Run,
        reply: oneshot::Sender<Response>,
    },
    /// Run something that yields actions but no answer.
    Run(RunUnasked),
    /// Run something that answers itself.
    Query(Box<dyn FnOnce(&mut Shard) + Send>),
    /// End the shard.
    Unload,
}

/// The way to a shard's task. The task ends when the last handle is gone.
#[derive(Debug, Clone)]
pub(super) struct ShardHandle {
    commands: mpsc::Sender<Command>,
}

impl ShardHandle {
    pub(super) async fn send(&self, command: Command) -> Result<(), ErrorCode> {
        self.commands
            .send(command)
            .await
            .map_err(|_| ErrorCode::NotCoordinator)
    }

    pub(super) async fn query<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Shard) -> T + Send + 'static,
    ) -> Result<T, ErrorCode> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Query(Box::new(move |shard| {
            // The asker may have gone; there is nobody else to tell.
            drop(reply.send(ask(shard)));
        })))
        .await?;
        answer.await.map_err(|_| ErrorCode::NotCoordinator)
    }
}

/// Starts the task of the shard of `partition`.
pub(super) fn spawn(server: Arc<Server>, partition: Partition) -> ShardHandle {
    let (commands, receiver) = mpsc::channel(QUEUE_MAX);
    let tasks = server.tasks().clone();
    tasks.spawn(
        "group shard",
        ShardTask::new(server, partition).run(receiver),
    );
    ShardHandle { commands }
}

struct ShardTask {
    server: Arc<Server>,
    partition: Partition,
    shard: Shard,
    replies: HashMap<Token, oneshot::Sender<Response>>,
    next_token: u64,
    appends: VecDeque<(CommitId, Lsn)>,
}

enum Event {
    Command(Option<Command>),
    Durable(Result<(), storage::StorageError>),
    Deadline,
    Loaded(Result<Box<Shard>, String>),
}

impl ShardTask {
    fn new(server: Arc<Server>, partition: Partition) -> ShardTask {
        let shard = new_shard(&server);
        ShardTask {
            server,
            partition,
            shard,
            replies: HashMap::new(),
            next_token: 0,
            appends: VecDeque::new(),
        }
    }

    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut loading = Some(self.start_loading());
        loop {
            let event = self.next_event(&mut commands, &mut loading).await;
            let actions = match event {
                Event::Command(None) => return,
                Event::Command(Some(Command::Unload)) => {
                    let actions = self.shard.unload();
                    self.perform(actions).await;
                    return;
                }
                Event::Command(Some(command)) => self.take(command),
                Event::Durable(outcome) => self.on_journal(outcome),
                Event::Deadline => self.shard.tick(),
                Event::Loaded(Ok(shard)) => {
                    loading = None;
                    self.shard = *shard;
                    self.shard.loaded()
                }
                Event::Loaded(Err(reason)) => {
                    // As Kafka's coordinator does: whoever asks is told NOT_COORDINATOR from here on.
                    loading = None;
                    tracing::error!(
                        partition = self.partition.index.0,
                        reason,
                        "__consumer_offsets partition cannot be loaded; its groups are unavailable"
                    );
                    self.shard.unload()
                }
            };
            self.perform(actions).await;
        }
    }

    fn start_loading(&self) -> JoinHandle<Result<Box<Shard>, String>> {
        let mut shard = Box::new(new_shard(&self.server));
        let log = Arc::clone(&self.partition.log);
        let partition = self.partition.index;
        tokio::task::spawn_blocking(move || {
            let replayed = load::load(&mut shard, &log)?;
            if replayed > 0 {
                tracing::info!(partition = partition.0, replayed, "loaded group metadata");
            }
            Ok(shard)
        })
    }

    async fn next_event(
        &mut self,
        commands: &mut mpsc::Receiver<Command>,
        loading: &mut Option<JoinHandle<Result<Box<Shard>, String>>>,
    ) -> Event {
        let first = self.appends.front().map(|(_, lsn)| *lsn);
        let wait = self
            .shard
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

    fn take(&mut self, command: Command) -> Vec<Action> {
        match command {
            Command::Request { run, reply } => {
                let token = Token(self.next_token);
                self.next_token += 1;
                self.replies.insert(token, reply);
                run(&mut self.shard, token)
            }
            Command::Run(run) => run(&mut self.shard),
            Command::Query(ask) => {
                ask(&mut self.shard);
                Vec::new()
            }
            Command::Unload => Vec::new(),
        }
    }

    fn on_journal(&mut self, outcome: Result<(), storage::StorageError>) -> Vec<Action> {
        let Some((commit, _)) = self.appends.pop_front() else {
            return Vec::new();
        };
        match outcome {
            Ok(()) => self.shard.committed(commit),
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "group metadata is not durable");
                self.shard.failed(commit, AppendError::Storage)
            }
        }
    }

    /// Carries out actions, and those that their failures yield.
    async fn perform(&mut self, actions: Vec<Action>) {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Reply { token, response } => {
                    if let Some(reply) = self.replies.remove(&token) {
                        // A client that hung up does not hear its answer.
                        drop(reply.send(response));
                    }
                }
                Action::Append { commit, records } => {
                    match append(&self.server, &self.partition, &records).await {
                        Ok(lsn) => self.appends.push_back((commit, lsn)),
                        Err(error) => actions.extend(self.shard.failed(commit, error)),
                    }
                }
            }
        }
    }
}

/// Appends records as one batch.
async fn append(
    server: &Server,
    partition: &Partition,
    records: &[CoordinatorRecord],
) -> Result<Lsn, AppendError> {
    let now_ms = server.clock().now_ms();
    let mut builder = RecordBatchBuilder::new(BatchOptions::default());
    for record in records {
        builder
            .append(now_ms, Some(&record.key), record.value.as_deref(), &[])
            .map_err(|_| AppendError::TooLarge)?;
    }
    let bytes = builder.finish().map_err(|_| AppendError::TooLarge)?;
    let header = BatchHeader::parse(&bytes).map_err(|_| AppendError::Unknown)?;
    let appended = server
        .append(partition, &bytes, header, AppendOrigin::Coordinator)
        .await;
    match appended {
        Ok(appended) => Ok(appended.lsn),
        Err(storage::AppendError::TooLarge { .. }) => Err(AppendError::TooLarge),
        Err(error) => {
            tracing::warn!(error = %ErrorChain(&error), "cannot append group metadata");
            Err(AppendError::Storage)
        }
    }
}

async fn joined(
    loading: &mut Option<JoinHandle<Result<Box<Shard>, String>>>,
) -> Result<Box<Shard>, String> {
    match loading {
        Some(task) => task.await.unwrap_or_else(|error| Err(error.to_string())),
        None => std::future::pending().await,
    }
}

fn new_shard(server: &Server) -> Shard {
    let settings = server.settings();
    let config = GroupConfig {
        min_session_timeout: settings.group_min_session_timeout,
        max_session_timeout: settings.group_max_session_timeout,
        initial_rebalance_delay: settings.group_initial_rebalance_delay,
        max_size: settings.group_max_size,
        offset_metadata_max_bytes: settings.offset_metadata_max_bytes,
        offsets_retention: settings.offsets_retention,
        offsets_retention_check_interval: settings.offsets_retention_check_interval,
        commit_timeout: settings.offsets_commit_timeout,
    };
    let clock: Arc<dyn Clock> = Arc::clone(server.clock());
    Shard::new(config, clock, Box::new(rand::random::<[u8; 16]>))
}
