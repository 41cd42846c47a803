//! Responses onto a socket: vectored writes for memory, `sendfile` for segment files.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use tokio::io::Interest;
use tokio::net::TcpStream;
use wire::{Chunk, FileRegion};

/// Slices handed to one `writev`; the kernel takes 1,024 at most.
const SLICES_MAX: usize = 64;
/// Bytes handed to one `sendfile`, so that one large response does not hold a worker for long.
const SENDFILE_MAX_BYTES: usize = 1024 * 1024;

/// Writes the chunks in order.
///
/// # Errors
/// The socket's, or `UnexpectedEof` when a file is shorter than its region says; the connection must then be
/// closed, since half a response is on the wire.
///
/// # Cancel safety
/// Not cancel safe: a dropped call leaves half a response on the wire.
pub(crate) async fn send(stream: &TcpStream, chunks: Vec<Chunk>) -> io::Result<()> {
    let mut memory: VecDeque<Bytes> = VecDeque::new();
    for chunk in chunks {
        match chunk {
            Chunk::Bytes(bytes) => memory.push_back(bytes),
            Chunk::File(region) => {
                send_memory(stream, &mut memory).await?;
                send_file(stream, &region).await?;
            }
        }
    }
    send_memory(stream, &mut memory).await
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

async fn send_file(stream: &TcpStream, region: &FileRegion) -> io::Result<()> {
    let mut position = region.position;
    let end = region.position + u64::from(region.length);
    while position < end {
        let count = usize::try_from(end - position)
            .unwrap_or(usize::MAX)
            .min(SENDFILE_MAX_BYTES);
        let sent = stream
            .async_io(Interest::WRITABLE, || {
                let mut offset = position;
                rustix::fs::sendfile(stream, &*region.file, Some(&mut offset), count)
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

    #[tokio::test]
    async fn memory_and_file_arrive_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("segment");
        let content: Vec<u8> = (0..2_500_000u32).map(|i| (i / 3) as u8).collect();
        File::create(&path).unwrap().write_all(&content).unwrap();
        let region = FileRegion {
            file: Arc::new(File::open(&path).unwrap()),
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
        let sender = tokio::spawn(async move {
            send(&server, chunks).await.unwrap();
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
    }
}
