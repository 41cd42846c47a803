//! Records through the REST Proxy: one HTTP connection, a stream of JSON up and reports down.
//!
//! The proxy is a process of its own before the broker that is measured, so that every contender has the same one; it, its
//! client and the broker share the machine. The client sends chunks made beforehand and counts reports, on two threads.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use testkit::calls;

use crate::contender::{Contender, Hall, Running};
use crate::report::{Measurement, Sample, Target};
use crate::service::{Role, Service};

const ROLE: Role = Role {
    name: "rest-proxy",
    listeners: "kafka.rest.listeners",
    cpu: None,
};
const PARTITIONS: i32 = 6;
const TOPIC: &str = "measured";
/// Bytes of a record's value.
const RECORD_BYTES: usize = 1024;
/// Records of one chunk of the request's body.
const CHUNK_RECORDS: usize = 64;
/// How long no report may come.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How a report of a record that was written begins.
const WRITTEN: &[u8] = b"{\"error_code\":200";
/// And any report.
const REPORT: &[u8] = b"{\"error_code\":";

const AT_LEAST: &[(Contender, Target)] = &[
    (Contender::Affluent, Target::AtLeast(150_000.0)),
    (Contender::AffluentOs, Target::AtLeast(150_000.0)),
];

/// Of [`run`].
pub(crate) const MEASUREMENTS: &[Measurement] = &[
    Measurement {
        id: "binary",
        what: "REST v3 streaming produce, one connection, 1 KiB records, `BINARY`, 6 partitions",
        unit: "records/s",
        targets: AT_LEAST,
    },
    Measurement {
        id: "string",
        what: "— `STRING`",
        unit: "records/s",
        targets: AT_LEAST,
    },
    Measurement {
        id: "json",
        what: "— `JSON`, objects of 16 fields",
        unit: "records/s",
        targets: AT_LEAST,
    },
    Measurement {
        id: "proxy-cpu",
        what: "— CPU of the proxy per million records, `BINARY`",
        unit: "s",
        targets: &[],
    },
    Measurement {
        id: "broker-cpu",
        what: "— CPU of the broker per million records, `BINARY`",
        unit: "s",
        targets: &[],
    },
    Measurement {
        id: "proxy-rss",
        what: "— memory of the proxy, peak",
        unit: "MB",
        targets: &[],
    },
];

/// All formats, one after another.
pub(crate) fn run(hall: &Hall, contender: Contender) -> Result<Vec<Sample>> {
    let broker = hall.start(contender, &[])?;
    calls::create_topic(
        &mut broker.connect()?,
        TOPIC,
        PARTITIONS,
        contender.topic_configs(),
    )?;
    let proxy = Proxy::start(&broker)?;
    let chunks = hall.size(30_000, 300);
    let mut samples = Vec::new();
    for (id, record) in [
        ("binary", binary_record()),
        ("string", string_record()),
        ("json", json_record()),
    ] {
        let chunk = chunk_of(&record);
        proxy.stream(&chunk, chunks / 10)?;
        let before = (proxy.service.usage()?.cpu, broker.usage()?.cpu);
        let elapsed = proxy.stream(&chunk, chunks)?;
        let records = (chunks * CHUNK_RECORDS) as f64;
        samples.push(Sample::new(id, records / elapsed.as_secs_f64()));
        if id == "binary" {
            let cpu = |now: Duration, before: Duration| {
                now.saturating_sub(before).as_secs_f64() / (records / 1e6)
            };
            let after = (proxy.service.usage()?, broker.usage()?);
            samples.push(Sample::new("proxy-cpu", cpu(after.0.cpu, before.0)));
            samples.push(Sample::new("broker-cpu", cpu(after.1.cpu, before.1)));
        }
    }
    let peak = proxy.service.usage()?.rss_peak_bytes;
    samples.push(Sample::new("proxy-rss", peak as f64 / 1e6));
    Ok(samples)
}

fn value(kind: &str, data: &str) -> String {
    format!("{{\"value\":{{\"type\":\"{kind}\",\"data\":{data}}}}}")
}

fn binary_record() -> String {
    // The base64 of zero bytes: whole groups of three, then one byte.
    let text = "A".repeat((RECORD_BYTES / 3) * 4);
    value("BINARY", &format!("\"{text}AA==\""))
}

const _: () = assert!(RECORD_BYTES % 3 == 1);

fn string_record() -> String {
    value("STRING", &format!("\"{}\"", "x".repeat(RECORD_BYTES)))
}

fn json_record() -> String {
    let fields: Vec<String> = (0..16)
        .map(|field| format!("\"field-{field:02}\":\"{}\"", "y".repeat(50)))
        .collect();
    value("JSON", &format!("{{{}}}", fields.join(",")))
}

/// One chunk as HTTP/1.1 sends it.
fn chunk_of(record: &str) -> Vec<u8> {
    let body = format!("{record}\n").repeat(CHUNK_RECORDS);
    format!("{:x}\r\n{body}\r\n", body.len()).into_bytes()
}

/// A proxy that runs before a broker.
struct Proxy {
    service: Service,
    cluster: String,
}

impl Proxy {
    fn start(broker: &Running) -> Result<Proxy> {
        let service = Service::start(ROLE, broker)?;
        let cluster = cluster_of(&service.address)?;
        Ok(Proxy { service, cluster })
    }

    /// Sends so many chunks in one request and waits for all reports.
    fn stream(&self, chunk: &[u8], chunks: usize) -> Result<Duration> {
        let mut stream = TcpStream::connect(&self.service.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        let begin = Instant::now();
        write!(
            stream,
            "POST /v3/clusters/{}/topics/{TOPIC}/records HTTP/1.1\r\nHost: bench\r\n\
             Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
            self.cluster
        )?;
        let reader = stream.try_clone()?;
        let wanted = chunks * CHUNK_RECORDS;
        let counting = thread::spawn(move || count_reports(reader, wanted));
        let mut sent = Ok(());
        for _ in 0..chunks {
            sent = stream.write_all(chunk);
            if sent.is_err() {
                break;
            }
        }
        let sent = sent.and_then(|()| stream.write_all(b"0\r\n\r\n"));
        let counted = counting
            .join()
            .map_err(|_| anyhow!("the thread that counts reports panicked"))?;
        counted?;
        sent?;
        Ok(begin.elapsed())
    }
}

fn cluster_of(address: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET /v3/clusters HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer
        .split_once("\r\n\r\n")
        .context("the answer has no body")?;
    let body: Value = serde_json::from_str(body)?;
    let cluster = body["data"][0]["cluster_id"].as_str();
    Ok(cluster.context("the answer names no cluster")?.to_owned())
}

/// Reads until so many reports have come, all of records that were written.
fn count_reports(mut stream: TcpStream, wanted: usize) -> Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    let mut kept = 0;
    let (mut written, mut reports) = (0, 0);
    while reports < wanted {
        let room = buffer.get_mut(kept..).context("the buffer is full")?;
        let read = stream.read(room).context("no report came for a minute")?;
        ensure!(
            read > 0,
            "the proxy closed after {reports} of {wanted} reports"
        );
        let bytes = buffer.get(..kept + read).unwrap_or_default();
        reports += memchr::memmem::find_iter(bytes, REPORT).count();
        written += memchr::memmem::find_iter(bytes, WRITTEN).count();
        // A beginning that is cut off is looked at again with what follows: too short to be counted twice.
        kept = WRITTEN.len().saturating_sub(1).min(bytes.len());
        let from = bytes.len() - kept;
        let tail = bytes.get(from..).unwrap_or_default();
        reports -= memchr::memmem::find_iter(tail, REPORT).count();
        buffer.copy_within(from..from + kept, 0);
    }
    ensure!(
        written == wanted,
        "{} of {wanted} records were not written",
        wanted.saturating_sub(written)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_what_they_are_called() {
        for (record, kind) in [
            (binary_record(), "BINARY"),
            (string_record(), "STRING"),
            (json_record(), "JSON"),
        ] {
            let record: Value = serde_json::from_str(&record).unwrap();
            assert_eq!(record["value"]["type"], kind);
            let data = &record["value"]["data"];
            let bytes = match data.as_str() {
                Some(text) if kind == "BINARY" => text.len() / 4 * 3 - 2,
                Some(text) => text.len(),
                None => data.to_string().len(),
            };
            assert!(
                (RECORD_BYTES..RECORD_BYTES + 64).contains(&bytes),
                "{kind}: {bytes}"
            );
        }
        let chunk = String::from_utf8(chunk_of("{}")).unwrap();
        assert!(chunk.starts_with("c0\r\n{}\n{}\n"), "{chunk}");
    }

    #[test]
    fn reports_are_counted_however_they_are_cut() {
        use std::net::TcpListener;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sending = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let reports = "{\"error_code\":200,\"value\":{\"size\":1}}\r\n".repeat(50);
            for piece in reports.as_bytes().chunks(7) {
                stream.write_all(piece).unwrap();
            }
        });
        let stream = TcpStream::connect(address).unwrap();
        count_reports(stream, 50).unwrap();
        sending.join().unwrap();
    }
}
