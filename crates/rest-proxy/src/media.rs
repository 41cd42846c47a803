//! What `Content-Type` and `Accept` say, for both versions of the API.

use axum::http::{HeaderMap, HeaderName, header};

/// The content type of a body, without its parameters; none when nothing is said.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?;
    // What is no text is no content type that anybody knows.
    let value = value.to_str().unwrap_or("?");
    Some(essence(value).to_owned())
}

/// Whether the client takes an answer that is one of `names`. Nothing said is anything.
pub(crate) fn accepts<'n>(
    headers: &HeaderMap,
    names: impl IntoIterator<Item = &'n str> + Clone,
) -> bool {
    let ranges = ranges(headers);
    let is_taken =
        |range: &String| is_wild(range) || names.clone().into_iter().any(|name| is(range, name));
    !headers.contains_key(header::ACCEPT) || ranges.iter().any(is_taken)
}

/// Whether a range of `Accept` is that content type.
pub(crate) fn is(range: &str, name: &str) -> bool {
    range.eq_ignore_ascii_case(name)
}

/// Whether a range of `Accept` is any JSON.
pub(crate) fn is_wild(range: &str) -> bool {
    range == "*/*" || range.eq_ignore_ascii_case("application/*")
}

/// The ranges of `Accept`, those the client likes best first, without those it refuses.
pub(crate) fn ranges(headers: &HeaderMap) -> Vec<String> {
    preferences(headers, &header::ACCEPT)
}

/// What a header of negotiation lists, what the client likes best first, without what it refuses.
pub(crate) fn preferences(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let mut ranges: Vec<(f32, String)> = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|range| (quality(range), essence(range).to_owned()))
        .filter(|(quality, range)| *quality > 0.0 && !range.is_empty())
        .collect();
    // Stable: of equals, the first.
    ranges.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    ranges.into_iter().map(|(_, range)| range).collect()
}

fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

fn quality(range: &str) -> f32 {
    range
        .split(';')
        .skip(1)
        .filter_map(|parameter| parameter.trim().strip_prefix("q="))
        .find_map(|value| value.trim().parse().ok())
        .unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_takes_what_it_names() {
        let takes = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, value.parse().unwrap());
            accepts(&headers, ["application/json"])
        };
        for value in [
            "application/json",
            "APPLICATION/JSON; charset=utf-8",
            "text/html, application/*;q=0.1",
            "*/*",
        ] {
            assert!(takes(value), "{value}");
        }
        for value in [
            "text/html",
            "application/json;q=0",
            "application/vnd.kafka.v2+json",
        ] {
            assert!(!takes(value), "{value}");
        }
        assert!(accepts(&HeaderMap::new(), ["application/json"]));
    }
}
