//! Every API in every version that is advertised gets an answer of that version, whatever the request holds.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, BrokerOptions};
use bytes::Bytes;
use wire::messages::{ApiVersionsRequest, RequestHeader, ResponseHeader};
use wire::sample::{Sample, Sampler};
use wire::{ApiKey, Chunk, Message, Reader, Request, Writer};

/// Random requests per version, beside the default one.
const SAMPLES: u64 = 6;

struct Client {
    address: SocketAddr,
    stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        Client {
            address,
            stream,
            correlation_id: 0,
        }
    }

    /// Sends a request and decodes the answer to its last byte; `None` when the connection was closed.
    fn call<R: Request>(&mut self, version: i16, request: &R) -> Option<R::Response> {
        self.correlation_id += 1;
        let mut writer = Writer::default();
        let header = RequestHeader {
            request_api_key: R::API_KEY,
            request_api_version: version,
            correlation_id: self.correlation_id,
            client_id: Some("every-version".to_owned()),
        };
        let flexible = version >= R::FIRST_FLEXIBLE_VERSION;
        header
            .encode(&mut writer, if flexible { 2 } else { 1 })
            .unwrap();
        request.encode(&mut writer, version).unwrap();
        for chunk in writer.finish_frame().unwrap() {
            let Chunk::Bytes(bytes) = chunk else {
                panic!("a request without files")
            };
            self.stream.write_all(&bytes).unwrap();
        }
        let mut length = [0; 4];
        if self.stream.read_exact(&mut length).is_err() {
            *self = Client::connect(self.address);
            return None;
        }
        let mut frame = vec![0; i32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame).unwrap();
        let mut reader = Reader::new(Bytes::from(frame));
        let flexible_header = flexible && R::API_KEY != ApiKey::ApiVersions as i16;
        let header = ResponseHeader::decode(&mut reader, i16::from(flexible_header)).unwrap();
        assert_eq!(header.correlation_id, self.correlation_id);
        let response = R::Response::decode(&mut reader, version)
            .unwrap_or_else(|error| panic!("{} version {version}: {error}", R::NAME));
        assert_eq!(reader.remaining(), 0, "{} version {version}", R::NAME);
        Some(response)
    }
}

/// What a random request must not say, lest it waits for long or is answered with silence.
trait Tame {
    fn tame(&mut self) {}
}

macro_rules! tame {
    ($(($name:ident, $request:ident, $response:ident))*) => {
        $(tame!(@ $request);)*
    };
    (@ ProduceRequest) => {
        impl Tame for wire::messages::ProduceRequest {
            fn tame(&mut self) {
                self.acks = 1;
                self.timeout_ms = 100;
            }
        }
    };
    (@ FetchRequest) => {
        impl Tame for wire::messages::FetchRequest {
            fn tame(&mut self) {
                self.max_wait_ms = 0;
            }
        }
    };
    (@ ShareFetchRequest) => {
        impl Tame for wire::messages::ShareFetchRequest {
            fn tame(&mut self) {
                self.max_wait_ms = 0;
            }
        }
    };
    (@ ApiVersionsRequest) => {
        impl Tame for ApiVersionsRequest {
            fn tame(&mut self) {}
        }
    };
    (@ $request:ident) => {
        impl Tame for wire::messages::$request {}
    };
}
wire::for_each_api!(tame);

fn try_api<R: Request + Sample + Default + Tame>(client: &mut Client, low: i16, high: i16) {
    for version in low.max(R::MIN_VERSION)..=high {
        for seed in 0..=SAMPLES {
            let mut request = match seed {
                0 => R::default(),
                seed => R::sample(&mut Sampler::new(seed), version),
            };
            request.tame();
            let answer = client.call(version, &request);
            assert!(
                answer.is_some(),
                "{} version {version} seed {seed}: closed",
                R::NAME
            );
        }
    }
}

macro_rules! try_all {
    ($(($name:ident, $request:ident, $response:ident))*) => {
        fn try_all(client: &mut Client, ranges: &BTreeMap<i16, (i16, i16)>) -> usize {
            let mut tried = 0;
            $(
                if let Some((low, high)) = ranges.get(&(ApiKey::$name as i16)) {
                    try_api::<wire::messages::$request>(client, *low, *high);
                    tried += 1;
                }
            )*
            tried
        }
    };
}
wire::for_each_api!(try_all);

#[test]
fn every_advertised_version_is_answered() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let properties = BTreeMap::from([
        ("listeners".to_owned(), "PLAINTEXT://127.0.0.1:0".to_owned()),
        (
            "group.initial.rebalance.delay.ms".to_owned(),
            "0".to_owned(),
        ),
    ]);
    let broker = runtime
        .block_on(Broker::start(BrokerOptions {
            data_dir: directory.path().to_owned(),
            properties,
            clock: Arc::new(base::SystemClock::new()),
            loggers: None,
            record_validator: None,
        }))
        .unwrap();
    let mut client = Client::connect(broker.listeners()[0].address);
    let versions = client.call(
        4,
        &ApiVersionsRequest {
            client_software_name: "every-version".to_owned(),
            client_software_version: "1".to_owned(),
            ..ApiVersionsRequest::default()
        },
    );
    let ranges: BTreeMap<i16, (i16, i16)> = versions
        .unwrap()
        .api_keys
        .iter()
        .map(|api| (api.api_key, (api.min_version, api.max_version)))
        .collect();
    assert_eq!(ranges.len(), 70);
    assert_eq!(try_all(&mut client, &ranges), 70);
    drop(client);
    runtime.block_on(broker.shutdown()).unwrap();
}
