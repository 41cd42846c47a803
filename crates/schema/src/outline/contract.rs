//! The places of a contract: metadata and rules, by name.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::{Places, Traits};
use crate::model::{Metadata, Rule, RuleSet};

pub(super) fn outline(metadata: Option<&Metadata>, rules: Option<&RuleSet>, places: &mut Places) {
    if let Some(metadata) = metadata {
        for (name, value) in metadata.properties.iter().flatten() {
            let path = format!("metadata.properties.{name}");
            places.add(path, Traits::from([("value".to_owned(), value.clone())]));
        }
        for (path, tags) in metadata.tags.iter().flatten() {
            let path = format!("metadata.tags.{path}");
            places.add(path, Traits::from([("tags".to_owned(), list(tags))]));
        }
        for name in metadata.sensitive.iter().flatten() {
            places.add(format!("metadata.sensitive.{name}"), Traits::new());
        }
    }
    let Some(rules) = rules else {
        return;
    };
    for (kind, list) in [
        ("migrationRules", &rules.migration_rules),
        ("domainRules", &rules.domain_rules),
        ("encodingRules", &rules.encoding_rules),
    ] {
        for each in list.iter().flatten() {
            places.add(format!("{kind}.{}", each.name), rule(each));
        }
    }
}

fn list(tags: &BTreeSet<String>) -> String {
    tags.iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

fn rule(rule: &Rule) -> Traits {
    // Its spelling in JSON has all of it.
    let json = serde_json::to_value(rule).unwrap_or_default();
    let Json::Object(object) = json else {
        return Traits::new();
    };
    object
        .into_iter()
        .filter(|(name, value)| name != "name" && !value.is_null() && *value != Json::Bool(false))
        .map(|(name, value)| match value {
            Json::String(text) => (name, text),
            other => (name, other.to_string()),
        })
        .collect()
}
