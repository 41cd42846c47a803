//! Parsed values, and the text Kafka shows for them.

use std::fmt;

use super::error::ConfigError;
use super::key::{ConfigKey, ConfigType};

/// A text that is never printed (`org.apache.kafka.common.config.types.Password`).
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// A value of a key's type.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ConfigValue {
    /// Of a [`ConfigType::BOOLEAN`] key.
    Boolean(bool),
    /// Of a [`ConfigType::STRING`] or [`ConfigType::CLASS`] key.
    Text(String),
    /// Of an [`ConfigType::INT`], [`ConfigType::SHORT`] or [`ConfigType::LONG`] key; the type bounds it.
    Integer(i64),
    /// Of a [`ConfigType::DOUBLE`] key.
    Double(f64),
    /// Of a [`ConfigType::LIST`] key.
    List(Vec<String>),
    /// Of a [`ConfigType::PASSWORD`] key.
    Password(Secret),
}

impl fmt::Display for ConfigValue {
    /// The text Kafka describes the value by (`ConfigDef.convertToString`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigValue::Boolean(value) => value.fmt(f),
            ConfigValue::Text(value) => f.write_str(value),
            ConfigValue::Integer(value) => value.fmt(f),
            ConfigValue::Double(value) => f.write_str(&java_double(*value)),
            ConfigValue::List(values) => f.write_str(&values.join(",")),
            ConfigValue::Password(secret) => secret.fmt(f),
        }
    }
}

/// Parses `text` by the type of `key` (`ConfigDef.parseType`); its rule is not looked at.
pub(super) fn parse(key: &ConfigKey, text: &str) -> Result<ConfigValue, ConfigError> {
    let invalid = |reason: String| ConfigError::invalid(key.name, text, reason);
    let not_a_number = || invalid(format!("Not a number of type {}", key.kind.name()));
    let trimmed = java_trim(text);
    Ok(match key.kind {
        ConfigType::BOOLEAN => {
            if trimmed.eq_ignore_ascii_case("true") {
                ConfigValue::Boolean(true)
            } else if trimmed.eq_ignore_ascii_case("false") {
                ConfigValue::Boolean(false)
            } else {
                return Err(invalid(
                    "Expected value to be either true or false".to_owned(),
                ));
            }
        }
        ConfigType::STRING => ConfigValue::Text(trimmed.to_owned()),
        ConfigType::PASSWORD => ConfigValue::Password(Secret::new(trimmed)),
        ConfigType::SHORT => {
            ConfigValue::Integer(trimmed.parse::<i16>().map_err(|_| not_a_number())?.into())
        }
        ConfigType::INT => {
            ConfigValue::Integer(trimmed.parse::<i32>().map_err(|_| not_a_number())?.into())
        }
        ConfigType::LONG => ConfigValue::Integer(trimmed.parse().map_err(|_| not_a_number())?),
        ConfigType::DOUBLE => ConfigValue::Double(parse_double(trimmed).ok_or_else(not_a_number)?),
        ConfigType::LIST if trimmed.is_empty() => ConfigValue::List(Vec::new()),
        ConfigType::LIST => ConfigValue::List(
            trimmed
                .split(',')
                .map(|e| java_trim(e).to_owned())
                .collect(),
        ),
        ConfigType::CLASS => {
            let known = key.default_text() == Some(trimmed) || key.classes.contains(&trimmed);
            if !known {
                return Err(invalid(format!("Class {text} could not be found.")));
            }
            ConfigValue::Text(trimmed.to_owned())
        }
    })
}

/// `String.trim`: everything up to and including the space character goes.
fn java_trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

/// `Double.parseDouble`, except for hexadecimal notation. Differs: `0x1p-1` is no number here; nobody
/// writes a ratio so.
fn parse_double(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned == "NaN" || unsigned == "Infinity" {
        return text.parse().ok();
    }
    let digits = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    // Rust also reads "inf" and "nan" in any case, which Java does not.
    let plain = digits
        .bytes()
        .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    if plain { digits.parse().ok() } else { None }
}

/// `Double.toString`: decimal from 10^-3 up to 10^7, else with an exponent, always with a fraction.
#[must_use]
pub fn java_double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        return format!("{value:?}");
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    if mantissa.contains('.') {
        format!("{mantissa}E{exponent}")
    } else {
        format!("{mantissa}.0E{exponent}")
    }
}
