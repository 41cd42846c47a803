//! The write-ahead log behind a trait: append a frame, wait for the durable watermark.
//!
//! A *frame* is one change of one partition: a stamped record batch, or a new log start offset. Frames are
//! numbered by [`Lsn`] in the order they are enqueued. An engine makes them durable in that order and
//! publishes the *durable watermark*, the highest LSN at and below which everything is on stable storage.
//! [`journal::LocalJournal`] is the engine of one machine; an object-storage engine commits multi-partition
//! objects instead. [`conformance`] is what any engine must pass.

pub mod conformance;
pub mod format;
pub mod journal;
pub mod scan;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use base::{PartitionIndex, TopicId};
use tokio::sync::watch;
use wire::record_batch::StampedBatch;

use crate::lsn::Lsn;

/// What a frame carries.
#[derive(Clone, Debug)]
pub enum FrameBody {
    /// A batch with final bytes.
    Batch(StampedBatch),
    /// The log start offset moved here.
    LogStartOffset,
}

/// One change of one partition.
#[derive(Clone, Debug)]
pub struct WalFrame {
    /// The topic.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: PartitionIndex,
    /// The batch's base offset, or the new log start offset.
    pub offset: i64,
    /// The offset that follows the batch; told to the listener when the frame is durable.
    pub next_offset: i64,
    /// The change.
    pub body: FrameBody,
}

impl WalFrame {
    /// Bytes of the body.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        match &self.body {
            FrameBody::Batch(batch) => batch.len(),
            FrameBody::LogStartOffset => 0,
        }
    }
}

/// Told about each frame that became durable, before the watermark is published.
///
/// Called on the thread that wrote, the engine's own or one in [`Wal::write_queued`], with no lock held that
/// [`Wal::enqueue`] takes; must be quick and must not block.
pub trait DurableListener: Send + Sync {
    /// The frame `lsn` is durable; `next_offset` is what the frame said.
    fn on_durable(&self, lsn: Lsn, next_offset: i64);
}

/// When an accepted frame is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WhenToWrite {
    /// As soon as the engine can.
    AtOnce,
    /// Not before [`Wal::write_queued`], which the caller promises to call soon; it may be sooner. For a request that
    /// has several frames to queue, or can write them itself.
    Later,
}

/// Why a frame was refused. Nothing was enqueued.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum WalError {
    /// A write failed earlier; this engine takes nothing more.
    #[error("the write-ahead log failed: {0}")]
    Failed(Arc<str>),
    /// There is no room on disk and none can be made.
    #[error("no room for the write-ahead log")]
    DiskFull,
    /// Wait for [`Wal::room`].
    #[error("the write-ahead log's queue is full")]
    QueueFull,
    /// The frame can never fit.
    #[error("a frame of {size} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// The frame's payload.
        size: usize,
        /// The most an engine takes.
        limit: usize,
    },
    /// [`Wal::close`] was called.
    #[error("the write-ahead log is closed")]
    Closed,
}

/// What waiters watch.
#[derive(Clone, Debug, Default)]
pub struct WalState {
    /// Everything up to here is durable.
    pub durable: Lsn,
    /// Set once, when the engine failed; `durable` no longer moves.
    pub failed: Option<Arc<str>>,
    /// No room on disk now.
    pub disk_full: bool,
}

/// A future that owns what it needs, for use behind a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A write-ahead log.
///
/// **Contract** (checked by [`conformance`]):
/// - LSNs of accepted frames are consecutive and grow in enqueue order.
/// - `on_durable` is called once per frame, in LSN order, before [`WalState::durable`] covers it.
/// - After a failure no frame becomes durable, and every later enqueue is refused with
///   [`WalError::Failed`].
/// - Reopening yields every frame that was ever covered by the watermark and not trimmed, in LSN order
///   and byte for byte; frames beyond the watermark may appear too, as a prefix of the order in which they were
///   enqueued, at least per partition.
pub trait Wal: Send + Sync + fmt::Debug {
    /// Accepts a frame and returns its number; never blocks on I/O.
    ///
    /// # Errors
    /// [`WalError`]; the frame was not taken.
    fn enqueue(
        &self,
        frame: WalFrame,
        listener: Option<Arc<dyn DurableListener>>,
        write: WhenToWrite,
    ) -> Result<Lsn, WalError>;

    /// Has everything queued written. An engine may do so on the calling thread, which then blocks for as long as one small
    /// write takes, and only when nothing else is being written.
    fn write_queued(&self);

    /// The watermark, and whether the engine still works.
    fn state(&self) -> watch::Receiver<WalState>;

    /// Waits until the queue has room for a frame with this many bytes of payload, or fails as `enqueue` would.
    /// Cancel safe. Room is a hint: between this and the enqueue others may take it.
    fn room(&self, bytes: usize) -> BoxFuture<'_, Result<(), WalError>>;

    /// The highest LSN handed out.
    fn last_lsn(&self) -> Lsn;

    /// The caller keeps everything up to and including `up_to` elsewhere, durably; its space may be reused.
    fn trim(&self, up_to: Lsn);

    /// Writes what is queued and stops. Blocks.
    ///
    /// # Errors
    /// [`WalError::Failed`] when the engine failed before or now.
    fn close(&self) -> Result<(), WalError>;
}
