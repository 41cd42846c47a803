//! The Schema Registry: schemas by id, registrations, a start on many schemas, checks of large ones.
//!
//! The registry is a process of its own before the broker. Reads are asked for by the stock load generator `wrk`, on the
//! processor that the registry does not have; everything else by one HTTP connection. The many schemas are written to
//! `_schemas` as Confluent's registry writes them, so that the start is also one on somebody else's topic.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::Connection;
use testkit::calls::{self, Partition};
use testkit::wait::wait_for;
use wire::ErrorCode;
use wire::record_data::{BatchOptions, RecordBatchBuilder};

use crate::contender::{Contender, Hall, Running};
use crate::report::{Measurement, Sample, Target};
use crate::service::{Role, Service};
use crate::stats::percentile;

const SCHEMAS: Partition<'static> = Partition {
    topic: "_schemas",
    index: 0,
};
/// With a processor to itself; its clients have the other.
const ROLE: Role = Role {
    name: "schema-registry",
    listeners: "schema.registry.listeners",
    cpu: Some("0"),
};
const CLIENT_CPU: &str = "1";
const LIMIT: Duration = Duration::from_secs(120);
const VERSIONS_OF_SUBJECT: usize = 10;
/// Fields of the schemas whose compatibility is checked, and versions they are checked against.
const LARGE_FIELDS: usize = 500;
const LARGE_VERSIONS: usize = 100;

/// Of [`run`].
pub(crate) const MEASUREMENTS: &[Measurement] = &[
    Measurement {
        id: "by-id",
        what: "Schema Registry on one core: schema by id, `wrk` with 32 connections",
        unit: "requests/s",
        targets: &[(Contender::Affluent, Target::AtLeast(60_000.0))],
    },
    Measurement {
        id: "by-id-p99",
        what: "— p99",
        unit: "ms",
        targets: &[(Contender::Affluent, Target::AtMost(2.0))],
    },
    Measurement {
        id: "register-p50",
        what: "register a new version, durable, one client, p50",
        unit: "ms",
        targets: &[],
    },
    Measurement {
        id: "register-p99",
        what: "— p99",
        unit: "ms",
        targets: &[(Contender::Affluent, Target::AtMost(10.0))],
    },
    Measurement {
        id: "check",
        what: "compatibility of a schema of 500 fields with 100 versions, p50",
        unit: "ms",
        targets: &[(Contender::Affluent, Target::AtMost(50.0))],
    },
    Measurement {
        id: "start",
        what: "start on 100,000 schemas in `_schemas`, to the answer for the last of them",
        unit: "s",
        targets: &[(Contender::Affluent, Target::AtMost(3.0))],
    },
    Measurement {
        id: "rss",
        what: "— memory then",
        unit: "MB",
        targets: &[(Contender::Affluent, Target::AtMost(300.0))],
    },
];

/// One round.
pub(crate) fn run(hall: &Hall, contender: Contender) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    let broker = hall.start(contender, &[])?;
    let registry = Service::start(ROLE, &broker)?;
    let mut client = Client::open(&registry.address)?;
    samples.extend(register(&mut client, hall.size(200, 20))?);
    samples.extend(by_id(&registry, hall.size(10, 1))?);
    samples.push(Sample::new("check", check(&mut client)?));
    drop((client, registry, broker));

    let broker = hall.start(contender, &[])?;
    let schemas = hall.size(100_000, 2_000);
    fill(&broker, schemas)?;
    let begin = Instant::now();
    let registry = Service::start(ROLE, &broker)?;
    let mut client = Client::open(&registry.address)?;
    wait_for("the last schema", LIMIT, || {
        let (status, _) = client.call("GET", &format!("/schemas/ids/{schemas}"), "")?;
        Ok((status == 200).then_some(()))
    })?;
    samples.push(Sample::new("start", begin.elapsed().as_secs_f64()));
    samples.push(Sample::new("rss", registry.usage()?.rss_bytes as f64 / 1e6));
    Ok(samples)
}

/// Registers [`VERSIONS_OF_SUBJECT`] versions of each of so many subjects, each compatible with the one before.
fn register(client: &mut Client, subjects: usize) -> Result<Vec<Sample>> {
    let mut times = Vec::with_capacity(subjects * VERSIONS_OF_SUBJECT);
    for subject in 0..subjects {
        let path = format!("/subjects/subject-{subject}-value/versions");
        for version in 1..=VERSIONS_OF_SUBJECT {
            let body = body(&record(&format!("Subject{subject}"), 8 + version));
            let begin = Instant::now();
            client.expect("POST", &path, &body)?;
            times.push(u64::try_from(begin.elapsed().as_micros())?);
        }
    }
    times.sort_unstable();
    let at = |percent| -> Result<f64> {
        Ok(percentile(&times, percent).context("nothing was measured")? as f64 / 1e3)
    };
    Ok(vec![
        Sample::new("register-p50", at(50.0)?),
        Sample::new("register-p99", at(99.0)?),
    ])
}

/// What `wrk` says of one schema, asked for over and over.
fn by_id(registry: &Service, seconds: u32) -> Result<Vec<Sample>> {
    let url = format!("http://{}/schemas/ids/1", registry.address);
    let output = Command::new("taskset")
        .args(["-c", CLIENT_CPU, "wrk", "-t1", "-c32", "--latency"])
        .args([format!("-d{seconds}s"), url])
        .output()
        .context("wrk and taskset are needed: Debian's packages wrk and util-linux")?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(
        output.status.success() && !text.contains("Non-2xx"),
        "wrk: {text} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (rate, p99_ms) = wrk_figures(&text).with_context(|| format!("wrk answered {text}"))?;
    Ok(vec![
        Sample::new("by-id", rate),
        Sample::new("by-id-p99", p99_ms),
    ])
}

/// Requests a second and the p99 in milliseconds, of wrk's report.
fn wrk_figures(text: &str) -> Option<(f64, f64)> {
    let after = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        line.map(str::trim)
    };
    let rate = after("Requests/sec:")?.parse().ok()?;
    let p99 = after("99%")?;
    let (number, scale) = if let Some(number) = p99.strip_suffix("us") {
        (number, 1e-3)
    } else if let Some(number) = p99.strip_suffix("ms") {
        (number, 1.0)
    } else {
        (p99.strip_suffix('s')?, 1e3)
    };
    Some((rate, number.parse::<f64>().ok()? * scale))
}

/// The median time of a check of a large schema with all large versions before it, in milliseconds.
fn check(client: &mut Client) -> Result<f64> {
    let subject = "large-value";
    let transitive = json!({"compatibility": "BACKWARD_TRANSITIVE"}).to_string();
    client.expect("PUT", &format!("/config/{subject}"), &transitive)?;
    for version in 0..LARGE_VERSIONS {
        let body = body(&record("Large", LARGE_FIELDS + version));
        client.expect("POST", &format!("/subjects/{subject}/versions"), &body)?;
    }
    let path = format!("/compatibility/subjects/{subject}/versions");
    let mut times = Vec::new();
    for more in 0..11 {
        // Another text each time: an answer kept from before would measure nothing.
        let body = body(&record("Large", LARGE_FIELDS + LARGE_VERSIONS + more));
        let begin = Instant::now();
        let answer = client.expect("POST", &path, &body)?;
        times.push(u64::try_from(begin.elapsed().as_micros())?);
        ensure!(answer["is_compatible"] == true, "the check says {answer}");
    }
    times.sort_unstable();
    Ok(percentile(&times, 50.0).context("nothing was measured")? as f64 / 1e3)
}

/// An Avro record whose fields have defaults, so that more of them are a compatible change.
fn record(name: &str, fields: usize) -> String {
    let fields: Vec<Value> = (0..fields)
        .map(|field| {
            let name = format!("field_{field:03}");
            match field % 4 {
                0 => json!({"name": name, "type": "string", "default": ""}),
                1 => json!({"name": name, "type": ["null", "long"], "default": null}),
                2 => json!({"name": name, "type": {"type": "array", "items": "double"}, "default": []}),
                _ => json!({"name": name, "type": {"type": "long", "logicalType": "timestamp-millis"}, "default": 0}),
            }
        })
        .collect();
    json!({"type": "record", "name": name, "namespace": "bench", "fields": fields}).to_string()
}

fn body(schema: &str) -> String {
    json!({ "schema": schema }).to_string()
}

/// Writes so many schemas to `_schemas`, [`VERSIONS_OF_SUBJECT`] of each subject, ids from 1 on.
fn fill(broker: &Running, schemas: usize) -> Result<()> {
    broker.create_topic(SCHEMAS.topic, 1, &[("cleanup.policy", "compact")])?;
    let mut connection = broker.connect()?;
    let mut builder = RecordBatchBuilder::new(BatchOptions::default());
    for id in 1..=schemas {
        let (subject, version) = (
            (id - 1) / VERSIONS_OF_SUBJECT,
            (id - 1) % VERSIONS_OF_SUBJECT,
        );
        let name = format!("subject-{subject}-value");
        let schema = record(&format!("Subject{subject}"), 8 + version);
        let key = json!({"keytype": "SCHEMA", "subject": name, "version": version + 1, "magic": 1});
        let value = json!({"subject": name, "version": version + 1, "id": id, "schema": schema,
            "deleted": false});
        let (key, value) = (key.to_string(), value.to_string());
        builder.append(
            1_700_000_000_000,
            Some(key.as_bytes()),
            Some(value.as_bytes()),
            &[],
        )?;
        if id % 500 == 0 || id == schemas {
            let full = std::mem::replace(
                &mut builder,
                RecordBatchBuilder::new(BatchOptions::default()),
            );
            produce(&mut connection, full)?;
        }
    }
    Ok(())
}

fn produce(connection: &mut Connection, builder: RecordBatchBuilder) -> Result<()> {
    let produced = calls::produce(connection, SCHEMAS, builder.finish()?)?;
    ensure!(
        produced.error == ErrorCode::None,
        "Produce answered {} {}",
        produced.error.name(),
        produced.message
    );
    Ok(())
}

/// One connection of HTTP/1.1 that is kept open.
struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    fn open(address: &str) -> Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(Client {
            reader: BufReader::new(stream),
        })
    }

    /// A request that must be answered with 200.
    fn expect(&mut self, method: &str, path: &str, body: &str) -> Result<Value> {
        let (status, answer) = self.call(method, path, body)?;
        ensure!(status == 200, "{method} {path} answered {status}: {answer}");
        Ok(answer)
    }

    fn call(&mut self, method: &str, path: &str, body: &str) -> Result<(u16, Value)> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\n\
             Content-Type: application/vnd.schemaregistry.v1+json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.reader.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.with_context(|| format!("the answer begins with {line:?}"))?;
        let mut length = 0;
        loop {
            line.clear();
            ensure!(
                self.reader.read_line(&mut line)? > 0,
                "the connection closed"
            );
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
        }
        let mut answer = vec![0; length];
        self.reader.read_exact(&mut answer)?;
        Ok((status, serde_json::from_slice(&answer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_of_wrk_is_read() {
        let text = "Running 8s test @ http://127.0.0.1:8081/schemas/ids/1\n  Latency Distribution\n     \
                    90%  695.00us\n     99%    1.91ms\n  396359 requests in 8.01s, 140.99MB read\n\
                    Requests/sec:  49458.93\nTransfer/sec:     17.59MB\n";
        assert_eq!(wrk_figures(text), Some((49458.93, 1.91)));
        let slower = text.replace("1.91ms", "1.20s");
        assert_eq!(wrk_figures(&slower), Some((49458.93, 1200.0)));
        assert_eq!(wrk_figures("unable to connect"), None);
    }

    #[test]
    fn versions_add_fields_with_defaults() {
        let schema: Value = serde_json::from_str(&record("Subject1", 9)).unwrap();
        let fields = schema["fields"].as_array().unwrap();
        assert_eq!(fields.len(), 9);
        assert!(fields.iter().all(|field| field.get("default").is_some()));
    }
}
