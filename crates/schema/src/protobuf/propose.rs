//! The nearest Protobuf schema that may follow others; see [`crate::propose`].
//!
//! A field whose type changed gets a new number, its old one is reserved; a field that is demanded becomes optional; a
//! field that moved into a oneof moves out again. Where none of that helps, a field, a message or the file is as it
//! was before.

use std::collections::BTreeSet;

use super::ast::{Field, File, Label, Message, Oneof, Reserved, Span, Syntax, Type};
use super::parser::FIELD_NUMBER_MAX;
use super::{ProtobufSchema, validate};
use crate::compatibility::{CompatibilityLevel, CompatibilityPolicy};
use crate::format::Format;
use crate::propose::{Candidates, Compatible, Obstacle, climb, looked_at, obstacles};

/// Numbers that Protobuf keeps to itself.
const KEPT_BY_PROTOBUF: std::ops::RangeInclusive<i32> = 19_000..=19_999;

impl ProtobufSchema {
    /// The nearest schema to this one that may follow `previous`, oldest first, at that level. It has no alterations
    /// when this one may follow as it is; none if no way to mend it is known.
    pub fn propose(&self, previous: &[&Self], level: CompatibilityLevel) -> Option<Compatible> {
        let previous = looked_at(previous, level);
        let policy = CompatibilityPolicy::default();
        // A schema that was let in once may not be now; then nothing better can be asked of the proposal.
        let is_strict = validate::check(&self.sources, &self.names()).is_ok();
        let in_the_way = |schema: &Self| obstacles(schema, previous, level, policy);
        let altered = |schema: &Self, obstacle: &Obstacle| {
            let Some(old) = previous.get(obstacle.old) else {
                return Vec::new();
            };
            alterations(schema.file(), old.file(), obstacle)
                .into_iter()
                .filter_map(|(file, alteration)| {
                    Some((schema.with_file(file, is_strict)?, alteration))
                })
                .collect()
        };
        let (schema, alterations) = climb(self.clone(), in_the_way, altered)?;
        Some(Compatible {
            schema: schema.canonical(),
            alterations,
        })
    }

    /// The schema with another file in the place of its own, if that is one.
    fn with_file(&self, file: File, is_strict: bool) -> Option<Self> {
        let mut schema = self.clone();
        schema.sources.last_mut()?.file = file;
        validate::resolve(&schema.sources, &schema.names()).ok()?;
        if is_strict {
            validate::check(&schema.sources, &schema.names()).ok()?;
        }
        Some(schema)
    }
}

/// A place in a file: the message, and what in it.
struct Target<'p> {
    messages: &'p [&'p str],
    oneof: Option<&'p str>,
    number: Option<i32>,
}

impl<'p> Target<'p> {
    /// Names lead to a message in one of the two files; what is left names a oneof, a number, or both.
    fn of(path: &'p [&'p str], files: [&File; 2]) -> Self {
        let depth = (0..=path.len())
            .rev()
            .find(|depth| {
                let names = path.get(..*depth).unwrap_or_default();
                names.is_empty() || files.iter().any(|file| find(&file.types, names).is_some())
            })
            .unwrap_or(0);
        let rest = path.get(depth..).unwrap_or_default();
        let number = rest.last().and_then(|last| last.parse().ok());
        let oneof = match (rest, number) {
            ([oneof, _], Some(_)) | ([oneof], None) => Some(*oneof),
            _ => None,
        };
        Self {
            messages: path.get(..depth).unwrap_or_default(),
            oneof,
            number,
        }
    }
}

/// What may be done about an obstacle, the smallest first.
fn alterations(new: &File, old: &File, obstacle: &Obstacle) -> Candidates<File> {
    let path = obstacle.steps();
    let target = Target::of(&path, [new, old]);
    let mut out = Vec::new();
    if path.is_empty() && new.package != old.package {
        let mut file = new.clone();
        file.package.clone_from(&old.package);
        out.push((file, obstacle.altered(&path, "kept the package")));
    }
    let names = target.messages;
    let was = find(&old.types, names);
    let mut change = |what: String, change: &dyn Fn(&mut Message) -> Option<()>| {
        let mut file = new.clone();
        let message = find_mut(&mut file.types, names);
        if message.and_then(change).is_some() {
            out.push((file, obstacle.altered(&path, what)));
        }
    };
    if let Some(number) = target.number {
        if new.syntax() == Syntax::Proto2 {
            change("made it optional".to_owned(), &|message| {
                let field = field_mut(message, number)?;
                (field.label == Some(Label::Required)).then(|| field.label = Some(Label::Optional))
            });
        }
        let free = free_number(find(&new.types, names), was);
        let what = format!("gave the new field the number {free}, and reserved {number}");
        change(what, &|message| {
            field_mut(message, number)?.number = free;
            message.reserved.push(Reserved {
                spans: vec![Span::Number(number)],
                at: message.at,
            });
            Some(())
        });
        let what = match was.is_some_and(|was| has(was, number)) {
            true => "kept the field as it was",
            false => "left the field out",
        };
        change(what.to_owned(), &|message| {
            revert_field(message, was, number)
        });
    }
    if let Some(oneof) = target.oneof {
        change(
            "left the fields outside of the oneof".to_owned(),
            &|message| move_out(message, was?, oneof),
        );
    }
    for depth in (1..=names.len()).rev() {
        let names = names.get(..depth).unwrap_or_default();
        let mut file = new.clone();
        if let Some(what) = revert_message(&mut file, old, names) {
            out.push((file, obstacle.altered(names, what)));
        }
    }
    out.push((
        old.clone(),
        obstacle.altered(&[], "kept the schema as it was"),
    ));
    out
}

fn find<'f>(types: &'f [Type], names: &[&str]) -> Option<&'f Message> {
    let (first, rest) = names.split_first()?;
    let message = super::ast::messages(types).find(|message| message.name == *first)?;
    match rest {
        [] => Some(message),
        rest => find(&message.types, rest),
    }
}

fn find_mut<'f>(types: &'f mut [Type], names: &[&str]) -> Option<&'f mut Message> {
    let (first, rest) = names.split_first()?;
    let message = types.iter_mut().find_map(|each| match each {
        Type::Message(message) if message.name == *first => Some(message),
        _ => None,
    })?;
    match rest {
        [] => Some(message),
        rest => find_mut(&mut message.types, rest),
    }
}

fn has(message: &Message, number: i32) -> bool {
    message.all_fields().any(|field| field.number == number)
        || message.all_groups().any(|group| group.number == number)
}

fn field_mut(message: &mut Message, number: i32) -> Option<&mut Field> {
    let of_oneofs = message
        .oneofs
        .iter_mut()
        .flat_map(|oneof| oneof.fields.iter_mut());
    message
        .fields
        .iter_mut()
        .chain(of_oneofs)
        .find(|field| field.number == number)
}

/// A number that neither message ever used or reserved.
fn free_number(new: Option<&Message>, old: Option<&Message>) -> i32 {
    let mut highest = 0;
    for message in new.into_iter().chain(old) {
        let numbers = message
            .all_fields()
            .map(|field| field.number)
            .chain(message.all_groups().map(|group| group.number));
        highest = numbers.fold(highest, i32::max);
        let spans = message.reserved.iter().flat_map(|reserved| &reserved.spans);
        for span in spans.chain(message.extensions.iter().flat_map(|each| &each.spans)) {
            match span {
                Span::Number(number) => highest = highest.max(*number),
                Span::Range(_, end) if *end < FIELD_NUMBER_MAX => highest = highest.max(*end),
                _ => {}
            }
        }
    }
    let next = highest.saturating_add(1).min(FIELD_NUMBER_MAX);
    if KEPT_BY_PROTOBUF.contains(&next) {
        KEPT_BY_PROTOBUF.end() + 1
    } else {
        next
    }
}

/// Puts the field of that number back as it was, where it was; takes it out if it was not.
fn revert_field(message: &mut Message, was: Option<&Message>, number: i32) -> Option<()> {
    let was = was?;
    message.fields.retain(|field| field.number != number);
    message.groups.retain(|group| group.number != number);
    for oneof in &mut message.oneofs {
        oneof.fields.retain(|field| field.number != number);
        oneof.groups.retain(|group| group.number != number);
    }
    let of = |fields: &[Field]| fields.iter().find(|field| field.number == number).cloned();
    if let Some(field) = of(&was.fields) {
        unreserve(message, number, &field.name);
        message.fields.push(field);
    } else if let Some((oneof, field)) = was
        .oneofs
        .iter()
        .find_map(|oneof| Some((oneof, of(&oneof.fields)?)))
    {
        unreserve(message, number, &field.name);
        match message
            .oneofs
            .iter_mut()
            .find(|each| each.name == oneof.name)
        {
            Some(known) => known.fields.push(field),
            None => message.oneofs.push(Oneof {
                fields: vec![field],
                groups: Vec::new(),
                ..oneof.clone()
            }),
        }
    } else if has(was, number) {
        // A group: its message would have to come back with it.
        return None;
    }
    message
        .oneofs
        .retain(|oneof| !(oneof.fields.is_empty() && oneof.groups.is_empty()));
    Some(())
}

/// What was reserved when the field went is used again.
fn unreserve(message: &mut Message, number: i32, name: &str) {
    for reserved in &mut message.reserved {
        reserved.spans.retain(|span| match span {
            Span::Number(known) => *known != number,
            Span::Name(known) => known != name,
            Span::Range(..) => true,
        });
    }
    message
        .reserved
        .retain(|reserved| !reserved.spans.is_empty());
}

/// Moves fields that were at the top level of the message out of the oneof.
fn move_out(message: &mut Message, was: &Message, oneof: &str) -> Option<()> {
    let outside: BTreeSet<i32> = was.fields.iter().map(|field| field.number).collect();
    let place = message.oneofs.iter().position(|each| each.name == oneof)?;
    let each = message.oneofs.get_mut(place)?;
    let (out, kept): (Vec<Field>, Vec<Field>) = std::mem::take(&mut each.fields)
        .into_iter()
        .partition(|field| outside.contains(&field.number));
    each.fields = kept;
    let is_empty = each.fields.is_empty() && each.groups.is_empty();
    if is_empty {
        message.oneofs.remove(place);
    }
    if out.is_empty() {
        return None;
    }
    for mut field in out {
        // Within a oneof a field has no label.
        let before = was.fields.iter().find(|known| known.number == field.number);
        field.label = before.and_then(|known| known.label);
        message.fields.push(field);
    }
    Some(())
}

/// Puts a message back as it was, where it was; takes it out if it was not. Says what was done.
fn revert_message(file: &mut File, old: &File, names: &[&str]) -> Option<&'static str> {
    let (name, around) = names.split_last()?;
    let types = match around {
        [] => &mut file.types,
        around => &mut find_mut(&mut file.types, around)?.types,
    };
    let old_types = match around {
        [] => &old.types,
        around => &find(&old.types, around)?.types,
    };
    let is_it = |each: &Type| matches!(each, Type::Message(message) if message.name == *name);
    let place = types.iter().position(is_it);
    match (place, old_types.iter().find(|each| is_it(each))) {
        (Some(place), Some(was)) => {
            *types.get_mut(place)? = was.clone();
            Some("kept the message as it was")
        }
        (None, Some(was)) => {
            let index = old_types.iter().position(is_it)?.min(types.len());
            types.insert(index, was.clone());
            Some("kept the message")
        }
        (Some(place), None) => {
            types.remove(place);
            Some("left the message out")
        }
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests;
