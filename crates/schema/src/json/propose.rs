//! The nearest JSON Schema that may follow others; see [`crate::propose`].
//!
//! The schema is altered as the JSON it is. A path of the comparison leads through `$ref`s into definitions, which are
//! then altered for all who use them. Numbers are kept as doubles: a proposal is for people to read before they use it.

use serde_json::{Map, Value};

use super::JsonSchema;
use crate::compatibility::{CompatibilityLevel, CompatibilityPolicy};
use crate::format::{Format, ParseOptions};
use crate::model::ResolvedReference;
use crate::propose::{Candidates, Compatible, Obstacle, climb, looked_at, obstacles};

/// How many `$ref`s one path goes through.
const REFERENCES_FOLLOWED_MAX: usize = 32;
/// Keywords that demand nothing of data.
const ANNOTATIONS: [&str; 5] = [
    "title",
    "description",
    "default",
    "examples",
    "confluent:tags",
];

/// A schema, and the JSON it is.
struct Attempt {
    json: Value,
    schema: JsonSchema,
}

impl JsonSchema {
    /// The nearest schema to this one that may follow `previous`, oldest first, at that level. It has no alterations
    /// when this one may follow as it is; none if no way to mend it is known.
    pub fn propose(
        &self,
        previous: &[&Self],
        level: CompatibilityLevel,
        policy: CompatibilityPolicy,
    ) -> Option<Compatible> {
        let previous = looked_at(previous, level);
        let old: Vec<Value> = previous
            .iter()
            .map(|schema| serde_json::from_str(&schema.canonical()).ok())
            .collect::<Option<_>>()?;
        let references = self.references();
        let start = Attempt {
            json: serde_json::from_str(&self.canonical()).ok()?,
            schema: self.clone(),
        };
        let in_the_way = |draft: &Attempt| obstacles(&draft.schema, previous, level, policy);
        let altered = |draft: &Attempt, obstacle: &Obstacle| {
            let Some(old) = old.get(obstacle.old) else {
                return Vec::new();
            };
            alterations(&draft.json, old, obstacle, level.is_forward())
                .into_iter()
                .filter(|(json, _)| *json != draft.json)
                .filter_map(|(json, alteration)| {
                    let options = ParseOptions::default();
                    let text = json.to_string();
                    let schema = Self::parse(&text, &references, options).ok()?;
                    Some((Attempt { json, schema }, alteration))
                })
                .collect()
        };
        let (draft, alterations) = climb(start, in_the_way, altered)?;
        let schema = match alterations.is_empty() {
            true => self.canonical(),
            false => draft.json.to_string(),
        };
        Some(Compatible {
            schema,
            alterations,
        })
    }

    fn references(&self) -> Vec<ResolvedReference> {
        let documents = self.inner.documents.iter().skip(1);
        documents
            .map(|document| ResolvedReference {
                name: document.name.clone(),
                schema: super::writer::canonical(&document.root),
            })
            .collect()
    }
}

/// What may be done about an obstacle, the smallest first. Where the old schema reads as well, there is no allowing
/// more than it does.
fn alterations(
    new: &Value,
    old: &Value,
    obstacle: &Obstacle,
    old_reads: bool,
) -> Candidates<Value> {
    let path = obstacle.steps();
    let mut out = Vec::new();
    if let [around @ .., "required" | "properties", name] = path.as_slice() {
        out.extend(demanded(new, old, around, name).map(|(json, what)| {
            let alteration = obstacle.altered(&path, what);
            (json, alteration)
        }));
    }
    let (is, was) = (get(new, &path), get(old, &path));
    match (is, was) {
        (Some(is), Some(was)) if !old_reads && is.is_object() && was.is_object() => {
            let both = serde_json::json!({"anyOf": [was, is]});
            out.extend(set(new, &path, both).map(|json| {
                let alteration = obstacle.altered(&path, "allowed what was before as well");
                (json, alteration)
            }));
        }
        (Some(Value::Object(is)), None) if path.len() > 1 => {
            let free = is
                .iter()
                .filter(|(name, _)| ANNOTATIONS.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), value.clone()));
            let free = Value::Object(free.collect::<Map<_, _>>());
            out.extend(set(new, &path, free).map(|json| {
                let alteration = obstacle.altered(&path, "let it hold any value");
                (json, alteration)
            }));
        }
        _ => {}
    }
    for length in (0..=path.len()).rev() {
        let within = path.get(..length).unwrap_or_default();
        out.extend(reverted(new, old, within).map(|(json, what)| {
            let alteration = obstacle.altered(within, what);
            (json, alteration)
        }));
    }
    out
}

/// With the property demanded as it was before.
fn demanded(
    new: &Value,
    old: &Value,
    around: &[&str],
    name: &str,
) -> Option<(Value, &'static str)> {
    let names = |root: &Value| -> Vec<Value> {
        let list = get(root, around).and_then(|object| object.get("required")?.as_array().cloned());
        list.unwrap_or_default()
    };
    let mut required = names(new);
    let was = names(old).iter().any(|known| known == name);
    let what = match (required.iter().any(|known| known == name), was) {
        (false, true) => {
            required.push(Value::from(name));
            "kept it required"
        }
        (true, false) => {
            required.retain(|known| known != name);
            "left it out of required"
        }
        _ => return None,
    };
    let mut path = around.to_vec();
    path.push("required");
    Some((set(new, &path, Value::Array(required))?, what))
}

/// With what was at that place before, or without what was not.
fn reverted(new: &Value, old: &Value, path: &[&str]) -> Option<(Value, &'static str)> {
    match get(old, path) {
        Some(was) => Some((set(new, path, was.clone())?, "kept what was there before")),
        None => Some((remove(new, path)?, "left it out")),
    }
}

fn get<'v>(root: &'v Value, path: &[&str]) -> Option<&'v Value> {
    let place = place(root, path)?;
    place
        .iter()
        .try_fold(root, |value, step| child(value, step))
}

fn child<'v>(value: &'v Value, step: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => members.get(step),
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    }
}

fn child_mut<'v>(value: &'v mut Value, step: &str) -> Option<&'v mut Value> {
    match value {
        Value::Object(members) => members.get_mut(step),
        Value::Array(items) => items.get_mut(step.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Where a path of the comparison leads in the text: through local `$ref`s. Its last step need not be there.
fn place(root: &Value, path: &[&str]) -> Option<Vec<String>> {
    let mut place: Vec<String> = Vec::new();
    let mut value = root;
    let mut followed = 0;
    for (index, step) in path.iter().enumerate() {
        while child(value, step).is_none() {
            let Some(target) = value.get("$ref").and_then(Value::as_str) else {
                break;
            };
            followed += 1;
            let pointer = target.strip_prefix("#/")?;
            if followed > REFERENCES_FOLLOWED_MAX {
                return None;
            }
            place = pointer
                .split('/')
                .map(|step| step.replace("~1", "/").replace("~0", "~"))
                .collect();
            value = place
                .iter()
                .try_fold(root, |value, step| child(value, step))?;
        }
        place.push((*step).to_owned());
        match child(value, step) {
            Some(inner) => value = inner,
            None if index + 1 == path.len() => return Some(place),
            None => return None,
        }
    }
    Some(place)
}

fn set(root: &Value, path: &[&str], value: Value) -> Option<Value> {
    let place = place(root, path)?;
    let Some((last, around)) = place.split_last() else {
        return Some(value);
    };
    let mut changed = root.clone();
    let parent = around
        .iter()
        .try_fold(&mut changed, |value, step| child_mut(value, step))?;
    match parent {
        Value::Object(members) => {
            members.insert(last.clone(), value);
        }
        Value::Array(items) => {
            let slot = items.get_mut(last.parse::<usize>().ok()?)?;
            *slot = value;
        }
        _ => return None,
    }
    Some(changed)
}

fn remove(root: &Value, path: &[&str]) -> Option<Value> {
    let place = place(root, path)?;
    let (last, around) = place.split_last()?;
    let mut changed = root.clone();
    let parent = around
        .iter()
        .try_fold(&mut changed, |value, step| child_mut(value, step))?;
    match parent {
        Value::Object(members) => {
            members.shift_remove(last)?;
        }
        Value::Array(items) => {
            let index = last.parse::<usize>().ok()?;
            (index < items.len()).then(|| items.remove(index))?;
        }
        _ => return None,
    }
    Some(changed)
}
