//! A proposal as Protobuf, proto3: scalars are `optional`, so that what was absent stays apart from zero.
//!
//! The mapping is the one of Protobuf's JSON format: a moment written as text is a `Timestamp`; what is of several
//! kinds, or an array of arrays, is a `google.protobuf.Value`. A name that Protobuf does not allow is replaced and kept as
//! `json_name`.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;

use super::guess::{Guess, Member, Slot, field_name, type_name, unique};

/// The text of the schema; none if the records are not objects.
pub(crate) fn text(root: &Slot, name: &str, package: Option<&str>) -> Option<String> {
    let Guess::Record(members) = &root.guess else {
        return None;
    };
    let mut writer = Writer {
        imports: BTreeSet::new(),
        out: String::new(),
    };
    writer.message(members, name, 0);
    let mut text = "syntax = \"proto3\";\n".to_owned();
    if let Some(package) = package {
        // Writing to a string does not fail.
        write!(text, "package {package};\n\n").unwrap_or_default();
    } else {
        text.push('\n');
    }
    for import in &writer.imports {
        writeln!(text, "import \"{import}\";").unwrap_or_default();
    }
    if !writer.imports.is_empty() {
        text.push('\n');
    }
    text.push_str(&writer.out);
    Some(text)
}

const VALUE: (&str, &str) = ("google.protobuf.Value", "google/protobuf/struct.proto");
const TIMESTAMP: (&str, &str) = (
    "google.protobuf.Timestamp",
    "google/protobuf/timestamp.proto",
);

struct Writer {
    imports: BTreeSet<&'static str>,
    out: String,
}

impl Writer {
    fn line(&mut self, depth: usize, line: &str) {
        // Writing to a string does not fail.
        writeln!(self.out, "{}{line}", "  ".repeat(depth)).unwrap_or_default();
    }

    fn message(&mut self, members: &[Member], name: &str, depth: usize) {
        self.line(depth, &format!("message {name} {{"));
        let mut types = HashSet::from([name.to_owned()]);
        let mut names = HashSet::new();
        // 19000 to 19999 are Protobuf's own.
        let numbers = (1..19_000).chain(20_000..);
        for (member, number) in members.iter().zip(numbers) {
            let mut nested = Vec::new();
            let kind = self.field_type(&member.slot, &member.name, &mut types, &mut nested);
            for (name, members) in nested {
                self.message(members, &name, depth + 1);
            }
            let written = field_name(&member.name);
            let name = unique(written, &mut names);
            let options = self.options(member, &name);
            self.line(depth + 1, &format!("{kind} {name} = {number}{options};"));
        }
        self.line(depth, "}");
    }

    fn options(&mut self, member: &Member, name: &str) -> String {
        let mut options = Vec::new();
        if name != member.name {
            let escaped = member.name.replace('\\', "\\\\").replace('"', "\\\"");
            options.push(format!("json_name = \"{escaped}\""));
        }
        if !member.tags.is_empty() {
            self.imports.insert("confluent/meta.proto");
            let tags: Vec<String> = member.tags.iter().map(|tag| format!("\"{tag}\"")).collect();
            options.push(format!(
                "(confluent.field_meta) = {{ tags: [{}] }}",
                tags.join(", ")
            ));
        }
        if options.is_empty() {
            String::new()
        } else {
            format!(" [{}]", options.join(", "))
        }
    }

    /// Label and type of a field; messages that it needs go to `nested`.
    fn field_type<'a>(
        &mut self,
        slot: &'a Slot,
        name: &str,
        types: &mut HashSet<String>,
        nested: &mut Vec<(String, &'a [Member])>,
    ) -> String {
        match &slot.guess {
            // An item that is null, or an array itself, has no place in a repeated field.
            Guess::Array(inner) if !inner.is_nullable => match &inner.guess {
                Guess::Array(_) | Guess::Map(_) => format!("repeated {}", self.well_known(VALUE)),
                _ => {
                    let item = self.single(&inner.guess, name, types, nested);
                    format!("repeated {item}")
                }
            },
            Guess::Array(_) => format!("repeated {}", self.well_known(VALUE)),
            Guess::Map(inner) => {
                let is_plain =
                    !inner.is_nullable && !matches!(inner.guess, Guess::Array(_) | Guess::Map(_));
                let item = if is_plain {
                    self.single(&inner.guess, name, types, nested)
                } else {
                    self.well_known(VALUE)
                };
                format!("map<string, {item}>")
            }
            guess => {
                let kind = self.single(guess, name, types, nested);
                let is_message = matches!(guess, Guess::Record(_)) || kind.starts_with("google.");
                if is_message {
                    kind
                } else {
                    format!("optional {kind}")
                }
            }
        }
    }

    fn single<'a>(
        &mut self,
        guess: &'a Guess,
        name: &str,
        types: &mut HashSet<String>,
        nested: &mut Vec<(String, &'a [Member])>,
    ) -> String {
        match guess {
            Guess::Boolean => "bool".to_owned(),
            Guess::Long | Guess::TimestampMillis => "int64".to_owned(),
            Guess::Double => "double".to_owned(),
            Guess::String | Guess::Uuid | Guess::Date => "string".to_owned(),
            Guess::DateTime => self.well_known(TIMESTAMP),
            Guess::Record(members) => {
                let name = unique(type_name(name), types);
                nested.push((name.clone(), members));
                name
            }
            Guess::Null | Guess::Any(_) | Guess::Array(_) | Guess::Map(_) => self.well_known(VALUE),
        }
    }

    fn well_known(&mut self, (name, import): (&'static str, &'static str)) -> String {
        self.imports.insert(import);
        name.to_owned()
    }
}
