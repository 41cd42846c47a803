//! Imports: known, once, not of each other, and of every file whose types are used.

use std::collections::{HashMap, HashSet};

use super::Check;
use crate::error::SchemaError;
use crate::protobuf::ast::{File, ImportKind, Place};
use crate::protobuf::known;
use crate::protobuf::names::{Named, Source};

impl<'a> Check<'a> {
    fn source(&self, path: &str) -> Option<&'a Source> {
        let own = self.sources.iter().rev().find(|source| source.path == path);
        own.filter(|source| !source.path.is_empty())
            .or_else(|| known::source(path))
    }

    pub(super) fn imports(&self) -> Result<(), SchemaError> {
        let mut seen = HashSet::new();
        for import in &self.file.imports {
            if self.source(&import.path).is_none() && import.kind != ImportKind::Weak {
                let rule = format!(
                    "no reference is named {:?}: add one to the schema that holds this file",
                    import.path
                );
                return self.invalid(import.at, "import", rule);
            }
            if !seen.insert(import.path.as_str()) {
                let rule = format!("{:?} is imported twice: take one away", import.path);
                return self.invalid(import.at, "import", rule);
            }
        }
        self.cycles()
    }

    /// A file that comes back to itself through its imports cannot be compiled.
    fn cycles(&self) -> Result<(), SchemaError> {
        // White: not in the map. Grey: false. Black: true.
        let mut done: HashMap<&str, bool> = HashMap::new();
        for import in &self.file.imports {
            let mut stack: Vec<(&str, usize)> = vec![(import.path.as_str(), 0)];
            while let Some((path, next)) = stack.pop() {
                if next == 0 {
                    if done.get(path) == Some(&true) {
                        continue;
                    }
                    done.insert(path, false);
                }
                let imports = self
                    .source(path)
                    .map_or(&[][..], |source| &source.file.imports);
                let Some(inner) = imports.get(next) else {
                    done.insert(path, true);
                    continue;
                };
                stack.push((path, next + 1));
                match done.get(inner.path.as_str()) {
                    Some(true) => {}
                    Some(false) => {
                        let rule = format!(
                            "the imports of {:?} lead back to it: break the cycle",
                            inner.path
                        );
                        return self.invalid(import.at, "import", rule);
                    }
                    None => stack.push((inner.path.as_str(), 0)),
                }
            }
        }
        Ok(())
    }

    /// The type is in this file, in one that it imports, or in what such a file imports publicly.
    pub(super) fn visible(
        &self,
        full: &str,
        named: Named<'_>,
        at: Place,
        place: &str,
    ) -> Result<(), SchemaError> {
        if std::ptr::eq(&raw const named.source.file, self.file) || self.sees(&named.source.path) {
            return Ok(());
        }
        let rule = format!(
            "{full:?} is defined in {:?}, which is not imported: add import {:?};",
            named.source.path, named.source.path
        );
        self.invalid(at, place, rule)
    }

    fn sees(&self, wanted: &str) -> bool {
        let mut seen = HashSet::new();
        let mut open: Vec<(&File, bool)> = vec![(self.file, true)];
        while let Some((file, all)) = open.pop() {
            for import in &file.imports {
                if !all && import.kind != ImportKind::Public {
                    continue;
                }
                if import.path == wanted {
                    return true;
                }
                if seen.insert(import.path.as_str())
                    && let Some(source) = self.source(&import.path)
                {
                    open.push((&source.file, false));
                }
            }
        }
        false
    }
}
