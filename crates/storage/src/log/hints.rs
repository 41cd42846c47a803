//! Where the last reads ended, so that a reader that goes on sequentially needs no index search.

const SLOTS: usize = 4;

#[derive(Clone, Copy, Debug)]
struct Hint {
    offset: i64,
    base: i64,
    position: u64,
}

/// The ends of the last reads of a log.
#[derive(Debug, Default)]
pub(crate) struct ReadHints {
    slots: [Option<Hint>; SLOTS],
    next: u8,
}

impl ReadHints {
    /// The position of the batch that begins with `offset` in the segment `base`.
    pub(crate) fn get(&self, offset: i64, base: i64) -> Option<u64> {
        let hint = self
            .slots
            .iter()
            .flatten()
            .find(|hint| hint.offset == offset)?;
        (hint.base == base).then_some(hint.position)
    }

    /// A read that began at `began` ended before `offset`, at `position` of the segment `base`.
    pub(crate) fn put(&mut self, began: i64, offset: i64, base: i64, position: u64) {
        let hint = Some(Hint {
            offset,
            base,
            position,
        });
        let same = self
            .slots
            .iter_mut()
            .find(|slot| slot.is_some_and(|h| h.offset == began));
        if let Some(slot) = same {
            *slot = hint;
            return;
        }
        self.slots[usize::from(self.next) % SLOTS] = hint;
        self.next = self.next.wrapping_add(1);
    }

    /// Forgets all; after a truncation.
    pub(crate) fn clear(&mut self) {
        self.slots = [None; SLOTS];
    }
}
