//! Subscriptions by regular expression, matched by the broker (KIP-848).
//!
//! The syntax is RE2's, in Kafka by RE2/J and here by the crate `regex`: linear in the text, without
//! look-around or backreferences. An expression has to match the whole name. Where the two read a text
//! differently, [`translate`] says it in the crate's words, or refuses it in RE2/J's. Source: Kafka's
//! `TopicRegexResolver` and `Utils.throwIfRegularExpressionIsInvalid`; RE2/J's `Parser`.

use std::collections::BTreeSet;

use regex::{Regex, RegexBuilder};
use wire::ErrorCode;

use super::Failure;

/// The most memory one compiled expression takes: a longer one is refused as invalid.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// The most times something is repeated, as in RE2.
const REPEAT_MAX: u32 = 1_000;
/// The deepest nesting of groups.
const NESTING_MAX: u32 = 100;

/// Checks an expression.
///
/// # Errors
/// INVALID_REGULAR_EXPRESSION with what is wrong.
pub(super) fn check(expression: &str) -> Result<(), Failure> {
    match compile(expression) {
        Ok(_) => Ok(()),
        Err(reason) => Err(Failure::new(
            ErrorCode::InvalidRegularExpression,
            format!(
                "SubscribedTopicRegex `{expression}` is not a valid regular expression: {reason}."
            ),
        )),
    }
}

/// The names that `expression` matches as a whole; none for one that is not valid, which only a foreign log
/// can hold.
pub(super) fn matching<'a>(
    expression: &str,
    names: impl Iterator<Item = &'a String>,
) -> BTreeSet<String> {
    let Ok(regex) = compile(expression) else {
        return BTreeSet::new();
    };
    names.filter(|name| regex.is_match(name)).cloned().collect()
}

fn compile(expression: &str) -> Result<Regex, String> {
    let build = |text: &str| {
        RegexBuilder::new(text)
            .size_limit(COMPILED_BYTES_MAX)
            .nest_limit(NESTING_MAX)
            .build()
    };
    let translated = translate(expression)?;
    // By itself first: `a)|(b` must not become valid by what is put around it.
    build(&translated)
        .and_then(|_| build(&format!(r"\A(?:{translated})\z")))
        .map_err(|error| reason(&error))
}

/// RE2/J's words for what is wrong, where it has some.
fn reason(error: &regex::Error) -> String {
    // The last line says what is wrong, the ones before it show where.
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default().trim();
    let last = last.strip_prefix("error: ").unwrap_or(last);
    let words = match last {
        "unclosed character class" => "missing closing ]",
        "unclosed group" => "missing closing )",
        "unopened group" => "regexp/syntax: internal error",
        "repetition operator missing expression" => "missing argument to repetition operator",
        "backreferences are not supported" | "unrecognized escape sequence" => {
            "invalid escape sequence"
        }
        other if other.starts_with("look-around") || other.starts_with("unrecognized flag") => {
            "invalid or unsupported Perl syntax"
        }
        other => other,
    };
    words.to_owned()
}

/// The expression as the crate reads it: a brace that counts nothing is a brace, `\Q...\E` is literal, and in a
/// class `[`, `&` and `~` are characters.
fn translate(expression: &str) -> Result<String, String> {
    let characters: Vec<char> = expression.chars().collect();
    let mut rest = characters.as_slice();
    let mut out = String::with_capacity(expression.len());
    // Whether a repetition has just ended, which must not be repeated again.
    let mut repeated = false;
    while let Some((first, after)) = rest.split_first() {
        let repetition = match first {
            '*' | '+' | '?' => Some(1),
            '{' => count_length(rest)?,
            _ => None,
        };
        if let Some(length) = repetition {
            if repeated {
                return Err("invalid nested repetition operator".to_owned());
            }
            let (operator, after) = rest.split_at(length);
            out.extend(operator);
            let lazy = after.first() == Some(&'?');
            out.extend(lazy.then_some('?'));
            rest = after.get(usize::from(lazy)..).unwrap_or_default();
            repeated = true;
            continue;
        }
        repeated = false;
        rest = match first {
            '\\' if after.first() == Some(&'Q') => {
                literal(after.get(1..).unwrap_or_default(), &mut out)
            }
            '\\' => {
                out.push('\\');
                out.extend(after.first());
                after.get(1..).unwrap_or_default()
            }
            '[' => class(after, &mut out),
            '{' => {
                out.push_str("\\{");
                after
            }
            other => {
                out.push(*other);
                after
            }
        };
    }
    Ok(out)
}

/// How long `{n}`, `{n,}` or `{n,m}` is at the start of `text`; none if something else stands there.
fn count_length(text: &[char]) -> Result<Option<usize>, String> {
    let Some(end) = text.iter().position(|character| *character == '}') else {
        return Ok(None);
    };
    let inner: String = text.iter().take(end).skip(1).collect();
    let (low, high) = match inner.split_once(',') {
        Some((low, high)) => (low, Some(high)),
        None => (inner.as_str(), None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if low.is_empty() || !digits(low) || !high.is_none_or(digits) {
        return Ok(None);
    }
    let number = |text: &str| text.parse::<u32>().unwrap_or(u32::MAX);
    let low = number(low);
    let high = high.filter(|high| !high.is_empty()).map_or(low, number);
    if low > REPEAT_MAX || high > REPEAT_MAX || high < low {
        return Err("invalid repeat count".to_owned());
    }
    Ok(Some(end + 1))
}

/// Copies a literal up to `\E`; what is behind it.
fn literal<'a>(text: &'a [char], out: &mut String) -> &'a [char] {
    let end = text.windows(2).position(|pair| pair == ['\\', 'E']);
    let (inside, after) = text.split_at(end.unwrap_or(text.len()));
    let inside: String = inside.iter().collect();
    out.push_str(&regex::escape(&inside));
    after.get(2..).unwrap_or_default()
}

/// Copies a class from behind its bracket; what is behind it.
fn class<'a>(text: &'a [char], out: &mut String) -> &'a [char] {
    out.push('[');
    let mut rest = text;
    if rest.first() == Some(&'^') {
        out.push('^');
        rest = rest.get(1..).unwrap_or_default();
    }
    let mut first = true;
    while let Some((character, after)) = rest.split_first() {
        rest = after;
        match character {
            ']' if !first => {
                out.push(']');
                return rest;
            }
            '[' if after.first() == Some(&':') => {
                let end = after.windows(2).position(|pair| pair == [':', ']']);
                let length = end.map_or(0, |end| end + 2);
                let (named, behind) = after.split_at(length);
                out.push_str(if length > 0 { "[" } else { "\\[" });
                out.extend(named);
                rest = behind;
            }
            '[' | ']' | '&' | '~' => {
                out.push('\\');
                out.push(*character);
            }
            '\\' => {
                out.push('\\');
                out.extend(after.first());
                rest = after.get(1..).unwrap_or_default();
            }
            other => out.push(*other),
        }
        first = false;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(expression: &str, names: &[&str]) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        matching(expression, names.iter()).into_iter().collect()
    }

    #[test]
    fn an_expression_matches_whole_names() {
        let names = ["foo", "foobar", "barfoo", "bar"];
        assert_eq!(matches("foo", &names), ["foo"]);
        assert_eq!(matches("foo.*", &names), ["foo", "foobar"]);
        assert_eq!(matches("^foo|bar$", &names), ["bar", "foo"]);
        assert_eq!(matches("[", &names), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        // The words of Apache Kafka 4.3.1.
        for (bad, words) in [
            ("p[", "missing closing ]"),
            ("(a", "missing closing )"),
            ("a)", "regexp/syntax: internal error"),
            ("*a", "missing argument to repetition operator"),
            ("(?=a)", "invalid or unsupported Perl syntax"),
            (r"\1", "invalid escape sequence"),
            ("a**", "invalid nested repetition operator"),
            ("x{1001}", "invalid repeat count"),
        ] {
            let failure = check(bad).unwrap_err();
            assert_eq!(failure.code, ErrorCode::InvalidRegularExpression, "{bad}");
            let message =
                format!("SubscribedTopicRegex `{bad}` is not a valid regular expression: {words}.");
            assert_eq!(failure.message, Some(message));
        }
        for bad in ["a)|(b", "(a{1000}){1000}", "x{2,1}"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_the_two_syntaxes_read_differently_is_read_as_re2() {
        for (expression, name) in [
            ("a{2", "a{2"),
            ("a{,2}", "a{,2}"),
            ("a{2}b??", "aab"),
            (r"\Qa.b\E+", "a.bb"),
            ("[]a]+", "a]a"),
            ("[a[b]+", "[ab"),
            ("[a&&b]+", "a&b"),
            ("[[:alpha:]~]+", "ab~"),
            ("[^a]b", "cb"),
            ("(?P<n>a)|b", "a"),
            (r"\pL+", "ab"),
        ] {
            assert_eq!(matches(expression, &[name]), [name], "{expression}");
        }
        assert!(matches(r"\Qa.b\E", &["axb"]).is_empty());
    }
}
