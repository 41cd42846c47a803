//! The two tasks behind a connection, and what they share.
//!
//! The writer pushes who waits before it writes the frame, so the reader finds them however fast the answer
//! comes. Whichever side fails first closes the connection for both: [`Shared::close`] keeps the first reason,
//! answers everyone who waits with it, and aborts both tasks, which closes the socket.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::error::CloseReason;

/// The first read of a frame; more is asked for only as bytes arrive, so a lying length costs nothing.
const FRAME_RESERVE_MAX: usize = 64 * 1024;

/// One request on its way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) frame: Vec<Bytes>,
    pub(super) correlation_id: i32,
    pub(super) answer: oneshot::Sender<Result<Bytes, CloseReason>>,
    /// Held until the answer came, which bounds how many wait.
    pub(super) turn: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Waiting {
    correlation_id: i32,
    answer: oneshot::Sender<Result<Bytes, CloseReason>>,
    _turn: OwnedSemaphorePermit,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    closed: Option<CloseReason>,
    tasks: Vec<AbortHandle>,
}

/// What the handles of a connection and its tasks share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding the lock, and each update is complete by itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the connection ended, if it has.
    pub(super) fn closed(&self) -> Option<CloseReason> {
        self.lock().closed.clone()
    }

    /// Ends the connection, unless it has ended: the first reason stays.
    pub(super) fn close(&self, reason: CloseReason) {
        let (waiting, tasks) = {
            let mut state = self.lock();
            if state.closed.is_some() {
                return;
            }
            state.closed = Some(reason.clone());
            (
                std::mem::take(&mut state.waiting),
                std::mem::take(&mut state.tasks),
            )
        };
        for task in tasks {
            task.abort();
        }
        for waiting in waiting {
            answer(waiting.answer, Err(reason.clone()));
        }
    }

    fn keep(&self, task: AbortHandle) {
        let mut state = self.lock();
        if state.closed.is_some() {
            task.abort();
        } else {
            state.tasks.push(task);
        }
    }

    /// Queues who waits; `Err` gives the sender its answer when the connection has ended.
    fn push(&self, waiting: Waiting) -> Result<(), CloseReason> {
        let mut state = self.lock();
        if let Some(reason) = &state.closed {
            let reason = reason.clone();
            drop(state);
            answer(waiting.answer, Err(reason.clone()));
            return Err(reason);
        }
        state.waiting.push_back(waiting);
        Ok(())
    }

    fn complete(&self, frame: Bytes) -> Result<(), CloseReason> {
        let found = frame.clone().get_i32();
        let oldest = {
            let mut state = self.lock();
            let expected = state.waiting.front().map(|waiting| waiting.correlation_id);
            if expected != Some(found) {
                return Err(CloseReason::OutOfOrder { found, expected });
            }
            state.waiting.pop_front()
        };
        if let Some(waiting) = oldest {
            answer(waiting.answer, Ok(frame));
        }
        Ok(())
    }
}

/// Answers one who waits. A caller that stopped waiting is no error: its answer is dropped.
fn answer(to: oneshot::Sender<Result<Bytes, CloseReason>>, with: Result<Bytes, CloseReason>) {
    drop(to.send(with));
}

/// Starts both tasks. They end with [`Shared::close`].
pub(super) fn start(
    stream: TcpStream,
    outgoing: mpsc::Receiver<Outgoing>,
    response_bytes_max: usize,
) -> Arc<Shared> {
    let shared = Arc::new(Shared::default());
    let (read_half, write_half) = stream.into_split();
    let writer = tokio::spawn(write_all(write_half, outgoing, Arc::clone(&shared)));
    shared.keep(writer.abort_handle());
    let reader = tokio::spawn(read_all(read_half, response_bytes_max, Arc::clone(&shared)));
    shared.keep(reader.abort_handle());
    shared
}

async fn write_all(
    mut socket: OwnedWriteHalf,
    mut outgoing: mpsc::Receiver<Outgoing>,
    shared: Arc<Shared>,
) {
    while let Some(Outgoing {
        frame,
        correlation_id,
        answer,
        turn,
    }) = outgoing.recv().await
    {
        if shared
            .push(Waiting {
                correlation_id,
                answer,
                _turn: turn,
            })
            .is_err()
        {
            return;
        }
        for chunk in frame {
            if let Err(error) = socket.write_all(&chunk).await {
                shared.close(CloseReason::Io(Arc::new(error)));
                return;
            }
        }
    }
}

async fn read_all(mut socket: OwnedReadHalf, response_bytes_max: usize, shared: Arc<Shared>) {
    let mut buffer = BytesMut::new();
    let reason = loop {
        let frame = match read_frame(&mut socket, &mut buffer, response_bytes_max).await {
            Ok(frame) => frame,
            Err(reason) => break reason,
        };
        if let Err(reason) = shared.complete(frame) {
            break reason;
        }
    };
    shared.close(reason);
}

/// Reads one frame without its length prefix. It has room for a correlation id.
async fn read_frame(
    socket: &mut OwnedReadHalf,
    buffer: &mut BytesMut,
    max: usize,
) -> Result<Bytes, CloseReason> {
    fill(socket, buffer, 4).await?;
    let length = buffer.get_i32();
    let wanted = usize::try_from(length)
        .ok()
        .filter(|wanted| (4..=max).contains(wanted))
        .ok_or(CloseReason::FrameLength { length, max })?;
    fill(socket, buffer, wanted).await?;
    Ok(buffer.split_to(wanted).freeze())
}

async fn fill(
    socket: &mut OwnedReadHalf,
    buffer: &mut BytesMut,
    wanted: usize,
) -> Result<(), CloseReason> {
    while buffer.len() < wanted {
        buffer.reserve((wanted - buffer.len()).min(FRAME_RESERVE_MAX));
        match socket.read_buf(buffer).await {
            Ok(0) => return Err(CloseReason::Peer),
            Ok(_) => {}
            Err(error) => return Err(CloseReason::Io(Arc::new(error))),
        }
    }
    Ok(())
}
