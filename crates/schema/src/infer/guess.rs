//! From a profile to the type it speaks for, whatever the format.
//!
//! One kind of value is one type; several are a choice of types. An object is a record, unless its names are data:
//! not names at all, or many of which few occur at a time.

use super::ProposedTag;
use super::profile::Profile;
use super::shapes::{Shape, tag_of_name, words};
use crate::avro::is_name;

/// From how many names on an object may be a map for their rarity.
const MAP_NAMES_MIN: usize = 30;

/// A type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Guess {
    /// Nothing but null was seen.
    Null,
    Boolean,
    Long,
    /// Milliseconds since 1970.
    TimestampMillis,
    Double,
    String,
    Uuid,
    DateTime,
    Date,
    Array(Box<Slot>),
    Map(Box<Slot>),
    Record(Vec<Member>),
    /// One of several.
    Any(Vec<Guess>),
}

/// A type that may be null.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slot {
    pub(crate) guess: Guess,
    pub(crate) is_nullable: bool,
}

/// A field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    /// As in the data.
    pub(crate) name: String,
    pub(crate) slot: Slot,
    /// Every object had it.
    pub(crate) is_required: bool,
    pub(crate) tags: Vec<&'static str>,
}

/// The type of whole records: an object is a record there, whatever its names.
pub(crate) fn root(profile: &Profile) -> Slot {
    slot(profile, "", true)
}

fn slot(profile: &Profile, name: &str, is_root: bool) -> Slot {
    let mut kinds = Vec::new();
    if profile.booleans > 0 {
        kinds.push(Guess::Boolean);
    }
    if profile.doubles > 0 {
        kinds.push(Guess::Double);
    } else if profile.integers > 0 {
        kinds.push(whole(profile, name));
    }
    if profile.strings > 0 {
        kinds.push(string(profile));
    }
    if profile.arrays > 0 {
        let items = profile.items.as_deref();
        let inner = items.map_or_else(empty, |items| slot(items, name, false));
        kinds.push(Guess::Array(Box::new(inner)));
    }
    if profile.objects > 0 {
        kinds.push(if is_root || !is_map(profile) {
            Guess::Record(members(profile))
        } else {
            Guess::Map(Box::new(slot(&profile.entries(), name, false)))
        });
    }
    let is_nullable = profile.nulls > 0;
    let guess = match kinds.len() {
        0 => Guess::Null,
        1 => kinds.remove(0),
        _ => Guess::Any(kinds),
    };
    Slot { guess, is_nullable }
}

/// What an empty array is of.
fn empty() -> Slot {
    Slot {
        guess: Guess::Null,
        is_nullable: true,
    }
}

fn members(profile: &Profile) -> Vec<Member> {
    profile
        .fields
        .iter()
        .map(|(name, field)| Member {
            name: name.clone(),
            slot: slot(field, name, false),
            is_required: field.values == profile.objects,
            tags: tags(name, field).into_iter().map(|tag| tag.tag).collect(),
        })
        .collect()
}

/// A whole number, or a moment if the name says so and all are between 1973 and 2096.
fn whole(profile: &Profile, name: &str) -> Guess {
    let is_moment = profile
        .integer_range
        .is_some_and(|(low, high)| low >= 100_000_000_000 && high < 4_000_000_000_000);
    let is_named = words(name).iter().any(|word| {
        matches!(
            word.as_str(),
            "time" | "timestamp" | "ts" | "at" | "date" | "created" | "updated" | "modified"
        )
    });
    if is_moment && is_named {
        Guess::TimestampMillis
    } else {
        Guess::Long
    }
}

fn string(profile: &Profile) -> Guess {
    for (shape, guess) in [
        (Shape::Uuid, Guess::Uuid),
        (Shape::DateTime, Guess::DateTime),
        (Shape::Date, Guess::Date),
    ] {
        if profile.shaped(shape) == profile.strings {
            return guess;
        }
    }
    Guess::String
}

pub(crate) fn is_map(profile: &Profile) -> bool {
    let count = profile.fields.len();
    if count == 0 || profile.fields.iter().any(|(name, _)| !is_name(name)) {
        return true;
    }
    let present: u64 = profile.fields.iter().map(|(_, field)| field.values).sum();
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    // On average an object has less than a third of the names.
    count >= MAP_NAMES_MIN as u64
        && present.saturating_mul(3) < count.saturating_mul(profile.objects)
        && profile.entries().kinds() == 1
}

/// The tags that a field's values or its name speak for.
pub(crate) fn tags(name: &str, profile: &Profile) -> Vec<ProposedTag> {
    let values = match &profile.items {
        Some(items) if profile.arrays > 0 => items,
        _ => profile,
    };
    let mut found: Option<(&'static str, String)> = None;
    for shape in Shape::ALL {
        let count = values.shaped(shape);
        // Nine in ten.
        if let Some((tag, what)) = shape.tag()
            && count > 0
            && count.saturating_mul(10) >= values.strings.saturating_mul(9)
        {
            let share = count.saturating_mul(100) / values.strings.max(1);
            found = Some((tag, format!("{share} % of its strings look like {what}")));
            break;
        }
    }
    let has_scalars = values.strings + values.integers > 0;
    if found.is_none()
        && has_scalars
        && let Some(tag) = tag_of_name(name)
    {
        found = Some((tag, format!("its name is {name}")));
    }
    match found {
        Some((tag, why)) => vec![
            ProposedTag {
                tag: "PII",
                why: why.clone(),
            },
            ProposedTag { tag, why },
        ],
        None => Vec::new(),
    }
}

/// A name for a type: `order_items` is `OrderItems`.
pub(crate) fn type_name(name: &str) -> String {
    let mut out = String::new();
    // The words are in lower case; those that were capitalised within stay apart.
    for word in words(name) {
        let mut chars = word.chars();
        out.extend(chars.next().into_iter().flat_map(char::to_uppercase));
        out.push_str(chars.as_str());
    }
    out.retain(|ch| ch.is_ascii_alphanumeric());
    if !out.starts_with(|ch: char| ch.is_ascii_alphabetic()) {
        out.insert_str(0, "Record");
    }
    out
}

/// `name`, made one that `taken` does not have yet, and put there.
pub(crate) fn unique(name: String, taken: &mut std::collections::HashSet<String>) -> String {
    let mut candidate = name.clone();
    let mut count = 2;
    while !taken.insert(candidate.clone()) {
        candidate = format!("{name}{count}");
        count += 1;
    }
    candidate
}

/// `name` with what a field's name may not have replaced by underscores.
pub(crate) fn field_name(name: &str) -> String {
    let mut out: String = name
        .chars()
        .map(|ch| if ch.is_ascii_alphanumeric() { ch } else { '_' })
        .collect();
    if !out.starts_with(|ch: char| ch.is_ascii_alphabetic() || ch == '_') {
        out.insert(0, '_');
    }
    out
}
