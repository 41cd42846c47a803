//! URI references, as far as `$ref` and `$id` need them: split, resolve against a base (RFC 3986, section 5.2).
//!
//! It never fails: what people write as the name of a reference (`address.json`, `com.example.Address`, with a space
//! in it) is taken as it is.

/// Before and behind the first `#`; none behind where there is none.
pub(super) fn split_fragment(uri: &str) -> (&str, Option<&str>) {
    match uri.split_once('#') {
        Some((before, fragment)) => (before, Some(fragment)),
        None => (uri, None),
    }
}

/// `scheme` and what follows its colon.
fn split_scheme(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once(':')?;
    let mut bytes = scheme.bytes();
    let is_scheme = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    is_scheme.then_some((scheme, rest))
}

/// `//authority` (or nothing) and the path with the query.
fn split_authority(rest: &str) -> (&str, &str) {
    match rest.strip_prefix("//") {
        Some(after) => {
            let end = after.find(['/', '?']).map_or(rest.len(), |at| at + 2);
            rest.split_at(end)
        }
        None => ("", rest),
    }
}

/// `reference`, which has no fragment, seen from `base`, which has none either.
pub(super) fn resolve(base: &str, reference: &str) -> String {
    if reference.is_empty() {
        return base.to_owned();
    }
    if split_scheme(reference).is_some() {
        return reference.to_owned();
    }
    let (scheme, rest) = match split_scheme(base) {
        Some((scheme, rest)) => (format!("{scheme}:"), rest),
        None => (String::new(), base),
    };
    if reference.starts_with("//") {
        return format!("{scheme}{reference}");
    }
    let (authority, path) = split_authority(rest);
    let path = path.split('?').next().unwrap_or(path);
    if reference.starts_with('?') {
        return format!("{scheme}{authority}{path}{reference}");
    }
    let (target, query) = match reference.find('?') {
        Some(at) => reference.split_at(at),
        None => (reference, ""),
    };
    let merged = if target.starts_with('/') {
        target.to_owned()
    } else {
        match path.rfind('/') {
            Some(at) => format!("{}{target}", path.split_at(at + 1).0),
            None if authority.is_empty() => target.to_owned(),
            None => format!("/{target}"),
        }
    };
    format!("{scheme}{authority}{}{query}", without_dots(&merged))
}

/// Without the segments `.` and `..`, as far as the path has something to go up from.
fn without_dots(path: &str) -> String {
    if !path
        .split('/')
        .any(|segment| segment == "." || segment == "..")
    {
        return path.to_owned();
    }
    let is_absolute = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_folder = false;
    for segment in path.trim_start_matches('/').split('/') {
        ends_in_folder = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let mut out = String::from(if is_absolute { "/" } else { "" });
    out.push_str(&kept.join("/"));
    if ends_in_folder && !kept.is_empty() {
        out.push('/');
    }
    out
}

/// Without the percent escapes.
pub(super) fn decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match hex_pair(&bytes) {
            Some(value) if byte == b'%' => {
                out.push(value);
                bytes.next();
                bytes.next();
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The byte that the next two hexadecimal digits stand for.
fn hex_pair(bytes: &std::str::Bytes<'_>) -> Option<u8> {
    let mut ahead = bytes.clone();
    let high = char::from(ahead.next()?).to_digit(16)?;
    let low = char::from(ahead.next()?).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

/// With percent escapes for whatever a URI may not hold as it is; those that are there stay.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut has_fragment = false;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let is_plain = byte.is_ascii_alphanumeric()
            || b"-._~:/?[]@!$&'()*+,;=".contains(&byte)
            || (byte == b'#' && !std::mem::replace(&mut has_fragment, true))
            || (byte == b'%' && hex_pair(&bytes).is_some());
        if is_plain && !(has_fragment && matches!(byte, b'[' | b']')) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_resolve_as_in_the_rfc() {
        let base = "http://a/b/c/d;p?q";
        for (reference, resolved) in [
            ("g:h", "g:h"),
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../../../g", "http://a/g"),
        ] {
            assert_eq!(resolve(base, reference), resolved, "{reference}");
        }
        assert_eq!(resolve("", "address.json"), "address.json");
        assert_eq!(
            resolve("schemas/order.json", "address.json"),
            "schemas/address.json"
        );
        assert_eq!(resolve("", "./address.json"), "address.json");
        assert_eq!(resolve("http://a", "b"), "http://a/b");
    }

    #[test]
    fn escapes_come_and_go() {
        assert_eq!(decoded("a%20b%7Ec%"), "a b~c%");
        assert_eq!(encoded("#/definitions/My Type"), "#/definitions/My%20Type");
        assert_eq!(encoded("#/a%20b#é[0]"), "#/a%20b%23%C3%A9%5B0%5D");
        assert_eq!(encoded("http://[::1]/a%zz"), "http://[::1]/a%25zz");
    }
}
