//! What was seen, field by field, for the one who decides.

use serde_json::Value as Json;

use super::FieldReport;
use super::guess::{is_map, tags};
use super::profile::Profile;

/// Every place below the root, in the order of the schema.
pub(crate) fn fields(root: &Profile) -> Vec<FieldReport> {
    let mut out = Vec::new();
    if root.objects > 0 {
        members(root, "", &mut out);
    }
    inner(root, "", &mut out);
    out
}

fn members(profile: &Profile, path: &str, out: &mut Vec<FieldReport>) {
    for (name, field) in &profile.fields {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        place(field, name, path, profile.objects, out);
    }
}

fn inner(profile: &Profile, path: &str, out: &mut Vec<FieldReport>) {
    if let Some(items) = profile.items.as_deref().filter(|items| items.values > 0) {
        place(items, "", format!("{path}[]"), items.values, out);
    }
}

fn place(profile: &Profile, name: &str, path: String, around: u64, out: &mut Vec<FieldReport>) {
    let tags = tags(name, profile);
    let examples = profile.examples.iter().cloned();
    let kinds = [
        ("null", profile.nulls),
        ("boolean", profile.booleans),
        ("integer", profile.integers),
        ("number", profile.doubles),
        ("string", profile.strings),
        ("array", profile.arrays),
        ("object", profile.objects),
    ];
    out.push(FieldReport {
        path: path.clone(),
        kinds: kinds.into_iter().filter(|(_, count)| *count > 0).collect(),
        values: profile.values,
        null_share: share(profile.nulls, profile.values),
        absent_share: share(around.saturating_sub(profile.values), around),
        range: profile.range,
        lengths: profile.lengths,
        distinct: profile.distinct.count(),
        examples: if tags.is_empty() {
            examples.collect()
        } else {
            examples.map(mask).collect()
        },
        tags,
    });
    if profile.objects > 0 {
        if is_map(profile) {
            let entries = profile.entries();
            place(&entries, name, format!("{path}{{}}"), entries.values, out);
        } else {
            members(profile, &path, out);
        }
    }
    inner(profile, &path, out);
}

/// An example that tells the form and not the person.
fn mask(example: Json) -> Json {
    let text = match example {
        Json::String(text) => text,
        other => other.to_string(),
    };
    let masked: String = text
        .chars()
        .enumerate()
        .map(|(at, ch)| {
            if at > 0 && ch.is_alphanumeric() {
                '*'
            } else {
                ch
            }
        })
        .collect();
    Json::String(masked)
}

fn share(part: u64, whole: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a share is told in percent")]
    let share = part as f64 / whole.max(1) as f64;
    share
}
