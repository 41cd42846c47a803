//! Lists: subjects, versions, schemas, and who has an id. Every list has a bound.

use std::collections::HashMap;

use super::{Found, Registry};
use crate::error::RegistryError;
use crate::state::{Config, IdEntry, Lookup, State};
use crate::subject;

/// Which part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How many to pass over.
    pub offset: usize,
    /// The most to answer with.
    pub limit: usize,
}

/// Default and maximum of a list's length (`*.search.default.limit`, `*.search.max.limit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Where a request says nothing, or what it may not.
    pub default: usize,
    /// The most a request may ask for.
    pub max: usize,
}

impl Page {
    /// From a query: a limit that is not between 1 and the maximum is the default.
    #[must_use]
    pub fn of(offset: Option<i32>, limit: Option<i32>, limits: Limits) -> Self {
        let asked = limit.and_then(|limit| usize::try_from(limit).ok());
        Self {
            offset: offset
                .and_then(|offset| usize::try_from(offset).ok())
                .unwrap_or(0),
            limit: asked
                .filter(|limit| (1..=limits.max).contains(limit))
                .unwrap_or(limits.default),
        }
    }

    /// That part of `all`.
    pub fn cut<T>(self, all: impl Iterator<Item = T>) -> Vec<T> {
        all.skip(self.offset).take(self.limit).collect()
    }
}

impl Registry {
    /// Subjects by name.
    #[must_use]
    pub fn subjects(&self, prefix: &str, lookup: Lookup, page: Page) -> Vec<String> {
        let state = self.state();
        let wanted = state.subjects_with_prefix(prefix).filter(|(_, versions)| {
            let all_deleted = versions.values().all(|version| version.deleted);
            lookup.wants(all_deleted)
        });
        page.cut(wanted.map(|(subject, _)| subject.to_string()))
    }

    /// The version numbers of a subject.
    ///
    /// # Errors
    /// 40401 without the subject.
    pub fn version_numbers(
        &self,
        subject: &str,
        lookup: Lookup,
        page: Page,
    ) -> Result<Vec<i32>, RegistryError> {
        let state = self.state();
        let exists = if lookup == Lookup::Live {
            Lookup::Live
        } else {
            Lookup::All
        };
        if !state.has_subject(subject, exists) {
            return Err(RegistryError::subject_not_found(subject));
        }
        let numbers = state
            .versions(subject)
            .into_iter()
            .flatten()
            .filter(|(_, version)| lookup.wants(version.deleted))
            .map(|(number, _)| *number);
        Ok(page.cut(numbers))
    }

    /// Versions of all subjects with a prefix, by subject and number.
    #[must_use]
    pub fn schemas(
        &self,
        prefix: &str,
        lookup: Lookup,
        latest_only: bool,
        page: Page,
        wanted: impl Fn(&Found) -> bool,
    ) -> Vec<Found> {
        let state = self.state();
        let found = state
            .subjects_with_prefix(prefix)
            .flat_map(|(subject, _)| of_subject(&state, subject, lookup, latest_only));
        page.cut(found.filter(wanted))
    }

    /// Subjects by the alias that leads to them, under a prefix of the alias.
    #[must_use]
    pub fn aliases(&self, prefix: &str) -> HashMap<String, Vec<String>> {
        let state = self.state();
        let mut aliases: HashMap<String, Vec<String>> = HashMap::new();
        for (of, config) in state.configs() {
            if let (Some(of), Some(alias)) = (of, &config.alias) {
                let matches = match prefix.split_once(subject::ALL_CONTEXTS) {
                    Some((_, name)) => subject::split(of).1.starts_with(name),
                    None => of.starts_with(prefix),
                };
                if matches {
                    let subject = subject::in_context_of(subject::context_of(of), alias);
                    aliases.entry(subject).or_default().push(of.to_owned());
                }
            }
        }
        aliases
    }

    /// Versions of one subject.
    #[must_use]
    pub fn schemas_of(&self, subject: &str, lookup: Lookup, latest_only: bool) -> Vec<Found> {
        of_subject(&self.state(), subject, lookup, latest_only)
    }

    /// The subject that requests to `subject` mean: its alias, if it has one.
    #[must_use]
    pub fn unaliased(&self, subject: String) -> String {
        self.aliased_by(subject, |config| config.alias.clone())
    }

    /// The subject whose DEKs requests to `subject` mean.
    #[must_use]
    pub fn unaliased_for_deks(&self, subject: String) -> String {
        self.aliased_by(subject, |config| config.alias_for_deks.clone())
    }

    fn aliased_by(&self, subject: String, alias: impl Fn(&Config) -> Option<String>) -> String {
        let alias = {
            let state = self.state();
            state.config_of(Some(&subject)).and_then(alias)
        };
        match alias {
            Some(alias) => subject::in_context_of(subject::context_of(&subject), &alias),
            None => subject,
        }
    }

    /// The versions that have an id, by subject.
    #[must_use]
    pub fn versions_of_id(&self, entry: &IdEntry, deleted: bool) -> Vec<(String, i32)> {
        let state = self.state();
        let lookup = Lookup::of(deleted, false);
        let mut versions: Vec<(String, i32)> = entry
            .versions
            .iter()
            .filter(|(subject, number)| {
                let version = state.version(subject, *number);
                version.is_some_and(|version| lookup.wants(version.deleted))
            })
            .map(|(subject, number)| (subject.to_string(), *number))
            .collect();
        versions.sort();
        versions
    }

    /// The ids of live schemas that refer to a version.
    #[must_use]
    pub fn referenced_by(&self, subject: &str, version: i32) -> Vec<i32> {
        self.state().referenced_by(subject, version)
    }
}

fn of_subject(state: &State, subject: &str, lookup: Lookup, latest_only: bool) -> Vec<Found> {
    let mut found: Vec<Found> = state
        .versions(subject)
        .into_iter()
        .flatten()
        .filter(|(_, version)| lookup.wants(version.deleted))
        .map(|(number, version)| Found::of(subject, *number, version))
        .collect();
    if latest_only && found.len() > 1 {
        found.drain(..found.len() - 1);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_may_not_be_is_the_default() {
        let limits = Limits {
            default: 10,
            max: 20,
        };
        for (asked, expected) in [
            (None, 10),
            (Some(-1), 10),
            (Some(0), 10),
            (Some(15), 15),
            (Some(21), 10),
        ] {
            assert_eq!(Page::of(None, asked, limits).limit, expected, "{asked:?}");
        }
        let page = Page::of(Some(2), Some(3), limits);
        assert_eq!(page.cut(0..10), [2, 3, 4]);
    }
}
