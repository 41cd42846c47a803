//! The Schema Registry held to feature files in Gherkin: the behaviour of the REST API, told step by step.
//!
//! The files are those of the AxonOps schema registry, or others with the same steps. They are no part of this project:
//! `AFFLUENT_SR_FEATURES` names the folder they are in, and without it the suite is left out. A case is a file; it
//! passes when all its scenarios do. Scenarios about what only that product has (audit log, its own import and metrics
//! endpoints) are left out by their tag or by their steps.
//!
//! Each file gets an instance of the registry with a topic of its own, on the broker under test. Before each scenario
//! everything is removed through the API.

mod gherkin;
mod http;
mod steps;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::service::Service;
use crate::cache::Cache;
use crate::kafka::Kafka;
use crate::suite::{CaseResult, Outcome, Session, Suite, Tier, seconds};
use gherkin::{Feature, Scenario};
use steps::{Ran, World};

const FEATURES: &str = "AFFLUENT_SR_FEATURES";

/// Tags of what is another product's own.
const FOREIGN_TAGS: [&str; 2] = ["@axonops-only", "@metrics"];

/// Scenarios that ask for what Confluent's registry does not do, by file and part of their name, with what it does.
const AGAINST_CONFLUENT: [(&str, &str, &str); 36] = [
    ("schema_identity", "different ruleSet", METADATA),
    ("schema_identity", "different metadata", METADATA),
    ("schema_identity", "metadata changes create", METADATA),
    ("schema_identity", "metadata-only changes", METADATA),
    ("schema_identity", "combined metadata", METADATA),
    ("schema_identity", "most recent metadata", METADATA),
    (
        "metadata_rulesets",
        "does not affect schema identity",
        METADATA,
    ),
    (
        "contexts_advanced_api",
        "Schema lookup returns correct result in context",
        QUALIFIED,
    ),
    (
        "contexts_advanced_api",
        "scoped to default context only",
        QUALIFIED,
    ),
    (
        "contexts_isolation",
        "context-scoped via URL prefix",
        QUALIFIED,
    ),
    (
        "contexts_operations",
        "subjects for schema ID in context via URL",
        QUALIFIED,
    ),
    ("contexts_url_routing", "returns plain names", QUALIFIED),
    (
        "import_mode_comprehensive",
        "rejects re-registration of existing schema without",
        "a schema that is there is answered before the mode is looked at",
    ),
    (
        "modeling_protobuf_compatibility",
        "Moving field out of oneof",
        "ONEOF_FIELD_MOVED_TO_TOP_LEVEL is a compatible change",
    ),
    ("dek_registry", "Create duplicate KEK", CODES),
    ("dek_registry", "same subject creates new version", VERSIONS),
    ("dek_registry", "Get non-existent DEK", CODES),
    ("dek_registry", "with multiple versions", VERSIONS),
    ("dek_registry", "Full lifecycle", DELETES),
    ("dek_registry", "Delete DEK for non-existent KEK", CODES),
    ("dek_registry", "under soft-deleted KEK", DELETES),
    ("dek_registry", "Get DEK version 0", TEXT),
    ("dek_registry", "DEK version with invalid version", TEXT),
    ("dek_registry", "Get DEK negative version", TEXT),
    ("dek_registry", "Get DEK non-numeric version", TEXT),
    ("dek_registry", "Get DEK version -999", TEXT),
    ("dek_registry", "and empty body", MATERIAL),
    ("dek_registry", "Rewrap DEK for non-existent KEK", CODES),
    (
        "dek_registry",
        "Delete DEK version for non-existent KEK",
        CODES,
    ),
    (
        "dek_registry",
        "Delete DEK version that does not exist",
        CODES,
    ),
    (
        "dek_registry",
        "Undelete DEK version for non-existent KEK",
        CODES,
    ),
    (
        "dek_registry",
        "Undelete DEK version that does not exist",
        CODES,
    ),
    (
        "dek_registry",
        "Permanent delete DEK without soft-delete",
        DELETES,
    ),
    ("dek_registry", "Get DEK with wrong algorithm", CODES),
    ("dek_registry", "not visible in default get", CODES),
    ("dek_registry", "List DEK versions with offset", VERSIONS),
];

const CODES: &str =
    "a key that is not there is 40470, one that is there already 40971 (DekRegistryErrors)";
const VERSIONS: &str =
    "a DEK has the version that the request says, else 1, and each algorithm has its own";
const DELETES: &str = "a KEK with DEKs is not deleted, nor a DEK for good that is not soft deleted, and a deleted KEK gets no DEKs";
const TEXT: &str = "the text tells the numbers that a version may be, and -1 is the latest";
const MATERIAL: &str = "where the KEK is not shared, the client brings the encrypted key";

const METADATA: &str = "metadata and rules are part of what an id stands for (MD5.ofSchema)";
const QUALIFIED: &str =
    "subjects are answered with their context, and /subjects lists all contexts";

/// The suite.
#[derive(Debug)]
pub struct SchemaRegistry;

impl Suite for SchemaRegistry {
    fn name(&self) -> &'static str {
        "schema-registry"
    }

    fn client(&self) -> String {
        "feature files of the AxonOps schema registry".to_owned()
    }

    fn prepare(&self, _cache: &Cache, _kafka: &Kafka, _tier: Tier) -> Result<bool> {
        Ok(std::env::var_os(FEATURES).is_some())
    }

    fn run(&self, session: &Session<'_>, done: &mut dyn FnMut(CaseResult)) -> Result<()> {
        let folder = PathBuf::from(std::env::var_os(FEATURES).context("no feature files")?);
        let mut files: Vec<PathBuf> = fs::read_dir(&folder)
            .with_context(|| format!("could not list {}", folder.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "feature")
            })
            .collect();
        files.sort();
        ensure!(
            !files.is_empty(),
            "{} has no feature files",
            folder.display()
        );
        let mut total = Tally::default();
        for file in files {
            let case = file
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if !session.selection.wants(&case) {
                continue;
            }
            let started = Instant::now();
            let tally = run_file(session, &case, &file)?;
            session.keep_log(&case, &tally.failures.join("\n"));
            total.add(&tally);
            done(CaseResult {
                case,
                outcome: tally.outcome(),
                seconds: seconds(started.elapsed()),
            });
        }
        eprintln!(
            "schema-registry: {} scenarios passed, {} failed, {} are about what is not here",
            total.passed,
            total.failures.len(),
            total.skipped
        );
        Ok(())
    }
}

/// What became of a file's scenarios.
#[derive(Debug, Default)]
struct Tally {
    passed: usize,
    skipped: usize,
    failures: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.passed += other.passed;
        self.skipped += other.skipped;
        self.failures.extend_from_slice(&other.failures);
    }

    fn outcome(&self) -> Outcome {
        if self.failures.is_empty() && self.passed == 0 {
            return Outcome::Skip("all its scenarios are about what is not here".to_owned());
        }
        if self.failures.is_empty() {
            return Outcome::Pass;
        }
        Outcome::Fail(format!(
            "{} of {} scenarios: {}",
            self.failures.len(),
            self.failures.len() + self.passed,
            self.failures.join("; ")
        ))
    }
}

fn run_file(session: &Session<'_>, case: &str, file: &Path) -> Result<Tally> {
    let feature = read(case, file)?;
    if has_foreign_tag(&feature.tags) {
        return Ok(Tally {
            skipped: feature.scenarios.len(),
            ..Tally::default()
        });
    }
    let instance = start(session, case)?;
    let tally = run_feature(&instance.address("schema-registry")?, case, &feature)?;
    session.keep_log(&format!("{case}-instance"), &instance.process.log_text());
    Ok(tally)
}

/// Runs one file against a registry that is there already, at `host:port`, and says what failed.
///
/// # Errors
/// The file cannot be read, or the registry not emptied.
pub fn against(address: &str, file: &Path) -> Result<Outcome> {
    let case = file.file_stem().unwrap_or_default().to_string_lossy();
    let feature = read(&case, file)?;
    Ok(run_feature(address, &case, &feature)?.outcome())
}

fn read(case: &str, file: &Path) -> Result<Feature> {
    let source = fs::read_to_string(file)?;
    Feature::parse(&source).with_context(|| format!("reading {case}"))
}

fn is_against_confluent(case: &str, scenario: &str) -> bool {
    let matches = |(file, name, _): &&(&str, &str, &str)| *file == case && scenario.contains(name);
    let found = AGAINST_CONFLUENT.iter().find(matches);
    if let Some((.., why)) = found {
        eprintln!("left out: {case}, {scenario}: {why}");
    }
    found.is_some()
}

fn has_foreign_tag(tags: &[String]) -> bool {
    tags.iter().any(|tag| FOREIGN_TAGS.contains(&tag.as_str()))
}

fn run_feature(address: &str, case: &str, feature: &Feature) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut world = World::new(address.to_owned());
    for scenario in &feature.scenarios {
        if has_foreign_tag(&feature.tags)
            || has_foreign_tag(&scenario.tags)
            || is_against_confluent(case, &scenario.name)
        {
            tally.skipped += 1;
            continue;
        }
        world.clean().context("the registry could not be emptied")?;
        match run_scenario(&mut world, feature, scenario) {
            Ok(Ran::Done) => tally.passed += 1,
            Ok(Ran::Foreign) => tally.skipped += 1,
            Err(error) => tally.failures.push(format!("{}: {error:#}", scenario.name)),
        }
    }
    Ok(tally)
}

fn run_scenario(world: &mut World, feature: &Feature, scenario: &Scenario) -> Result<Ran> {
    for step in feature.background.iter().chain(&scenario.steps) {
        let ran = world
            .run(&step.phrase, step.text.as_deref())
            .with_context(|| format!("line {}, {}", step.line, step.phrase))?;
        if matches!(ran, Ran::Foreign) {
            return Ok(ran);
        }
    }
    Ok(Ran::Done)
}

/// A registry on the broker under test, with topics and a group of its own, named after `case`.
pub(super) fn start(session: &Session<'_>, case: &str) -> Result<Service> {
    start_with(session, case, "schema-registry", &[])
}

/// The same, with other roles beside it and settings for them.
pub(super) fn start_with(
    session: &Session<'_>,
    case: &str,
    roles: &str,
    more: &[String],
) -> Result<Service> {
    let settings = [
        "schema.registry.listeners=http://127.0.0.1:0".to_owned(),
        format!("kafkastore.topic=_schemas_{case}"),
        format!("dek.registry.topic=_dek_registry_keys_{case}"),
        format!("catalog.topic=_schema_registry_catalog_{case}"),
        format!("schema.registry.group.id=schema-registry-{case}"),
    ];
    let settings = [&settings[..], more].concat();
    Service::start(session, &format!("registry-{case}"), roles, &settings)
}
