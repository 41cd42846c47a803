//! What stands between data of one Protobuf schema and readers of another.
//!
//! Messages are matched by name and fields by number, the scalars fall into groups that share an encoding, and a type
//! from another file is compared as a whole, wherever it stands. The 26 kinds of change and which of them are
//! compatible are those of Confluent's `protobuf.diff` (8.2), as are their paths and words.
//!
//! Differs: groups count as the fields they are; a type that several fields use across files is told of once, with
//! `FIELD_NAMED_TYPE_CHANGED` at each field. Bounded: each pair of types across files is compared once, and
//! [`crate::limits::COMPARISONS_MAX`] fields in all.

mod change;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

pub(crate) use change::{Change, Difference};

use super::ast::{Enum, Field, FieldType, Group, Label, Message, Scalar, Type, enums, messages};
use super::names::{Declared, Names, Source, join};
use super::print::map_entry;
use crate::error::SchemaError;
use crate::limits::COMPARISONS_MAX;

/// Everything that changed from `original` (whose data is read) to `update` (which reads); the last source of each
/// is the schema itself.
///
/// # Errors
/// [`SchemaError::TooComplex`].
pub(crate) fn differences(
    original: &[Source],
    update: &[Source],
) -> Result<Vec<Difference>, SchemaError> {
    let (Some(before), Some(after)) = (original.last(), update.last()) else {
        return Ok(Vec::new());
    };
    let mut comparison = Comparison {
        original: Side::new(original, before),
        update: Side::new(update, after),
        path: Vec::new(),
        scope: Vec::new(),
        open: HashSet::new(),
        across: HashMap::new(),
        steps: 0,
        found: Vec::new(),
    };
    if before.file.package != after.file.package {
        comparison.add(Change::PackageChanged);
    }
    comparison.types(&before.file.types, &after.file.types)?;
    Ok(comparison.found)
}

/// One of the two schemas.
struct Side<'a> {
    names: Names<'a>,
    main: &'a Source,
    /// The package of the file whose messages are being compared.
    package: &'a str,
}

impl<'a> Side<'a> {
    fn new(sources: &'a [Source], main: &'a Source) -> Self {
        Self {
            names: Names::of(sources),
            main,
            package: main.file.package(),
        }
    }
}

/// What a field holds, resolved.
enum Kind<'a> {
    Scalar(Scalar),
    Enum,
    Map(Scalar, Box<Kind<'a>>),
    Message(String, &'a Source, &'a Message),
    /// A name that nothing defines.
    Unknown(String),
}

/// A part of a path, put into words only when there is something to tell.
enum Part<'a> {
    Name(Cow<'a, str>),
    Number(i32),
}

impl<'a> From<&'a str> for Part<'a> {
    fn from(name: &'a str) -> Self {
        Self::Name(Cow::Borrowed(name))
    }
}

impl From<String> for Part<'_> {
    fn from(name: String) -> Self {
        Self::Name(Cow::Owned(name))
    }
}

impl From<i32> for Part<'_> {
    fn from(number: i32) -> Self {
        Self::Number(number)
    }
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// The full names of the messages that are being compared, in which their fields' types are looked up.
struct Scopes {
    original: String,
    update: String,
}

/// A field or a group of a message.
struct Member<'a> {
    number: i32,
    name: Cow<'a, str>,
    label: Option<Label>,
    kind: MemberKind<'a>,
    oneof: Option<&'a str>,
}

impl Member<'_> {
    /// Whether nothing about it can have changed, which is so of nearly all.
    fn is_same_scalar(&self, other: &Self) -> bool {
        matches!(
            (&self.kind, &other.kind),
            (MemberKind::Field(FieldType::Scalar(one)), MemberKind::Field(FieldType::Scalar(two))) if one == two
        ) && self.name == other.name
            && self.label == other.label
            && self.oneof == other.oneof
    }
}

enum MemberKind<'a> {
    Field(&'a FieldType),
    Group(&'a Group),
}

struct Comparison<'a> {
    original: Side<'a>,
    update: Side<'a>,
    path: Vec<Part<'a>>,
    /// The names in `path` that are of messages.
    scope: Vec<String>,
    /// The messages of the original that are being compared further out.
    open: HashSet<*const Message>,
    /// Pairs of messages of other files: whether they turned out to be incompatible, none while it is not known.
    across: HashMap<(*const Message, *const Message), Option<bool>>,
    steps: usize,
    found: Vec<Difference>,
}

impl<'a> Comparison<'a> {
    fn add(&mut self, change: Change) {
        let parts: Vec<String> = self.path.iter().map(Part::to_string).collect();
        self.found.push(Difference {
            change,
            path: format!("#/{}", parts.join("/")),
        });
    }

    fn at<T>(&mut self, part: impl Into<Part<'a>>, inner: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(part.into());
        let result = inner(self);
        self.path.pop();
        result
    }

    fn in_type<T>(&mut self, name: &'a str, inner: impl FnOnce(&mut Self) -> T) -> T {
        self.scope.push(name.to_owned());
        let result = self.at(name, inner);
        self.scope.pop();
        result
    }

    fn step(&mut self) -> Result<(), SchemaError> {
        self.steps += 1;
        if self.steps > COMPARISONS_MAX {
            return Err(SchemaError::TooComplex {
                what: "comparing it takes too many steps",
                max: COMPARISONS_MAX,
            });
        }
        Ok(())
    }

    fn types(&mut self, before: &'a [Type], after: &'a [Type]) -> Result<(), SchemaError> {
        let originals: Vec<&Message> = messages(before).collect();
        let updates: Vec<&Message> = messages(after).collect();
        let places: HashMap<&str, usize> = updates
            .iter()
            .enumerate()
            .map(|(index, message)| (message.name.as_str(), index))
            .collect();
        for (index, original) in originals.iter().enumerate() {
            self.step()?;
            let place = places.get(original.name.as_str()).copied();
            let update = place.and_then(|place| updates.get(place));
            self.in_type(&original.name, |comparison| {
                let Some(update) = update else {
                    if !original.is_map_entry() {
                        comparison.add(Change::MessageRemoved);
                    }
                    return Ok(());
                };
                comparison.message(original, update)?;
                if place != Some(index) {
                    comparison.add(Change::MessageMoved);
                }
                Ok::<_, SchemaError>(())
            })?;
        }
        let had: HashSet<&str> = originals.iter().map(|each| each.name.as_str()).collect();
        for update in updates {
            if !had.contains(update.name.as_str()) && !update.is_map_entry() {
                self.in_type(&update.name, |comparison| {
                    comparison.add(Change::MessageAdded)
                });
            }
        }
        self.enums(before, after)
    }

    fn enums(&mut self, before: &'a [Type], after: &'a [Type]) -> Result<(), SchemaError> {
        let updates: HashMap<&str, &Enum> = enums(after)
            .map(|each| (each.name.as_str(), each))
            .collect();
        let mut had = HashSet::new();
        for original in enums(before) {
            self.step()?;
            had.insert(original.name.as_str());
            self.in_type(&original.name, |comparison| {
                match updates.get(original.name.as_str()) {
                    None => comparison.add(Change::EnumRemoved),
                    Some(update) => comparison.constants(original, update),
                }
            });
        }
        for update in enums(after).filter(|each| !had.contains(each.name.as_str())) {
            self.in_type(&update.name, |comparison| comparison.add(Change::EnumAdded));
        }
        Ok(())
    }

    fn constants(&mut self, original: &'a Enum, update: &'a Enum) {
        // Of aliases the last counts, as in the counterpart.
        let by_number = |each: &'a Enum| -> BTreeMap<i32, &'a str> {
            each.constants
                .iter()
                .map(|constant| (constant.number, constant.name.as_str()))
                .collect()
        };
        let (before, after) = (by_number(original), by_number(update));
        let numbers: BTreeSet<i32> = before.keys().chain(after.keys()).copied().collect();
        for number in numbers {
            let change = match (before.get(&number), after.get(&number)) {
                (Some(_), None) => Change::EnumConstRemoved,
                (None, _) => Change::EnumConstAdded,
                (Some(before), Some(after)) if before != after => Change::EnumConstChanged,
                _ => continue,
            };
            self.at(number, |comparison| comparison.add(change));
        }
    }

    fn message(&mut self, original: &'a Message, update: &'a Message) -> Result<(), SchemaError> {
        self.step()?;
        let key: *const Message = original;
        if self.open.insert(key) {
            let result = self.members(original, update);
            self.open.remove(&key);
            result?;
        }
        self.types(&original.types, &update.types)
    }

    fn members(&mut self, original: &'a Message, update: &'a Message) -> Result<(), SchemaError> {
        let (before, after) = (Members::of(original), Members::of(update));
        self.exclusion(update, &before);
        let before_oneofs: BTreeSet<&'a str> = oneof_names(original);
        let after_oneofs: BTreeSet<&'a str> = oneof_names(update);
        for name in before_oneofs.union(&after_oneofs) {
            let change = match (before_oneofs.contains(name), after_oneofs.contains(name)) {
                (true, false) => Change::OneofRemoved,
                (false, true) => Change::OneofAdded,
                _ => continue,
            };
            self.at(*name, |comparison| comparison.add(change));
        }
        let gone = deleted_oneofs(original, &after_oneofs, &after);
        let scope = self.scope.join(".");
        let scopes = Scopes {
            original: join_scope(self.original.package, &scope),
            update: join_scope(self.update.package, &scope),
        };
        let (mut olds, mut news) = (before.0.iter().peekable(), after.0.iter().peekable());
        loop {
            self.step()?;
            let next = (
                olds.peek().map(|old| old.number),
                news.peek().map(|new| new.number),
            );
            let order = match next {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => old.cmp(&new),
            };
            let old = if order.is_le() { olds.next() } else { None };
            let new = if order.is_ge() { news.next() } else { None };
            match (old, new) {
                (Some(old), None) => self.removed(old, &gone),
                (None, Some(new)) => self.added(new),
                (Some(old), Some(new)) if !old.is_same_scalar(new) => {
                    self.kept(old, new, &scopes)?
                }
                _ => {}
            }
        }
    }

    /// Fields that were independent of each other and are in one oneof now.
    fn exclusion(&mut self, update: &'a Message, before: &Members<'a>) {
        for oneof in &update.oneofs {
            let mut origins = BTreeSet::new();
            let mut moved_in = 0;
            let numbers = oneof.fields.iter().map(|field| field.number);
            for number in numbers.chain(oneof.groups.iter().map(|group| group.number)) {
                match before.get(number).map(|member| member.oneof) {
                    Some(Some(name)) => {
                        origins.insert((name.to_owned(), 0));
                    }
                    Some(None) => {
                        origins.insert((String::new(), number));
                        moved_in += 1;
                    }
                    None => {}
                }
            }
            if origins.len() > 1 {
                let change = if moved_in > 1 {
                    Change::MultipleFieldsMovedToOneof
                } else {
                    Change::FieldMovedToExistingOneof
                };
                self.at(oneof.name.as_str(), |comparison| comparison.add(change));
            }
        }
    }

    fn removed(&mut self, before: &Member<'a>, gone: &BTreeSet<&str>) {
        let number = before.number;
        match before.oneof {
            Some(oneof) if gone.contains(oneof) => {}
            Some(oneof) => self.at(oneof, |comparison| {
                comparison.at(number, |comparison| {
                    comparison.add(Change::OneofFieldRemoved);
                });
            }),
            None => {
                let change = match before.label {
                    Some(Label::Required) => Change::RequiredFieldRemoved,
                    _ => Change::FieldRemoved,
                };
                self.at(number, |comparison| comparison.add(change));
            }
        }
    }

    fn added(&mut self, after: &Member<'a>) {
        let number = after.number;
        match after.oneof {
            Some(oneof) => self.at(oneof, |comparison| {
                comparison.at(number, |comparison| {
                    comparison.add(Change::OneofFieldAdded);
                });
            }),
            None => {
                let change = match after.label {
                    Some(Label::Required) => Change::RequiredFieldAdded,
                    _ => Change::FieldAdded,
                };
                self.at(number, |comparison| comparison.add(change));
            }
        }
    }

    fn kept(
        &mut self,
        before: &Member<'a>,
        after: &Member<'a>,
        scopes: &Scopes,
    ) -> Result<(), SchemaError> {
        let number = after.number;
        if before.oneof.is_some() && after.oneof.is_none() {
            self.at(number, |comparison| {
                comparison.add(Change::OneofFieldMovedToTopLevel);
            });
        }
        match after.oneof {
            Some(oneof) => self.at(oneof, |comparison| {
                comparison.at(number, |comparison| {
                    comparison.member(before, after, scopes)
                })
            }),
            None => self.at(number, |comparison| {
                comparison.member(before, after, scopes)
            }),
        }
    }

    fn member(
        &mut self,
        before: &Member<'a>,
        after: &Member<'a>,
        scopes: &Scopes,
    ) -> Result<(), SchemaError> {
        if before.name != after.name {
            self.add(Change::FieldNameChanged);
        }
        let original = member_kind(&self.original, &before.kind, &scopes.original);
        let update = member_kind(&self.update, &after.kind, &scopes.update);
        self.kinds(before.label, after.label, &original, &update)
    }

    fn kinds(
        &mut self,
        before: Option<Label>,
        after: Option<Label>,
        original: &Kind<'a>,
        update: &Kind<'a>,
    ) -> Result<(), SchemaError> {
        match (original, update) {
            (Kind::Map(key, value), Kind::Map(other_key, other_value)) => {
                if scalar_group(*key) != scalar_group(*other_key) {
                    self.add(Change::FieldScalarKindChanged);
                }
                self.kinds(None, None, value, other_value)
            }
            (Kind::Message(name, source, message), Kind::Message(other, other_source, another)) => {
                let before = (name.as_str(), *source, *message);
                self.message_types(before, (other.as_str(), *other_source, *another))
            }
            (
                Kind::Unknown(name) | Kind::Message(name, ..),
                Kind::Unknown(other) | Kind::Message(other, ..),
            ) => {
                if name != other {
                    self.add(Change::FieldNamedTypeChanged);
                }
                Ok(())
            }
            (Kind::Scalar(_) | Kind::Enum, Kind::Scalar(_) | Kind::Enum) => {
                let group = |kind: &Kind<'_>| match kind {
                    Kind::Scalar(scalar) => scalar_group(*scalar),
                    _ => WireGroup::GeneralNumber,
                };
                if group(original) != group(update) {
                    self.add(Change::FieldScalarKindChanged);
                } else if let (Some(before), Some(after)) = (before, after)
                    && before != after
                {
                    self.add(if group(original) == WireGroup::StringOrBytes {
                        Change::FieldStringOrBytesLabelChanged
                    } else {
                        Change::FieldNumericLabelChanged
                    });
                }
                Ok(())
            }
            _ => {
                self.add(Change::FieldKindChanged);
                Ok(())
            }
        }
    }

    fn message_types(
        &mut self,
        (name, source, message): (&str, &'a Source, &'a Message),
        (other, other_source, another): (&str, &'a Source, &'a Message),
    ) -> Result<(), SchemaError> {
        let local = local_name(name, source);
        if local != local_name(other, other_source) {
            self.add(Change::FieldNamedTypeChanged);
            return Ok(());
        }
        let own = std::ptr::eq(source, self.original.main)
            && std::ptr::eq(other_source, self.update.main);
        // Types of the two schemas themselves are compared by name; a file that both see is one file.
        if own || std::ptr::eq(source, other_source) {
            return Ok(());
        }
        let pair: (*const Message, *const Message) = (message, another);
        if let Some(known) = self.across.get(&pair) {
            if *known == Some(true) {
                self.add(Change::FieldNamedTypeChanged);
            }
            return Ok(());
        }
        self.across.insert(pair, None);
        let parts: Vec<String> = local.split('.').map(str::to_owned).collect();
        let within = parts.iter().cloned().map(Part::from).collect();
        let path = std::mem::replace(&mut self.path, within);
        let scope = std::mem::replace(&mut self.scope, parts);
        let packages = (self.original.package, self.update.package);
        self.original.package = source.file.package();
        self.update.package = other_source.file.package();
        let before = self.found.len();
        let result = self.message(message, another);
        (self.original.package, self.update.package) = packages;
        self.path = path;
        self.scope = scope;
        result?;
        let incompatible = self
            .found
            .get(before..)
            .is_some_and(|new| new.iter().any(|each| !each.change.is_compatible()));
        self.across.insert(pair, Some(incompatible));
        if incompatible {
            self.add(Change::FieldNamedTypeChanged);
        }
        Ok(())
    }
}

fn local_name<'n>(full: &'n str, source: &Source) -> &'n str {
    let package = source.file.package();
    full.strip_prefix(package)
        .and_then(|rest| rest.strip_prefix('.'))
        .filter(|_| !package.is_empty())
        .unwrap_or(full)
}

fn member_kind<'a>(side: &Side<'a>, kind: &MemberKind<'a>, scope: &str) -> Kind<'a> {
    match kind {
        MemberKind::Field(kind) => resolved(&side.names, kind, scope),
        MemberKind::Group(group) => named_kind(&side.names, &group.body.name, scope),
    }
}

fn join_scope(package: &str, scope: &str) -> String {
    if scope.is_empty() {
        package.to_owned()
    } else {
        join(package, scope)
    }
}

fn resolved<'a>(names: &Names<'a>, kind: &FieldType, scope: &str) -> Kind<'a> {
    match kind {
        FieldType::Scalar(scalar) => Kind::Scalar(*scalar),
        FieldType::Map(key, value) => Kind::Map(*key, Box::new(resolved(names, value, scope))),
        FieldType::Named(name) => named_kind(names, name, scope),
    }
}

/// The kind of a declared type; a map entry that is written out is a map.
fn named_kind<'a>(names: &Names<'a>, name: &str, scope: &str) -> Kind<'a> {
    match declared_kind(names, name, scope) {
        Kind::Message(full, source, message) => match map_entry(message) {
            Some((key, value)) if !matches!(value, FieldType::Map(..)) => {
                Kind::Map(key, Box::new(resolved_value(names, value, &full)))
            }
            _ => Kind::Message(full, source, message),
        },
        other => other,
    }
}

fn declared_kind<'a>(names: &Names<'a>, name: &str, scope: &str) -> Kind<'a> {
    match names.resolve(name, scope) {
        Some((full, named)) => match named.declared {
            Declared::Enum(_) => Kind::Enum,
            Declared::Message(message) => Kind::Message(full, named.source, message),
        },
        None => Kind::Unknown(name.to_owned()),
    }
}

/// The value of a map entry that is written out; an entry whose value is an entry again is taken for a message.
fn resolved_value<'a>(names: &Names<'a>, value: &FieldType, scope: &str) -> Kind<'a> {
    match value {
        FieldType::Named(name) => declared_kind(names, name, scope),
        FieldType::Scalar(scalar) => Kind::Scalar(*scalar),
        FieldType::Map(..) => Kind::Unknown(value.to_string()),
    }
}

/// The fields and groups of a message by number; of several with one number the last is meant.
struct Members<'a>(Vec<Member<'a>>);

impl<'a> Members<'a> {
    fn of(message: &'a Message) -> Self {
        let mut members = Vec::with_capacity(message.fields.len());
        collect(&mut members, &message.fields, &message.groups, None);
        for oneof in &message.oneofs {
            let name = Some(oneof.name.as_str());
            collect(&mut members, &oneof.fields, &oneof.groups, name);
        }
        // Stable: within one number the last stays last, and is the one that is kept.
        members.sort_by_key(|member| std::cmp::Reverse(member.number));
        members.reverse();
        members.dedup_by_key(|member| member.number);
        Self(members)
    }

    fn get(&self, number: i32) -> Option<&Member<'a>> {
        let place = self.0.binary_search_by_key(&number, |member| member.number);
        place.ok().and_then(|place| self.0.get(place))
    }
}

fn collect<'a>(
    members: &mut Vec<Member<'a>>,
    fields: &'a [Field],
    groups: &'a [Group],
    oneof: Option<&'a str>,
) {
    members.extend(fields.iter().map(|field| Member {
        number: field.number,
        name: Cow::Borrowed(field.name.as_str()),
        label: field.label,
        kind: MemberKind::Field(&field.kind),
        oneof,
    }));
    members.extend(groups.iter().map(|group| Member {
        number: group.number,
        name: Cow::Owned(group.body.name.to_ascii_lowercase()),
        label: group.label,
        kind: MemberKind::Group(group),
        oneof,
    }));
}

fn oneof_names(message: &Message) -> BTreeSet<&str> {
    message
        .oneofs
        .iter()
        .map(|oneof| oneof.name.as_str())
        .collect()
}

/// The oneofs of the original of which nothing is left at all.
fn deleted_oneofs<'a>(
    original: &'a Message,
    after_oneofs: &BTreeSet<&str>,
    after: &Members<'_>,
) -> BTreeSet<&'a str> {
    original
        .oneofs
        .iter()
        .filter(|oneof| !after_oneofs.contains(oneof.name.as_str()))
        .filter(|oneof| {
            let fields = oneof.fields.iter().map(|field| field.number);
            let mut numbers = fields.chain(oneof.groups.iter().map(|group| group.number));
            !numbers.any(|number| after.get(number).is_some())
        })
        .map(|oneof| oneof.name.as_str())
        .collect()
}

/// Scalars that read each other's bytes (the language guide, "Updating A Message Type").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WireGroup {
    GeneralNumber,
    SignedNumber,
    StringOrBytes,
    Fixed32,
    Fixed64,
    Float,
    Double,
}

fn scalar_group(scalar: Scalar) -> WireGroup {
    match scalar {
        Scalar::Int32 | Scalar::Int64 | Scalar::Uint32 | Scalar::Uint64 | Scalar::Bool => {
            WireGroup::GeneralNumber
        }
        Scalar::Sint32 | Scalar::Sint64 => WireGroup::SignedNumber,
        Scalar::String | Scalar::Bytes => WireGroup::StringOrBytes,
        Scalar::Fixed32 | Scalar::Sfixed32 => WireGroup::Fixed32,
        Scalar::Fixed64 | Scalar::Sfixed64 => WireGroup::Fixed64,
        Scalar::Float => WireGroup::Float,
        Scalar::Double => WireGroup::Double,
    }
}

#[cfg(test)]
mod tests;
