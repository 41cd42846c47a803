//! The four codecs of record batches, with decompression that is bounded before it begins.
//!
//! A batch says which codec its records went through ([`Compression`]); everything behind the 61-byte header is
//! then one stream of that codec. This module turns such a stream into bytes and back:
//!
//! - [`Decoder`] is a reader over one stream. It stops with an error at the limit it was given, so a small
//!   batch that unfolds to gigabytes costs no more than the limit.
//! - [`Encoder`] is the writer of the other direction.
//! - [`compress`] and [`decompress`] do the same for bytes that are all there.
//!
//! What the streams look like is fixed by the Java client (`org.apache.kafka.common.compress`), one file per
//! codec here.
//!
//! **Invariant:** whatever a decoder allocates is bounded by the limit or by a constant of its codec (below
//! 10 MiB; for zstd a window of up to 128 MiB of address space, touched only as far as output is made), never
//! by a length that stands in the stream.

mod gzip;
mod lz4;
mod snappy;
mod zstd;

use std::io::{self, Read, Write};

use bytes::Bytes;

use crate::record_batch::Compression;

/// The first room [`decompress`] makes: most streams grow less than this much.
const FIRST_GROWTH: usize = 4;

/// Why a stream could not be compressed or decompressed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompressionError {
    /// The stream unfolds to more than the caller allows.
    #[error("{} data decompresses to more than the limit of {limit} bytes", codec.name())]
    LimitExceeded {
        /// The codec.
        codec: Compression,
        /// The caller's limit.
        limit: usize,
    },
    /// The bytes are not a stream of the codec.
    #[error("{} data cannot be decompressed", codec.name())]
    Corrupt {
        /// The codec.
        codec: Compression,
        /// What the codec found.
        #[source]
        source: io::Error,
    },
    /// The codec has no such level.
    #[error("{} has no compression level {level}: expected {min} to {max}", codec.name())]
    UnknownLevel {
        /// The codec.
        codec: Compression,
        /// The level asked for.
        level: i32,
        /// The lowest level.
        min: i32,
        /// The highest level.
        max: i32,
    },
    /// The writer behind the encoder failed; cannot happen when it is a `Vec`.
    #[error("{} data cannot be compressed", codec.name())]
    Encode {
        /// The codec.
        codec: Compression,
        /// What the writer or the codec said.
        #[source]
        source: io::Error,
    },
}

/// Marks the error that [`Decoder`] raises at its limit, so that it survives the trip through `io::Error`.
#[derive(Debug, thiserror::Error)]
#[error("more than {0} bytes")]
struct LimitMark(usize);

impl CompressionError {
    /// Turns what reading a [`Decoder`] returned back into the error it stands for.
    #[must_use]
    pub fn from_read(codec: Compression, source: io::Error) -> CompressionError {
        match source
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<LimitMark>())
        {
            Some(LimitMark(limit)) => CompressionError::LimitExceeded {
                codec,
                limit: *limit,
            },
            None => CompressionError::Corrupt { codec, source },
        }
    }
}

/// The levels of a codec as `compression.<codec>.level` allows them; `None` for codecs without levels.
///
/// Differs: the LZ4 encoder has no high-compression mode, so its levels 1 to 17 are accepted and all mean the
/// same; the output is what Kafka's level 1 makes.
#[must_use]
pub fn levels(codec: Compression) -> Option<std::ops::RangeInclusive<i32>> {
    match codec {
        Compression::None | Compression::Snappy => None,
        Compression::Gzip => Some(gzip::LEVELS),
        Compression::Lz4 => Some(lz4::LEVELS),
        Compression::Zstd => Some(zstd::LEVELS),
    }
}

/// Reads the bytes that one compressed stream unfolds to.
///
/// `read` fails once more than the limit has come out; [`CompressionError::from_read`] names that error.
pub struct Decoder<'a> {
    stream: Stream<'a>,
    limit: usize,
    left: usize,
}

enum Stream<'a> {
    None(&'a [u8]),
    Gzip(Box<gzip::Decoder<'a>>),
    Snappy(snappy::Decoder<'a>),
    Lz4(Box<lz4::Decoder<'a>>),
    Zstd(zstd::Decoder<'a>),
}

impl<'a> Decoder<'a> {
    /// A decoder of `data` that lets `limit` bytes out.
    ///
    /// # Errors
    /// [`CompressionError::Corrupt`] when `data` does not even begin like a stream of the codec, or memory for
    /// the codec's state is not to be had.
    pub fn new(
        codec: Compression,
        data: &'a [u8],
        limit: usize,
    ) -> Result<Decoder<'a>, CompressionError> {
        let corrupt = |source| CompressionError::Corrupt { codec, source };
        let stream = match codec {
            Compression::None => Stream::None(data),
            Compression::Gzip => Stream::Gzip(Box::new(gzip::decoder(data))),
            Compression::Snappy => Stream::Snappy(snappy::Decoder::new(data, limit)),
            Compression::Lz4 => Stream::Lz4(Box::new(lz4::decoder(data).map_err(corrupt)?)),
            Compression::Zstd => Stream::Zstd(zstd::decoder(data).map_err(corrupt)?),
        };
        Ok(Decoder {
            stream,
            limit,
            left: limit,
        })
    }

    fn read_stream(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::None(data) => data.read(out),
            Stream::Gzip(decoder) => decoder.read(out),
            Stream::Snappy(decoder) => decoder.read(out),
            Stream::Lz4(decoder) => decoder.read(out),
            Stream::Zstd(decoder) => decoder.read(out),
        }
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            // Only the end may follow now.
            return match self.read_stream(&mut [0])? {
                0 => Ok(0),
                _ => Err(io::Error::other(LimitMark(self.limit))),
            };
        }
        let room = out.len().min(self.left);
        let read = match out.get_mut(..room) {
            Some(room) => self.read_stream(room)?,
            None => 0,
        };
        self.left -= read.min(self.left);
        Ok(read)
    }
}

/// Writes a compressed stream into `W`. [`Encoder::finish`] must be called, or the stream has no end.
pub struct Encoder<W: Write> {
    codec: Compression,
    stream: EncoderStream<W>,
}

enum EncoderStream<W: Write> {
    None(W),
    Gzip(gzip::Encoder<W>),
    Snappy(snappy::Encoder<W>),
    Lz4(Box<lz4::Encoder<W>>),
    Zstd(zstd::Encoder<W>),
}

impl<W: Write> Encoder<W> {
    /// An encoder into `writer`. `level` is the codec's default when `None`, and ignored by codecs without
    /// levels.
    ///
    /// # Errors
    /// [`CompressionError::UnknownLevel`] for a level outside [`levels`], [`CompressionError::Encode`] when
    /// memory for the codec's state is not to be had.
    pub fn new(
        codec: Compression,
        level: Option<i32>,
        writer: W,
    ) -> Result<Encoder<W>, CompressionError> {
        let level = checked_level(codec, level)?;
        let stream = match codec {
            Compression::None => EncoderStream::None(writer),
            Compression::Gzip => EncoderStream::Gzip(gzip::encoder(level, writer)),
            Compression::Snappy => EncoderStream::Snappy(snappy::Encoder::new(writer)),
            Compression::Lz4 => EncoderStream::Lz4(Box::new(lz4::encoder(writer))),
            Compression::Zstd => EncoderStream::Zstd(
                zstd::encoder(level, writer)
                    .map_err(|source| CompressionError::Encode { codec, source })?,
            ),
        };
        Ok(Encoder { codec, stream })
    }

    /// Writes the end of the stream and gives the writer back.
    ///
    /// # Errors
    /// [`CompressionError::Encode`] with what the writer said.
    pub fn finish(self) -> Result<W, CompressionError> {
        let finished = match self.stream {
            EncoderStream::None(writer) => Ok(writer),
            EncoderStream::Gzip(encoder) => encoder.finish(),
            EncoderStream::Snappy(encoder) => encoder.finish(),
            EncoderStream::Lz4(encoder) => encoder.finish().map_err(io::Error::from),
            EncoderStream::Zstd(encoder) => encoder.finish(),
        };
        finished.map_err(|source| CompressionError::Encode {
            codec: self.codec,
            source,
        })
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            EncoderStream::None(writer) => writer.write(data),
            EncoderStream::Gzip(encoder) => encoder.write(data),
            EncoderStream::Snappy(encoder) => encoder.write(data),
            EncoderStream::Lz4(encoder) => encoder.write(data),
            EncoderStream::Zstd(encoder) => encoder.write(data),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            EncoderStream::None(writer) => writer.flush(),
            EncoderStream::Gzip(encoder) => encoder.flush(),
            EncoderStream::Snappy(encoder) => encoder.flush(),
            EncoderStream::Lz4(encoder) => encoder.flush(),
            EncoderStream::Zstd(encoder) => encoder.flush(),
        }
    }
}

/// The level for a codec; `None` for its default.
fn checked_level(codec: Compression, level: Option<i32>) -> Result<Option<i32>, CompressionError> {
    // `compression.gzip.level` says "the default" with -1.
    let level = level.filter(|level| codec != Compression::Gzip || *level != gzip::LEVEL_DEFAULT);
    if let (Some(level), Some(range)) = (level, levels(codec))
        && !range.contains(&level)
    {
        let (min, max) = (*range.start(), *range.end());
        return Err(CompressionError::UnknownLevel {
            codec,
            level,
            min,
            max,
        });
    }
    Ok(level)
}

/// Compresses `data` into one stream.
///
/// # Errors
/// As [`Encoder::new`].
pub fn compress(
    codec: Compression,
    level: Option<i32>,
    data: &[u8],
) -> Result<Vec<u8>, CompressionError> {
    let mut out = Vec::with_capacity(data.len() / 2 + 64);
    compress_onto(codec, level, data, &mut out)?;
    Ok(out)
}

/// As [`compress`], behind what `out` holds. After an error it may hold more.
///
/// # Errors
/// As [`Encoder::new`].
pub fn compress_onto(
    codec: Compression,
    level: Option<i32>,
    data: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), CompressionError> {
    let failed = |source| CompressionError::Encode { codec, source };
    if codec == Compression::Lz4 && !data.is_empty() {
        checked_level(codec, level)?;
        return lz4::compress_onto(data, out).map_err(failed);
    }
    let mut encoder = Encoder::new(codec, level, out)?;
    encoder.write_all(data).map_err(failed)?;
    encoder.finish().map(|_| ())
}

/// Decompresses one whole stream of at most `limit` bytes. No more than `limit` bytes are held at any time.
///
/// # Errors
/// [`CompressionError::LimitExceeded`] or [`CompressionError::Corrupt`].
pub fn decompress(
    codec: Compression,
    data: &[u8],
    limit: usize,
) -> Result<Bytes, CompressionError> {
    if codec == Compression::Lz4
        && let Some(out) = lz4::decompress_plain(data, limit)
    {
        return Ok(out.into());
    }
    let mut decoder = Decoder::new(codec, data, limit)?;
    let mut out: Vec<u8> = Vec::new();
    let mut room = data
        .len()
        .saturating_mul(FIRST_GROWTH)
        .clamp(1, limit.max(1));
    let mut filled = 0;
    loop {
        // `resize` would double on its own and pass the limit.
        out.reserve_exact(room - filled);
        out.resize(room, 0);
        while let Some(free) = out.get_mut(filled..).filter(|free| !free.is_empty()) {
            match decoder
                .read(free)
                .map_err(|e| CompressionError::from_read(codec, e))?
            {
                0 => {
                    out.truncate(filled);
                    return Ok(out.into());
                }
                read => filled += read,
            }
        }
        if filled >= limit {
            // Full to the limit: the next read is either the end or the error.
            decoder
                .read(&mut [0])
                .map_err(|e| CompressionError::from_read(codec, e))?;
            return Ok(out.into());
        }
        room = room.saturating_mul(2).min(limit);
    }
}

#[cfg(test)]
mod tests;
