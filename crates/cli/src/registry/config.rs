//! `affluent schema-registry config` (`configuration`).
//!
//! Differs: the Confluent CLI updates with `cluster update` and `subject update` only; here `config update` does both.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use registry_client::{Method, Request};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Context, files};
use crate::confirm::confirm;
use crate::failure::{Failure, Outcome};
use crate::output::Format;

/// The commands on configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Describe what is configured for all subjects, or for one.
    Describe(SubjectArgs),
    /// Update what is configured for all subjects, or for one.
    Update(UpdateArgs),
    /// Delete what is configured for all subjects, or for one.
    Delete(DeleteArgs),
}

/// `--subject`.
#[derive(Debug, Args)]
pub(crate) struct SubjectArgs {
    /// The subject; everybody where it is left out.
    #[arg(long)]
    subject: Option<String>,
}

/// Flags of `config update`.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    of: SubjectArgs,
    #[command(flatten)]
    config: ConfigFlags,
}

/// Flags of `config delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    of: SubjectArgs,
    /// Do not ask.
    #[arg(long)]
    force: bool,
}

/// A compatibility level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum LevelFlag {
    Backward,
    BackwardTransitive,
    Forward,
    ForwardTransitive,
    Full,
    FullTransitive,
    None,
}

/// What may be configured.
#[derive(Debug, Args)]
pub(crate) struct ConfigFlags {
    /// The compatibility level.
    #[arg(long, value_enum, ignore_case = true)]
    compatibility: Option<LevelFlag>,
    /// The metadata property whose value must be the same for versions to be compared.
    #[arg(long, value_name = "NAME")]
    compatibility_group: Option<String>,
    /// A file of metadata that a schema has where it says nothing else.
    #[arg(long, value_name = "PATH")]
    metadata_defaults: Option<PathBuf>,
    /// A file of metadata that a schema has whatever it says.
    #[arg(long, value_name = "PATH")]
    metadata_overrides: Option<PathBuf>,
    /// A file of rules that a schema has where it says nothing else.
    #[arg(long, value_name = "PATH")]
    ruleset_defaults: Option<PathBuf>,
    /// A file of rules that a schema has whatever it says.
    #[arg(long, value_name = "PATH")]
    ruleset_overrides: Option<PathBuf>,
}

impl LevelFlag {
    fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_ascii_uppercase())
            .unwrap_or_default()
    }
}

impl ConfigFlags {
    /// Whether any is there.
    pub(super) fn is_given(&self) -> bool {
        self.compatibility.is_some()
            || self.compatibility_group.is_some()
            || self.files().iter().any(|(_, path)| path.is_some())
    }

    fn files(&self) -> [(&'static str, &Option<PathBuf>); 4] {
        [
            ("defaultMetadata", &self.metadata_defaults),
            ("overrideMetadata", &self.metadata_overrides),
            ("defaultRuleSet", &self.ruleset_defaults),
            ("overrideRuleSet", &self.ruleset_overrides),
        ]
    }

    fn body(&self) -> Outcome<Value> {
        let mut body = json!({});
        if let Some(level) = self.compatibility {
            body["compatibility"] = json!(level.name());
        }
        if let Some(group) = &self.compatibility_group {
            body["compatibilityGroup"] = json!(group);
        }
        for (name, path) in self.files() {
            if let Some(path) = path {
                body[name] = files::json(path)?;
            }
        }
        Ok(body)
    }
}

/// What a registry has configured (`Config`).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    #[serde(alias = "compatibility")]
    compatibility_level: Option<String>,
    compatibility_group: Option<String>,
    default_metadata: Option<Value>,
    override_metadata: Option<Value>,
    default_rule_set: Option<Value>,
    override_rule_set: Option<Value>,
}

/// The same, as it is printed.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(skip_serializing_if = "Option::is_none")]
    compatibility_level: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compatibility_group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata_defaults: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata_overrides: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ruleset_defaults: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ruleset_overrides: Option<String>,
}

pub(super) fn run(context: &mut Context, command: ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Describe(args) => describe(context, args.subject.as_deref()),
        ConfigCommand::Update(args) => {
            if !args.config.is_given() {
                return Err(Failure::new("there is nothing to update")
                    .remedy("--compatibility backward; --help shows what else there is"));
            }
            put_config(context, args.of.subject.as_deref(), &args.config)
        }
        ConfigCommand::Delete(args) => delete(context, &args),
    }
}

/// The path of a resource that everybody and each subject has.
pub(super) fn path<'p>(resource: &'p str, subject: Option<&'p str>) -> Vec<&'p str> {
    std::iter::once(resource).chain(subject).collect()
}

fn describe(context: &mut Context, subject: Option<&str>) -> Outcome {
    let path = path("config", subject);
    let found = context.ask_for(async |client| client.json(&Request::get(&path)).await)?;
    let config: Config = found.ok_or_else(|| not_configured(subject))?;
    print(context, config)
}

fn not_configured(subject: Option<&str>) -> Failure {
    Failure::new(format!(
        "subject \"{}\" does not have subject-level compatibility configured",
        subject.unwrap_or_default()
    ))
    .remedy("leave --subject out to see what is configured for everybody")
}

fn print(context: &mut Context, config: Config) -> Outcome {
    let pretty = |value: Option<Value>| value.map(|value| files::pretty(&value));
    let shown = Shown {
        compatibility_level: config.compatibility_level,
        compatibility_group: config.compatibility_group,
        metadata_defaults: pretty(config.default_metadata),
        metadata_overrides: pretty(config.override_metadata),
        ruleset_defaults: pretty(config.default_rule_set),
        ruleset_overrides: pretty(config.override_rule_set),
    };
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let fields = [
        ("Compatibility Level", text(&shown.compatibility_level)),
        ("Compatibility Group", text(&shown.compatibility_group)),
        ("Metadata Defaults", text(&shown.metadata_defaults)),
        ("Metadata Overrides", text(&shown.metadata_overrides)),
        ("Ruleset Defaults", text(&shown.ruleset_defaults)),
        ("Ruleset Overrides", text(&shown.ruleset_overrides)),
    ];
    context.printer.fields(&fields, &shown)
}

/// Changes what is configured.
pub(super) fn put_config(
    context: &mut Context,
    subject: Option<&str>,
    flags: &ConfigFlags,
) -> Outcome {
    let path = path("config", subject);
    let request = Request::new(Method::PUT, &path).body(flags.body()?);
    let now: Value = context.ask(async |client| client.json(&request).await)?;
    let what = match flags.compatibility {
        Some(level) => format!("compatibility to \"{}\"", level.name()),
        None => "configuration".to_owned(),
    };
    let sentence = match subject {
        Some(subject) => {
            format!("Successfully updated subject-level {what} for subject \"{subject}\".")
        }
        None => format!("Successfully updated top-level {what}."),
    };
    context.printer.done(&sentence, &now)
}

fn delete(context: &mut Context, args: &DeleteArgs) -> Outcome {
    let subject = args.of.subject.as_deref();
    let question = match subject {
        Some(subject) => format!(
            "Are you sure you want to delete the subject-level compatibility level config and revert it to the global default for \"{subject}\"?"
        ),
        None => "Are you sure you want to delete the global compatibility level config and revert it to the default?".to_owned(),
    };
    confirm(args.force, &question)?;
    let path = path("config", subject);
    let request = Request::new(Method::DELETE, &path);
    let found = context.ask_for(async |client| client.json(&request).await)?;
    let config: Config = found.ok_or_else(|| not_configured(subject))?;
    if context.printer.format() == Format::Human {
        context
            .printer
            .line("Deleted Schema Registry configuration.")?;
    }
    print(context, config)
}
