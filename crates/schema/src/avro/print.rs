//! From [`Model`] to text, as `Schema.toString` of Avro's Java library (1.12) writes it.
//!
//! The order of attributes is Java's: type, name, namespace, doc, what the type is made of, properties, aliases. A
//! namespace is written where it differs from the surrounding one. The first use of a named type is its definition,
//! every other its name. Recursion is as deep as [`Model::check_depth`] allows.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::model::{Field, Kind, Model, Named, Order, Props, Type, TypeId};
use crate::json_text::{to_text, write, write_string};

/// The schema's text. What `known` names is taken to be defined elsewhere: the names of references for the canonical
/// text, none for the one that has everything in it.
pub(crate) fn schema(model: &Model, known: HashSet<String>) -> String {
    let mut printer = Printer {
        source: Source::Model(model),
        known,
        out: String::new(),
    };
    printer.schema(model.root, None);
    printer.out
}

/// The text of one type for a message: named types are told by their name.
pub(crate) fn brief(model: &Model, id: TypeId) -> String {
    let found = model.get(id);
    match found.named() {
        Some(named) => named.name.full(),
        None => {
            let known = &|_| "";
            definition(&model.types, found, known)
        }
    }
}

/// One definition with every named type in it by its full name, and without docs and aliases, which do not make two
/// definitions differ (`Schema.equals`). `forward` tells the name of a type that is yet to come.
pub(crate) fn definition<'a>(
    types: &'a [Type],
    found: &'a Type,
    forward: &'a dyn Fn(TypeId) -> &'a str,
) -> String {
    let mut printer = Printer {
        source: Source::Shallow { types, forward },
        known: HashSet::new(),
        out: String::new(),
    };
    printer.definition(found, None);
    printer.out
}

enum Source<'a> {
    Model(&'a Model),
    Shallow {
        types: &'a [Type],
        forward: &'a dyn Fn(TypeId) -> &'a str,
    },
}

struct Printer<'a> {
    source: Source<'a>,
    known: HashSet<String>,
    out: String,
}

impl<'a> Printer<'a> {
    fn schema(&mut self, id: TypeId, space: Option<&str>) {
        let found: &'a Type = match &self.source {
            Source::Model(model) => model.get(id),
            Source::Shallow { types, forward } => match types.get(id.0 as usize) {
                Some(found) if matches!(found.kind, Kind::Forward) => {
                    write_string(forward(id), &mut self.out);
                    return;
                }
                Some(found) if found.named().is_some() => {
                    write_string(&found.union_name(), &mut self.out);
                    return;
                }
                Some(found) => found,
                None => return,
            },
        };
        if let Some(named) = found.named()
            && !self.known.insert(named.name.full())
        {
            write_string(&named.name.qualified(space), &mut self.out);
            return;
        }
        self.definition(found, space);
    }

    fn definition(&mut self, found: &'a Type, space: Option<&str>) {
        match &found.kind {
            Kind::Primitive(primitive) if found.props.is_empty() => {
                write_string(primitive.name(), &mut self.out);
            }
            Kind::Union(branches) => {
                self.out.push('[');
                for (index, branch) in branches.iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                    }
                    self.schema(*branch, space);
                }
                self.out.push(']');
            }
            Kind::Primitive(_) | Kind::Forward => {
                self.head(found.word());
                self.props(&found.props);
                self.out.push('}');
            }
            Kind::Array(inner) | Kind::Map(inner) => {
                self.head(found.word());
                let key = if found.word() == "array" {
                    "items"
                } else {
                    "values"
                };
                self.key(key);
                self.schema(*inner, space);
                self.props(&found.props);
                self.out.push('}');
            }
            Kind::Record(record) => {
                self.head(if record.is_error { "error" } else { "record" });
                self.names(&record.named, space);
                self.key("fields");
                self.out.push('[');
                for (index, field) in record.fields.iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                    }
                    self.field(field, record.named.name.namespace.as_deref());
                }
                self.out.push(']');
                self.tail(found, &record.named);
            }
            Kind::Enum(enumeration) => {
                self.head("enum");
                self.names(&enumeration.named, space);
                self.key("symbols");
                self.strings(&enumeration.symbols);
                if let Some(default) = &enumeration.default {
                    self.key("default");
                    write_string(default, &mut self.out);
                }
                self.tail(found, &enumeration.named);
            }
            Kind::Fixed(fixed) => {
                self.head("fixed");
                self.names(&fixed.named, space);
                // Writing to a string does not fail.
                write!(self.out, ",\"size\":{}", fixed.size).unwrap_or_default();
                self.tail(found, &fixed.named);
            }
        }
    }

    fn field(&mut self, field: &'a Field, space: Option<&str>) {
        self.out.push_str("{\"name\":");
        write_string(&field.name, &mut self.out);
        self.key("type");
        self.schema(field.type_id, space);
        if let (Some(doc), Source::Model(_)) = (&field.doc, &self.source) {
            self.key("doc");
            write_string(doc, &mut self.out);
        }
        if let Some(default) = &field.default {
            self.key("default");
            write(default, &mut self.out);
        }
        if field.order != Order::Ascending {
            self.key("order");
            write_string(field.order.name(), &mut self.out);
        }
        if !field.aliases.is_empty() && matches!(self.source, Source::Model(_)) {
            self.key("aliases");
            self.strings(&field.aliases);
        }
        self.props(&field.props);
        self.out.push('}');
    }

    fn head(&mut self, word: &str) {
        self.out.push_str("{\"type\":");
        write_string(word, &mut self.out);
    }

    fn names(&mut self, named: &Named, space: Option<&str>) {
        self.key("name");
        write_string(&named.name.short, &mut self.out);
        let own = named.name.namespace.as_deref();
        if own != space {
            self.key("namespace");
            write_string(own.unwrap_or_default(), &mut self.out);
        }
        if let (Some(doc), Source::Model(_)) = (&named.doc, &self.source) {
            self.key("doc");
            write_string(doc, &mut self.out);
        }
    }

    fn tail(&mut self, found: &Type, named: &Named) {
        self.props(&found.props);
        if !named.aliases.is_empty() && matches!(self.source, Source::Model(_)) {
            let space = named.name.namespace.as_deref();
            let aliases: Vec<String> = named
                .aliases
                .iter()
                .map(|alias| alias.qualified(space))
                .collect();
            self.key("aliases");
            self.strings(&aliases);
        }
        self.out.push('}');
    }

    fn key(&mut self, key: &str) {
        self.out.push(',');
        write_string(key, &mut self.out);
        self.out.push(':');
    }

    fn strings(&mut self, list: &[String]) {
        self.out.push('[');
        for (index, text) in list.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            write_string(text, &mut self.out);
        }
        self.out.push(']');
    }

    fn props(&mut self, props: &Props) {
        for (name, value) in props {
            self.key(name);
            self.out.push_str(&to_text(value));
        }
    }
}
