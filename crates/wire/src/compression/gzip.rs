//! RFC 1952, one or more members end to end.
//!
//! `java.util.zip.GZIPInputStream` reads concatenated members as one stream, so this does too.

use std::io::Write;
use std::ops::RangeInclusive;

use flate2::Compression as Level;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

/// `compression.gzip.level` (KIP-390), beside [`LEVEL_DEFAULT`].
pub(super) const LEVELS: RangeInclusive<i32> = 1..=9;

/// The level that means zlib's default.
pub(super) const LEVEL_DEFAULT: i32 = -1;

pub(super) type Decoder<'a> = MultiGzDecoder<&'a [u8]>;
pub(super) type Encoder<W> = GzEncoder<W>;

pub(super) fn decoder(data: &[u8]) -> Decoder<'_> {
    MultiGzDecoder::new(data)
}

pub(super) fn encoder<W: Write>(level: Option<i32>, writer: W) -> Encoder<W> {
    let level = match level.and_then(|level| u32::try_from(level).ok()) {
        Some(level) => Level::new(level),
        None => Level::default(),
    };
    GzEncoder::new(writer, level)
}
