//! RFC 8878 frames (KIP-110).
//!
//! The decoder accepts windows of up to 2^27 bytes, libzstd's own default and what the highest level asks
//! for. libzstd reserves that as address space; pages are touched only as output is produced, which the
//! decoder's limit bounds.

use std::io::{self, Write};
use std::ops::RangeInclusive;

/// `compression.zstd.level` (KIP-390): from `-(1 << 17)`, libzstd's fastest, to 22.
pub(super) const LEVELS: RangeInclusive<i32> = -131_072..=22;

const LEVEL_DEFAULT: i32 = 3;

pub(super) type Decoder<'a> = ::zstd::Decoder<'static, &'a [u8]>;
pub(super) type Encoder<W> = ::zstd::Encoder<'static, W>;

pub(super) fn decoder(data: &[u8]) -> io::Result<Decoder<'_>> {
    ::zstd::Decoder::with_buffer(data)
}

pub(super) fn encoder<W: Write>(level: Option<i32>, writer: W) -> io::Result<Encoder<W>> {
    ::zstd::Encoder::new(writer, level.unwrap_or(LEVEL_DEFAULT))
}
