//! Every codec reads back what it wrote, within its limit, and refuses damage without a panic.

use super::*;

const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

/// Bytes that compress a little: runs of a counter.
fn sample(length: usize) -> Vec<u8> {
    (0..length).map(|i| ((i / 7) ^ (i >> 9)) as u8).collect()
}

#[test]
fn every_codec_round_trips_at_the_edges_of_its_blocks() {
    for codec in CODECS {
        for length in [
            0,
            1,
            32 * 1024 - 1,
            32 * 1024,
            32 * 1024 + 1,
            65_536,
            200_001,
        ] {
            let data = sample(length);
            let packed = compress(codec, None, &data).unwrap();
            assert_eq!(
                decompress(codec, &packed, length).unwrap(),
                data,
                "{codec:?} {length}"
            );
        }
    }
}

#[test]
fn every_level_round_trips_and_others_are_refused() {
    let data = sample(5_000);
    for codec in CODECS {
        let Some(range) = levels(codec) else { continue };
        for level in [*range.start(), 1, 3, *range.end()] {
            let packed = compress(codec, Some(level), &data).unwrap();
            assert_eq!(decompress(codec, &packed, data.len()).unwrap(), data);
        }
        let error = compress(codec, Some(range.end() + 1), &data).unwrap_err();
        assert!(
            error.to_string().contains("has no compression level"),
            "{error}"
        );
    }
    assert!(compress(Compression::Gzip, Some(-1), &data).is_ok());
    assert!(compress(Compression::Gzip, Some(0), &data).is_err());
}

#[test]
fn one_byte_over_the_limit_is_an_error() {
    let data = sample(100_000);
    for codec in CODECS {
        let packed = compress(codec, None, &data).unwrap();
        assert_eq!(decompress(codec, &packed, 100_000).unwrap().len(), 100_000);
        let error = decompress(codec, &packed, 99_999).unwrap_err();
        assert!(
            matches!(error, CompressionError::LimitExceeded { limit: 99_999, .. }),
            "{codec:?}: {error:?}"
        );
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let zeros = vec![0; 8 << 20];
    for codec in CODECS {
        let packed = compress(codec, None, &zeros).unwrap();
        let error = decompress(codec, &packed, 1 << 20).unwrap_err();
        assert!(
            matches!(error, CompressionError::LimitExceeded { .. }),
            "{codec:?}: {error:?}"
        );
    }
}

#[test]
fn a_stream_cut_anywhere_is_an_error_or_a_prefix() {
    let data = sample(3_000);
    for codec in CODECS {
        let packed = compress(codec, None, &data).unwrap();
        for end in 0..packed.len() {
            if let Ok(out) = decompress(codec, &packed[..end], data.len()) {
                assert!(data.starts_with(&out), "{codec:?} cut at {end}");
            }
        }
    }
}

#[test]
fn snappy_reads_raw_blocks_and_appended_streams() {
    let data = sample(70_000);
    let raw = snap::raw::Encoder::new().compress_vec(&data).unwrap();
    assert_eq!(decompress(Compression::Snappy, &raw, 70_000).unwrap(), data);

    let mut twice = compress(Compression::Snappy, None, &data).unwrap();
    assert_eq!(&twice[..16], b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
    twice.extend(compress(Compression::Snappy, None, b"tail").unwrap());
    let both = decompress(Compression::Snappy, &twice, 100_000).unwrap();
    assert_eq!(both, [data.as_slice(), b"tail"].concat());
}

#[test]
fn snappy_lengths_are_not_believed() {
    // A raw block of 6 bytes that claims 4 GiB less one.
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
    assert!(matches!(
        decompress(Compression::Snappy, &claim, usize::MAX).unwrap_err(),
        CompressionError::Corrupt { .. }
    ));
    let mut framed = compress(Compression::Snappy, None, b"x").unwrap();
    framed[16..20].copy_from_slice(&(-1i32).to_be_bytes());
    assert!(decompress(Compression::Snappy, &framed, 10).is_err());
    framed[16..20].copy_from_slice(&i32::MAX.to_be_bytes());
    assert!(decompress(Compression::Snappy, &framed, 10).is_err());
}

#[test]
fn gzip_reads_appended_members() {
    let mut two = compress(Compression::Gzip, None, b"one").unwrap();
    two.extend(compress(Compression::Gzip, Some(9), b"two").unwrap());
    assert_eq!(
        decompress(Compression::Gzip, &two, 10).unwrap(),
        b"onetwo".as_slice()
    );
}

#[test]
fn lz4_frames_the_java_client_cannot_read_are_refused() {
    let linked = lz4_flex::frame::FrameInfo::new()
        .block_mode(lz4_flex::frame::BlockMode::Linked)
        .block_size(lz4_flex::frame::BlockSize::Max64KB);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(linked, Vec::new());
    encoder.write_all(&sample(10)).unwrap();
    let packed = encoder.finish().unwrap();
    let error = decompress(Compression::Lz4, &packed, 100).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("depend on each other"), "{cause}");

    let checked = lz4_flex::frame::FrameInfo::new()
        .block_mode(lz4_flex::frame::BlockMode::Independent)
        .block_size(lz4_flex::frame::BlockSize::Max256KB)
        .block_checksums(true)
        .content_checksum(true)
        .content_size(Some(300_000));
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(checked, Vec::new());
    encoder.write_all(&sample(300_000)).unwrap();
    let packed = encoder.finish().unwrap();
    assert_eq!(
        decompress(Compression::Lz4, &packed, 300_000).unwrap(),
        sample(300_000)
    );
}

#[test]
fn lz4_frames_read_the_same_by_block_and_by_stream() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    let noise: Vec<u8> = (0..150_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    for data in [sample(5), sample(300_000), vec![3; 200_000], noise] {
        for size in [
            BlockSize::Max64KB,
            BlockSize::Max256KB,
            BlockSize::Max1MB,
            BlockSize::Max4MB,
        ] {
            let info = FrameInfo::new()
                .block_mode(BlockMode::Independent)
                .block_size(size);
            let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(&data).unwrap();
            let packed = encoder.finish().unwrap();
            let mut by_block = vec![7];
            compress_onto(Compression::Lz4, None, &data, &mut by_block).unwrap();
            let mut read = Vec::new();
            let mut decoder = Decoder::new(Compression::Lz4, &by_block[1..], data.len()).unwrap();
            decoder.read_to_end(&mut read).unwrap();
            assert_eq!(read, data);
            if data.len() < 65_536 && matches!(size, BlockSize::Max64KB) {
                assert_eq!(by_block[1..], packed);
            }
            let length = data.len();
            assert_eq!(lz4::decompress_plain(&packed, length), Some(data.clone()));
            for (packed, limit) in [
                (&packed[..packed.len() - 4], length),
                (&packed[..packed.len() - 1], length),
                (&[packed.as_slice(), b"more"].concat(), length),
                (&packed[..], length - 1),
            ] {
                assert_eq!(lz4::decompress_plain(packed, limit), None);
            }
            // The stream's reader is the judge of what is not as it should be: without an end it is good.
            let cut = decompress(Compression::Lz4, &packed[..packed.len() - 4], length);
            assert_eq!(cut.unwrap(), data);
        }
    }
    for at in 0..200 {
        let mut packed = compress(Compression::Lz4, None, &sample(1_000)).unwrap();
        let at = at % packed.len();
        packed[at] ^= 0x11;
        let mut streamed = Vec::new();
        let mut decoder = Decoder::new(Compression::Lz4, &packed, 70_000);
        let read = decoder
            .as_mut()
            .map(|decoder| decoder.read_to_end(&mut streamed));
        if let Some(plain) = lz4::decompress_plain(&packed, 70_000) {
            assert!(matches!(read, Ok(Ok(_))));
            assert_eq!(plain, streamed, "byte {at} flipped");
        }
    }
}

#[test]
fn an_unknown_stream_names_the_codec() {
    for codec in [
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let error = decompress(codec, b"not a stream of any kind", 100).unwrap_err();
        assert!(error.to_string().starts_with(codec.name()), "{error}");
    }
}
