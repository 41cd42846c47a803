//! `affluent.toml`: nested tables are dotted names, arrays are comma-separated lists.

use toml::{Table, Value};

/// Reads the file's text. An error says what is wrong and where.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let table: Table = text
        .parse()
        .map_err(|error: toml::de::Error| error.to_string())?;
    let mut pairs = Vec::new();
    flatten("", table, &mut pairs)?;
    Ok(pairs)
}

fn flatten(prefix: &str, table: Table, pairs: &mut Vec<(String, String)>) -> Result<(), String> {
    for (key, value) in table {
        let name = if prefix.is_empty() {
            key
        } else {
            format!("{prefix}.{key}")
        };
        match value {
            Value::Table(inner) => flatten(&name, inner, pairs)?,
            Value::Array(items) => {
                let items: Result<Vec<String>, String> =
                    items.into_iter().map(|item| scalar(&name, item)).collect();
                pairs.push((name, items?.join(",")));
            }
            value => {
                let text = scalar(&name, value)?;
                pairs.push((name, text));
            }
        }
    }
    Ok(())
}

fn scalar(name: &str, value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(boolean) => Ok(boolean.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => Err(format!(
            "'{name}' holds: {}; expected a string, a number, a boolean, or an array of these",
            value.type_str()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_dots_and_quoted_keys_mean_the_same() {
        let expected = Ok(vec![("log.retention.ms".to_owned(), "5".to_owned())]);
        assert_eq!(parse("[log.retention]\nms = 5"), expected);
        assert_eq!(parse("log.retention.ms = 5"), expected);
        assert_eq!(parse("\"log.retention.ms\" = \"5\""), expected);
        assert_eq!(parse("[log]\n\"retention.ms\" = 5"), expected);
    }

    #[test]
    fn arrays_are_lists_and_scalars_are_text() {
        let text = "a = [\"x\", 1, true]\nb = 0.5\nc = false\n";
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            parse(text),
            Ok(vec![
                pair("a", "x,1,true"),
                pair("b", "0.5"),
                pair("c", "false")
            ])
        );
    }

    #[test]
    fn what_is_no_setting_is_named() {
        assert!(
            parse("[a]\nb = 2024-01-01")
                .unwrap_err()
                .contains("'a.b' holds: datetime")
        );
        assert!(parse("a = [[1]]").unwrap_err().contains("'a' holds: array"));
        assert!(parse("a = ").unwrap_err().contains("line 1"));
    }
}
