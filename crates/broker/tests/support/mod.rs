//! A broker in this process and blocking connections to it, for tests that speak the protocol.

#![allow(
    dead_code,
    reason = "each test binary compiles this module and uses its own part of it"
)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use broker::{Broker, BrokerOptions, LogLevel, LogLevels, ROOT_LOGGER, RecordValidator};
use bytes::Bytes;
use tokio::runtime::Runtime;
use wire::messages::create_topics_request::CreatableTopic;
use wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use wire::messages::{CreateTopicsRequest, ProduceRequest, RequestHeader, ResponseHeader};
use wire::record_data::{BatchOptions, RecordBatchBuilder};
use wire::{ApiKey, Chunk, ErrorCode, Message, Reader, Records, Request, Writer};

/// How long a test waits for what must come.
const LIMIT: Duration = Duration::from_secs(30);

/// Asks again while a coordinator is not there yet, and until the answer is as it is to be.
pub(crate) fn until<T: std::fmt::Debug>(
    mut ask: impl FnMut() -> T,
    code: impl Fn(&T) -> i16,
    holds: impl Fn(&T) -> bool,
) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        let answer = ask();
        let error = ErrorCode::from_code(code(&answer)).unwrap();
        let again = [
            ErrorCode::CoordinatorNotAvailable,
            ErrorCode::CoordinatorLoadInProgress,
        ];
        if !again.contains(&error) && holds(&answer) {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "it does not come to that: {answer:?}"
        );
        std::thread::yield_now();
    }
}

/// A broker on a free port.
pub(crate) struct Running {
    runtime: Runtime,
    broker: Option<Broker>,
    pub(crate) address: SocketAddr,
}

impl Running {
    /// Starts a broker over a data directory, with properties beside the defaults of tests.
    pub(crate) fn start(data_dir: &Path, properties: &[(&str, &str)]) -> Running {
        Running::start_with(data_dir, properties, None)
    }

    /// The same, with somebody who judges records.
    pub(crate) fn start_with(
        data_dir: &Path,
        properties: &[(&str, &str)],
        record_validator: Option<Arc<dyn RecordValidator>>,
    ) -> Running {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let defaults = [
            ("listeners", "PLAINTEXT://127.0.0.1:0"),
            ("group.initial.rebalance.delay.ms", "0"),
        ];
        let properties: BTreeMap<String, String> = defaults
            .iter()
            .chain(properties)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let options = BrokerOptions {
            data_dir: data_dir.to_owned(),
            properties,
            clock: Arc::new(base::SystemClock::new()),
            loggers: Some(Arc::new(Loggers::default())),
            record_validator,
        };
        let broker = runtime.block_on(Broker::start(options)).unwrap();
        let address = broker.listeners()[0].address;
        Running {
            runtime,
            broker: Some(broker),
            address,
        }
    }

    pub(crate) fn connect(&self, client_id: &str) -> Client {
        Client::connect(self.address, client_id)
    }

    /// What clients pushed, as `/metrics` shows it.
    pub(crate) fn client_metrics(&self) -> String {
        let mut text = String::new();
        if let Some(broker) = &self.broker {
            broker.client_metrics().render(&mut text);
        }
        text
    }

    pub(crate) fn stop(mut self) {
        if let Some(broker) = self.broker.take() {
            self.runtime.block_on(broker.shutdown()).unwrap();
        }
    }
}

/// Why a broker with these properties does not start, as an operator reads it.
pub(crate) fn start_error(data_dir: &Path, properties: &[(&str, &str)]) -> String {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let options = BrokerOptions {
        data_dir: data_dir.to_owned(),
        properties: properties.iter().map(owned).collect(),
        clock: Arc::new(base::SystemClock::new()),
        loggers: None,
        record_validator: None,
    };
    let error = runtime.block_on(Broker::start(options)).unwrap_err();
    base::ErrorChain(&error).to_string()
}

/// Two loggers that log nothing.
#[derive(Debug, Default)]
struct Loggers(Mutex<BTreeMap<String, LogLevel>>);

impl LogLevels for Loggers {
    fn levels(&self) -> BTreeMap<String, LogLevel> {
        let set = self.0.lock().unwrap();
        let root = set.get(ROOT_LOGGER).copied().unwrap_or(LogLevel::Info);
        let own = set.get("broker").copied().unwrap_or(root);
        BTreeMap::from([(ROOT_LOGGER.to_owned(), root), ("broker".to_owned(), own)])
    }

    fn exists(&self, logger: &str) -> bool {
        [ROOT_LOGGER, "broker"].contains(&logger)
    }

    fn set(&self, changes: &[(String, Option<LogLevel>)]) {
        let mut set = self.0.lock().unwrap();
        for (logger, level) in changes {
            match level {
                Some(level) => drop(set.insert(logger.clone(), *level)),
                None => drop(set.remove(logger)),
            }
        }
    }
}

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    client_id: String,
    correlation_id: i32,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr, client_id: &str) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        Client {
            stream,
            client_id: client_id.to_owned(),
            correlation_id: 0,
        }
    }

    /// Sends a request and decodes its answer; panics when there is none.
    pub(crate) fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request);
        self.receive::<R>(version)
            .unwrap_or_else(|| panic!("{} version {version}: the connection was closed", R::NAME))
    }

    pub(crate) fn send<R: Request>(&mut self, version: i16, request: &R) {
        self.correlation_id += 1;
        let mut writer = Writer::default();
        let header = RequestHeader {
            request_api_key: R::API_KEY,
            request_api_version: version,
            correlation_id: self.correlation_id,
            client_id: Some(self.client_id.clone()),
        };
        let flexible = version >= R::FIRST_FLEXIBLE_VERSION;
        let header_version = if flexible { 2 } else { 1 };
        header.encode(&mut writer, header_version).unwrap();
        request.encode(&mut writer, version).unwrap();
        for chunk in writer.finish_frame().unwrap() {
            let Chunk::Bytes(bytes) = chunk else {
                panic!("a request without files")
            };
            self.stream.write_all(&bytes).unwrap();
        }
    }

    /// The answer to the request that was sent last; none when the connection was closed.
    pub(crate) fn receive<R: Request>(&mut self, version: i16) -> Option<R::Response> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let mut frame = vec![0; i32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame).unwrap();
        let mut reader = Reader::new(Bytes::from(frame));
        let flexible =
            version >= R::FIRST_FLEXIBLE_VERSION && R::API_KEY != ApiKey::ApiVersions as i16;
        let header = ResponseHeader::decode(&mut reader, i16::from(flexible)).unwrap();
        assert_eq!(header.correlation_id, self.correlation_id);
        let response = R::Response::decode(&mut reader, version)
            .unwrap_or_else(|error| panic!("{} version {version}: {error}", R::NAME));
        assert_eq!(reader.remaining(), 0, "{} version {version}", R::NAME);
        Some(response)
    }

    /// Whether an answer begins to come, or the connection ends, within this time.
    pub(crate) fn has_answer(&self, limit: Duration) -> bool {
        let before = self.stream.read_timeout().unwrap();
        self.stream.set_read_timeout(Some(limit)).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(before).unwrap();
        peeked.is_ok()
    }

    /// Creates a topic that must not exist yet.
    pub(crate) fn create_topic(&mut self, name: &str, partitions: i32) {
        let request = CreateTopicsRequest {
            topics: vec![topic(name, partitions)],
            timeout_ms: 10_000,
            validate_only: false,
        };
        let response = self.call(7, &request);
        assert_eq!(response.topics[0].error_code, 0, "{response:?}");
    }
}

fn now_ms() -> i64 {
    base::Clock::now_ms(&base::SystemClock::new())
}

/// A topic to create.
pub(crate) fn topic(name: &str, partitions: i32) -> CreatableTopic {
    CreatableTopic {
        name: name.to_owned(),
        num_partitions: partitions,
        replication_factor: 1,
        ..CreatableTopic::default()
    }
}

/// A produce of one record to partition 0 of a topic.
pub(crate) fn produce(topic: &str, value_bytes: usize, acks: i16) -> ProduceRequest {
    let mut batch = RecordBatchBuilder::new(BatchOptions::default());
    let value = vec![b'x'; value_bytes];
    batch.append(now_ms(), None, Some(&value), &[]).unwrap();
    let data = PartitionProduceData {
        index: 0,
        records: Some(Records::from(batch.finish().unwrap())),
    };
    ProduceRequest {
        acks,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            partition_data: vec![data],
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    }
}
