//! `affluent schema-registry`: commands that talk to a Schema Registry.
//!
//! Words, flags, prompts and the fields of JSON and YAML are those of the Confluent CLI (version 4,
//! `confluent schema-registry`), with `--schema-registry-endpoint` for where the registry is. What it has and not here
//! is Confluent Cloud's: clusters, regions, endpoints. What is here and not there is told at each command with
//! "Differs:".

mod compatibility;
mod config;
mod dek;
mod exporter;
mod files;
mod kek;
mod mode;
mod quality;
mod schema;
mod subject;

use clap::{Args, Subcommand};
use registry_client::{ClientError, ClientOptions, RegistryClient};

use crate::failure::{Failure, Outcome};
use crate::output::{Column, Format, Printer, Row};

/// `affluent schema-registry`.
#[derive(Debug, Args)]
pub struct SchemaRegistryCommand {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command under `schema-registry` takes.
#[derive(Debug, Args)]
pub struct Global {
    /// The URL of the Schema Registry; several with commas between are tried in turn.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "AFFLUENT_SCHEMA_REGISTRY",
        default_value = "http://localhost:8081",
        help_heading = "Global options"
    )]
    schema_registry_endpoint: String,
    /// A file of PEM certificates of authorities to trust beside the usual ones.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        help_heading = "Global options"
    )]
    certificate_authority_path: Option<std::path::PathBuf>,
    /// The form of the output: human, json or yaml.
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value_t,
        hide_possible_values = true,
        help_heading = "Global options"
    )]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Manage subjects.
    #[command(subcommand)]
    Subject(subject::SubjectCommand),
    /// Manage schemas.
    #[command(subcommand)]
    Schema(Box<schema::SchemaCommand>),
    /// Check schemas against those there are.
    #[command(subcommand)]
    Compatibility(compatibility::CompatibilityCommand),
    /// Manage compatibility levels and what else is configured.
    #[command(subcommand, alias = "configuration")]
    Config(config::ConfigCommand),
    /// Manage modes.
    #[command(subcommand)]
    Mode(mode::ModeCommand),
    /// Manage exporters, which copy schemas to another registry.
    #[command(subcommand)]
    Exporter(exporter::ExporterCommand),
    /// Manage key encryption keys (KEKs).
    #[command(subcommand)]
    Kek(kek::KekCommand),
    /// Manage data encryption keys (DEKs).
    #[command(subcommand)]
    Dek(dek::DekCommand),
    /// Manage data-quality rules.
    #[command(subcommand)]
    Quality(quality::QualityCommand),
}

/// What a command works with.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) client: RegistryClient,
    pub(crate) printer: Printer,
    runtime: tokio::runtime::Runtime,
}

impl Context {
    /// Asks the registry.
    pub(crate) fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&RegistryClient) -> Result<T, ClientError>,
    ) -> Outcome<T> {
        Ok(self.runtime.block_on(question(&self.client))?)
    }

    /// Runs other work that waits.
    pub(crate) fn wait_for<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Asks the registry for what it may not have.
    pub(crate) fn ask_for<T>(
        &self,
        question: impl AsyncFnOnce(&RegistryClient) -> Result<T, ClientError>,
    ) -> Outcome<Option<T>> {
        match self.runtime.block_on(question(&self.client)) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        let failure = Failure::of(&error);
        let remedy = match &error {
            ClientError::Unreachable { .. } => Some(
                "start a registry with `affluent start`, or name one that runs with --schema-registry-endpoint URL",
            ),
            ClientError::InvalidUrl { .. } | ClientError::NoAddress => {
                Some("--schema-registry-endpoint http://localhost:8081")
            }
            ClientError::Refused { code, .. } => remedy_of(*code),
            _ => None,
        };
        match remedy {
            Some(remedy) => failure.remedy(remedy),
            None => failure,
        }
    }
}

/// What to do about a registry's refusal, where its own message does not say.
fn remedy_of(code: i64) -> Option<&'static str> {
    match code {
        40401 => Some("`affluent schema-registry subject list` shows the subjects there are"),
        40402 => Some("`affluent schema-registry subject describe` shows the versions there are"),
        40403 => Some("`affluent schema-registry schema list` shows the ids there are"),
        409 | 40901 => Some(
            "pass --dry-run to see what is in the way, and --propose for a schema that may follow",
        ),
        _ => None,
    }
}

/// Runs a command.
///
/// # Errors
/// What the user is to be told.
pub fn run(command: SchemaRegistryCommand) -> Outcome {
    let global = command.global;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the asynchronous runtime: {error}")))?;
    let mut options = ClientOptions::new(&global.schema_registry_endpoint);
    if let Some(path) = &global.certificate_authority_path {
        options.authorities.push(files::bytes(path)?);
    }
    let client = RegistryClient::new(&options)?;
    let mut context = Context {
        client,
        printer: Printer::new(global.output),
        runtime,
    };
    let context_mut = &mut context;
    match command.command {
        Command::Subject(command) => subject::run(context_mut, command),
        Command::Schema(command) => schema::run(context_mut, *command),
        Command::Compatibility(command) => compatibility::run(context_mut, command),
        Command::Config(command) => config::run(context_mut, command),
        Command::Mode(command) => mode::run(context_mut, command),
        Command::Exporter(command) => exporter::run(context_mut, command),
        Command::Kek(command) => kek::run(context_mut, command),
        Command::Dek(command) => dek::run(context_mut, command),
        Command::Quality(command) => quality::run(context_mut, command),
    }?;
    context.printer.flush()
}

/// A list of versions, as several commands print it.
#[derive(Debug, serde::Serialize)]
struct VersionRow {
    version: i32,
}

impl Row for VersionRow {
    const COLUMNS: &'static [Column] = &[Column::number("Version")];

    fn cells(&self) -> Vec<String> {
        vec![self.version.to_string()]
    }
}

fn print_versions(printer: &mut Printer, versions: Vec<i32>) -> Outcome {
    let rows: Vec<VersionRow> = versions
        .into_iter()
        .map(|version| VersionRow { version })
        .collect();
    printer.list(&rows)
}

/// A list of subjects, as several commands print it.
#[derive(Debug, serde::Serialize)]
struct SubjectRow {
    subject: String,
}

impl Row for SubjectRow {
    const COLUMNS: &'static [Column] = &[Column::text("Subject")];

    fn cells(&self) -> Vec<String> {
        vec![self.subject.clone()]
    }
}

fn print_subjects(printer: &mut Printer, subjects: Vec<String>) -> Outcome {
    let rows: Vec<SubjectRow> = subjects
        .into_iter()
        .map(|subject| SubjectRow { subject })
        .collect();
    printer.list(&rows)
}
