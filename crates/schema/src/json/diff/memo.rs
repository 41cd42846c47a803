//! What is known of pairs: results, and which pairs are being compared just now.

use std::collections::HashMap;
use std::rc::Rc;

use super::{At, NOTHING};
use crate::json::change::Change;

/// A pair of subschemas.
type Pair = (At, At);

/// What is known of a pair.
pub(super) enum Known {
    /// Nothing yet.
    Nothing,
    /// It is being compared, as the pair at that place of the stack.
    InProgress(usize),
    /// Its differences, and the lowest pair in progress that they rest on.
    Result {
        /// The differences.
        changes: Rc<Vec<Change>>,
        /// A place of the stack, or [`NOTHING`].
        rests_on: usize,
    },
}

enum Entry {
    InProgress(usize),
    Result {
        changes: Rc<Vec<Change>>,
        rests_on: usize,
    },
}

/// Results of pairs, for one comparison.
#[derive(Default)]
pub(super) struct Memo {
    entries: HashMap<Pair, Entry>,
    /// Pairs whose result rests on a pair in progress, in the order they were finished.
    provisional: Vec<Pair>,
    /// For each pair in progress, how long `provisional` was when it began.
    stack: Vec<usize>,
}

impl Memo {
    /// What is known of the pair.
    pub(super) fn known(&self, pair: &Pair) -> Known {
        match self.entries.get(pair) {
            None => Known::Nothing,
            Some(Entry::InProgress(place)) => Known::InProgress(*place),
            Some(Entry::Result { changes, rests_on }) => Known::Result {
                changes: Rc::clone(changes),
                rests_on: *rests_on,
            },
        }
    }

    /// The pair is being compared from now on; says at which place of the stack.
    pub(super) fn begin(&mut self, pair: Pair) -> usize {
        let place = self.stack.len();
        self.entries.insert(pair, Entry::InProgress(place));
        self.stack.push(self.provisional.len());
        place
    }

    /// The pair at `place`, the last that began, has been compared. Says what its result rests on.
    ///
    /// A pair that is not compatible although others were assumed to be is not compatible for good; what was found
    /// under the assumption that it is, is forgotten. So each pair fails once, and is found compatible anew at most
    /// once for each that fails. A compatible pair that rests on no earlier one makes all final that rested on it.
    pub(super) fn settle(
        &mut self,
        pair: Pair,
        place: usize,
        rests_on: usize,
        changes: &Rc<Vec<Change>>,
        is_compatible: bool,
    ) -> usize {
        let since = self.stack.pop().unwrap_or(0);
        let rests_on = if is_compatible && rests_on < place {
            self.provisional.push(pair);
            rests_on
        } else {
            for inner in self.provisional.split_off(since) {
                if !is_compatible {
                    self.entries.remove(&inner);
                } else if let Some(Entry::Result { rests_on, .. }) = self.entries.get_mut(&inner) {
                    *rests_on = NOTHING;
                }
            }
            NOTHING
        };
        self.entries.insert(
            pair,
            Entry::Result {
                changes: Rc::clone(changes),
                rests_on,
            },
        );
        rests_on
    }
}
