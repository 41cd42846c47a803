//! `affluent schema-registry quality`: rules on fields, written in YAML, as domain rules of a subject's data contract.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use registry_client::{Method, Registered, Request};
use schema::quality::{FIELD_PARAM, QualityRules};
use schema::{Rule, RuleSet};
use serde::{Deserialize, Serialize};

use super::{Context, files};
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Format, Row};

/// The commands on data-quality rules.
#[derive(Debug, Subcommand)]
pub(crate) enum QualityCommand {
    /// Put the rules of a file in the place of those that an earlier file put there.
    Apply(ApplyArgs),
}

/// Flags of `quality apply`.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The file of rules (docs/data-quality.md).
    #[arg(short = 'f', long, value_name = "PATH")]
    file: PathBuf,
    /// The subject, in the place of the one that the file names.
    #[arg(long)]
    subject: Option<String>,
    /// Show the rules and register nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What a registration answers.
#[derive(Debug, Deserialize)]
struct Answer {
    id: i32,
    #[serde(default)]
    version: Option<i32>,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Applied<'a> {
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i32>,
    changed: bool,
    rules: &'a [Rule],
}

#[derive(Debug, Serialize)]
struct RuleRow {
    name: String,
    mode: String,
    on_failure: String,
    expr: String,
}

impl Row for RuleRow {
    const COLUMNS: &'static [Column] = &[
        Column::text("Name"),
        Column::text("Mode"),
        Column::text("On Failure"),
        Column::text("Expression"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.mode.clone(),
            self.on_failure.clone(),
            self.expr.clone(),
        ]
    }
}

impl RuleRow {
    fn of(rule: &Rule) -> RuleRow {
        // The spelling that JSON has for it.
        let json = serde_json::to_value(rule).unwrap_or_default();
        RuleRow {
            name: rule.name.clone(),
            mode: files::member(&json, "mode"),
            on_failure: files::member(&json, "onFailure"),
            expr: files::member(&json, "expr"),
        }
    }
}

pub(super) fn run(context: &mut Context, command: QualityCommand) -> Outcome {
    let QualityCommand::Apply(args) = command;
    let rules = QualityRules::parse(&files::text(&args.file)?)
        .map_err(|error| Failure::of(&error).within(&format!("file '{}'", args.file.display())))?;
    let subject = args.subject.as_ref().or(rules.subject.as_ref());
    let subject = subject.ok_or_else(|| {
        Failure::new("the file names no subject")
            .remedy("write `subject: users-value` into it, or pass --subject")
    })?;
    let found =
        context.ask_for(async |client| client.schema_by_version(subject, "latest", false).await)?;
    let latest = found.ok_or_else(|| {
        Failure::new(format!(
            "subject \"{subject}\" has no schema to which rules could belong"
        ))
        .remedy("register one first: `affluent schema-registry schema create`")
    })?;
    check_fields(context, &rules, &latest)?;
    let rule_set = rules.apply_to(latest.rule_set.as_ref());
    let is_same = latest.rule_set.as_ref() == Some(&rule_set);
    let answer = match args.dry_run || is_same {
        true => Answer {
            id: latest.id.unwrap_or_default(),
            version: latest.version,
        },
        false => register(context, subject, &latest, &rule_set)?,
    };
    let version = match (args.dry_run, answer.version) {
        (true, _) => None,
        (false, Some(version)) => Some(version),
        // A registry before 8.0 gives the id alone.
        (false, None) => {
            let now = context
                .ask(async |client| client.schema_by_version(subject, "latest", false).await)?;
            now.version
        }
    };
    let applied = Applied {
        subject,
        version,
        id: version.map(|_| answer.id),
        changed: !is_same && !args.dry_run,
        rules: &rules.rules,
    };
    print(context, &applied, args.dry_run)
}

/// Whether the fields that the rules read are fields of the schema.
fn check_fields(context: &Context, rules: &QualityRules, latest: &Registered) -> Outcome {
    let parsed = context.ask(async |client| client.parse(latest).await)?;
    let lost = rules.without_field(&parsed);
    let lost = lost.map_err(|error| Failure::of(&error).within(&latest.name()))?;
    let Some(rule) = lost else {
        return Ok(());
    };
    let field = rule.params.as_ref().and_then(|all| all.get(FIELD_PARAM));
    let message = format!(
        "rule \"{}\" is about the field \"{}\", which {} does not have",
        rule.name,
        field.map(String::as_str).unwrap_or_default(),
        latest.name()
    );
    let remedy = "`affluent schema-registry schema describe` shows the fields there are";
    Err(Failure::new(message).remedy(remedy))
}

/// The schema as it is, with other rules, is a new version.
fn register(
    context: &Context,
    subject: &str,
    latest: &Registered,
    rule_set: &RuleSet,
) -> Outcome<Answer> {
    let body = serde_json::json!({
        "schema": latest.schema,
        "schemaType": latest.schema_type,
        "references": latest.references,
        "metadata": latest.metadata,
        "ruleSet": rule_set,
    });
    let path = ["subjects", subject, "versions"];
    let request = Request::new(Method::POST, &path).body(body);
    context.ask(async |client| client.json(&request).await)
}

fn print(context: &mut Context, applied: &Applied<'_>, is_dry: bool) -> Outcome {
    if context.printer.format() != Format::Human {
        return context.printer.document(applied);
    }
    let count = match applied.rules.len() {
        1 => "1 rule".to_owned(),
        count => format!("{count} rules"),
    };
    let subject = applied.subject;
    let sentence = match (is_dry, applied.changed, applied.version, applied.id) {
        (true, ..) => format!("Would apply {count} to subject \"{subject}\"."),
        (_, true, Some(version), Some(id)) => {
            format!("Applied {count} to subject \"{subject}\": version {version}, schema ID {id}.")
        }
        _ => format!("Subject \"{subject}\" has these rules already."),
    };
    context.printer.line(&sentence)?;
    let rows: Vec<RuleRow> = applied.rules.iter().map(RuleRow::of).collect();
    context.printer.table(&rows)
}
