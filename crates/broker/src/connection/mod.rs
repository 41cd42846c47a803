//! One connection: frames in, answers out in the order of the requests.
//!
//! *Order now, ack later.* A request is dispatched as soon as its frame is there; a Produce is thereby
//! validated and enqueued, in order, while earlier answers still wait for the journal. The answers wait in a
//! FIFO of futures, bounded in count and bytes, of which only the head is polled: every other API therefore
//! runs when its turn comes, as on a Kafka broker, which takes up one request of a connection at a time.
//!
//! A connection that its quotas hold back is answered and not read from (KIP-219).
//!
//! One task does both directions. While it writes a response it does not read, which is the back pressure a
//! client that does not read its answers deserves.

mod frame;
mod send;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base::ErrorChain;
use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

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

struct InFlight {
    request_bytes: usize,
    reply: ReplyFuture,
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
    Idle,
    Unmuted,
    Stopping,
}

impl Connection {
    async fn run(
        &mut self,
        idle: Option<Duration>,
        mut stopping: watch::Receiver<bool>,
    ) -> Result<(), String> {
        let mut reading = true;
        while reading || !self.in_flight.is_empty() {
            match self.next_event(reading, idle, &mut stopping).await {
                Event::Answer(reply) => self.answer(reply, idle).await?,
                Event::Frame(Ok(Some(frame))) => {
                    self.last_activity = Instant::now();
                    self.begin(frame).await?;
                }
                // The peer may have shut down its sending half alone: what it asked for is still answered.
                Event::Frame(Ok(None)) => reading = false,
                Event::Frame(Err(FrameError::Io(error))) => {
                    tracing::debug!(peer = %self.info.peer, %error, "connection lost");
                    return Ok(());
                }
                Event::Frame(Err(error)) => return Err(ErrorChain(&error).to_string()),
                Event::Idle => return Err("idle for connections.max.idle.ms".to_owned()),
                Event::Unmuted => {}
                Event::Stopping => reading = false,
            }
        }
        Ok(())
    }

    async fn next_event(
        &mut self,
        reading: bool,
        idle: Option<Duration>,
        stopping: &mut watch::Receiver<bool>,
    ) -> Event {
        let room = self.in_flight.len() < IN_FLIGHT_MAX
            && (self.in_flight_bytes < IN_FLIGHT_BYTES_MAX || self.in_flight.is_empty());
        let waiting = !self.in_flight.is_empty();
        let muted = self.info.mute.ends();
        let deadline = idle.map(|idle| self.last_activity + idle);
        tokio::select! {
            biased;
            reply = head(&mut self.in_flight), if waiting => Event::Answer(reply),
            frame = self.reader.next(&self.stream), if reading && room && muted.is_none() => Event::Frame(frame),
            () = sleep_until(muted), if muted.is_some() => Event::Unmuted,
            () = sleep_until(deadline), if !waiting => Event::Idle,
            _ = stopping.wait_for(|stopping| *stopping), if reading => Event::Stopping,
        }
    }

    async fn begin(&mut self, frame: Bytes) -> Result<(), String> {
        let request_bytes = frame.len();
        let reply = dispatch::begin(&self.server, &self.info, frame).await?;
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
                let sending = send::send(&self.stream, chunks, self.server.storage().cold_reads());
                let limit = idle.unwrap_or(Duration::MAX);
                match tokio::time::timeout(limit, sending).await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => {
                        tracing::debug!(peer = %self.info.peer, %error, "cannot send response");
                        Err("the peer does not take its response".to_owned())
                    }
                    Err(_) => Err("the peer did not read its response in time".to_owned()),
                }
            }
        }
    }
}

/// The answer at the head of the line.
///
/// # Cancel safety
/// Cancel safe: the future stays in the queue and keeps its progress.
async fn head(in_flight: &mut VecDeque<InFlight>) -> Reply {
    match in_flight.front_mut() {
        Some(first) => first.reply.as_mut().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
