//! What a walk over a log knows of its transactions (`CleanedTransactionMetadata`): records of aborted ones may go
//! at once, and a marker may go once nothing of its transaction is left.

use std::collections::{HashMap, HashSet, VecDeque};

use wire::control_record::EndTxnMarker;
use wire::record_batch::BatchHeader;

use crate::log::producer::AbortedTxn;

#[derive(Debug)]
struct Aborted {
    txn: AbortedTxn,
    /// Whether a batch of it was met.
    observed: bool,
}

/// The transactions around the place of a walk, which sees the batches in offset order.
#[derive(Debug, Default)]
pub(crate) struct CleanedTransactions {
    /// Aborted ones not reached yet, by first offset.
    ahead: VecDeque<AbortedTxn>,
    /// By producer: the aborted transaction the walk is in.
    aborted: HashMap<i64, Aborted>,
    /// Producers with a committed transaction of which a batch was met.
    committed: HashSet<i64>,
    /// Aborted transactions whose marker was passed and of which something is left.
    kept: Vec<AbortedTxn>,
    /// Whether something of each aborted transaction may lie before the walk.
    after_others: bool,
}

impl CleanedTransactions {
    /// For a walk over a range that the `aborted` transactions lie in.
    pub(crate) fn new(mut aborted: Vec<AbortedTxn>) -> CleanedTransactions {
        aborted.sort_by_key(|txn| txn.first_offset);
        CleanedTransactions {
            ahead: aborted.into(),
            ..CleanedTransactions::default()
        }
    }

    /// For a walk that does not begin at the log's first record: what was aborted may have left something before it, so readers
    /// have to know of it whatever the walk meets.
    pub(crate) fn after_others(aborted: Vec<AbortedTxn>) -> CleanedTransactions {
        CleanedTransactions {
            after_others: true,
            ..CleanedTransactions::new(aborted)
        }
    }

    fn reach(&mut self, offset: i64) {
        while let Some(txn) = self.ahead.pop_front_if(|txn| txn.first_offset.0 <= offset) {
            self.aborted.entry(txn.producer_id.0).or_insert(Aborted {
                txn,
                observed: self.after_others,
            });
        }
    }

    /// A batch of records. Returns whether its transaction was aborted.
    pub(crate) fn on_batch(&mut self, header: &BatchHeader) -> bool {
        self.reach(header.last_offset());
        if !header.attributes.is_transactional() {
            return false;
        }
        match self.aborted.get_mut(&header.producer_id) {
            Some(aborted) => {
                aborted.observed = true;
                true
            }
            None => {
                self.committed.insert(header.producer_id);
                false
            }
        }
    }

    /// A control batch; `marker` is its record, `None` when it was emptied before. Returns whether nothing is left of
    /// its transaction.
    pub(crate) fn on_control(
        &mut self,
        header: &BatchHeader,
        marker: Option<EndTxnMarker>,
    ) -> bool {
        self.reach(header.last_offset());
        let Some(marker) = marker else {
            // Emptied, which only happens when the transaction was gone; an unknown type stays for ever.
            return header.record_count == 0;
        };
        if marker.committed {
            return !self.committed.remove(&header.producer_id);
        }
        match self.aborted.remove(&header.producer_id) {
            Some(aborted) if aborted.observed => {
                self.kept.push(aborted.txn);
                false
            }
            _ => true,
        }
    }

    /// The aborted transactions passed since the last call that readers still have to know of.
    pub(crate) fn take_kept(&mut self) -> Vec<AbortedTxn> {
        std::mem::take(&mut self.kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Offset, ProducerId};
    use wire::record_batch::Attributes;

    fn header(producer_id: i64, offset: i64, transactional: bool) -> BatchHeader {
        BatchHeader {
            base_offset: offset,
            batch_length: 49,
            partition_leader_epoch: 0,
            magic: 2,
            crc: 0,
            attributes: Attributes(if transactional {
                Attributes::TRANSACTIONAL
            } else {
                0
            }),
            last_offset_delta: 0,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id,
            producer_epoch: 0,
            base_sequence: 0,
            record_count: 1,
        }
    }

    fn txn(producer_id: i64, first: i64, last: i64) -> AbortedTxn {
        AbortedTxn {
            producer_id: ProducerId(producer_id),
            first_offset: Offset(first),
            last_offset: Offset(last),
            last_stable_offset: Offset(first),
        }
    }

    fn marker(committed: bool) -> Option<EndTxnMarker> {
        Some(EndTxnMarker {
            committed,
            coordinator_epoch: 0,
        })
    }

    #[test]
    fn aborted_records_go_and_their_marker_stays_while_any_was_met() {
        let mut walk = CleanedTransactions::new(vec![txn(1, 10, 12), txn(1, 4, 6)]);
        assert!(
            !walk.on_batch(&header(1, 2, true)),
            "an earlier, committed one"
        );
        assert!(!walk.on_control(&header(1, 3, true), marker(true)));
        assert!(walk.on_batch(&header(1, 5, true)));
        assert!(!walk.on_batch(&header(7, 5, false)));
        assert!(!walk.on_control(&header(1, 6, true), marker(false)));
        assert_eq!(walk.take_kept(), vec![txn(1, 4, 6)]);
        assert!(
            !walk.on_batch(&header(1, 8, true)),
            "between the two it is committed"
        );
        assert!(!walk.on_control(&header(1, 9, true), marker(true)));
        assert!(
            walk.on_control(&header(1, 12, true), marker(false)),
            "nothing was met"
        );
        assert_eq!(walk.take_kept(), vec![]);
    }

    #[test]
    fn behind_others_every_aborted_transaction_is_kept() {
        let mut walk = CleanedTransactions::after_others(vec![txn(1, 2, 6)]);
        assert!(!walk.on_control(&header(1, 6, true), marker(false)));
        assert_eq!(walk.take_kept(), vec![txn(1, 2, 6)]);
    }

    #[test]
    fn a_commit_marker_may_go_once_its_records_have() {
        let mut walk = CleanedTransactions::new(vec![]);
        assert!(walk.on_control(&header(3, 1, true), marker(true)));
        assert!(!walk.on_batch(&header(3, 2, true)));
        assert!(!walk.on_control(&header(3, 3, true), marker(true)));
        let empty = BatchHeader {
            record_count: 0,
            ..header(3, 4, true)
        };
        assert!(walk.on_control(&empty, None));
        assert!(
            !walk.on_control(&header(3, 5, true), None),
            "a type nobody knows"
        );
    }
}
