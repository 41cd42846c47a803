//! Kafka's `server.properties`, in the format of `java.util.Properties.load`.
//!
//! A logical line is a key, a separator (`=`, `:` or white space) and a value; `#` and `!` begin a comment;
//! a backslash at the end of a line continues it, and elsewhere escapes (`\t`, `\n`, `\r`, `\f`, `\uXXXX`, or
//! the character itself). The last of several lines for one key wins.

use std::iter::Peekable;
use std::str::Chars;

/// Reads the file's text. An error says what is wrong and in which line.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let mut logical = line.trim_start_matches(is_blank).to_owned();
        if logical.is_empty() || logical.starts_with(['#', '!']) {
            continue;
        }
        while is_continued(&logical) {
            logical.pop();
            let Some((_, next)) = lines.next() else { break };
            logical.push_str(next.trim_start_matches(is_blank));
        }
        pairs.push(pair(&logical).map_err(|reason| format!("line {}: {reason}", index + 1))?);
    }
    Ok(pairs)
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\x0c')
}

/// An odd number of backslashes at the end: the last is not itself escaped.
fn is_continued(line: &str) -> bool {
    line.chars()
        .rev()
        .take_while(|character| *character == '\\')
        .count()
        % 2
        == 1
}

fn pair(line: &str) -> Result<(String, String), String> {
    let mut characters = line.chars().peekable();
    let mut key = String::new();
    while let Some(character) = characters.next_if(|c| !is_blank(*c) && !matches!(c, '=' | ':')) {
        key.push(unescape(character, &mut characters)?);
    }
    skip_blanks(&mut characters);
    if characters.next_if(|c| matches!(c, '=' | ':')).is_some() {
        skip_blanks(&mut characters);
    }
    let mut value = String::new();
    while let Some(character) = characters.next() {
        value.push(unescape(character, &mut characters)?);
    }
    // Kafka trims what it reads (`AbstractConfig`); trailing blanks are never meant.
    Ok((key, value.trim_end().to_owned()))
}

fn skip_blanks(characters: &mut Peekable<Chars<'_>>) {
    while characters
        .next_if(|character| is_blank(*character))
        .is_some()
    {}
}

fn unescape(character: char, rest: &mut Peekable<Chars<'_>>) -> Result<char, String> {
    if character != '\\' {
        return Ok(character);
    }
    match rest.next() {
        Some('t') => Ok('\t'),
        Some('n') => Ok('\n'),
        Some('r') => Ok('\r'),
        Some('f') => Ok('\x0c'),
        Some('u') => {
            let digits: String = rest.by_ref().take(4).collect();
            u32::from_str_radix(&digits, 16)
                .ok()
                .filter(|_| digits.len() == 4)
                .and_then(char::from_u32)
                .ok_or_else(|| format!("'\\u{digits}' is no character: expected four hex digits"))
        }
        Some(other) => Ok(other),
        None => Ok('\\'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        assert_eq!(parse(text), Ok(expected.iter().map(owned).collect()));
    }

    #[test]
    fn separators_comments_and_blanks() {
        check(
            "# comment\n! comment\n\n  a=1\nb : 2\nc 3\nd\ne==4 \nlisteners=PLAINTEXT://:9092\r\n",
            &[
                ("a", "1"),
                ("b", "2"),
                ("c", "3"),
                ("d", ""),
                ("e", "=4"),
                ("listeners", "PLAINTEXT://:9092"),
            ],
        );
    }

    #[test]
    fn continuations_and_escapes() {
        check(
            "a=1,\\\n   2,\\\n3\nb=x\\\\\nc=y",
            &[("a", "1,2,3"), ("b", "x\\"), ("c", "y")],
        );
        check("a\\=b=c\\td\\u0041\\q", &[("a=b", "c\tdAq")]);
        check("a=1\\", &[("a", "1")]);
    }

    #[test]
    fn a_bad_escape_names_its_line() {
        let error = parse("a=1\nb=\\u12").unwrap_err();
        assert!(error.starts_with("line 2: '\\u12'"), "{error}");
        assert!(parse("b=\\uD800").is_err(), "half of a surrogate pair");
    }
}
