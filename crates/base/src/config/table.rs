//! All keys of one kind of resource.

use std::collections::BTreeMap;

use super::error::ConfigError;
use super::key::{ConfigDefault, ConfigKey};

/// A titled group of keys, declared by [`crate::config_keys!`].
#[derive(Debug)]
pub struct ConfigSection {
    /// The heading of the reference page.
    pub title: &'static str,
    /// What the keys are about.
    pub intro: &'static str,
    /// The keys, in the order of their declaration.
    pub keys: &'static [ConfigKey],
}

/// The keys of one kind of resource, found by name.
#[derive(Debug)]
pub struct ConfigTable {
    sections: Vec<&'static ConfigSection>,
    by_name: BTreeMap<&'static str, &'static ConfigKey>,
}

impl ConfigTable {
    /// A table of these sections. A name declared twice keeps its last declaration;
    /// [`ConfigTable::check`] finds it.
    #[must_use]
    pub fn new(sections: Vec<&'static ConfigSection>) -> ConfigTable {
        let by_name = sections
            .iter()
            .flat_map(|s| s.keys)
            .map(|key| (key.name, key))
            .collect();
        ConfigTable { sections, by_name }
    }

    /// The declaration of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'static ConfigKey> {
        self.by_name.get(name).copied()
    }

    /// All keys in the order of their names, internal ones included.
    pub fn keys(&self) -> impl Iterator<Item = &'static ConfigKey> {
        self.by_name.values().copied()
    }

    /// The sections in the order of the reference page.
    #[must_use]
    pub fn sections(&self) -> &[&'static ConfigSection] {
        &self.sections
    }

    /// What is wrong with the declarations themselves: a default that breaks its own rule, a name declared
    /// twice, an empty documentation. Empty when all is well; each table's own test calls it.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut seen = BTreeMap::new();
        for key in self.sections.iter().flat_map(|section| section.keys) {
            if seen.insert(key.name, ()).is_some() {
                problems.push(format!("{} is declared twice", key.name));
            }
            if key.doc.trim().len() < 20 {
                problems.push(format!("{} has no documentation", key.name));
            }
            if let Err(error) = check_default(key) {
                problems.push(format!("{}: {error}", key.name));
            }
        }
        problems
    }
}

/// As `ConfigDef.ConfigKey`'s constructor does: the default goes through the rule too, except null where
/// the key says that null means "not set".
fn check_default(key: &ConfigKey) -> Result<(), ConfigError> {
    match key.default {
        ConfigDefault::Required => Ok(()),
        ConfigDefault::Null => key.rule.check(key.name, None),
        ConfigDefault::Text(text) => key.parse(text).map(|_| ()),
    }
}
