//! One blocking connection that sends exactly the bytes it is told to.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use wire::messages::{RequestHeader, ResponseHeader};
use wire::{Chunk, Message, Reader, Request, Writer};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);
/// The longest answer that is believed.
const ANSWER_BYTES_MAX: usize = 256 << 20;
const API_VERSIONS: i16 = 18;

/// A connection to a broker.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    correlation_id: i32,
}

/// What a peer did with a connection after it got bytes it may not like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// It sent a frame.
    Answered(Bytes),
    /// It closed the connection, or reset it.
    Closed,
    /// It did neither in the time given.
    Silent,
}

impl Connection {
    /// Connects to a port of the loopback interface.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn open(port: u16) -> Result<Connection> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))
            .with_context(|| format!("could not connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(Connection {
            stream,
            correlation_id: 0,
        })
    }

    /// How long to wait for an answer, or for room to write.
    ///
    /// # Errors
    /// When `limit` is zero.
    pub fn set_limit(&self, limit: Duration) -> Result<()> {
        self.stream.set_read_timeout(Some(limit))?;
        self.stream.set_write_timeout(Some(limit))?;
        Ok(())
    }

    /// A second handle of the same connection, to read on one thread and write on another.
    ///
    /// # Errors
    /// When the process has no file descriptor left.
    pub fn try_clone(&self) -> Result<Connection> {
        Ok(Connection {
            stream: self.stream.try_clone()?,
            correlation_id: self.correlation_id,
        })
    }

    /// Ends the connection in both directions, for every handle of it.
    pub fn shutdown(&self) {
        // An error means that the peer was faster.
        self.stream.shutdown(Shutdown::Both).ok();
    }

    /// Sends a request, waits for its answer and decodes it.
    ///
    /// # Errors
    /// When the connection ends, time runs out, or the answer is not one.
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response> {
        let correlation_id = self.send(version, request)?;
        let answer = self
            .receive()?
            .with_context(|| format!("{} was not answered", R::NAME))?;
        let (got, response) = decode_response::<R>(version, answer)?;
        ensure!(
            got == correlation_id,
            "{} got the answer to request {got}, not {correlation_id}",
            R::NAME
        );
        Ok(response)
    }

    /// Sends a request and returns its correlation id.
    ///
    /// # Errors
    /// When the connection ends or the request cannot be encoded.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> Result<i32> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let frame = encode_request(version, self.correlation_id, request)?;
        self.send_raw(&frame)?;
        Ok(self.correlation_id)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection ends.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next frame without its length, or `None` when the peer closed the connection between two frames.
    ///
    /// # Errors
    /// When time runs out or the connection ends inside a frame.
    pub fn receive(&mut self) -> Result<Option<Bytes>> {
        let mut size = [0; 4];
        match self.stream.read_exact(&mut size) {
            Ok(()) => {}
            Err(error) if is_end(&error) => return Ok(None),
            Err(error) => return Err(error).context("no answer"),
        }
        let size =
            usize::try_from(i32::from_be_bytes(size)).context("the answer has a negative size")?;
        ensure!(
            size <= ANSWER_BYTES_MAX,
            "the answer has the absurd size {size}"
        );
        let mut frame = vec![0; size];
        self.stream
            .read_exact(&mut frame)
            .context("the answer is cut short")?;
        Ok(Some(frame.into()))
    }

    /// Waits for what the peer does, at most for `limit`.
    ///
    /// # Errors
    /// When the answer is cut short, or for an error of the socket other than its end.
    pub fn reaction(&mut self, limit: Duration) -> Result<Reaction> {
        self.stream.set_read_timeout(Some(limit))?;
        let mut first = [0; 1];
        let peeked = self.stream.peek(&mut first);
        self.stream.set_read_timeout(Some(LIMIT))?;
        match peeked {
            Ok(0) => Ok(Reaction::Closed),
            Ok(_) => Ok(self.receive()?.map_or(Reaction::Closed, Reaction::Answered)),
            Err(error) if is_end(&error) => Ok(Reaction::Closed),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(Reaction::Silent)
            }
            Err(error) => Err(error).context("could not wait for the peer"),
        }
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
    )
}

/// A request as a whole frame, its length included.
///
/// # Errors
/// When a field holds what the version cannot say.
pub fn encode_request<R: Request>(
    version: i16,
    correlation_id: i32,
    request: &R,
) -> Result<Vec<u8>> {
    let header = RequestHeader {
        request_api_key: R::API_KEY,
        request_api_version: version,
        correlation_id,
        client_id: Some("testkit".to_owned()),
    };
    let header_version = if version >= R::FIRST_FLEXIBLE_VERSION {
        2
    } else {
        1
    };
    let mut writer = Writer::with_capacity(256);
    header.encode(&mut writer, header_version)?;
    request.encode(&mut writer, version)?;
    let chunks = writer.finish_frame()?;
    let mut frame = Vec::with_capacity(chunks.iter().map(Chunk::len).sum());
    for chunk in chunks {
        match chunk {
            Chunk::Bytes(bytes) => frame.extend_from_slice(&bytes),
            Chunk::File(_) => bail!("a request never holds a file"),
        }
    }
    Ok(frame)
}

/// Decodes the frame that answers a request of type `R`: its correlation id and the response.
///
/// # Errors
/// When the bytes are not that response, or go on behind it.
pub fn decode_response<R: Request>(version: i16, frame: Bytes) -> Result<(i32, R::Response)> {
    let mut reader = Reader::new(frame);
    // ApiVersions always answers with header version 0 (KIP-511).
    let flexible = version >= R::FIRST_FLEXIBLE_VERSION && R::API_KEY != API_VERSIONS;
    let header = ResponseHeader::decode(&mut reader, i16::from(flexible))?;
    let response = R::Response::decode(&mut reader, version)?;
    ensure!(
        reader.remaining() == 0,
        "{} bytes follow the answer to {}",
        reader.remaining(),
        R::NAME
    );
    Ok((header.correlation_id, response))
}
