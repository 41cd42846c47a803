//! Requests that Schemathesis makes from the services' OpenAPI files, sound and unsound ones: none may be answered with a status of
//! 500 or more.
//!
//! The files are Confluent's and no part of this project: `AFFLUENT_OPENAPI` names the folder they are in, which else is
//! `shared/specs` beside the checkout; without it the suite is left out. A case is a file. So that requests get beyond "there is no
//! such subject", some of each kind of thing are made first, and `python/schemathesis.toml` has their names used most of the time.
//!
//! The number of requests an operation and the seed are fixed. `AFFLUENT_OPENAPI_EXAMPLES` and `AFFLUENT_OPENAPI_SEED` set others,
//! for a longer look.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use super::service::Service;
use crate::cache::{self, Cache};
use crate::kafka::Kafka;
use crate::process;
use crate::python::Environment;
use crate::rest::Rest;
use crate::suite::{CaseResult, Session, Suite, Tier, run_case};

const VERSION: &str = "4.32.5";
const DIRECTORY: &str = "schemathesis";
const CONFIGURATION: &str = include_str!("../../python/schemathesis.toml");

const SPECS: &str = "AFFLUENT_OPENAPI";
const EXAMPLES: (&str, &str) = ("AFFLUENT_OPENAPI_EXAMPLES", "5");
const SEED: (&str, &str) = ("AFFLUENT_OPENAPI_SEED", "1");

/// How long one file may take.
const LIMIT: Duration = Duration::from_secs(1800);

/// A file, the service it describes, and what its paths begin with there. The last one deletes any topic there is.
const CASES: [(&str, &str, &str, &str); 5] = [
    (
        "schema-registry",
        "schema-registry-openapi.yaml",
        "schema-registry",
        "",
    ),
    (
        "dek-registry",
        "dek-registry-openapi.yaml",
        "schema-registry",
        "",
    ),
    (
        "schema-registry-cloud",
        "cloud/schema-registry-v1.yaml",
        "schema-registry",
        "",
    ),
    (
        "data-catalog",
        "cloud/data-catalog-v1.yaml",
        "schema-registry",
        "",
    ),
    (
        "kafka-rest",
        "kafka-rest-v3-openapi.yaml",
        "rest-proxy",
        "/v3",
    ),
];

/// The suite.
#[derive(Debug)]
pub struct Schemathesis;

impl Suite for Schemathesis {
    fn name(&self) -> &'static str {
        "schemathesis"
    }

    fn client(&self) -> String {
        format!("Schemathesis {VERSION}")
    }

    fn prepare(&self, cache: &Cache, _kafka: &Kafka, tier: Tier) -> Result<bool> {
        let folder = specs();
        if !folder.is_dir() {
            eprintln!(
                "schemathesis: there are no OpenAPI files in {}; {SPECS} may name another folder",
                folder.display()
            );
            return Ok(false);
        }
        cache::install(cache, DIRECTORY, VERSION, tier, |directory| {
            let package = format!("schemathesis=={VERSION}");
            Environment::install(directory, &[&package]).map(drop)
        })
    }

    fn run(&self, session: &Session<'_>, done: &mut dyn FnMut(CaseResult)) -> Result<()> {
        for (case, file, role, prefix) in CASES {
            if session.selection.wants(case) {
                run_case(case, done, || play(session, case, file, role, prefix));
            }
        }
        Ok(())
    }
}

fn specs() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/specs");
    env::var_os(SPECS).map_or_else(beside, PathBuf::from)
}

fn play(session: &Session<'_>, case: &str, file: &str, role: &str, prefix: &str) -> Result<()> {
    let specification = specs().join(file);
    ensure!(
        specification.is_file(),
        "{} is not there",
        specification.display()
    );
    let service = start(session, case)?;
    let cluster = furnish(&service)?;
    let folder = session.target.scratch().join(case);
    fs::create_dir_all(&folder)?;
    let configuration = folder.join("schemathesis.toml");
    fs::write(&configuration, CONFIGURATION.replace("@CLUSTER@", &cluster))?;
    let program = session.cache.directory(DIRECTORY)?.join("venv/bin/st");
    let mut command = Command::new(program);
    command
        .arg("--config-file")
        .arg(&configuration)
        .arg("run")
        .arg(&specification)
        .arg(format!("--url=http://{}{prefix}", service.address(role)?))
        .args(["--max-examples", &setting(EXAMPLES)])
        .args(["--seed", &setting(SEED)])
        .current_dir(&folder);
    let finished = process::run(&mut command, b"", LIMIT)?;
    let output = finished.stdout_text();
    session.keep_log(case, &output);
    session.keep_log(&format!("{case}-services"), &service.process.log_text());
    if finished.success() {
        return Ok(());
    }
    let failures = failures(&output);
    if failures.is_empty() {
        bail!("{}", process::tail(&(output + &finished.stderr_text()), 8));
    }
    bail!("{}", failures.join("; "))
}

fn setting((variable, default): (&str, &str)) -> String {
    env::var(variable).unwrap_or_else(|_| default.to_owned())
}

/// Both services, with topics of this case's own.
fn start(session: &Session<'_>, case: &str) -> Result<Service> {
    let settings = [
        "schema.registry.listeners=http://127.0.0.1:0".to_owned(),
        "kafka.rest.listeners=http://127.0.0.1:0".to_owned(),
        format!("kafkastore.topic=_schemas_{case}"),
        format!("dek.registry.topic=_dek_registry_keys_{case}"),
        format!("catalog.topic=_schema_registry_catalog_{case}"),
        format!("schema.registry.group.id=schema-registry-{case}"),
    ];
    Service::start(session, case, "schema-registry,rest-proxy", &settings)
}

/// Makes what the configuration names, and says which cluster it is.
fn furnish(service: &Service) -> Result<String> {
    let rest = |role: &str| -> Result<Rest> {
        let address = service.address(role)?;
        let port = address
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok());
        let port = port.with_context(|| format!("the port of {address}"))?;
        Ok(Rest { port })
    };
    let (registry, proxy) = (rest("schema-registry")?, rest("rest-proxy")?);
    let record = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#;
    for (subject, schema_type, schema) in [
        ("one", "AVRO", record),
        ("two", "JSON", r#"{"type":"object"}"#),
        ("three", "PROTOBUF", "syntax = \"proto3\"; message M {}"),
    ] {
        let body = json!({"schemaType": schema_type, "schema": schema});
        registry.ok(
            "POST",
            &format!("/subjects/{subject}/versions"),
            Some(&body),
        )?;
    }
    let kek = json!({"name": "kek", "kmsType": "local-kms", "kmsKeyId": "k", "shared": true,
        "kmsProps": {"secret": "s"}});
    registry.ok("POST", "/dek-registry/v1/keks", Some(&kek))?;
    let dek = json!({"subject": "one"});
    registry.ok("POST", "/dek-registry/v1/keks/kek/deks", Some(&dek))?;
    for (path, body) in [
        (
            "types/tagdefs",
            json!([{"name": "one", "attributeDefs": [{"name": "a", "typeName": "int", "isOptional": true}]}]),
        ),
        (
            "types/businessmetadatadefs",
            json!([{"name": "two", "attributeDefs": [{"name": "a", "typeName": "string", "isOptional": true}]}]),
        ),
    ] {
        registry.ok("POST", &format!("/catalog/v1/{path}"), Some(&body))?;
    }
    let exporter = json!({"name": "exporter", "contextType": "NONE", "subjects": ["none*"],
        "config": {"schema.registry.url": "http://127.0.0.1:1"}});
    registry.ok("POST", "/exporters", Some(&exporter))?;
    let clusters = proxy.ok("GET", "/v3/clusters", None)?;
    let cluster = clusters["data"][0]["cluster_id"].as_str();
    let cluster = cluster.context("the cluster's id")?.to_owned();
    let topics = format!("/v3/clusters/{cluster}/topics");
    for topic in ["one", "two", "three"] {
        let body = json!({"topic_name": topic, "partitions_count": 2});
        // Another case has made it before.
        let made = proxy.ask("POST", &topics, Some(&body))?;
        ensure!(matches!(made.status, 201 | 400), "{topic}: {made:?}");
    }
    Ok(cluster)
}

/// Status, body and request of each failure.
fn failures(output: &str) -> Vec<String> {
    let told = |line: &&str| {
        let line = line.trim();
        line.starts_with('[') || line.starts_with("`{") || line.starts_with("curl ")
    };
    let lines = output
        .lines()
        .skip_while(|line| !line.contains("= FAILURES ="));
    let lines = lines.take_while(|line| !line.contains("= SUMMARY ="));
    lines
        .filter(told)
        .map(|line| line.trim().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_by_status_body_and_request() {
        let output = "x [1]\n=== FAILURES ===\n- ST101 Server error\n\n[500] Internal Server Error:\n\n    `{\"error_code\":1}`\n\n\
            Reproduce with:\n\n    curl -X GET http://h/\n=== SUMMARY ===\n[2]\n";
        let found = failures(output);
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found[2], "curl -X GET http://h/");
        assert!(failures("nothing\n").is_empty());
    }
}
