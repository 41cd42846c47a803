//! `schema create --dry-run`: what a registration would do, and what stands in its way.
//!
//! The registry gives the verdict; what is in the way is looked for here as well, with the remedies that this
//! project's check of compatibility has, since not every registry tells any.

use registry_client::{Method, Registered, Request};
use schema::compatibility::{CompatibilityLevel, CompatibilityPolicy, READER, WRITER};
use schema::{Compatible, ParseOptions, ParsedSchema, SchemaType};
use serde::{Deserialize, Serialize};

use super::create::{CreateArgs, NewSchema};
use crate::failure::{Failure, Outcome};
use crate::output::Format;
use crate::registry::Context;

/// The most versions that one dry run looks at.
const VERSIONS_MAX: usize = 1_000;

#[derive(Debug, Deserialize)]
struct Verdict {
    is_compatible: bool,
    #[serde(default)]
    messages: Vec<String>,
}

/// What the subject asks of a new version.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Demand {
    compatibility_level: Option<String>,
    compatibility_policy: Option<CompatibilityPolicy>,
}

/// One thing in the way.
#[derive(Debug, Serialize)]
struct Problem {
    /// The version it is about.
    version: i32,
    path: String,
    rule: &'static str,
    description: String,
    remedy: String,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Report<'a> {
    subject: &'a str,
    schema_type: SchemaType,
    schema: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    registered_as: Option<i32>,
    compatibility_level: CompatibilityLevel,
    is_compatible: bool,
    problems: Vec<Problem>,
    /// The registry's words, where nothing was found here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proposal: Option<Compatible>,
}

pub(super) fn run(context: &mut Context, args: &CreateArgs, new: &NewSchema) -> Outcome {
    let schema_type = args.schema_type.schema_type();
    let references = context.ask(async |client| client.resolve(&new.references).await)?;
    let options = ParseOptions { validate_new: true };
    let parsed = ParsedSchema::parse(schema_type, &new.text, &references, options)
        .map_err(|error| Failure::of(&error))?;
    let verdict = verdict(context, args, new)?;
    let demand = demand(context, &args.subject)?;
    let level = demand.compatibility_level.as_deref();
    let level = level.and_then(CompatibilityLevel::of).unwrap_or_default();
    let policy = demand.compatibility_policy.unwrap_or_default();
    let mut report = Report {
        subject: &args.subject,
        schema_type,
        schema: match args.normalize {
            true => parsed.normalized(),
            false => parsed.canonical(),
        },
        registered_as: registered(context, args, new)?,
        compatibility_level: level,
        is_compatible: verdict.is_compatible,
        problems: Vec::new(),
        messages: Vec::new(),
        proposal: None,
    };
    let mut is_without_proposal = false;
    if !verdict.is_compatible {
        let previous = previous(context, &args.subject, level)?;
        report.problems = problems(&parsed, &previous, level, policy);
        if report.problems.is_empty() {
            report.messages = verdict.messages;
        }
        if args.propose {
            let old: Vec<&ParsedSchema> = previous.iter().map(|(_, schema)| schema).collect();
            report.proposal = parsed.propose(&old, level, policy);
            is_without_proposal = report.proposal.is_none();
        }
    }
    print(context, &report, is_without_proposal)?;
    match report.is_compatible {
        true => Ok(()),
        false => {
            // The report has to be out before the failure is told.
            context.printer.flush()?;
            Err(Failure::new(format!(
                "the schema may not follow those of subject \"{}\"",
                args.subject
            )))
        }
    }
}

fn verdict(context: &Context, args: &CreateArgs, new: &NewSchema) -> Outcome<Verdict> {
    let path = ["compatibility", "subjects", &args.subject, "versions"];
    let request = Request::new(Method::POST, &path)
        .query("verbose", true)
        .flag("normalize", args.normalize)
        .body(new.body(args));
    let found = context.ask_for(async |client| client.json(&request).await)?;
    // There is nothing to be compatible with.
    Ok(found.unwrap_or(Verdict {
        is_compatible: true,
        messages: Vec::new(),
    }))
}

/// The version as which it is there already.
fn registered(context: &Context, args: &CreateArgs, new: &NewSchema) -> Outcome<Option<i32>> {
    let path = ["subjects", &args.subject];
    let request = Request::new(Method::POST, &path)
        .flag("normalize", args.normalize)
        .body(new.body(args));
    let found: Option<Registered> = context.ask_for(async |client| client.json(&request).await)?;
    Ok(found.and_then(|found| found.version))
}

fn demand(context: &Context, subject: &str) -> Outcome<Demand> {
    let path = ["config", subject];
    let request = Request::get(&path).query("defaultToGlobal", true);
    let found = context.ask_for(async |client| client.json(&request).await)?;
    Ok(found.unwrap_or_default())
}

/// The versions that the level looks at, oldest first.
fn previous(
    context: &Context,
    subject: &str,
    level: CompatibilityLevel,
) -> Outcome<Vec<(i32, ParsedSchema)>> {
    let versions = context.ask_for(async |client| client.versions(subject, false).await)?;
    let mut versions = versions.unwrap_or_default();
    let wanted = if level.is_transitive() {
        VERSIONS_MAX
    } else {
        1
    };
    let versions = versions.split_off(versions.len().saturating_sub(wanted));
    context.ask(async |client| {
        let mut previous = Vec::with_capacity(versions.len());
        for version in versions {
            let found = client
                .schema_by_version(subject, &version.to_string(), false)
                .await?;
            previous.push((version, client.parse(&found).await?));
        }
        Ok(previous)
    })
}

fn problems(
    new: &ParsedSchema,
    previous: &[(i32, ParsedSchema)],
    level: CompatibilityLevel,
    policy: CompatibilityPolicy,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (version, old) in previous.iter().rev() {
        for (is_asked, (reader, reader_name), (writer, writer_name)) in [
            (level.is_backward(), (new, "new"), (old, "old")),
            (level.is_forward(), (old, "old"), (new, "new")),
        ] {
            if !is_asked {
                continue;
            }
            let named = |text: &str| {
                text.replace(READER, reader_name)
                    .replace(WRITER, writer_name)
            };
            let found = reader.reading(writer, policy).unwrap_or_default();
            problems.extend(found.into_iter().map(|found| Problem {
                version: *version,
                description: named(&found.description),
                remedy: named(&found.remedy),
                path: found.path,
                rule: found.rule,
            }));
        }
    }
    problems
}

fn print(context: &mut Context, report: &Report<'_>, is_without_proposal: bool) -> Outcome {
    let printer = &mut context.printer;
    if printer.format() != Format::Human {
        return printer.document(report);
    }
    printer.line(&report.schema)?;
    printer.line("")?;
    let level = report.compatibility_level.name();
    let subject = report.subject;
    let sentence = match (report.is_compatible, report.registered_as) {
        (_, Some(version)) => {
            format!("The schema is version {version} of subject \"{subject}\" already.")
        }
        (true, None) => {
            format!("The schema may be registered under subject \"{subject}\" ({level}).")
        }
        (false, None) => {
            format!("The schema may not follow those of subject \"{subject}\" ({level}):")
        }
    };
    printer.line(&sentence)?;
    for problem in &report.problems {
        let Problem {
            version,
            path,
            rule,
            description,
            remedy,
        } = problem;
        printer.line(&format!("  version {version}, {path}: {rule}"))?;
        if !description.is_empty() {
            printer.line(&format!("    {description}"))?;
        }
        if !remedy.is_empty() {
            printer.line(&format!("    Remedy: {remedy}"))?;
        }
    }
    for message in &report.messages {
        printer.line(&format!("  {message}"))?;
    }
    if is_without_proposal {
        printer.line("No schema that may follow is known to be near.")?;
    }
    if let Some(proposal) = &report.proposal {
        printer.line("The nearest schema that may follow:")?;
        for alteration in &proposal.alterations {
            printer.line(&format!("  {}: {}", alteration.path, alteration.what))?;
        }
        printer.line(&proposal.schema)?;
    }
    Ok(())
}
