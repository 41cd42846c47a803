//! Cases that others wrote, read from beside the repository where they are there.
//!
//! They are not part of the project; the cases in [`super::compatibility`] are, and stand for themselves.

use std::collections::HashMap;
use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::compatibility::CompatibilityLevel;

/// The cases in that file; none, and a line that says so, where the folder is absent.
fn cases(file: &str) -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/sr-cases/json-schema")
        .join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: there is no {}", path.display());
        return Vec::new();
    };
    match serde_json::from_str(&text).unwrap() {
        Value::Array(cases) => cases,
        Value::Object(object) => object
            .into_iter()
            .next()
            .unwrap()
            .1
            .as_array()
            .unwrap()
            .clone(),
        other => panic!("{other}"),
    }
}

#[test]
fn changes_of_draft_7_are_told_as_the_counterpart_tells_them() {
    let mut wrong = Vec::new();
    for case in cases("diff-draft07.json") {
        let old = new(&case["original_schema"].to_string());
        let new = new(&case["update_schema"].to_string());
        let told = changes(&old, &new);
        let mut expected: Vec<String> = serde_json::from_value(case["changes"].clone()).unwrap();
        expected.sort();
        let is_fine = is_compatible(&old, &new, CompatibilityPolicy::Strict);
        if told != expected || is_fine != case["compatible"].as_bool().unwrap() {
            wrong.push(format!(
                "{}: {told:?}, expected {expected:?}",
                case["description"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn another_registrys_opinion_differs_where_it_is_known_to() {
    let mut differing = Vec::new();
    for case in cases("apicurio-compatibility.json") {
        let schema = |name: &str| with(&case[name].to_string(), &[]);
        let (Ok(old), Ok(new)) = (schema("original"), schema("updated")) else {
            panic!("{} has no schema", case["id"]);
        };
        let strict = CompatibilityPolicy::Strict;
        let found = (
            is_compatible(&old, &new, strict),
            is_compatible(&new, &old, strict),
        );
        let expected = match case["compatibility"].as_str().unwrap() {
            "backward" => (true, false),
            "both" => (true, true),
            "none" => (false, false),
            other => panic!("{other}"),
        };
        if found != expected {
            differing.push(case["id"].as_str().unwrap().to_owned());
        }
    }
    // Where the counterpart does not look (format, contains, the content keywords, property names and patterns, the
    // branches of a condition, required names that are no properties), and where it looks at one limit at a time.
    let known = [
        "String: format 1",
        "String: format 2",
        "Number: exclusiveMinimum 2",
        "Number: exclusiveMinimum 3",
        "Number: exclusiveMinimum 5",
        "Number: exclusiveMaximum 2",
        "Number: exclusiveMaximum 3",
        "Number: exclusiveMaximum 5",
        "Object: required",
        "Object: required",
        "Object: propertyNames",
        "Object: patternProperties 1",
        "Object: patternProperties 2",
        "Array: contains",
        "Const: Enum equivalency",
        "String: contentEncoding 2",
        "String: contentEncoding 3",
        "String: contentMediaType 2",
        "String: contentMediaType 3",
        "Conditional: if",
        "Conditional: then",
        "Conditional: else",
    ];
    if !differing.is_empty() {
        assert_eq!(differing, known);
    }
}

/// A text, and the references it needs by name.
type Registered = (String, Vec<(String, String)>);

/// What a scenario has registered: subjects with their versions, in order, and their levels.
#[derive(Default)]
struct Registry {
    subjects: HashMap<String, Vec<JsonSchema>>,
    /// The texts of those versions, each with the references it needs.
    texts: HashMap<String, Vec<Registered>>,
    levels: HashMap<String, CompatibilityLevel>,
    global: CompatibilityLevel,
}

impl Registry {
    fn compatibility(&self, subject: &str, schema: &JsonSchema) -> bool {
        let level = self.levels.get(subject).copied().unwrap_or(self.global);
        let versions = self.subjects.get(subject).map_or(&[][..], Vec::as_slice);
        let looked_at = if level.is_transitive() {
            versions
        } else {
            &versions[versions.len().saturating_sub(1)..]
        };
        looked_at.iter().all(|old| {
            (!level.is_backward() || is_compatible(old, schema, CompatibilityPolicy::Strict))
                && (!level.is_forward() || is_compatible(schema, old, CompatibilityPolicy::Strict))
        })
    }

    fn add(
        &mut self,
        subject: &str,
        text: &str,
        references: Vec<(String, String)>,
        schema: JsonSchema,
    ) {
        self.subjects
            .entry(subject.to_owned())
            .or_default()
            .push(schema);
        self.texts
            .entry(subject.to_owned())
            .or_default()
            .push((text.to_owned(), references));
    }

    /// A body with `schema` and `references`, those resolved that references need themselves.
    fn parse_body(&self, body: &str) -> (String, Vec<(String, String)>) {
        let body: Value = serde_json::from_str(body).unwrap();
        let text = body["schema"].as_str().unwrap().to_owned();
        let mut all = Vec::new();
        for reference in body["references"].as_array().into_iter().flatten() {
            let texts = &self.texts[reference["subject"].as_str().unwrap()];
            let version = usize::try_from(reference["version"].as_u64().unwrap()).unwrap();
            let (text, references) = &texts[version - 1];
            all.extend(references.iter().cloned());
            all.push((reference["name"].as_str().unwrap().to_owned(), text.clone()));
        }
        (text, all)
    }
}

fn quoted(line: &str) -> Vec<&str> {
    line.split('"').skip(1).step_by(2).collect()
}

/// Runs the steps of a scenario that are about schemas and their versions; says what was wrong.
fn run(scenario: &str) -> Vec<String> {
    let mut registry = Registry::default();
    let mut wrong = Vec::new();
    let mut status = 0;
    let mut lines = scenario.lines();
    let title = lines.next().unwrap_or_default().trim().to_owned();
    let mut lines = lines.peekable();
    while let Some(line) = lines.next() {
        let line = line.trim();
        let words = quoted(line);
        let mut text = String::new();
        if line.ends_with(':') && lines.peek().is_some_and(|next| next.trim() == "\"\"\"") {
            lines.next();
            for line in lines.by_ref() {
                if line.trim() == "\"\"\"" {
                    break;
                }
                text.push_str(line);
                text.push('\n');
            }
        }
        if line.contains("global compatibility level is") {
            registry.global = CompatibilityLevel::of(words[0]).unwrap();
        } else if line.contains("has compatibility level") {
            registry.levels.insert(
                words[0].to_owned(),
                CompatibilityLevel::of(words[1]).unwrap(),
            );
        } else if line.contains("delete the config for subject") {
            registry.levels.remove(words[0]);
        } else if line.contains("has \"JSON\" schema:") {
            registry.add(words[0], &text, Vec::new(), new(&text));
        } else if line.contains("I register a \"JSON\" schema under subject") {
            let (text, references) = if line.contains("with references") {
                registry.parse_body(&text)
            } else {
                (text, Vec::new())
            };
            let named: Vec<(&str, &str)> = references
                .iter()
                .map(|(name, text)| (name.as_str(), text.as_str()))
                .collect();
            let schema = with(&text, &named);
            status = match schema {
                Err(error) => {
                    wrong.push(format!("({title}: {error})"));
                    422
                }
                Ok(schema) if registry.compatibility(words[1], &schema) => {
                    registry.add(words[1], &text, references, schema);
                    200
                }
                Ok(_) => 409,
            };
        } else if line.contains("the response status should be") && status != 0 {
            let expected: u16 = line.rsplit(' ').next().unwrap().parse().unwrap();
            if expected != status {
                wrong.push(format!("{title}: {status}, expected {expected}"));
            } else if status != 422 {
                wrong.retain(|told| !told.starts_with('('));
            }
            status = 0;
        }
    }
    wrong.retain(|told| !told.starts_with('('));
    wrong
}

#[test]
fn scenarios_register_and_refuse_what_they_should() {
    let folder =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/sr-cases/axonops-features");
    let mut wrong = Vec::new();
    let mut count = 0;
    for file in [
        "compatibility_jsonschema.feature",
        "modeling_jsonschema_api_contracts.feature",
        "modeling_jsonschema_compatibility.feature",
        "modeling_jsonschema_reference_evolution.feature",
        "schema_jsonschema_advanced.feature",
        "schema_types_jsonschema.feature",
    ] {
        let Ok(text) = std::fs::read_to_string(folder.join(file)) else {
            eprintln!("skipped: there is no {}", folder.join(file).display());
            continue;
        };
        for scenario in text.split("Scenario:").skip(1) {
            count += 1;
            wrong.extend(
                run(scenario)
                    .into_iter()
                    .map(|told| format!("{file}: {told}")),
            );
        }
    }
    eprintln!("{count} scenarios");
    assert!(
        wrong.is_empty(),
        "{} of {count}\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
