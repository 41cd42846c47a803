//! What was seen at one place of many records, in bounded memory.
//!
//! A profile counts kinds, keeps extremes, a few examples and an estimate of how many different values there were
//! (the smallest hashes seen: exact below their number, within a few percent above).

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value as Json;

use super::shapes::Shape;

/// How many hashes an estimate keeps.
const HASHES_MAX: usize = 256;
/// How many examples are kept.
const EXAMPLES_MAX: usize = 3;
/// How many bytes of a string an example shows.
const EXAMPLE_BYTES_MAX: usize = 80;
/// How deep profiles go; what lies deeper is text.
const DEPTH_MAX: usize = 32;

/// How many different values there were.
#[derive(Debug, Clone, Default)]
pub(crate) struct Distinct {
    smallest: BTreeSet<u64>,
}

impl Distinct {
    fn add(&mut self, value: &Json) {
        let mut hasher = DefaultHasher::new();
        match value {
            Json::String(text) => text.hash(&mut hasher),
            other => other.to_string().hash(&mut hasher),
        }
        self.keep(hasher.finish());
    }

    fn keep(&mut self, hash: u64) {
        if self.smallest.len() >= HASHES_MAX
            && self.smallest.last().is_some_and(|largest| hash > *largest)
        {
            return;
        }
        self.smallest.insert(hash);
        if self.smallest.len() > HASHES_MAX {
            self.smallest.pop_last();
        }
    }

    fn merge(&mut self, other: &Self) {
        for hash in &other.smallest {
            self.keep(*hash);
        }
    }

    /// The estimate.
    pub(crate) fn count(&self) -> u64 {
        let kept = self.smallest.len();
        match self.smallest.last() {
            Some(largest) if kept >= HASHES_MAX && *largest > 0 => {
                // That many hashes lie below the largest kept: so many lie in the whole range.
                let kept = u128::try_from(kept - 1).unwrap_or(0);
                let count = kept * u128::from(u64::MAX) / u128::from(*largest);
                u64::try_from(count).unwrap_or(u64::MAX)
            }
            _ => u64::try_from(kept).unwrap_or(u64::MAX),
        }
    }
}

/// What was seen at one place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Profile {
    /// Values, nulls among them.
    pub(crate) values: u64,
    pub(crate) nulls: u64,
    pub(crate) booleans: u64,
    /// Whole numbers of 64 bits.
    pub(crate) integers: u64,
    /// Other numbers.
    pub(crate) doubles: u64,
    /// Of all numbers.
    pub(crate) range: Option<(f64, f64)>,
    /// Of whole numbers.
    pub(crate) integer_range: Option<(i64, i64)>,
    pub(crate) strings: u64,
    /// Of strings in characters, of arrays in items.
    pub(crate) lengths: Option<(usize, usize)>,
    /// How many strings have each of [`Shape::ALL`].
    pub(crate) shapes: [u64; Shape::ALL.len()],
    pub(crate) objects: u64,
    /// The names within objects, as first seen.
    pub(crate) fields: Vec<(String, Profile)>,
    index: HashMap<String, usize>,
    pub(crate) arrays: u64,
    pub(crate) items: Option<Box<Profile>>,
    pub(crate) distinct: Distinct,
    pub(crate) examples: Vec<Json>,
}

impl Profile {
    /// Takes one value in. `room` is how many more profiles there may be; names beyond it are left out.
    pub(crate) fn add(&mut self, value: &Json, depth: usize, room: &mut usize) {
        self.values += 1;
        match value {
            Json::Null => self.nulls += 1,
            Json::Object(map) if depth < DEPTH_MAX => {
                self.objects += 1;
                for (name, value) in map {
                    if let Some(field) = self.field(name, room) {
                        field.add(value, depth + 1, room);
                    }
                }
            }
            Json::Array(items) if depth < DEPTH_MAX => {
                self.arrays += 1;
                self.length(items.len());
                let inner = self.items.get_or_insert_default();
                for item in items {
                    inner.add(item, depth + 1, room);
                }
            }
            scalar => self.scalar(scalar),
        }
    }

    fn field(&mut self, name: &str, room: &mut usize) -> Option<&mut Self> {
        let at = match self.index.get(name) {
            Some(at) => *at,
            None => {
                *room = room.checked_sub(1)?;
                self.fields.push((name.to_owned(), Self::default()));
                self.index.insert(name.to_owned(), self.fields.len() - 1);
                self.fields.len() - 1
            }
        };
        self.fields.get_mut(at).map(|(_, profile)| profile)
    }

    fn scalar(&mut self, value: &Json) {
        self.distinct.add(value);
        self.example(value);
        match value {
            Json::Bool(_) => self.booleans += 1,
            Json::Number(number) => {
                if let Some(whole) = number.as_i64() {
                    self.integers += 1;
                    widen(&mut self.integer_range, whole);
                } else {
                    self.doubles += 1;
                }
                widen(&mut self.range, number.as_f64().unwrap_or(0.0));
            }
            Json::String(text) => {
                self.strings += 1;
                self.length(text.chars().count());
                for (count, shape) in self.shapes.iter_mut().zip(Shape::ALL) {
                    *count += u64::from(shape.fits(text));
                }
            }
            // Too deep to look into.
            _ => self.strings += 1,
        }
    }

    fn length(&mut self, length: usize) {
        widen(&mut self.lengths, length);
    }

    fn example(&mut self, value: &Json) {
        if self.examples.len() >= EXAMPLES_MAX {
            return;
        }
        let example = match value {
            Json::String(text) => {
                let cut = text.get(..text.floor_char_boundary(EXAMPLE_BYTES_MAX));
                Json::from(cut.unwrap_or_default())
            }
            Json::Object(_) | Json::Array(_) => return,
            other => other.clone(),
        };
        if !self.examples.contains(&example) {
            self.examples.push(example);
        }
    }

    /// The strings that have the shape.
    pub(crate) fn shaped(&self, shape: Shape) -> u64 {
        Shape::ALL
            .into_iter()
            .zip(self.shapes)
            .find_map(|(known, count)| (known == shape).then_some(count))
            .unwrap_or(0)
    }

    /// How many kinds of value there were, null aside, all numbers being one.
    pub(crate) fn kinds(&self) -> usize {
        [
            self.booleans,
            self.integers + self.doubles,
            self.strings,
            self.objects,
            self.arrays,
        ]
        .into_iter()
        .filter(|count| *count > 0)
        .count()
    }

    /// All values of an object as one, for an object whose names are data.
    pub(crate) fn entries(&self) -> Self {
        let mut merged = Self::default();
        for (_, field) in &self.fields {
            merged.merge(field);
        }
        merged
    }

    fn merge(&mut self, other: &Self) {
        self.values += other.values;
        self.nulls += other.nulls;
        self.booleans += other.booleans;
        self.integers += other.integers;
        self.doubles += other.doubles;
        self.strings += other.strings;
        self.objects += other.objects;
        self.arrays += other.arrays;
        if let Some((low, high)) = other.range {
            widen(&mut self.range, low);
            widen(&mut self.range, high);
        }
        if let Some((low, high)) = other.integer_range {
            widen(&mut self.integer_range, low);
            widen(&mut self.integer_range, high);
        }
        if let Some((low, high)) = other.lengths {
            widen(&mut self.lengths, low);
            widen(&mut self.lengths, high);
        }
        for (count, more) in self.shapes.iter_mut().zip(other.shapes) {
            *count += more;
        }
        // The profiles exist already, so they cost no room.
        let mut room = usize::MAX;
        for (name, field) in &other.fields {
            if let Some(known) = self.field(name, &mut room) {
                known.merge(field);
            }
        }
        if let Some(items) = &other.items {
            self.items.get_or_insert_default().merge(items);
        }
        self.distinct.merge(&other.distinct);
        for example in &other.examples {
            self.example(example);
        }
    }
}

fn widen<T: PartialOrd + Copy>(range: &mut Option<(T, T)>, value: T) {
    *range = Some(match *range {
        None => (value, value),
        Some((low, high)) => (
            if value < low { value } else { low },
            if value > high { value } else { high },
        ),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_values_are_counted_exactly_while_few_and_nearly_when_many() {
        let mut distinct = Distinct::default();
        for n in 0..100 {
            distinct.add(&Json::from(n % 50));
        }
        assert_eq!(distinct.count(), 50);
        for n in 0..100_000 {
            distinct.add(&Json::from(n));
        }
        let count = distinct.count();
        assert!((80_000..120_000).contains(&count), "{count}");
    }

    #[test]
    fn names_beyond_the_room_are_left_out() {
        let mut profile = Profile::default();
        let mut room = 2;
        profile.add(
            &serde_json::json!({"a": 1, "b": {"c": 2}, "d": 3}),
            0,
            &mut room,
        );
        assert_eq!(profile.fields.len(), 2);
        assert_eq!(profile.objects, 1);
    }
}
