//! A reusable buffer whose bytes begin at a multiple of [`BLOCK`], as `O_DIRECT` wants, without `unsafe`: a
//! vector one block too long, used from its first aligned byte.

use crate::io::BLOCK;

/// An append-only byte buffer at an aligned address.
pub(crate) struct AlignedBuf {
    raw: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBuf {
    /// A buffer that holds `capacity` bytes before it grows.
    pub(crate) fn with_capacity(capacity: usize) -> AlignedBuf {
        let raw = vec![0; capacity.next_multiple_of(BLOCK) + BLOCK];
        let start = raw.as_ptr().addr().next_multiple_of(BLOCK) - raw.as_ptr().addr();
        AlignedBuf { raw, start, len: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn capacity(&self) -> usize {
        self.raw.len() - BLOCK
    }

    /// Makes room for `total` bytes; what is in the buffer is dropped when it must move.
    pub(crate) fn clear_for(&mut self, total: usize) {
        if self.capacity() < total {
            *self = AlignedBuf::with_capacity(total);
        }
        self.clear();
    }

    /// Appends `bytes`.
    ///
    /// # Panics
    /// When the caller did not make room with [`AlignedBuf::clear_for`].
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        let at = self.start + self.len;
        self.raw[at..at + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Fills with zeros up to the next block boundary.
    pub(crate) fn pad_to_block(&mut self) {
        let padded = self.len.next_multiple_of(BLOCK);
        self.raw[self.start + self.len..self.start + padded].fill(0);
        self.len = padded;
    }

    /// Overwrites what stands at `at`.
    pub(crate) fn patch(&mut self, at: usize, bytes: &[u8]) {
        debug_assert!(at + bytes.len() <= self.len);
        let from = self.start + at;
        self.raw[from..from + bytes.len()].copy_from_slice(bytes);
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.raw[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slice_is_aligned_and_padded() {
        let mut buf = AlignedBuf::with_capacity(10_000);
        buf.extend(&[1; 5_000]);
        buf.patch(0, &[9]);
        buf.pad_to_block();
        assert_eq!(buf.as_slice().as_ptr().addr() % BLOCK, 0);
        assert_eq!(buf.len(), 8_192);
        assert_eq!(
            (buf.as_slice()[0], buf.as_slice()[1], buf.as_slice()[8_191]),
            (9, 1, 0)
        );
        buf.clear_for(100_000);
        assert!(buf.capacity() >= 100_000);
        assert_eq!((buf.len(), buf.as_slice().as_ptr().addr() % BLOCK), (0, 0));
    }
}
