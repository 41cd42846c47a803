//! `--config key=value,key=value`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::str::FromStr;

use crate::failure::{Failure, Outcome};

/// The value of one `--config`: its pieces, cut at the commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings(Vec<String>);

impl FromStr for Settings {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Settings, Infallible> {
        Ok(Settings(text.split(',').map(str::to_owned).collect()))
    }
}

/// Reads all `--config` flags. A piece without `=` belongs to the value before it, so that
/// `cleanup.policy=compact,delete` means what it says.
///
/// # Errors
/// A piece that is no `key=value` and has nothing before it, or a key given twice.
pub(crate) fn parse(flags: &[Settings]) -> Outcome<BTreeMap<String, String>> {
    let mut settings: BTreeMap<String, String> = BTreeMap::new();
    for Settings(pieces) in flags {
        let mut key: Option<String> = None;
        for piece in pieces {
            match (
                piece.split_once('='),
                key.as_ref().and_then(|key| settings.get_mut(key)),
            ) {
                (Some((name, value)), _) if !name.trim().is_empty() => {
                    let name = name.trim().to_owned();
                    if settings
                        .insert(name.clone(), value.trim().to_owned())
                        .is_some()
                    {
                        return Err(Failure::new(format!("config '{name}' is given twice")));
                    }
                    key = Some(name);
                }
                (None, Some(value)) => {
                    value.push(',');
                    value.push_str(piece.trim());
                }
                _ => {
                    return Err(Failure::new(format!(
                        "config '{piece}' is not of the form key=value"
                    ))
                    .remedy("--config retention.ms=86400000,cleanup.policy=delete"));
                }
            }
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(flags: &[&str]) -> Result<Vec<(String, String)>, String> {
        let flags: Vec<Settings> = flags.iter().map(|flag| flag.parse().unwrap()).collect();
        parse(&flags)
            .map(|settings| settings.into_iter().collect())
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn pieces_without_an_equals_sign_continue_the_value() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            parsed(&["cleanup.policy=compact,delete,retention.ms = 5", "a=b=c"]),
            Ok(vec![
                pair("a", "b=c"),
                pair("cleanup.policy", "compact,delete"),
                pair("retention.ms", "5"),
            ])
        );
        assert_eq!(parsed(&["empty="]), Ok(vec![pair("empty", "")]));
    }

    #[test]
    fn what_is_no_setting_is_named() {
        for bad in ["retention.ms", "=5", ""] {
            let error = parsed(&[bad]).unwrap_err();
            assert!(error.contains(&format!("'{bad}'")), "{error}");
        }
        assert!(
            parsed(&["a=1", "a=2"])
                .unwrap_err()
                .contains("'a' is given twice")
        );
    }
}
