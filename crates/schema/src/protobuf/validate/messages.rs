//! The rules of messages: numbers, reserved names and ranges, oneofs, extensions.

use std::collections::{HashMap, HashSet};

use super::Check;
use crate::error::SchemaError;
use crate::protobuf::ast::{Extend, Group, Message, Place, Reserved, Span, Syntax, Type};
use crate::protobuf::names::{Declared, join};
use crate::protobuf::parser::FIELD_NUMBER_MAX;
use crate::protobuf::print::map_entry;

/// Numbers that Protobuf keeps for itself.
const IMPLEMENTATION: std::ops::RangeInclusive<i32> = 19_000..=19_999;

/// What a proto3 file may extend: the options.
const OPTION_MESSAGES: &[&str] = &[
    "google.protobuf.FileOptions",
    "google.protobuf.MessageOptions",
    "google.protobuf.FieldOptions",
    "google.protobuf.OneofOptions",
    "google.protobuf.ExtensionRangeOptions",
    "google.protobuf.EnumOptions",
    "google.protobuf.EnumValueOptions",
    "google.protobuf.ServiceOptions",
    "google.protobuf.MethodOptions",
];

pub(super) fn reserved_names(all: &[Reserved]) -> HashSet<&str> {
    let spans = all.iter().flat_map(|each| &each.spans);
    spans
        .filter_map(|span| match span {
            Span::Name(name) => Some(name.as_str()),
            _ => None,
        })
        .collect()
}

fn contains(span: &Span, number: i32) -> bool {
    match span {
        Span::Number(one) => *one == number,
        Span::Range(start, end) => (*start..=*end).contains(&number),
        Span::Name(_) => false,
    }
}

impl Check<'_> {
    pub(super) fn types(&self, types: &[Type], scope: &str) -> Result<(), SchemaError> {
        for each in types {
            match each {
                Type::Message(message) => self.message(message, scope)?,
                Type::Enum(each) => self.enumeration(each, scope)?,
            }
        }
        Ok(())
    }

    fn message(&self, message: &Message, scope: &str) -> Result<(), SchemaError> {
        let full = join(scope, &message.name);
        let reserved = message.reserved.iter();
        let spans = reserved.flat_map(|each| each.spans.iter().map(|span| (span, each.at)));
        let extensions = message.extensions.iter();
        let spans =
            spans.chain(extensions.flat_map(|each| each.spans.iter().map(|span| (span, each.at))));
        self.ranges(spans, 1, FIELD_NUMBER_MAX, &full)?;
        if message.is_map_entry() && (map_entry(message).is_none() || message.fields.len() != 2) {
            let rule = "map_entry is set by the compiler: write map<key, value> instead";
            return self.invalid(message.at, &full, rule);
        }
        if let Some(first) = message.extensions.first()
            && self.syntax == Syntax::Proto3
        {
            return self.invalid(
                first.at,
                &full,
                "extension ranges are not allowed in proto3: use google.protobuf.Any",
            );
        }
        self.numbers(message, &full)?;
        for oneof in &message.oneofs {
            if oneof.fields.is_empty() && oneof.groups.is_empty() {
                let rule = format!(
                    "the oneof {:?} has no field: it needs at least one",
                    oneof.name
                );
                return self.invalid(oneof.at, &full, rule);
            }
        }
        for field in &message.fields {
            self.field(field, &full, false)?;
        }
        for field in message.oneofs.iter().flat_map(|oneof| &oneof.fields) {
            self.field(field, &full, true)?;
        }
        self.json_names(message, &full)?;
        for group in message.all_groups() {
            self.group(group, &full)?;
        }
        self.extends(&message.extends, &full)?;
        self.types(&message.types, &full)
    }

    fn group(&self, group: &Group, scope: &str) -> Result<(), SchemaError> {
        if self.syntax != Syntax::Proto2 {
            return self.invalid(
                group.at,
                &join(scope, &group.body.name),
                "groups exist in proto2 only: use a field with a nested message",
            );
        }
        self.message(&group.body, scope)
    }

    /// Ranges go upwards, stay within bounds and do not overlap; no name is reserved twice.
    pub(super) fn ranges<'s>(
        &self,
        spans: impl Iterator<Item = (&'s Span, Place)>,
        least: i32,
        most: i32,
        full: &str,
    ) -> Result<(), SchemaError> {
        let mut names = HashSet::new();
        let mut ranges: Vec<(i32, i32, Place)> = Vec::new();
        for (span, at) in spans {
            let (start, end) = match span {
                Span::Number(number) => (*number, *number),
                Span::Range(start, end) => (*start, *end),
                Span::Name(name) => {
                    if !names.insert(name.as_str()) {
                        return self.invalid(at, full, format!("{name:?} is reserved twice"));
                    }
                    continue;
                }
            };
            if start > end {
                let rule = format!("the range {start} to {end} ends before it starts");
                return self.invalid(at, full, rule);
            }
            if start < least || end > most {
                let rule = format!("the range {start} to {end} is not within {least} to {most}");
                return self.invalid(at, full, rule);
            }
            ranges.push((start, end, at));
        }
        ranges.sort_unstable();
        for pair in ranges.windows(2) {
            if let [(start, end, _), (next, next_end, at)] = pair
                && next <= end
            {
                let rule = format!("the ranges {start} to {end} and {next} to {next_end} overlap");
                return self.invalid(*at, full, rule);
            }
        }
        Ok(())
    }

    fn numbers(&self, message: &Message, full: &str) -> Result<(), SchemaError> {
        let names = reserved_names(&message.reserved);
        let reserved: Vec<&Span> = message
            .reserved
            .iter()
            .flat_map(|each| &each.spans)
            .collect();
        let extensions: Vec<&Span> = message
            .extensions
            .iter()
            .flat_map(|each| &each.spans)
            .collect();
        let mut seen: HashMap<i32, &str> = HashMap::new();
        let fields = message
            .all_fields()
            .map(|field| (field.number, field.name.as_str(), field.at));
        let groups = message
            .all_groups()
            .map(|group| (group.number, group.body.name.as_str(), group.at));
        for (number, name, at) in fields.chain(groups) {
            self.number(number, at, &join(full, name))?;
            if let Some(first) = seen.insert(number, name) {
                let rule = format!(
                    "the number {number} is used by {first:?} already: take the next free one"
                );
                return self.invalid(at, &join(full, name), rule);
            }
            if names.contains(name) {
                let rule = format!("the name {name:?} is reserved");
                return self.invalid(at, &join(full, name), rule);
            }
            if reserved.iter().any(|span| contains(span, number)) {
                let rule = format!("the number {number} is reserved: take another");
                return self.invalid(at, &join(full, name), rule);
            }
            if extensions.iter().any(|span| contains(span, number)) {
                let rule = format!("the number {number} is kept for extensions: take another");
                return self.invalid(at, &join(full, name), rule);
            }
        }
        Ok(())
    }

    fn number(&self, number: i32, at: Place, name: &str) -> Result<(), SchemaError> {
        if !(1..=FIELD_NUMBER_MAX).contains(&number) {
            let rule = format!("a field number is from 1 to {FIELD_NUMBER_MAX}, not {number}");
            return self.invalid(at, name, rule);
        }
        if IMPLEMENTATION.contains(&number) {
            let rule =
                format!("the numbers 19000 to 19999 are Protobuf's own, {number} is one of them");
            return self.invalid(at, name, rule);
        }
        Ok(())
    }

    /// No two fields have one name in JSON; proto2 only minds those that are set.
    fn json_names(&self, message: &Message, full: &str) -> Result<(), SchemaError> {
        let mut seen: HashMap<String, (&str, bool)> = HashMap::new();
        for field in message.all_fields() {
            let set = field.option("json_name").is_some();
            let json = field.json_name();
            if let Some((first, first_set)) = seen.get(&json)
                && (self.syntax != Syntax::Proto2 || (set && *first_set))
            {
                let rule =
                    format!("{json:?}, its name in JSON, is that of {first:?}: set json_name");
                return self.invalid(field.at, &join(full, &field.name), rule);
            }
            seen.insert(json, (&field.name, set));
        }
        Ok(())
    }

    pub(super) fn extends(&self, extends: &[Extend], scope: &str) -> Result<(), SchemaError> {
        for extend in extends {
            let (full, named) = self.find(&extend.name, scope, extend.at, "extend")?;
            self.visible(&full, named, extend.at, "extend")?;
            let Declared::Message(extended) = named.declared else {
                let rule = format!("{full:?} is an enum, only messages are extended");
                return self.invalid(extend.at, "extend", rule);
            };
            if self.syntax == Syntax::Proto3 && !OPTION_MESSAGES.contains(&full.as_str()) {
                let rule = format!(
                    "proto3 extends the options of google.protobuf only, {full:?} is none of them"
                );
                return self.invalid(extend.at, "extend", rule);
            }
            for field in &extend.fields {
                let name = join(scope, &field.name);
                self.number(field.number, field.at, &name)?;
                self.extension_number(extended, &full, field.number, field.at, &name)?;
                self.field(field, scope, false)?;
            }
            for group in &extend.groups {
                let name = join(scope, &group.body.name);
                self.extension_number(extended, &full, group.number, group.at, &name)?;
                self.group(group, scope)?;
            }
        }
        Ok(())
    }

    fn extension_number(
        &self,
        extended: &Message,
        full: &str,
        number: i32,
        at: Place,
        name: &str,
    ) -> Result<(), SchemaError> {
        let mut spans = extended.extensions.iter().flat_map(|each| &each.spans);
        if spans.any(|span| contains(span, number)) {
            return Ok(());
        }
        let rule = format!("{full:?} does not keep the number {number} for extensions");
        self.invalid(at, name, rule)
    }
}
