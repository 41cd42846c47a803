//! What a value has to satisfy beyond its type (`ConfigDef.Validator`).

use super::error::ConfigError;
use super::value::ConfigValue;

/// A rule for the value of a key, with Kafka's error texts.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Rule {
    /// Any value of the type, and null.
    Any,
    /// `Range.atLeast`.
    AtLeast(i64),
    /// `Range.between`.
    Between(i64, i64),
    /// `Range.between` for a key of type DOUBLE with a bound that is no integer.
    BetweenDoubles(f64, f64),
    /// `ValidString.in`.
    OneOf(&'static [&'static str]),
    /// `CaseInsensitiveValidString.in`.
    OneOfIgnoreCase(&'static [&'static str]),
    /// `ValidList.in`: each element is one of `values`.
    EachOneOf {
        /// What may stand in the list.
        values: &'static [&'static str],
        /// Whether the list may be empty.
        empty: bool,
    },
    /// `ValidList.anyNonDuplicateValues`.
    List {
        /// Whether the list may be empty.
        empty: bool,
        /// Whether it may be null.
        null: bool,
    },
    /// `NonEmptyString`; null passes.
    NonEmptyString,
    /// `NonNullValidator`.
    NonNull,
    /// A rule of one key alone.
    Custom {
        /// Says what is wrong with the value of the named key; only called with a value.
        check: fn(&str, &ConfigValue) -> Result<(), ConfigError>,
        /// What the reference page says of it.
        text: &'static str,
    },
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.describe())
    }
}

impl Rule {
    /// The valid values, as Kafka's documentation writes them; empty for [`Rule::Any`].
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Rule::Any => String::new(),
            Rule::AtLeast(min) => format!("[{min},...]"),
            Rule::Between(min, max) => format!("[{min},...,{max}]"),
            Rule::BetweenDoubles(min, max) => format!("[{min},...,{max}]"),
            Rule::OneOf(values) | Rule::EachOneOf { values, .. } => {
                format!("[{}]", values.join(", "))
            }
            Rule::OneOfIgnoreCase(values) => format!("(case insensitive) [{}]", values.join(", ")),
            Rule::List { empty: true, .. } => "any list".to_owned(),
            Rule::List { empty: false, .. } => "any non-empty list".to_owned(),
            Rule::NonEmptyString => "non-empty string".to_owned(),
            Rule::NonNull => "non-null string".to_owned(),
            Rule::Custom { text, .. } => (*text).to_owned(),
        }
    }

    /// A list with each repeated element dropped, where the rule is one of lists: Kafka removes them with a
    /// warning before it looks at the rule (`ConfigDef.parseValue`).
    pub(super) fn without_repeats(&self, value: ConfigValue) -> ConfigValue {
        match (self, value) {
            (Rule::List { .. } | Rule::EachOneOf { .. }, ConfigValue::List(elements)) => {
                let mut unique: Vec<String> = Vec::with_capacity(elements.len());
                for element in elements {
                    if !unique.contains(&element) {
                        unique.push(element);
                    }
                }
                ConfigValue::List(unique)
            }
            (_, value) => value,
        }
    }

    /// Checks a value, or null, of the key `name`.
    ///
    /// # Errors
    /// What Kafka says of such a value.
    pub fn check(&self, name: &str, value: Option<&ConfigValue>) -> Result<(), ConfigError> {
        match self {
            Rule::Any => Ok(()),
            Rule::AtLeast(min) => check_range(name, value, *min as f64, None),
            Rule::Between(min, max) => check_range(name, value, *min as f64, Some(*max as f64)),
            Rule::BetweenDoubles(min, max) => check_range(name, value, *min, Some(*max)),
            Rule::OneOf(values) => match value {
                Some(ConfigValue::Text(text)) if values.contains(&text.as_str()) => Ok(()),
                other => Err(not_one_of(name, other, "String must be one of", values)),
            },
            Rule::OneOfIgnoreCase(values) => match value {
                Some(ConfigValue::Text(text))
                    if values.iter().any(|v| v.eq_ignore_ascii_case(text)) =>
                {
                    Ok(())
                }
                other => {
                    let expected = "String must be one of (case insensitive)";
                    Err(not_one_of(name, other, expected, values))
                }
            },
            Rule::EachOneOf { values, empty } => check_list(name, value, values, *empty, false),
            Rule::List { empty, null } => check_list(name, value, &[], *empty, *null),
            Rule::NonEmptyString => match value {
                Some(ConfigValue::Text(text)) if text.is_empty() => {
                    Err(ConfigError::invalid(name, "", "String must be non-empty"))
                }
                _ => Ok(()),
            },
            Rule::NonNull => match value {
                Some(_) => Ok(()),
                None => Err(ConfigError::invalid(name, "null", "entry must be non null")),
            },
            Rule::Custom { check, .. } => value.map_or(Ok(()), |value| check(name, value)),
        }
    }
}

fn shown(value: Option<&ConfigValue>) -> String {
    value.map_or_else(|| "null".to_owned(), ToString::to_string)
}

fn not_one_of(
    name: &str,
    value: Option<&ConfigValue>,
    expected: &str,
    values: &[&str],
) -> ConfigError {
    ConfigError::invalid(
        name,
        shown(value),
        format!("{expected}: {}", values.join(", ")),
    )
}

/// `Range.ensureValid`, which compares as doubles whatever the type is.
fn check_range(
    name: &str,
    value: Option<&ConfigValue>,
    min: f64,
    max: Option<f64>,
) -> Result<(), ConfigError> {
    let number = match value {
        None => return Err(ConfigError::invalid(name, "null", "Value must be non-null")),
        Some(ConfigValue::Integer(number)) => *number as f64,
        Some(ConfigValue::Double(number)) => *number,
        Some(_) => return Ok(()),
    };
    if number < min {
        let reason = format!("Value must be at least {min}");
        return Err(ConfigError::invalid(name, shown(value), reason));
    }
    match max {
        Some(max) if number > max => {
            let reason = format!("Value must be no more than {max}");
            Err(ConfigError::invalid(name, shown(value), reason))
        }
        _ => Ok(()),
    }
}

/// `ValidList.ensureValid`; no `values` means that any do.
fn check_list(
    name: &str,
    value: Option<&ConfigValue>,
    values: &[&str],
    empty: bool,
    null: bool,
) -> Result<(), ConfigError> {
    let elements = match value {
        None if null => return Ok(()),
        None => {
            return Err(ConfigError::NullList {
                name: name.to_owned(),
            });
        }
        Some(ConfigValue::List(elements)) => elements,
        Some(_) => return Ok(()),
    };
    if elements.is_empty() && !empty {
        let valid = if values.is_empty() {
            "any non-empty value".to_owned()
        } else {
            format!("[{}]", values.join(", "))
        };
        return Err(ConfigError::EmptyList {
            name: name.to_owned(),
            valid,
        });
    }
    for element in elements {
        if element.is_empty() {
            return Err(ConfigError::EmptyElement {
                name: name.to_owned(),
            });
        }
        if !values.is_empty() && !values.contains(&element.as_str()) {
            let reason = format!("String must be one of: {}", values.join(", "));
            return Err(ConfigError::invalid(name, element, reason));
        }
    }
    Ok(())
}
