//! One connection: frames in, answers out in the order of the requests.
//!
//! *Order now, ack later.* A request is dispatched as soon as its frame is there; a Produce is thereby
//! validated and enqueued, in order, while earlier answers still wait for the journal. The answers wait in a
//! FIFO of futures, bounded in count and bytes, of which only the head is polled: every other API therefore
//! runs when its turn comes, as on a Kafka broker, which takes up one request of a connection at a time. A heartbeat
//! whose turn has come when it is read needs no future.
//!
//! A connection that its quotas hold back is answered and not read from (KIP-219).
//!
//! One task does both directions. While it writes a response it does not read, which is the back pressure a
//! client that does not read its answers deserves.

mod frame;
mod send;

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use base::ErrorChain;
use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use crate::dispatch;
use crate::request::{ConnectionInfo, Reply};
use crate::server::Server;
use frame::{FrameError, FrameReader};

/// A request's answer, once its head of the line is reached.
pub(crate) type ReplyFuture = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// Requests of one connection that may wait for their answers. librdkafka sends a million without an answer
/// if it is let; a handful keeps the journal busy.
const IN_FLIGHT_MAX: usize = 128;
/// Bytes of requests of one connection that may wait, unless a single request is larger.
const IN_FLIGHT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A request that was taken up.
pub(crate) enum PendingReply {
    /// It is answered.
    Ready(Reply),
    /// It will be.
    Later(ReplyFuture),
}

struct InFlight {
    request_bytes: usize,
    reply: PendingReply,
}

struct Connection {
    server: Arc<Server>,
    info: Arc<ConnectionInfo>,
    stream: TcpStream,
    reader: FrameReader,
    in_flight: VecDeque<InFlight>,
    in_flight_bytes: usize,
    last_activity: Instant,
}

/// Serves one connection until the peer leaves, misbehaves or idles too long, or the broker stops.
pub(crate) async fn serve(
    server: Arc<Server>,
    info: Arc<ConnectionInfo>,
    stream: TcpStream,
    stopping: watch::Receiver<bool>,
) {
    let settings = server.settings();
    let idle = settings.connections_max_idle;
    let reader = FrameReader::new(settings.socket_request_max_bytes);
    let mut connection = Connection {
        server,
        info,
        stream,
        reader,
        in_flight: VecDeque::new(),
        in_flight_bytes: 0,
        last_activity: Instant::now(),
    };
    let peer = connection.info.peer;
    match connection.run(idle, stopping).await {
        Ok(()) => tracing::debug!(%peer, "connection closed"),
        Err(reason) => tracing::info!(%peer, reason, "closing connection"),
    }
}

enum Event {
    Answer(Reply),
    Frame(Result<Option<Bytes>, FrameError>),
    /// The connection was idle for long enough, unless it has done something since that time began.
    MaybeIdle,
    Unmuted,
    Stopping,
}

impl Connection {
    async fn run(
        &mut self,
        idle: Option<Duration>,
        mut stopping: watch::Receiver<bool>,
    ) -> Result<(), String> {
        // Both last as long as the connection: to make a timer and a waiter for each request costs more than many a request.
        let mut idleness = pin!(idle.map(tokio::time::sleep));
        let mut stopped = pin!(async { drop(stopping.wait_for(|stopping| *stopping).await) });
        let mut reading = true;
        while reading || !self.in_flight.is_empty() {
            let event = self.next_event(reading, idleness.as_mut(), stopped.as_mut());
            match event.await {
                Event::Answer(reply) => self.answer(reply, idle).await?,
                Event::Frame(Ok(Some(frame))) => self.begin(frame).await?,
                // The peer may have shut down its sending half alone: what it asked for is still answered.
                Event::Frame(Ok(None)) => reading = false,
                Event::Frame(Err(FrameError::Io(error))) => {
                    tracing::debug!(peer = %self.info.peer, %error, "connection lost");
                    return Ok(());
                }
                Event::Frame(Err(error)) => return Err(ErrorChain(&error).to_string()),
                Event::MaybeIdle => {
                    let end = idle.map(|idle| self.last_activity + idle);
                    let (Some(end), Some(timer)) = (end, idleness.as_mut().as_pin_mut()) else {
                        continue;
                    };
                    if end <= Instant::now() {
                        return Err("idle for connections.max.idle.ms".to_owned());
                    }
                    timer.reset(end);
                }
                Event::Unmuted => {}
                Event::Stopping => reading = false,
            }
        }
        Ok(())
    }

    async fn next_event(
        &mut self,
        reading: bool,
        idleness: Pin<&mut Option<Sleep>>,
        stopped: Pin<&mut impl Future<Output = ()>>,
    ) -> Event {
        let room = self.in_flight.len() < IN_FLIGHT_MAX
            && (self.in_flight_bytes < IN_FLIGHT_BYTES_MAX || self.in_flight.is_empty());
        let waiting = !self.in_flight.is_empty();
        let muted = self.info.mute.ends();
        tokio::select! {
            biased;
            reply = head(&mut self.in_flight), if waiting => Event::Answer(reply),
            frame = self.reader.next(&mut self.stream), if reading && room && muted.is_none() => Event::Frame(frame),
            () = sleep_until(muted), if muted.is_some() => Event::Unmuted,
            () = elapsed(idleness), if !waiting => Event::MaybeIdle,
            () = stopped, if reading => Event::Stopping,
        }
    }

    async fn begin(&mut self, frame: Bytes) -> Result<(), String> {
        let request_bytes = frame.len();
        let first = self.in_flight.is_empty();
        let reply = dispatch::begin(&self.server, &self.info, frame, first).await?;
        self.in_flight_bytes += request_bytes;
        self.in_flight.push_back(InFlight {
            request_bytes,
            reply,
        });
        Ok(())
    }

    async fn answer(&mut self, reply: Reply, idle: Option<Duration>) -> Result<(), String> {
        if let Some(done) = self.in_flight.pop_front() {
            self.in_flight_bytes -= done.request_bytes;
        }
        self.last_activity = Instant::now();
        match reply {
            Reply::Nothing => Ok(()),
            Reply::Close(reason) => Err(reason),
            Reply::Send(chunks) => {
                let chunks = match send::send_now(&self.stream, chunks) {
                    Ok(chunks) if chunks.is_empty() => return Ok(()),
                    Ok(chunks) => chunks,
                    Err(error) => return Err(self.cannot_send(&error)),
                };
                let sending = send::send(&self.stream, chunks, self.server.storage().cold_reads());
                let limit = idle.unwrap_or(Duration::MAX);
                match tokio::time::timeout(limit, sending).await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(self.cannot_send(&error)),
                    Err(_) => Err("the peer did not read its response in time".to_owned()),
                }
            }
        }
    }

    fn cannot_send(&self, error: &io::Error) -> String {
        tracing::debug!(peer = %self.info.peer, %error, "cannot send response");
        "the peer does not take its response".to_owned()
    }
}

/// The answer at the head of the line.
///
/// # Cancel safety
/// Cancel safe: the future stays in the queue and keeps its progress.
async fn head(in_flight: &mut VecDeque<InFlight>) -> Reply {
    match in_flight.front_mut() {
        Some(InFlight {
            reply: PendingReply::Later(reply),
            ..
        }) => reply.as_mut().await,
        Some(InFlight { reply, .. }) => {
            // Taken out at once by who asked.
            match std::mem::replace(reply, PendingReply::Ready(Reply::Nothing)) {
                PendingReply::Ready(reply) => reply,
                PendingReply::Later(reply) => reply.await,
            }
        }
        None => std::future::pending().await,
    }
}

/// The end of a timer; never, without one.
async fn elapsed(timer: Pin<&mut Option<Sleep>>) {
    match timer.as_pin_mut() {
        Some(timer) => timer.await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
