//! `affluent schema-registry schema diff`: what changed between two versions, field by field.
//!
//! Differs: the Confluent CLI has no such command.

use std::io::IsTerminal;

use clap::Args;
use registry_client::Registered;
use schema::outline::{self, Happened, Place, PlaceChange, TraitChange};
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::output::{Format, Printer};
use crate::registry::Context;

/// Flags of `schema diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The subject.
    #[arg(long)]
    subject: String,
    /// The two versions with a comma between, the older first; either may be `latest`.
    #[arg(long, value_delimiter = ',', num_args = 1..=2, value_name = "FROM,TO")]
    versions: Vec<String>,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Difference<'a> {
    subject: &'a str,
    from_version: i32,
    to_version: i32,
    changes: &'a [PlaceChange],
}

pub(super) fn run(context: &mut Context, args: &DiffArgs) -> Outcome {
    let [from, to] = args.versions.as_slice() else {
        return Err(Failure::new("a difference is between two versions").remedy("--versions 1,2"));
    };
    let (from, before) = places(context, &args.subject, from)?;
    let (to, after) = places(context, &args.subject, to)?;
    let changes = outline::changes(&before, &after);
    let difference = Difference {
        subject: &args.subject,
        from_version: from.version.unwrap_or_default(),
        to_version: to.version.unwrap_or_default(),
        changes: &changes,
    };
    match context.printer.format() {
        Format::Human => print(&mut context.printer, &difference, Colours::of_terminal()),
        Format::Json | Format::Yaml => context.printer.document(&difference),
    }
}

fn places(context: &Context, subject: &str, version: &str) -> Outcome<(Registered, Vec<Place>)> {
    context
        .ask(async |client| {
            let found = client.schema_by_version(subject, version, false).await?;
            let parsed = client.parse(&found).await?;
            Ok((found, parsed))
        })
        .and_then(|(found, parsed)| {
            let mut places = outline::outline(&parsed).map_err(|error| Failure::of(&error))?;
            let contract = outline::contract(found.metadata.as_ref(), found.rule_set.as_ref());
            places.extend(contract);
            Ok((found, places))
        })
}

/// Whether the output may have colours: a terminal reads it, and nobody said no (`NO_COLOR`, no-color.org).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Colours(bool);

impl Colours {
    fn of_terminal() -> Colours {
        let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Colours(std::io::stdout().is_terminal() && !is_refused)
    }

    fn paint(self, change: Happened, text: &str) -> String {
        let code = match change {
            Happened::Added => 32,
            Happened::Removed => 31,
            Happened::Changed => 33,
        };
        match self.0 {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}

fn print(printer: &mut Printer, difference: &Difference<'_>, colours: Colours) -> Outcome {
    let Difference {
        subject,
        from_version,
        to_version,
        changes,
    } = difference;
    if changes.is_empty() {
        return printer.line(&format!(
            "Versions {from_version} and {to_version} of subject \"{subject}\" say the same."
        ));
    }
    printer.line(&format!(
        "Subject \"{subject}\", version {from_version} to {to_version}:"
    ))?;
    for change in *changes {
        for line in lines(change) {
            printer.line(&colours.paint(change.change, &line))?;
        }
    }
    Ok(())
}

/// `+ email: string`, `- age: int`, `~ total` with a line for each trait that changed.
fn lines(change: &PlaceChange) -> Vec<String> {
    let path = &change.path;
    let whole = |sign: char, value: fn(&TraitChange) -> &Option<String>| {
        let traits: Vec<String> = change
            .traits
            .iter()
            .filter_map(|each| {
                let value = value(each).as_ref()?;
                Some(match each.name.as_str() {
                    "type" | "value" => value.clone(),
                    name => format!("{name} {value}"),
                })
            })
            .collect();
        match traits.as_slice() {
            [] => format!("{sign} {path}"),
            some => format!("{sign} {path}: {}", some.join(", ")),
        }
    };
    match change.change {
        Happened::Added => vec![whole('+', |each| &each.after)],
        Happened::Removed => vec![whole('-', |each| &each.before)],
        Happened::Changed => {
            let of = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
            let traits = change.traits.iter().map(|each| {
                let (before, after) = (of(&each.before), of(&each.after));
                format!("    {}: {before} -> {after}", each.name)
            });
            std::iter::once(format!("~ {path}")).chain(traits).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(change: Happened, before: Option<&str>, after: Option<&str>) -> PlaceChange {
        PlaceChange {
            path: "a.b".to_owned(),
            change,
            traits: vec![TraitChange {
                name: "type".to_owned(),
                before: before.map(str::to_owned),
                after: after.map(str::to_owned),
            }],
        }
    }

    #[test]
    fn a_change_has_a_sign_and_its_traits() {
        let added = change(Happened::Added, None, Some("int"));
        assert_eq!(lines(&added), ["+ a.b: int"]);
        let removed = change(Happened::Removed, Some("int"), None);
        assert_eq!(lines(&removed), ["- a.b: int"]);
        let changed = change(Happened::Changed, Some("int"), Some("long"));
        assert_eq!(lines(&changed), ["~ a.b", "    type: int -> long"]);
    }

    #[test]
    fn colours_are_for_terminals() {
        let text = "+ a";
        assert_eq!(Colours(false).paint(Happened::Added, text), text);
        assert_eq!(
            Colours(true).paint(Happened::Removed, text),
            "\u{1b}[31m+ a\u{1b}[0m"
        );
    }
}
