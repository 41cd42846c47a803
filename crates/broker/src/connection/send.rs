//! Responses onto a socket: vectored writes for memory, `sendfile` for what the page cache holds of segment files, direct
//! reads for what it does not ([`storage::cold`]).
//!
//! File regions go out in pieces. While one piece is on its way, the next cold one is read: one pipe that empties and one that
//! fills, at most, for each connection.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use storage::cold::{is_cold, read_into_cache};
use storage::{ColdPipe, ColdReads};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use wire::{Chunk, FileRegion};

/// Slices handed to one `writev`; the kernel takes 1,024 at most.
const SLICES_MAX: usize = 64;

/// A part of a file region, small enough to be read, or handed to `sendfile`, at once: one large response does not
/// hold a worker for long.
#[derive(Debug, Clone)]
struct FilePiece {
    file: Arc<File>,
    position: u64,
    length: u64,
}

#[derive(Debug)]
enum Piece {
    Memory(Bytes),
    File(FilePiece),
}

/// A read of the piece at the front of those still to be sent.
type Ahead = Option<JoinHandle<io::Result<ColdPipe>>>;

/// Writes what is one small piece of memory, as most responses are, and what of it the socket takes at once. Gives what is
/// left to [`send`].
///
/// # Errors
/// The socket's.
pub(crate) fn send_now(stream: &TcpStream, mut chunks: Vec<Chunk>) -> io::Result<Vec<Chunk>> {
    if let [Chunk::Bytes(bytes)] = chunks.as_mut_slice() {
        match stream.try_write(bytes) {
            Ok(written) => bytes.advance(written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if bytes.is_empty() {
            chunks.clear();
        }
    }
    Ok(chunks)
}

/// Writes the chunks in order.
///
/// # Errors
/// The socket's, or `UnexpectedEof` when a file is shorter than its region says; the connection must then be
/// closed, since half a response is on the wire.
///
/// # Cancel safety
/// Not cancel safe: a dropped call leaves half a response on the wire.
pub(crate) async fn send(
    stream: &TcpStream,
    chunks: Vec<Chunk>,
    cold_reads: &Arc<ColdReads>,
) -> io::Result<()> {
    let mut pieces: VecDeque<Piece> = VecDeque::with_capacity(chunks.len());
    for chunk in chunks {
        match chunk {
            Chunk::Bytes(bytes) => pieces.push_back(Piece::Memory(bytes)),
            Chunk::File(region) => push_pieces(&mut pieces, &region),
        }
    }
    let mut memory: VecDeque<Bytes> = VecDeque::new();
    let mut ahead = read_ahead(&pieces, cold_reads);
    while let Some(piece) = pieces.pop_front() {
        match piece {
            Piece::Memory(bytes) => memory.push_back(bytes),
            Piece::File(piece) => {
                send_memory(stream, &mut memory).await?;
                let read = match ahead.take() {
                    Some(reading) => Some(reading.await.map_err(io::Error::other)??),
                    None => None,
                };
                ahead = read_ahead(&pieces, cold_reads);
                match read {
                    Some(pipe) => send_pipe(stream, pipe).await?,
                    None => send_file(stream, &piece).await?,
                }
            }
        }
    }
    send_memory(stream, &mut memory).await
}

fn push_pieces(pieces: &mut VecDeque<Piece>, region: &FileRegion) {
    let mut position = region.position;
    let end = region.position + u64::from(region.length);
    while position < end {
        let length = ColdPipe::piece_length(position, end - position);
        pieces.push_back(Piece::File(FilePiece {
            file: Arc::clone(&region.file),
            position,
            length,
        }));
        position += length;
    }
}

/// Begins to read the next file piece, if it has to come from the disk and there is a pipe for it.
fn read_ahead(pieces: &VecDeque<Piece>, cold_reads: &Arc<ColdReads>) -> Ahead {
    let next = pieces.iter().find_map(|piece| match piece {
        Piece::File(piece) => Some(piece),
        Piece::Memory(_) => None,
    })?;
    if !is_cold(&next.file, next.position, next.length) {
        return None;
    }
    let Some(mut pipe) = cold_reads.pipe() else {
        read_into_cache(&next.file, next.position, next.length);
        return None;
    };
    let next = next.clone();
    Some(tokio::task::spawn_blocking(move || {
        pipe.fill(&next.file, next.position, next.length)?;
        Ok(pipe)
    }))
}

async fn send_pipe(stream: &TcpStream, mut pipe: ColdPipe) -> io::Result<()> {
    while stream
        .async_io(Interest::WRITABLE, || pipe.send_to(stream))
        .await?
        > 0
    {}
    Ok(())
}

async fn send_memory(stream: &TcpStream, memory: &mut VecDeque<Bytes>) -> io::Result<()> {
    while !memory.is_empty() {
        let slices: Vec<IoSlice<'_>> = memory
            .iter()
            .take(SLICES_MAX)
            .map(|bytes| IoSlice::new(bytes))
            .collect();
        let written = match stream.try_write_vectored(&slices) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                stream.writable().await?;
                continue;
            }
            Err(error) => return Err(error),
        };
        advance(memory, written);
    }
    Ok(())
}

fn advance(memory: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(front) = memory.front_mut() {
        if front.len() > written {
            front.advance(written);
            return;
        }
        written -= front.len();
        memory.pop_front();
    }
}

async fn send_file(stream: &TcpStream, piece: &FilePiece) -> io::Result<()> {
    let mut position = piece.position;
    let end = piece.position + piece.length;
    while position < end {
        let count = usize::try_from(end - position).unwrap_or(usize::MAX);
        let sent = stream
            .async_io(Interest::WRITABLE, || {
                let mut offset = position;
                rustix::fs::sendfile(stream, &*piece.file, Some(&mut offset), count)
                    .map_err(io::Error::from)
            })
            .await?;
        if sent == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "segment file is shorter than the response says",
            ));
        }
        position += sent as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::sync::Arc;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    /// Sends memory, a file region and memory, and compares what arrives.
    async fn check(evict: bool, pipes: usize) -> u64 {
        // Not in the temporary directory, which may be in memory, where nothing can be evicted.
        let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = directory.path().join("segment");
        let content: Vec<u8> = (0..2_500_000u32).map(|i| (i / 3) as u8).collect();
        File::create(&path).unwrap().write_all(&content).unwrap();
        let file = Arc::new(File::open(&path).unwrap());
        if evict {
            file.sync_all().unwrap();
            rustix::fs::fadvise(&*file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        }
        let region = FileRegion {
            file,
            position: 7,
            length: 2_400_000,
        };
        let mut chunks = vec![Chunk::Bytes(Bytes::from_static(b"head"))];
        chunks.extend((0..200).map(|i| Chunk::Bytes(Bytes::from(vec![i as u8; 1000]))));
        chunks.push(Chunk::File(region));
        chunks.push(Chunk::Bytes(Bytes::from_static(b"tail")));

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let server = listener.accept().await.unwrap().0;
        let metrics = Arc::<storage::StorageMetrics>::default();
        let cold_reads = Arc::new(ColdReads::new(pipes, Arc::clone(&metrics)));
        let sender = tokio::spawn(async move {
            send(&server, chunks, &cold_reads).await.unwrap();
        });
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        sender.await.unwrap();
        let mut expected = b"head".to_vec();
        (0..200).for_each(|i| expected.extend(vec![i as u8; 1000]));
        expected.extend_from_slice(&content[7..2_400_007]);
        expected.extend_from_slice(b"tail");
        assert!(
            received == expected,
            "{} bytes of {}",
            received.len(),
            expected.len()
        );
        metrics
            .read_bytes_cold
            .load(std::sync::atomic::Ordering::Relaxed)
    }

    #[tokio::test]
    async fn a_response_that_the_socket_has_no_room_for_is_left() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let server = listener.accept().await.unwrap().0;
        let small = vec![Chunk::Bytes(Bytes::from_static(b"small"))];
        server.writable().await.unwrap();
        assert_eq!(send_now(&server, small).unwrap(), []);
        let big: Bytes = (0..64_000_000u32).map(|i| (i / 3) as u8).collect();
        let left = send_now(&server, vec![Chunk::Bytes(big.clone())]).unwrap();
        assert!(matches!(&left[..], [Chunk::Bytes(left)] if left.len() < big.len()));
        let metrics = Arc::<storage::StorageMetrics>::default();
        let sender = tokio::spawn(async move {
            let cold_reads = Arc::new(ColdReads::new(1, metrics));
            send(&server, left, &cold_reads).await.unwrap();
        });
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        sender.await.unwrap();
        assert!(received[..5] == b"small"[..] && received[5..] == big[..]);
    }

    #[tokio::test]
    async fn memory_and_file_arrive_in_order_from_the_page_cache() {
        assert_eq!(check(false, 4).await, 0);
    }

    #[tokio::test]
    async fn memory_and_file_arrive_in_order_from_the_disk() {
        // One pipe is enough: what cannot be read ahead goes by sendfile.
        for pipes in [4, 1] {
            let cold = check(true, pipes).await;
            assert!(cold <= 2_400_000, "{cold}");
        }
        assert_eq!(check(true, 0).await, 0);
    }
}
