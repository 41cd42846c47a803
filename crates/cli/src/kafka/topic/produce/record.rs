//! From a line to a record: key, value, headers.

use client::data::{Header, OwnedHeaders};

use crate::failure::{Failure, Outcome};

/// A line's key and value. Without a delimiter all of it is value; `None` when the delimiter is missing.
pub(super) fn split<'a>(
    line: &'a [u8],
    delimiter: Option<&[u8]>,
) -> Option<(Option<&'a [u8]>, &'a [u8])> {
    let Some(delimiter) = delimiter else {
        return Some((None, line));
    };
    let at = line
        .windows(delimiter.len())
        .position(|window| window == delimiter)?;
    let (key, rest) = line.split_at_checked(at)?;
    Some((Some(key), rest.get(delimiter.len()..)?))
}

/// Reads `key:value` headers; `None` when there are none.
pub(super) fn headers(flags: &[String]) -> Outcome<Option<OwnedHeaders>> {
    if flags.is_empty() {
        return Ok(None);
    }
    let mut headers = OwnedHeaders::new_with_capacity(flags.len());
    for flag in flags {
        let (key, value) = flag.split_once(':').ok_or_else(|| {
            Failure::new(format!("header '{flag}' is not of the form key:value"))
                .remedy("--headers source:cli,trace:1")
        })?;
        headers = headers.insert(Header {
            key: key.trim(),
            value: Some(value.trim()),
        });
    }
    Ok(Some(headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_at_the_first_delimiter() {
        let cut = |line: &'static str| split(line.as_bytes(), Some(b"::"));
        assert_eq!(cut("k::v::w"), Some((Some(&b"k"[..]), &b"v::w"[..])));
        assert_eq!(cut("::"), Some((Some(&b""[..]), &b""[..])));
        assert_eq!(cut("k:v"), None);
        assert_eq!(split(b"k:v", None), Some((None, &b"k:v"[..])));
    }

    #[test]
    fn a_bad_header_is_named() {
        assert!(headers(&[]).unwrap().is_none());
        assert!(
            headers(&["a:1".to_owned(), "b:".to_owned()])
                .unwrap()
                .is_some()
        );
        let error = headers(&["a=1".to_owned()]).unwrap_err().to_string();
        assert!(
            error.contains("'a=1'") && error.contains("key:value"),
            "{error}"
        );
    }
}
