//! Data as it stands in a request: not copied where it need not be.
//!
//! A string is borrowed where JSON's escapes allow, and what is no string is kept as JSON without white space, made in
//! the one pass that also checks it: a record of a kilobyte costs no tree of values.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A string, borrowed where JSON's escapes allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Str<'a>(Cow<'a, str>);

impl std::ops::Deref for Str<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(StrVisitor).map(Self)
    }
}

struct StrVisitor;

impl<'de> Visitor<'de> for StrVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text))
    }
}

/// What is in `data`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum Data<'a> {
    /// Nothing, or null.
    #[default]
    Null,
    /// A string.
    Text(Cow<'a, str>),
    /// Anything else: its JSON, without white space between tokens.
    Json(Vec<u8>),
}

impl Data<'_> {
    /// The JSON that stands in the request.
    pub(crate) fn into_json(self) -> Vec<u8> {
        match self {
            Self::Null => b"null".to_vec(),
            Self::Text(text) => {
                let mut json = Vec::with_capacity(text.len() + 2);
                write_json(&mut json, &*text);
                json
            }
            Self::Json(json) => json,
        }
    }
}

impl fmt::Display for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Text(text) => f.write_str(text),
            Self::Json(json) => f.write_str(&String::from_utf8_lossy(json)),
        }
    }
}

/// Numbers, strings and the like cannot fail to be JSON.
fn write_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("a scalar is JSON, and memory takes what is written");
}

impl<'de: 'a, 'a> Deserialize<'de> for Data<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DataVisitor)
    }
}

struct DataVisitor;

macro_rules! scalars {
    ($($visit:ident: $kind:ty),+) => {
        $(fn $visit<E>(self, value: $kind) -> Result<Self::Value, E> {
            let mut json = Vec::new();
            write_json(&mut json, &value);
            Ok(Data::Json(json))
        })+
    };
}

impl<'de> Visitor<'de> for DataVisitor {
    type Value = Data<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Data::Null)
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Data::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Data::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Data::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Data::Text(Cow::Owned(text)))
    }

    scalars!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        let mut json = Vec::new();
        Compact(&mut json).visit_seq(items)?;
        Ok(Data::Json(json))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        let mut json = Vec::new();
        Compact(&mut json).visit_map(members)?;
        Ok(Data::Json(json))
    }
}

/// Writes what is read, without white space.
struct Compact<'o>(&'o mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for Compact<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! written {
    ($($visit:ident: $kind:ty),+) => {
        $(fn $visit<E>(self, value: $kind) -> Result<(), E> {
            write_json(self.0, &value);
            Ok(())
        })+
    };
}

impl<'de> Visitor<'de> for Compact<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.extend_from_slice(b"null");
        Ok(())
    }

    fn visit_none<E>(self) -> Result<(), E> {
        self.0.extend_from_slice(b"null");
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<(), D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        write_json(self.0, text);
        Ok(())
    }

    written!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.0.push(b'[');
        let begin = self.0.len();
        loop {
            let before = self.0.len();
            if before > begin {
                self.0.push(b',');
            }
            if items.next_element_seed(Compact(&mut *self.0))?.is_none() {
                self.0.truncate(before);
                break;
            }
        }
        self.0.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        self.0.push(b'{');
        let begin = self.0.len();
        loop {
            let before = self.0.len();
            if before > begin {
                self.0.push(b',');
            }
            if members.next_key_seed(Compact(&mut *self.0))?.is_none() {
                self.0.truncate(before);
                break;
            }
            self.0.push(b':');
            members.next_value_seed(Compact(&mut *self.0))?;
        }
        self.0.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn data(json: &str) -> Data<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn strings_are_borrowed_and_the_rest_is_json_without_space() {
        assert!(matches!(
            data("\"AQI=\""),
            Data::Text(Cow::Borrowed("AQI="))
        ));
        assert_eq!(data(r#""a\nb""#), Data::Text(Cow::Owned("a\nb".to_owned())));
        assert_eq!(data(" null "), Data::Null);
        let compact = |text: &str| String::from_utf8(data(text).into_json()).unwrap();
        assert_eq!(
            compact(r#"{ "b" : 1, "a": [ true , -1.5, "é\"" , null, { } ,[ ] ] }"#),
            r#"{"b":1,"a":[true,-1.5,"é\"",null,{},[]]}"#
        );
        assert_eq!(compact("18446744073709551615"), "18446744073709551615");
        assert_eq!(compact(r#""a\"b""#), r#""a\"b""#);
        assert_eq!(compact("null"), "null");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(".{0,5}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_means_what_was_read(value in any_json()) {
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(data(&pretty).into_json(), serde_json::to_vec(&value).unwrap());
        }
    }
}
