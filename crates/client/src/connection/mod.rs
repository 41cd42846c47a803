//! One TCP connection to a broker, speaking [`wire`]'s messages.
//!
//! ```text
//!   send ──encode──▶ queue (bounded) ──▶ writer task ──▶ socket
//!     ▲                                     │ pushes who waits
//!     │                                     ▼
//!     └──── answer ◀── reader task ◀── FIFO of those who wait
//! ```
//!
//! Kafka answers a connection's requests in their order, so a FIFO is all the matching there is; the
//! correlation id checks it. At most [`ConnectionOptions::in_flight_max`] requests are on their way; further
//! callers of [`Connection::send`] wait their turn, within their own timeout.
//!
//! **Versions:** the first exchange is `ApiVersions` (KIP-511). Each request then uses the newest version both
//! sides know. A broker too old for our `ApiVersions` answers in version 0 with error `UNSUPPORTED_VERSION`
//! and its range, and is asked again within it.
//!
//! **Lifecycle:** a connection ends once, with one [`CloseReason`]: the peer, an I/O error, a timeout, a
//! malformed frame, or the drop of its last handle. It is never reopened; [`crate::Admin`] makes a new one.

mod frame;
mod io;
mod versions;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use wire::{Message, Reader, Request};

use crate::error::{ClientError, CloseReason};
use io::{Outgoing, Shared};
use versions::VersionRanges;

/// Limits of a connection.
#[derive(Debug, Clone)]
pub struct ConnectionOptions {
    /// `client.id`: what broker logs and quotas call this client.
    pub client_id: String,
    /// The longest wait for the TCP connection and the version exchange, each.
    pub connect_timeout: Duration,
    /// The longest wait for one answer (`request.timeout.ms`), the wait for a turn included.
    pub request_timeout: Duration,
    /// The most requests that wait for an answer at a time.
    pub in_flight_max: usize,
    /// The longest response accepted, in bytes.
    pub response_bytes_max: usize,
}

impl Default for ConnectionOptions {
    fn default() -> ConnectionOptions {
        ConnectionOptions {
            client_id: "affluent".to_owned(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            in_flight_max: 64,
            response_bytes_max: 128 << 20,
        }
    }
}

/// A connection to one broker. Clones share it; the last one dropped closes it.
#[derive(Debug, Clone)]
pub struct Connection {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    address: String,
    options: ConnectionOptions,
    versions: VersionRanges,
    next_correlation_id: AtomicI32,
    turns: Arc<Semaphore>,
    queue: mpsc::Sender<Outgoing>,
    shared: Arc<Shared>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.close(CloseReason::Dropped);
    }
}

impl Connection {
    /// Connects to `address` (`host:port`) and agrees on versions.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when no TCP connection comes about; else as [`Connection::send`].
    pub async fn connect(
        address: &str,
        options: ConnectionOptions,
    ) -> Result<Connection, ClientError> {
        let unreachable = |source| ClientError::Unreachable {
            address: address.to_owned(),
            source,
        };
        let stream = timeout(options.connect_timeout, TcpStream::connect(address))
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(unreachable)?;

        let in_flight_max = options.in_flight_max.max(1);
        let (queue, outgoing) = mpsc::channel(in_flight_max);
        let shared = io::start(stream, outgoing, options.response_bytes_max);
        let mut inner = Inner {
            address: address.to_owned(),
            versions: VersionRanges::default(),
            next_correlation_id: AtomicI32::new(0),
            turns: Arc::new(Semaphore::new(in_flight_max)),
            queue,
            shared,
            options,
        };
        inner.versions = versions::exchange(&inner).await?;
        Ok(Connection {
            inner: Arc::new(inner),
        })
    }

    /// The address this connection was made to.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.inner.address
    }

    /// Whether the connection has ended; a request would fail at once.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner.shared.closed().is_some()
    }

    /// The newest version of `R` both sides know.
    ///
    /// # Errors
    /// [`ClientError::NotSupported`] when there is none.
    pub fn version_of<R: Request>(&self) -> Result<i16, ClientError> {
        self.version_of_within::<R>(&(0..=i16::MAX))
    }

    /// The newest version of `R` both sides know in `wanted`, for a caller that relies on a field which an
    /// earlier version does not have or a later one dropped.
    ///
    /// # Errors
    /// [`ClientError::NotSupported`] when there is none.
    pub fn version_of_within<R: Request>(
        &self,
        wanted: &RangeInclusive<i16>,
    ) -> Result<i16, ClientError> {
        self.inner
            .versions
            .common::<R>(wanted)
            .map_err(|theirs| ClientError::NotSupported {
                api: versions::api_name::<R>(),
                address: self.inner.address.clone(),
                ours_min: R::MIN_VERSION.max(*wanted.start()),
                ours_max: R::MAX_VERSION.min(*wanted.end()),
                theirs,
            })
    }

    /// Sends `request` in the newest version both sides know and waits for the answer.
    ///
    /// Requests sent one after another without waiting are answered in that order and share the connection.
    ///
    /// # Errors
    /// [`ClientError::Closed`] leaves open whether the request took effect. A timeout ends the connection.
    /// An error code inside the response is not an error here: the caller reads the response.
    ///
    /// # Cancel safety
    /// Dropping the future loses the answer, not the request: it may still take effect.
    pub async fn send<R: Request>(&self, request: &R) -> Result<R::Response, ClientError> {
        self.send_version(request, self.version_of::<R>()?).await
    }

    /// As [`Connection::send`], in a version the caller chose (see [`Connection::version_of_within`]).
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub async fn send_version<R: Request>(
        &self,
        request: &R,
        version: i16,
    ) -> Result<R::Response, ClientError> {
        let limit = self.inner.options.request_timeout;
        let body = self.inner.exchange(request, version, limit).await?;
        self.inner.decode::<R::Response>(body, version)
    }
}

impl Inner {
    /// Sends one frame and waits for the response's body, header taken off.
    async fn exchange<R: Request>(
        &self,
        request: &R,
        version: i16,
        limit: Duration,
    ) -> Result<Reader, ClientError> {
        let api = versions::api_name::<R>();
        let correlation_id = self.next_correlation_id.fetch_add(1, Ordering::Relaxed);
        let frame = frame::encode(request, version, correlation_id, &self.options.client_id)
            .map_err(|source| ClientError::Encode { api, source })?;
        let answer = timeout(limit, self.deliver(frame, correlation_id)).await;
        let answer = answer.unwrap_or_else(|_| {
            let reason = CloseReason::TimedOut { api, after: limit };
            self.shared.close(reason.clone());
            Err(reason)
        });
        let closed = |reason| ClientError::Closed {
            api,
            address: self.address.clone(),
            reason,
        };
        frame::response_body::<R>(answer.map_err(closed)?, version)
            .map_err(|kind| closed(CloseReason::Header(kind)))
    }

    async fn deliver(&self, frame: Vec<Bytes>, correlation_id: i32) -> Result<Bytes, CloseReason> {
        let ended = || self.shared.closed().unwrap_or(CloseReason::Dropped);
        let turn: OwnedSemaphorePermit = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .map_err(|_| ended())?;
        let (answer, answered) = oneshot::channel();
        let outgoing = Outgoing {
            frame,
            correlation_id,
            answer,
            turn,
        };
        self.queue.send(outgoing).await.map_err(|_| ended())?;
        answered.await.unwrap_or_else(|_| Err(ended()))
    }

    fn decode<M: Message>(&self, mut body: Reader, version: i16) -> Result<M, ClientError> {
        M::decode(&mut body, version).map_err(|source| ClientError::Decode {
            address: self.address.clone(),
            source,
        })
    }
}
