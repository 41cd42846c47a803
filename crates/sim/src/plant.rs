//! Faults that are put into the simulated broker on purpose: the checker must find each of them.

/// A fault of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Plant {
    /// Produce is answered before the records are durable.
    AckBeforeDurable,
    /// The sync of a segment is reported and did not happen.
    SyncIsALie,
    /// A retry after a restart is appended anew: producer states are not kept.
    SequencesForgotten,
    /// One partition of a transaction does not get its marker, and the coordinator is told that it did.
    LostMarker,
    /// The decision to commit is answered, and is not in the log.
    DecisionNotLogged,
    /// Readers of committed records are given what lies above the last stable offset.
    StableOffsetIgnored,
    /// Readers of committed records are not told which transactions were aborted.
    AbortedListIgnored,
    /// A producer that was fenced may write, with the epoch of the one that fenced it.
    EpochNotFenced,
    /// Offsets of a transaction are committed at once.
    OffsetsOutsideTransaction,
    /// A coordinator that loads leaves the last record out.
    OffsetsRolledBack,
    /// Two members are given the same partition.
    PartitionGivenTwice,
    /// A fetch leaves out the first batch.
    FetchSkips,
    /// A fetch begins one batch too early.
    FetchRepeats,
    /// A heartbeat is answered with the epoch before.
    EpochGoesBack,
    /// Two members of a streams group are given the same task.
    TaskGivenTwice,
    /// A record gets the key of another.
    KeysMixedUp,
    /// A cleaned segment is reported as synced and is not.
    CleanerSyncIsALie,
    /// DeleteRecords is answered before it is durable.
    DeleteBeforeDurable,
    /// A share group begins at the end of a log that it was told to read from the beginning.
    ShareBeginsAtTheEnd,
    /// The acknowledgement of a member of a share group is answered and not written.
    ShareAckNotWritten,
    /// Records that a member of a share group has are given to others.
    ShareLocksIgnored,
    /// How often a record was delivered is not kept.
    ShareCountForgotten,
    /// The remote store takes a segment and keeps nothing of it.
    RemoteCopyIsALie,
    /// The remote store says that an object is deleted, and it is not.
    RemoteDeleteIsALie,
}

impl Plant {
    /// Every fault.
    pub const ALL: &'static [Plant] = &[
        Plant::AckBeforeDurable,
        Plant::SyncIsALie,
        Plant::SequencesForgotten,
        Plant::LostMarker,
        Plant::DecisionNotLogged,
        Plant::StableOffsetIgnored,
        Plant::AbortedListIgnored,
        Plant::EpochNotFenced,
        Plant::OffsetsOutsideTransaction,
        Plant::OffsetsRolledBack,
        Plant::PartitionGivenTwice,
        Plant::FetchSkips,
        Plant::FetchRepeats,
        Plant::EpochGoesBack,
        Plant::TaskGivenTwice,
        Plant::KeysMixedUp,
        Plant::CleanerSyncIsALie,
        Plant::DeleteBeforeDurable,
        Plant::ShareBeginsAtTheEnd,
        Plant::ShareAckNotWritten,
        Plant::ShareLocksIgnored,
        Plant::ShareCountForgotten,
        Plant::RemoteCopyIsALie,
        Plant::RemoteDeleteIsALie,
    ];

    /// The fault's name on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Plant::AckBeforeDurable => "ack-before-durable",
            Plant::SyncIsALie => "sync-is-a-lie",
            Plant::SequencesForgotten => "sequences-forgotten",
            Plant::LostMarker => "lost-marker",
            Plant::DecisionNotLogged => "decision-not-logged",
            Plant::StableOffsetIgnored => "stable-offset-ignored",
            Plant::AbortedListIgnored => "aborted-list-ignored",
            Plant::EpochNotFenced => "epoch-not-fenced",
            Plant::OffsetsOutsideTransaction => "offsets-outside-transaction",
            Plant::OffsetsRolledBack => "offsets-rolled-back",
            Plant::PartitionGivenTwice => "partition-given-twice",
            Plant::FetchSkips => "fetch-skips",
            Plant::FetchRepeats => "fetch-repeats",
            Plant::EpochGoesBack => "epoch-goes-back",
            Plant::TaskGivenTwice => "task-given-twice",
            Plant::KeysMixedUp => "keys-mixed-up",
            Plant::CleanerSyncIsALie => "cleaner-sync-is-a-lie",
            Plant::DeleteBeforeDurable => "delete-before-durable",
            Plant::ShareBeginsAtTheEnd => "share-begins-at-the-end",
            Plant::ShareAckNotWritten => "share-ack-not-written",
            Plant::ShareLocksIgnored => "share-locks-ignored",
            Plant::ShareCountForgotten => "share-count-forgotten",
            Plant::RemoteCopyIsALie => "remote-copy-is-a-lie",
            Plant::RemoteDeleteIsALie => "remote-delete-is-a-lie",
        }
    }

    /// What finds it: the names of rules of the checker, or of the simulation's own invariants. One of them is enough.
    #[must_use]
    pub fn found_by(self) -> &'static [&'static str] {
        match self {
            Plant::AckBeforeDurable => &["lost-write"],
            Plant::SyncIsALie => &["partition-offline", "lost-write"],
            Plant::SequencesForgotten => &["duplicate"],
            Plant::LostMarker => &["stuck-stable-offset"],
            Plant::DecisionNotLogged => &["lost-write"],
            Plant::StableOffsetIgnored => &["precommitted-read"],
            Plant::AbortedListIgnored => &["aborted-read"],
            Plant::EpochNotFenced => &["aborted-read"],
            Plant::OffsetsOutsideTransaction => &["unprocessed", "committed-back"],
            Plant::OffsetsRolledBack => &["committed-back"],
            Plant::PartitionGivenTwice => &["two-owners"],
            Plant::FetchSkips => &["poll-skip"],
            Plant::FetchRepeats => &["nonmonotonic-poll"],
            Plant::EpochGoesBack => &["epoch-back"],
            Plant::TaskGivenTwice => &["two-owners"],
            Plant::KeysMixedUp => &["key-lost"],
            Plant::CleanerSyncIsALie => &["partition-offline", "key-lost"],
            Plant::DeleteBeforeDurable => &["log-start-back"],
            Plant::ShareBeginsAtTheEnd => &["share-lost"],
            Plant::ShareAckNotWritten => &["share-redelivered"],
            Plant::ShareLocksIgnored => &["share-two-holders"],
            Plant::ShareCountForgotten => &["share-delivery-count"],
            Plant::RemoteCopyIsALie => &["lost-write"],
            Plant::RemoteDeleteIsALie => &["leaked-object"],
        }
    }
}
