//! The way to the state of a share partition, for whoever leads its partition and for the group coordinator.
//!
//! Each call is about one share partition and finds its coordinator by the hash of its key, as Kafka's
//! `DefaultStatePersister` does over the network. `__share_group_state` is created when the first call needs it. While
//! a coordinator loads its partition it is asked again; nothing else is tried again here.

use std::sync::Arc;
use std::time::Duration;

use base::Offset;
use coordinator::share_state::{
    ReadState, Response, ShareCoordinator, ShareKey, StateError, StateSummary, WriteState,
};
use coordinator::{Actions, Token};
use wire::ErrorCode;

use super::ShareStates;
use crate::server::Server;

/// How long a coordinator that loads is given before it is asked again; doubles each time.
const FIRST_BACKOFF: Duration = Duration::from_millis(10);
/// How often it is asked again: for five seconds.
const RETRIES: u32 = 9;

/// The share coordinators, asked by share partition.
#[derive(Debug, Default)]
pub(crate) struct Persister {
    coordinators: ShareStates,
}

impl Persister {
    pub(crate) fn coordinators(&self) -> &ShareStates {
        &self.coordinators
    }

    /// Where a share partition is. A `leader_epoch` above the last one fences writes of earlier ones.
    ///
    /// # Errors
    /// FENCED_LEADER_EPOCH; INVALID_REQUEST when the state was never initialized; UNKNOWN_TOPIC_OR_PARTITION;
    /// COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE and NOT_COORDINATOR, which pass.
    ///
    /// # Cancel safety
    /// Cancel safe: the coordinator runs the request whether or not anyone waits for its answer.
    pub(crate) async fn read_state(
        &self,
        server: &Arc<Server>,
        key: ShareKey,
        leader_epoch: i32,
    ) -> Result<ReadState, StateError> {
        let run = move |machine: &mut ShareCoordinator, token, key: &ShareKey| {
            machine.read(token, key, leader_epoch)
        };
        match self.request(server, key, run).await? {
            Response::Read(state) => state,
            Response::Done(_) | Response::Summary(_) => Err(unexpected()),
        }
    }

    /// Writes down what has happened to a share partition, durably when this returns.
    ///
    /// # Errors
    /// As [`Persister::read_state`], and FENCED_STATE_EPOCH. Of COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR and
    /// UNKNOWN_SERVER_ERROR it is not known whether the write will be there after a restart.
    ///
    /// # Cancel safety
    /// As [`Persister::read_state`].
    pub(crate) async fn write_state(
        &self,
        server: &Arc<Server>,
        key: ShareKey,
        write: WriteState,
    ) -> Result<(), StateError> {
        let run = move |machine: &mut ShareCoordinator, token, key: &ShareKey| {
            machine.write(token, key, &write)
        };
        done(self.request(server, key, run).await?)
    }

    /// Makes or resets the state of a share partition; a `start_offset` of -1 leaves it to the first write.
    ///
    /// # Errors
    /// FENCED_STATE_EPOCH when the state has a later one, and as [`Persister::read_state`].
    pub(crate) async fn initialize(
        &self,
        server: &Arc<Server>,
        key: ShareKey,
        state_epoch: i32,
        start_offset: Offset,
    ) -> Result<(), StateError> {
        let run = move |machine: &mut ShareCoordinator, token, key: &ShareKey| {
            machine.initialize(token, key, state_epoch, start_offset)
        };
        done(self.request(server, key, run).await?)
    }

    /// Forgets the state of a share partition, if there is one.
    ///
    /// # Errors
    /// As [`Persister::read_state`].
    pub(crate) async fn delete(
        &self,
        server: &Arc<Server>,
        key: ShareKey,
    ) -> Result<(), StateError> {
        let run =
            |machine: &mut ShareCoordinator, token, key: &ShareKey| machine.delete(token, key);
        done(self.request(server, key, run).await?)
    }

    /// The outline of a share partition's state, also of one that has none.
    ///
    /// # Errors
    /// As [`Persister::read_state`].
    pub(crate) async fn summary(
        &self,
        server: &Arc<Server>,
        key: ShareKey,
    ) -> Result<StateSummary, StateError> {
        let run =
            |machine: &mut ShareCoordinator, token, key: &ShareKey| machine.summary(token, key);
        match self.request(server, key, run).await? {
            Response::Summary(summary) => summary,
            Response::Done(_) | Response::Read(_) => Err(unexpected()),
        }
    }

    /// Asks the share partition's coordinator, again while it is loading.
    async fn request(
        &self,
        server: &Arc<Server>,
        key: ShareKey,
        run: impl Fn(&mut ShareCoordinator, Token, &ShareKey) -> Actions<ShareCoordinator>
        + Clone
        + Send
        + 'static,
    ) -> Result<Response, StateError> {
        self.coordinators
            .ensure_ready(server)
            .await
            .map_err(unavailable)?;
        let coordinator_key = key.to_string();
        let mut backoff = FIRST_BACKOFF;
        for _ in 0..RETRIES {
            let answer = self.ask(&coordinator_key, &key, run.clone()).await?;
            if !is_loading(&answer) {
                return Ok(answer);
            }
            tokio::time::sleep(backoff).await;
            backoff *= 2;
        }
        self.ask(&coordinator_key, &key, run).await
    }

    async fn ask(
        &self,
        coordinator_key: &str,
        key: &ShareKey,
        run: impl FnOnce(&mut ShareCoordinator, Token, &ShareKey) -> Actions<ShareCoordinator>
        + Send
        + 'static,
    ) -> Result<Response, StateError> {
        let key = key.clone();
        self.coordinators
            .request(coordinator_key, move |machine, token| {
                run(machine, token, &key)
            })
            .await
            .map_err(unavailable)
    }
}

fn is_loading(answer: &Response) -> bool {
    let error = match answer {
        Response::Done(Err(error)) | Response::Read(Err(error)) | Response::Summary(Err(error)) => {
            error
        }
        Response::Done(Ok(())) | Response::Read(Ok(_)) | Response::Summary(Ok(_)) => return false,
    };
    error.code == ErrorCode::CoordinatorLoadInProgress
}

fn done(response: Response) -> Result<(), StateError> {
    match response {
        Response::Done(done) => done,
        Response::Read(_) | Response::Summary(_) => Err(unexpected()),
    }
}

fn unavailable(code: ErrorCode) -> StateError {
    let message = match code {
        ErrorCode::NotCoordinator => "This is not the correct coordinator.",
        _ => "The coordinator is not available.",
    };
    StateError {
        code,
        message: message.to_owned(),
    }
}

/// An answer to another kind of request; a bug of the machine.
fn unexpected() -> StateError {
    StateError {
        code: ErrorCode::UnknownServerError,
        message: "The share coordinator gave the answer of another request.".to_owned(),
    }
}
