//! Frames off a socket: a 32-bit length, then that many bytes.
//!
//! The buffer grows with what arrived, never with what the length field promises: a peer that announces
//! 100 MiB and sends ten bytes costs ten kilobytes. A frame is handed out as a slice of the buffer, so its
//! records are not copied again before they reach the journal.
//!
//! What comes first is read onto the stack: most requests are small and come whole, and get memory of their size.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

const LENGTH_BYTES: usize = 4;
/// What a first read has room for; most requests but Produce fit.
const FIRST_READ_BYTES: usize = 8 * 1024;
/// A frame up to this size gets its memory at once, a larger one as it arrives.
const RESERVE_AT_ONCE_BYTES: usize = 1024 * 1024;

/// Why no frame follows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// A length below zero or above `socket.request.max.bytes`.
    #[error("frame of {length} bytes is outside of 0..={limit} (socket.request.max.bytes)")]
    BadLength {
        /// What the peer announced.
        length: i32,
        /// The limit.
        limit: usize,
    },
    /// The peer closed the connection inside a frame.
    #[error("connection closed {missing} bytes before the end of a frame")]
    Truncated {
        /// Bytes that did not come.
        missing: usize,
    },
    /// The socket failed.
    #[error("socket read failed")]
    Io(#[from] io::Error),
}

/// Reads frames from one connection.
#[derive(Debug)]
pub(crate) struct FrameReader {
    buffer: BytesMut,
    max_frame_bytes: usize,
}

impl FrameReader {
    pub(crate) fn new(max_frame_bytes: usize) -> FrameReader {
        FrameReader {
            buffer: BytesMut::new(),
            max_frame_bytes,
        }
    }

    /// The next frame without its length, or `None` when the peer closed between two frames.
    ///
    /// # Cancel safety
    /// Cancel safe: bytes that were read stay in the buffer.
    pub(crate) async fn next(
        &mut self,
        stream: &mut TcpStream,
    ) -> Result<Option<Bytes>, FrameError> {
        poll_fn(|cx| self.poll_next(cx, stream)).await
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut TcpStream,
    ) -> Poll<Result<Option<Bytes>, FrameError>> {
        loop {
            if let Some(frame) = self.take_frame()? {
                return Poll::Ready(Ok(Some(frame)));
            }
            // By `poll_read`, which remembers that a read which did not fill its buffer has emptied the socket.
            if self.buffer.is_empty() {
                let mut space = [const { MaybeUninit::uninit() }; FIRST_READ_BYTES];
                let mut read = ReadBuf::uninit(&mut space);
                ready!(Pin::new(&mut *stream).poll_read(cx, &mut read))?;
                if read.filled().is_empty() {
                    return Poll::Ready(Ok(None));
                }
                if let Some(frame) = self.whole_frame(read.filled())? {
                    return Poll::Ready(Ok(Some(Bytes::copy_from_slice(frame))));
                }
                self.buffer.extend_from_slice(read.filled());
            } else {
                ready!(stream.poll_read_ready(cx))?;
                self.make_room()?;
                match stream.try_read_buf(&mut self.buffer) {
                    Ok(0) => return Poll::Ready(self.at_end()),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Poll::Ready(Err(FrameError::Io(error))),
                }
            }
        }
    }

    /// The frame that `bytes` are, when they are exactly one.
    fn whole_frame<'a>(&self, bytes: &'a [u8]) -> Result<Option<&'a [u8]>, FrameError> {
        let Some((prefix, frame)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = self.checked(*prefix)?;
        Ok((length == frame.len()).then_some(frame))
    }

    fn checked(&self, prefix: [u8; LENGTH_BYTES]) -> Result<usize, FrameError> {
        let length = i32::from_be_bytes(prefix);
        match usize::try_from(length) {
            Ok(bytes) if bytes <= self.max_frame_bytes => Ok(bytes),
            _ => Err(FrameError::BadLength {
                length,
                limit: self.max_frame_bytes,
            }),
        }
    }

    fn announced(&self) -> Result<Option<usize>, FrameError> {
        let prefix = self.buffer.first_chunk::<LENGTH_BYTES>();
        prefix.map(|prefix| self.checked(*prefix)).transpose()
    }

    fn take_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(length) = self.announced()? else {
            return Ok(None);
        };
        if self.buffer.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(LENGTH_BYTES);
        let frame = self.buffer.split_to(length).freeze();
        if self.buffer.is_empty() {
            // An idle connection keeps no buffer.
            self.buffer = BytesMut::new();
        }
        Ok(Some(frame))
    }

    fn make_room(&mut self) -> Result<(), FrameError> {
        let have = self.buffer.len();
        let missing = match self.announced()? {
            Some(length) => (LENGTH_BYTES + length).saturating_sub(have),
            None => FIRST_READ_BYTES,
        };
        if self.buffer.capacity() - have >= missing.min(FIRST_READ_BYTES) {
            return Ok(());
        }
        self.buffer
            .reserve(missing.min(RESERVE_AT_ONCE_BYTES.max(have)).max(1));
        Ok(())
    }

    fn at_end(&self) -> Result<Option<Bytes>, FrameError> {
        if self.buffer.is_empty() {
            return Ok(None);
        }
        let announced = self.announced()?.unwrap_or(0);
        Err(FrameError::Truncated {
            missing: LENGTH_BYTES + announced - self.buffer.len().min(LENGTH_BYTES + announced),
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn frames_come_out_whole_however_they_arrive() {
        let (mut client, mut server) = pair().await;
        let big: Vec<u8> = (0..3_000_000u32).map(|i| i as u8).collect();
        let sent = big.clone();
        let writer = tokio::spawn(async move {
            for chunk in [&[0u8, 0][..], &[0, 3, b'a'], b"bc", &[0, 0, 0, 0]] {
                client.write_all(chunk).await.unwrap();
                client.flush().await.unwrap();
            }
            client
                .write_all(&(sent.len() as u32).to_be_bytes())
                .await
                .unwrap();
            client.write_all(&sent).await.unwrap();
            client.write_all(b"\0\0\0\x05alone").await.unwrap();
            client.flush().await.unwrap();
            let two = b"\0\0\0\x03two\0\0\0\x07at once";
            client.write_all(two).await.unwrap();
        });
        let mut reader = FrameReader::new(4_000_000);
        assert_eq!(reader.next(&mut server).await.unwrap().unwrap(), "abc");
        assert_eq!(reader.next(&mut server).await.unwrap().unwrap(), "");
        assert_eq!(reader.next(&mut server).await.unwrap().unwrap(), big);
        assert_eq!(reader.next(&mut server).await.unwrap().unwrap(), "alone");
        assert_eq!(reader.next(&mut server).await.unwrap().unwrap(), "two");
        assert_eq!(reader.next(&mut server).await.unwrap().unwrap(), "at once");
        assert!(reader.next(&mut server).await.unwrap().is_none());
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn an_absurd_length_is_refused_and_a_promise_costs_no_memory() {
        let (mut client, mut server) = pair().await;
        let mut reader = FrameReader::new(100 << 20);
        client
            .write_all(&(90u32 << 20).to_be_bytes())
            .await
            .unwrap();
        client.write_all(b"ten bytes.").await.unwrap();
        client.shutdown().await.unwrap();
        let error = reader.next(&mut server).await.unwrap_err();
        assert!(matches!(error, FrameError::Truncated { missing } if missing == (90 << 20) - 10));
        assert!(
            reader.buffer.capacity() <= 2 << 20,
            "{}",
            reader.buffer.capacity()
        );

        let (mut client, mut server) = pair().await;
        client.write_all(&i32::MAX.to_be_bytes()).await.unwrap();
        let error = FrameReader::new(100).next(&mut server).await.unwrap_err();
        assert!(matches!(
            error,
            FrameError::BadLength {
                length: i32::MAX,
                limit: 100
            }
        ));
    }
}
