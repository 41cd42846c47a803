//! Metadata and rules in layers: a config's defaults, what the schema says, a config's overrides.
//!
//! Later layers win by key: a property, the tags of a path, a rule of the same name in the same list
//! (`Metadata.mergeMetadata`, `RuleSet.mergeRuleSets`, 8.2). The property `confluent:version` is the number of the
//! version that a schema was, or is to be: kept up to date once it is there.

use std::collections::BTreeMap;

use schema::{Metadata, Rule, RuleSet};

/// The property that holds a schema's version.
pub const CONFLUENT_VERSION: &str = "confluent:version";

/// `above` over `below`.
#[must_use]
pub fn metadata(below: Option<&Metadata>, above: Option<&Metadata>) -> Option<Metadata> {
    let (below, above) = match (below, above) {
        (None, one) | (one, None) => return one.cloned(),
        (Some(below), Some(above)) => (below, above),
    };
    let sensitive = match (&below.sensitive, &above.sensitive) {
        (None, one) | (one, None) => one.clone(),
        (Some(below), Some(above)) => Some(below.union(above).cloned().collect()),
    };
    Some(Metadata {
        tags: both(below.tags.as_ref(), above.tags.as_ref()),
        properties: both(below.properties.as_ref(), above.properties.as_ref()),
        sensitive,
    })
}

fn both<V: Clone>(
    below: Option<&BTreeMap<String, V>>,
    above: Option<&BTreeMap<String, V>>,
) -> Option<BTreeMap<String, V>> {
    if below.is_none() && above.is_none() {
        return None;
    }
    let entries = below.into_iter().chain(above).flatten();
    Some(
        entries
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    )
}

/// `above` over `below`.
#[must_use]
pub fn rule_set(below: Option<&RuleSet>, above: Option<&RuleSet>) -> Option<RuleSet> {
    let (below, above) = match (below, above) {
        (None, one) | (one, None) => return one.cloned(),
        (Some(below), Some(above)) => (below, above),
    };
    Some(RuleSet {
        migration_rules: rules(
            below.migration_rules.as_deref(),
            above.migration_rules.as_deref(),
        ),
        domain_rules: rules(below.domain_rules.as_deref(), above.domain_rules.as_deref()),
        encoding_rules: rules(
            below.encoding_rules.as_deref(),
            above.encoding_rules.as_deref(),
        ),
        enable_at: above.enable_at.clone().or_else(|| below.enable_at.clone()),
    })
}

/// A rule of `above` replaces the one of its name, which goes from its place to the end.
fn rules(below: Option<&[Rule]>, above: Option<&[Rule]>) -> Option<Vec<Rule>> {
    let (below, above) = match (below, above) {
        (None, one) | (one, None) => return one.map(<[Rule]>::to_vec),
        (Some(below), Some(above)) => (below, above),
    };
    let replaced = |rule: &&Rule| !above.iter().any(|new| new.name == rule.name);
    Some(
        below
            .iter()
            .filter(replaced)
            .chain(above)
            .cloned()
            .collect(),
    )
}

/// The version that metadata speaks of, if it does.
#[must_use]
pub fn confluent_version(metadata: Option<&Metadata>) -> Option<&str> {
    let properties = metadata?.properties.as_ref()?;
    properties.get(CONFLUENT_VERSION).map(String::as_str)
}

/// `metadata` that speaks of `version`.
#[must_use]
pub fn with_confluent_version(metadata: Option<Metadata>, version: i32) -> Metadata {
    let mut metadata = metadata.unwrap_or_default();
    metadata
        .properties
        .get_or_insert_default()
        .insert(CONFLUENT_VERSION.to_owned(), version.to_string());
    metadata
}

/// `metadata` that speaks of no version; none when nothing else is in it.
#[must_use]
pub fn without_confluent_version(metadata: Option<&Metadata>) -> Option<Metadata> {
    let mut metadata = metadata?.clone();
    if let Some(properties) = &mut metadata.properties {
        properties.remove(CONFLUENT_VERSION);
        if properties.is_empty() {
            metadata.properties = None;
        }
    }
    let is_empty = metadata == Metadata::default();
    (!is_empty).then_some(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(text: &str) -> Metadata {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_is_above_wins_by_key() {
        let below = meta(r#"{"properties":{"team":"a","tier":"bronze"},"tags":{"x":["PII"]}}"#);
        let above = meta(r#"{"properties":{"tier":"gold"},"sensitive":["key"]}"#);
        let merged = metadata(Some(&below), Some(&above));
        let expected = meta(
            r#"{"properties":{"team":"a","tier":"gold"},"tags":{"x":["PII"]},"sensitive":["key"]}"#,
        );
        assert_eq!(merged, Some(expected));
        assert_eq!(metadata(None, Some(&above)), Some(above.clone()));
        assert_eq!(metadata(None, None), None);
    }

    #[test]
    fn a_rule_replaces_the_one_of_its_name() {
        let set = |text: &str| serde_json::from_str::<RuleSet>(text).unwrap();
        let below = set(r#"{"domainRules":[{"name":"a","expr":"1"},{"name":"b","expr":"2"}]}"#);
        let above = set(r#"{"domainRules":[{"name":"a","expr":"3"}],"migrationRules":[]}"#);
        let merged = rule_set(Some(&below), Some(&above)).unwrap();
        let names: Vec<_> = merged
            .domain_rules
            .unwrap()
            .into_iter()
            .map(|rule| (rule.name, rule.expr))
            .collect();
        assert_eq!(
            names,
            [
                ("b".to_owned(), Some("2".to_owned())),
                ("a".to_owned(), Some("3".to_owned()))
            ]
        );
        assert_eq!(merged.migration_rules, Some(Vec::new()));
    }

    #[test]
    fn the_version_comes_and_goes() {
        let some = with_confluent_version(None, 3);
        assert_eq!(confluent_version(Some(&some)), Some("3"));
        assert_eq!(without_confluent_version(Some(&some)), None);
        let more = with_confluent_version(Some(meta(r#"{"properties":{"a":"b"}}"#)), 1);
        assert_eq!(
            without_confluent_version(Some(&more)),
            Some(meta(r#"{"properties":{"a":"b"}}"#))
        );
    }
}
