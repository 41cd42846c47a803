//! A JSON text as a tree that forgets nothing a schema's text needs: the order of members, the digits of numbers.
//!
//! `serde_json::Value` would round `1.10`, `1e400` and integers of more than 64 bits; Confluent's registry keeps
//! them (Jackson with exact big decimals), and a text that changes is another schema with another id.
//!
//! **Invariants:** an object has each name once; a name that comes twice keeps the place of its first and the value
//! of its last occurrence, as in Jackson.

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::number;

/// One value of a JSON text.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as Java prints it ([`number::canonical`]).
    Number(Box<str>),
    /// A string, without its escapes.
    String(String),
    /// An array.
    Array(Vec<Node>),
    /// An object.
    Object(Object),
}

/// The members of an object in the order of the text.
#[derive(Debug, Clone, Default)]
pub(super) struct Object {
    members: Vec<(String, Node)>,
    /// The places of `members`, sorted by name.
    order: Vec<u32>,
}

impl Object {
    /// Of members in the order of the text, in which names may come more than once.
    pub(super) fn new(members: Vec<(String, Node)>) -> Self {
        let mut order: Vec<usize> = (0..members.len()).collect();
        order.sort_by(|&left, &right| name_at(&members, left).cmp(name_at(&members, right)));
        let repeats = order
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if name_at(&members, *a) == name_at(&members, *b)));
        if repeats {
            return Self::new(without_repeats(members));
        }
        let order = order
            .into_iter()
            .map(|place| u32::try_from(place).unwrap_or(u32::MAX))
            .collect();
        Self { members, order }
    }

    /// The members in the order of the text.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.members
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }

    /// How many members there are.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// The value of that name.
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        self.place_of(name)
            .and_then(|place| self.members.get(place))
            .map(|(_, value)| value)
    }

    /// The value of that name, to change.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Node> {
        let place = self.place_of(name)?;
        self.members.get_mut(place).map(|(_, value)| value)
    }

    /// Whether there is a member of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Gives the member of that name the value, at its place or at the end.
    pub(super) fn set(&mut self, name: &str, value: Node) {
        match self.get_mut(name) {
            Some(old) => *old = value,
            None => {
                let mut members = std::mem::take(&mut self.members);
                members.push((name.to_owned(), value));
                *self = Self::new(members);
            }
        }
    }

    /// Takes the member of that name away.
    pub(super) fn remove(&mut self, name: &str) {
        if self.has(name) {
            let mut members = std::mem::take(&mut self.members);
            members.retain(|(other, _)| other != name);
            *self = Self::new(members);
        }
    }

    /// The members by name, in the order of bytes.
    fn sorted(&self) -> impl Iterator<Item = &(String, Node)> {
        self.order
            .iter()
            .filter_map(|&place| self.members.get(place as usize))
    }

    fn place_of(&self, name: &str) -> Option<usize> {
        self.order
            .binary_search_by(|&place| name_at(&self.members, place as usize).cmp(name))
            .ok()
            .and_then(|at| self.order.get(at))
            .map(|&place| place as usize)
    }
}

fn name_at(members: &[(String, Node)], place: usize) -> &str {
    members.get(place).map_or("", |(name, _)| name.as_str())
}

fn without_repeats(members: Vec<(String, Node)>) -> Vec<(String, Node)> {
    let mut places = std::collections::HashMap::with_capacity(members.len());
    let mut kept: Vec<(String, Node)> = Vec::with_capacity(members.len());
    for (name, value) in members {
        let place = *places.entry(name.clone()).or_insert(kept.len());
        match kept.get_mut(place) {
            Some(earlier) => earlier.1 = value,
            None => kept.push((name, value)),
        }
    }
    kept
}

impl Node {
    /// The object, if it is one.
    pub(super) fn object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The array, if it is one.
    pub(super) fn array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The string, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The member of that name, if this is an object that has it.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.object().and_then(|object| object.get(name))
    }

    /// What kind of value this is, in JSON's words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// How deep values nest in it.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::Array(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Object(object) => {
                1 + object
                    .iter()
                    .map(|(_, value)| value.depth())
                    .max()
                    .unwrap_or(0)
            }
            _ => 1,
        }
    }

    /// The same for `serde_json`, for which a number is a double where it does not fit 64 bits.
    pub(super) fn to_serde(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(text) => number::to_serde(text),
            Self::String(text) => Value::String(text.clone()),
            Self::Array(items) => Value::Array(items.iter().map(Self::to_serde).collect()),
            Self::Object(object) => Value::Object(
                object
                    .iter()
                    .map(|(name, value)| (name.to_owned(), value.to_serde()))
                    .collect(),
            ),
        }
    }

    /// A hash of what the value means: numbers by their value, members by name.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.feed(&mut hasher);
        hasher.finish()
    }

    fn feed(&self, hasher: &mut DefaultHasher) {
        std::mem::discriminant(self).hash(hasher);
        match self {
            Self::Null => {}
            Self::Bool(value) => value.hash(hasher),
            Self::Number(text) => number::plain_value(text).hash(hasher),
            Self::String(text) => text.hash(hasher),
            Self::Array(items) => {
                items.len().hash(hasher);
                for item in items {
                    item.feed(hasher);
                }
            }
            Self::Object(object) => {
                object.len().hash(hasher);
                for (name, value) in object.sorted() {
                    name.hash(hasher);
                    value.feed(hasher);
                }
            }
        }
    }
}

impl PartialEq for Node {
    /// As JSON Schema compares values: `1` is `1.0`, the order of members does not count.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            (Self::Number(left), Self::Number(right)) => {
                left == right || number::plain_value(left) == number::plain_value(right)
            }
            (Self::String(left), Self::String(right)) => left == right,
            (Self::Array(left), Self::Array(right)) => left == right,
            (Self::Object(left), Self::Object(right)) => {
                left.len() == right.len() && left.sorted().eq(right.sorted())
            }
            _ => false,
        }
    }
}

/// Java's order of strings: by UTF-16 code units, which differs from the order of bytes beyond U+FFFF.
pub(super) fn java_order(left: &str, right: &str) -> Ordering {
    left.encode_utf16().cmp(right.encode_utf16())
}
