//! The checker: a history of sends, polls, transactions and group moves, and the judge that looks for a contradiction.
//!
//! Clients write down every step in one [`events::History`], in the order in which the steps began or came back;
//! [`judge()`] knows nothing of the broker and reads nothing else. A history is kept as JSON lines, so that a stored
//! one can be judged again (`chaos judge FILE`). The simulation (crate `sim`) writes the same histories.
//!
//! The idea and most rules are those of Jepsen's test of Kafka (`jepsen.tests.kafka`); the rules of groups, share groups and
//! of what is deleted are added here.
//!
//! | rule | a violation means |
//! |---|---|
//! | lost-write | an acknowledged record, or one of a committed transaction, is not in the log |
//! | aborted-read | a reader of committed records saw one whose transaction was aborted or whose send was refused (G1a) |
//! | precommitted-read | a reader of committed records saw one before its transaction was asked to commit |
//! | circular-flow | committed transactions read each other's records in a circle (G1c, edges of reads alone) |
//! | inconsistent-offsets | two records were seen or acknowledged at one offset |
//! | duplicate | one record is at two offsets |
//! | reordered | two records of one producer in one partition changed places |
//! | phantom | a record was seen that nobody sent |
//! | poll-skip | a consumer went past a record without being given it |
//! | nonmonotonic-poll | a consumer was given an offset that it had passed |
//! | two-owners | two members of a group held a partition in one generation |
//! | committed-back | a committed offset went back, was never asked for, or comes from an aborted transaction |
//! | processed-twice | two committed records have the same record of the input as source |
//! | unprocessed | the committed offset of an exactly-once loop passed a record whose result is not there, or the reverse |
//! | stuck-stable-offset | every transaction has ended and the last stable offset stays behind the end |
//! | key-lost | the last acknowledged record of a key is not in a compacted log |
//! | log-start-back | a log begins before the start that DeleteRecords was answered with |
//! | epoch-back | a member of a group was given an epoch below one that was answered before it asked |
//! | share-lost | a share group went past a record that was never settled and never delivered too often |
//! | share-redelivered | a share group delivered a record after its settlement was acknowledged |
//! | share-two-holders | a share group delivered a record while another delivery of it was in force |
//! | share-delivery-count | the delivery count of a record is not one that its deliveries can have |
//!
//! What it does not find: cycles that need an order of writes (G0, and G1c over it) are legal in Kafka, whose
//! transactions interleave their records in a log; nobody promises repeatable reads (G2) either.

pub mod events;
pub mod judge;
pub mod recorder;

pub use events::{Delivered, Event, History, Outcome, Place, Seen, ShareAck, Source, TxnOutcome};
pub use judge::{Rule, Violation, judge};
pub use recorder::Recorder;
