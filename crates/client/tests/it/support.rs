//! A broker of a few lines: it listens on a free port and answers each frame as the test says.

#![expect(
    clippy::unwrap_used,
    reason = "test support: a failure is the test's failure"
)]

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use wire::messages::api_versions_response::ApiVersion;
use wire::messages::{ApiVersionsResponse, RequestHeader, ResponseHeader};
use wire::{API_SPECS, Message, Reader, Writer};

/// A request a test broker got.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) header: RequestHeader,
    pub(crate) body: Reader,
}

impl Received {
    pub(crate) fn decode<M: Message>(&self) -> M {
        M::decode(&mut self.body.clone(), self.header.request_api_version).unwrap()
    }
}

/// One accepted connection.
#[derive(Debug)]
pub(crate) struct Peer {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
}

impl Peer {
    pub(crate) fn new(stream: TcpStream) -> Peer {
        let (reader, writer) = stream.into_split();
        Peer { reader, writer }
    }

    /// The next request; `None` when the client closed the connection.
    pub(crate) async fn receive(&mut self) -> Option<Received> {
        let length = self.reader.read_u32().await.ok()?;
        let mut frame = BytesMut::zeroed(length as usize);
        self.reader.read_exact(&mut frame).await.ok()?;
        let mut body = Reader::new(frame.freeze());
        let key = body.clone().i16().unwrap();
        let version = {
            let mut peek = body.clone();
            peek.i16().unwrap();
            peek.i16().unwrap()
        };
        let header = RequestHeader::decode(&mut body, 1 + i16::from(is_flexible(key, version)));
        Some(Received {
            header: header.unwrap(),
            body,
        })
    }

    pub(crate) async fn answer<M: Message>(&mut self, to: &Received, response: &M) {
        self.answer_in(to, response, to.header.request_api_version)
            .await;
    }

    /// Answers in another version than the request's.
    pub(crate) async fn answer_in<M: Message>(
        &mut self,
        to: &Received,
        response: &M,
        version: i16,
    ) {
        let key = to.header.request_api_key;
        let header_version = i16::from(key != 18 && is_flexible(key, version));
        let mut writer = Writer::default();
        let header = ResponseHeader {
            correlation_id: to.header.correlation_id,
        };
        header.encode(&mut writer, header_version).unwrap();
        response.encode(&mut writer, version).unwrap();
        self.write(&writer.into_bytes().unwrap()).await;
    }

    /// One frame of these bytes.
    pub(crate) async fn write(&mut self, body: &Bytes) {
        self.writer
            .write_u32(u32::try_from(body.len()).unwrap())
            .await
            .unwrap();
        self.writer.write_all(body).await.unwrap();
    }

    /// Bytes as they are.
    pub(crate) async fn write_raw(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).await.unwrap();
    }

    /// Answers the version exchange, with every API but those in `changed` as the schema has it.
    pub(crate) async fn exchange_versions(&mut self, changed: &[ApiVersion]) {
        let request = self.receive().await.unwrap();
        assert_eq!(request.header.request_api_key, 18);
        self.answer(&request, &versions(changed)).await;
    }
}

fn is_flexible(key: i16, version: i16) -> bool {
    let spec = API_SPECS
        .iter()
        .find(|spec| spec.key as i16 == key)
        .unwrap();
    version >= spec.first_flexible_version
}

/// The schema's ranges; a changed one whose `max_version` is negative is left out.
pub(crate) fn versions(changed: &[ApiVersion]) -> ApiVersionsResponse {
    let api_keys = API_SPECS.iter().map(|spec| {
        let key = spec.key as i16;
        changed
            .iter()
            .find(|api| api.api_key == key)
            .cloned()
            .unwrap_or(ApiVersion {
                api_key: key,
                min_version: spec.min_version,
                max_version: spec.max_version,
            })
    });
    ApiVersionsResponse {
        api_keys: api_keys.filter(|api| api.max_version >= 0).collect(),
        ..ApiVersionsResponse::default()
    }
}

pub(crate) fn range(api_key: i16, min_version: i16, max_version: i16) -> ApiVersion {
    ApiVersion {
        api_key,
        min_version,
        max_version,
    }
}

/// Listens on a free port.
pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Accepts one connection and runs `script` on it.
pub(crate) async fn serve_one<F>(
    script: impl FnOnce(Peer) -> F + Send + 'static,
) -> (SocketAddr, tokio::task::JoinHandle<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        script(Peer::new(stream)).await;
    });
    (address, server)
}
