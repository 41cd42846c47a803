//! What protoc would refuse, beyond syntax.
//!
//! [`resolve`] holds for every schema: a name must be defined. [`check`] holds for one that is about to be registered:
//! numbers, names, ranges, labels and defaults by the language guide and `descriptor.cc` of Protocol Buffers (v33),
//! each with its place in the text and what would be right. What is registered already is not asked again, so that
//! the schemas of a registry that let more in stay readable.

mod enums;
mod fields;
mod imports;
mod messages;

use std::collections::HashMap;

use super::FORMAT;
use super::ast::{Field, FieldType, File, Group, Message, Place, Syntax, Type};
use super::names::{Declared, Named, Names, Source, join};
use crate::error::SchemaError;

/// Every type that the last source names is defined.
///
/// # Errors
/// [`SchemaError::Unresolved`] for the first that is not.
pub(crate) fn resolve(sources: &[Source], names: &Names<'_>) -> Result<(), SchemaError> {
    let Some(main) = sources.last() else {
        return Ok(());
    };
    let check = Check::new(main, sources, names);
    let scope = main.file.package();
    check.resolve_types(&main.file.types, scope)?;
    check.resolve_extends(&main.file.extends, scope)?;
    for rpc in main.file.services.iter().flat_map(|service| &service.rpcs) {
        check.find(&rpc.request, scope, rpc.at, &rpc.name)?;
        check.find(&rpc.response, scope, rpc.at, &rpc.name)?;
    }
    Ok(())
}

/// The last source keeps every rule.
///
/// # Errors
/// [`SchemaError::Invalid`] for the first rule that is broken.
pub(crate) fn check(sources: &[Source], names: &Names<'_>) -> Result<(), SchemaError> {
    let Some(main) = sources.last() else {
        return Ok(());
    };
    let check = Check::new(main, sources, names);
    check.imports()?;
    check.symbols()?;
    check.types(&main.file.types, main.file.package())?;
    check.extends(&main.file.extends, main.file.package())?;
    check.services()
}

struct Check<'a> {
    file: &'a File,
    sources: &'a [Source],
    names: &'a Names<'a>,
    syntax: Syntax,
}

impl<'a> Check<'a> {
    fn new(main: &'a Source, sources: &'a [Source], names: &'a Names<'a>) -> Self {
        Self {
            file: &main.file,
            sources,
            names,
            syntax: main.file.syntax(),
        }
    }

    fn invalid<T>(&self, at: Place, name: &str, rule: impl Into<String>) -> Result<T, SchemaError> {
        Err(SchemaError::Invalid {
            format: FORMAT,
            path: format!("{at} ({name})"),
            rule: rule.into(),
        })
    }

    fn find(
        &self,
        name: &str,
        scope: &str,
        at: Place,
        place: &str,
    ) -> Result<(String, Named<'a>), SchemaError> {
        self.names
            .resolve(name, scope)
            .ok_or_else(|| SchemaError::Unresolved {
                format: FORMAT,
                path: format!("{at} ({place})"),
                name: name.to_owned(),
            })
    }

    fn resolve_types(&self, types: &[Type], scope: &str) -> Result<(), SchemaError> {
        for each in types {
            if let Type::Message(message) = each {
                self.resolve_message(message, scope)?;
            }
        }
        Ok(())
    }

    fn resolve_message(&self, message: &Message, scope: &str) -> Result<(), SchemaError> {
        let full = join(scope, &message.name);
        for field in message.all_fields() {
            self.resolve_field(field, &full)?;
        }
        for group in message.all_groups() {
            self.resolve_message(&group.body, &full)?;
        }
        self.resolve_extends(&message.extends, &full)?;
        self.resolve_types(&message.types, &full)
    }

    fn resolve_field(&self, field: &Field, scope: &str) -> Result<(), SchemaError> {
        let mut kind = &field.kind;
        while let FieldType::Map(_, value) = kind {
            kind = value;
        }
        if let FieldType::Named(name) = kind {
            self.find(name, scope, field.at, &join(scope, &field.name))?;
        }
        Ok(())
    }

    fn resolve_extends(
        &self,
        extends: &[super::ast::Extend],
        scope: &str,
    ) -> Result<(), SchemaError> {
        for extend in extends {
            self.find(&extend.name, scope, extend.at, "extend")?;
            for field in &extend.fields {
                self.resolve_field(field, scope)?;
            }
            for group in &extend.groups {
                self.resolve_message(&group.body, scope)?;
            }
        }
        Ok(())
    }

    /// No two declarations of the file have one full name. Values of an enum are siblings of the enum.
    fn symbols(&self) -> Result<(), SchemaError> {
        let mut seen = Symbols {
            check: self,
            seen: HashMap::new(),
        };
        let package = self.file.package();
        seen.types(&self.file.types, package)?;
        seen.extends(&self.file.extends, package)?;
        for service in &self.file.services {
            let full = join(package, &service.name);
            seen.add(full.clone(), service.at)?;
            for rpc in &service.rpcs {
                seen.add(join(&full, &rpc.name), rpc.at)?;
            }
        }
        Ok(())
    }

    fn services(&self) -> Result<(), SchemaError> {
        let package = self.file.package();
        for rpc in self.file.services.iter().flat_map(|service| &service.rpcs) {
            for name in [&rpc.request, &rpc.response] {
                let (full, named) = self.find(name, package, rpc.at, &rpc.name)?;
                if matches!(named.declared, Declared::Enum(_)) {
                    return self.invalid(
                        rpc.at,
                        &rpc.name,
                        format!("an rpc takes and returns messages, {full:?} is an enum"),
                    );
                }
                self.visible(&full, named, rpc.at, &rpc.name)?;
            }
        }
        Ok(())
    }
}

struct Symbols<'c, 'a> {
    check: &'c Check<'a>,
    seen: HashMap<String, Place>,
}

impl Symbols<'_, '_> {
    fn add(&mut self, full: String, at: Place) -> Result<(), SchemaError> {
        if let Some(first) = self.seen.get(&full) {
            let rule =
                format!("{full:?} is already defined at {first}: give one of them another name");
            return self.check.invalid(at, &full, rule);
        }
        self.seen.insert(full, at);
        Ok(())
    }

    fn types(&mut self, types: &[Type], scope: &str) -> Result<(), SchemaError> {
        for each in types {
            match each {
                Type::Message(message) => self.message(message, scope)?,
                Type::Enum(each) => {
                    self.add(join(scope, &each.name), each.at)?;
                    for constant in &each.constants {
                        self.add(join(scope, &constant.name), constant.at)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn message(&mut self, message: &Message, scope: &str) -> Result<(), SchemaError> {
        let full = join(scope, &message.name);
        self.add(full.clone(), message.at)?;
        for field in message.all_fields() {
            self.add(join(&full, &field.name), field.at)?;
        }
        for oneof in &message.oneofs {
            self.add(join(&full, &oneof.name), oneof.at)?;
        }
        for group in message.all_groups() {
            self.group(group, &full)?;
        }
        self.extends(&message.extends, &full)?;
        self.types(&message.types, &full)
    }

    fn group(&mut self, group: &Group, scope: &str) -> Result<(), SchemaError> {
        self.add(join(scope, &group.body.name.to_ascii_lowercase()), group.at)?;
        self.message(&group.body, scope)
    }

    fn extends(&mut self, extends: &[super::ast::Extend], scope: &str) -> Result<(), SchemaError> {
        for extend in extends {
            for field in &extend.fields {
                self.add(join(scope, &field.name), field.at)?;
            }
            for group in &extend.groups {
                self.group(group, scope)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
