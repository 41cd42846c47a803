//! Confluent's serialisers for Node against the registry, with the rules and the encryption of fields and payloads that they know,
//! and in both directions with those for Python.
//!
//! `js/serdes.mjs` holds the cases. Their records are carried by KafkaJS, the client of the broker that is JavaScript alone:
//! Confluent's own is librdkafka, which other suites run.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{program, schema_registry, serdes};
use crate::cache::{self, Cache};
use crate::kafka::Kafka;
use crate::npm;
use crate::suite::{CaseResult, Session, Suite, Tier};

const VERSION: &str = "1.10.1";
const CARRIER_VERSION: &str = "2.2.4";
const DIRECTORY: &str = "schemaregistry-js";
const SCRIPT: &str = include_str!("../../js/serdes.mjs");

/// How long all cases may take together: each is a few requests, one record and one group, some start Python too.
const LIMIT: Duration = Duration::from_secs(900);

/// The suite.
#[derive(Debug)]
pub struct SerdesJs;

impl Suite for SerdesJs {
    fn name(&self) -> &'static str {
        "serdes-js"
    }

    fn client(&self) -> String {
        format!("@confluentinc/schemaregistry {VERSION} for Node, with KafkaJS {CARRIER_VERSION}")
    }

    fn prepare(&self, cache: &Cache, _kafka: &Kafka, tier: Tier) -> Result<bool> {
        let stamp = format!("{VERSION} {CARRIER_VERSION}");
        let there = cache::install(cache, DIRECTORY, &stamp, tier, |directory| {
            let serialisers = format!("@confluentinc/schemaregistry@{VERSION}");
            let carrier = format!("kafkajs@{CARRIER_VERSION}");
            npm::install(directory, &[&serialisers, &carrier])
        })?;
        Ok(there && serdes::prepare(cache, tier)?)
    }

    fn run(&self, session: &Session<'_>, done: &mut dyn FnMut(CaseResult)) -> Result<()> {
        let packages = session.cache.directory(DIRECTORY)?;
        let script = session.target.scratch().join("serdes.mjs");
        std::fs::write(&script, SCRIPT)?;
        let program = || {
            let mut command = Command::new("node");
            command
                .arg(&script)
                .env("AFFLUENT_PACKAGES", &packages)
                .env("KAFKAJS_NO_PARTITIONER_WARNING", "1")
                .env("PYTHONDONTWRITEBYTECODE", "1");
            command
        };
        let wanted = program::wanted(session, program(), LIMIT)
            .context("Node has to be installed; on Debian: apt-get install nodejs")?;
        if wanted.is_empty() {
            return Ok(());
        }
        let (python, python_script) = serdes::python(session)?;
        let registry = schema_registry::start(session, "serdes-js")?;
        let mut command = program();
        command
            .arg(session.target.bootstrap())
            .arg(format!("http://{}", registry.address("schema-registry")?))
            .args([python, python_script]);
        let ended = program::play(session, "node", command, &wanted, LIMIT, done);
        session.keep_log("instance", &registry.process.log_text());
        ended
    }
}
