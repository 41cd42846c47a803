//! Which declaration a name means.
//!
//! A name with a dot before it is complete; any other is looked for in the message it stands in, then in the one
//! around it, and so on out through the package (protoc's scoping). Every type of every file a schema can see has one
//! entry, as has every extension; the built-in files ([`super::known`]) are seen by all.

use std::collections::HashMap;

use super::ast::{Enum, Extend, File, Group, Label, Message, Type};
use super::known;

/// A file with the path by which it is imported; the schema itself has the empty path.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Source {
    pub path: String,
    pub file: File,
}

/// A message or an enum.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Declared<'a> {
    Message(&'a Message),
    Enum(&'a Enum),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'a> {
    pub source: &'a Source,
    pub declared: Declared<'a>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Extension {
    pub repeated: bool,
}

/// All names of one set of files.
#[derive(Debug, Default)]
pub(crate) struct Names<'a> {
    types: HashMap<String, Named<'a>>,
    extensions: HashMap<String, Extension>,
    /// Whether the built-in files are looked at for what is not here.
    known: bool,
}

impl<'a> Names<'a> {
    /// The names of `sources`, the later before the earlier, and of the built-in files that none of them replaces.
    pub(crate) fn of(sources: &'a [Source]) -> Self {
        let mut names = Self {
            known: true,
            ..Self::default()
        };
        for source in sources {
            names.collect(source);
        }
        names
    }

    /// The names of the built-in files alone.
    pub(super) fn of_known(sources: &'a [Source]) -> Self {
        let mut names = Self::default();
        for source in sources {
            names.collect(source);
        }
        names
    }

    fn collect(&mut self, source: &'a Source) {
        let scope = source.file.package().to_owned();
        self.collect_types(source, &scope, &source.file.types);
        self.collect_extends(source, &scope, &source.file.extends);
    }

    fn collect_types(&mut self, source: &'a Source, scope: &str, types: &'a [Type]) {
        for each in types {
            match each {
                Type::Message(message) => self.collect_message(source, scope, message),
                Type::Enum(each) => {
                    let declared = Declared::Enum(each);
                    self.types
                        .insert(join(scope, &each.name), Named { source, declared });
                }
            }
        }
    }

    fn collect_message(&mut self, source: &'a Source, scope: &str, message: &'a Message) {
        let full = join(scope, &message.name);
        self.collect_types(source, &full, &message.types);
        self.collect_extends(source, &full, &message.extends);
        for group in message.all_groups() {
            self.collect_message(source, &full, &group.body);
        }
        let declared = Declared::Message(message);
        self.types.insert(full, Named { source, declared });
    }

    fn collect_extends(&mut self, source: &'a Source, scope: &str, extends: &'a [Extend]) {
        for extend in extends {
            for field in &extend.fields {
                let extension = Extension {
                    repeated: field.label == Some(Label::Repeated),
                };
                self.extensions.insert(join(scope, &field.name), extension);
            }
            for group in &extend.groups {
                self.collect_group(source, scope, group);
            }
        }
    }

    fn collect_group(&mut self, source: &'a Source, scope: &str, group: &'a Group) {
        let extension = Extension {
            repeated: group.label == Some(Label::Repeated),
        };
        let name = group.body.name.to_ascii_lowercase();
        self.extensions.insert(join(scope, &name), extension);
        self.collect_message(source, scope, &group.body);
    }

    /// The type of that full name, without a dot before it.
    pub(crate) fn find(&self, full: &str) -> Option<Named<'a>> {
        match self.types.get(full) {
            Some(found) => Some(*found),
            None if self.known => known::names().find(full),
            None => None,
        }
    }

    /// The extension of that full name.
    pub(crate) fn find_extension(&self, full: &str) -> Option<Extension> {
        match self.extensions.get(full) {
            Some(found) => Some(*found),
            None if self.known => known::names().find_extension(full),
            None => None,
        }
    }

    /// The full name of the type that `name` means in `scope` (a full name itself), and the type.
    pub(crate) fn resolve(&self, name: &str, scope: &str) -> Option<(String, Named<'a>)> {
        lookup(name, scope, |full| self.find(full))
    }

    /// As [`Names::resolve`], of an extension.
    pub(crate) fn resolve_extension(&self, name: &str, scope: &str) -> Option<(String, Extension)> {
        lookup(name, scope, |full| self.find_extension(full))
    }
}

fn lookup<T>(name: &str, scope: &str, find: impl Fn(&str) -> Option<T>) -> Option<(String, T)> {
    if let Some(full) = name.strip_prefix('.') {
        return find(full).map(|found| (full.to_owned(), found));
    }
    let mut scope = scope;
    loop {
        let full = join(scope, name);
        if let Some(found) = find(&full) {
            return Some((full, found));
        }
        if scope.is_empty() {
            return None;
        }
        scope = scope.rsplit_once('.').map_or("", |(outer, _)| outer);
    }
}

/// `scope.name`, or `name` where there is no scope.
pub(crate) fn join(scope: &str, name: &str) -> String {
    if scope.is_empty() {
        name.to_owned()
    } else {
        format!("{scope}.{name}")
    }
}
