//! One JSON object after another out of a stream of bytes, however the bytes are cut.
//!
//! A scan that knows strings, escapes and brackets finds where an object ends; only then it is parsed, once. So the
//! cost is linear in the bytes whatever the chunks, and what waits is bounded by one object's limit.

use bytes::{Buf, BytesMut};

use super::data::ProduceRequest;
use crate::error::RestError;

/// Bytes that wait to become requests.
#[derive(Debug)]
pub(super) struct Frames {
    buffer: BytesMut,
    scan: Scan,
    bytes_max: usize,
    finished: bool,
    broken: bool,
}

/// How far the object at the front has been looked at.
#[derive(Debug, Default)]
struct Scan {
    position: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

/// Why a request cannot be read.
#[derive(Debug)]
pub(super) struct FrameError {
    pub(super) error: RestError,
    /// Where the next request begins is not known.
    pub(super) ends_stream: bool,
}

impl Frames {
    /// Objects of at most `bytes_max` bytes each.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            scan: Scan::default(),
            bytes_max,
            finished: false,
            broken: false,
        }
    }

    /// Takes in what came.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Nothing comes any more.
    pub(super) fn finish(&mut self) {
        self.finished = true;
        self.skip_space();
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next request, or why there is none; `None` when more bytes are needed.
    pub(super) fn next_request(&mut self) -> Option<Result<ProduceRequest, FrameError>> {
        if self.broken {
            return Some(Err(
                self.fatal(RestError::bad_request("The stream is broken."))
            ));
        }
        if self.scan.position == 0 {
            self.skip_space();
            match self.buffer.first() {
                None => return None,
                Some(b'{') => {}
                Some(other) => {
                    let what = format!(
                        "Unexpected character {:?}: a record is a JSON object",
                        char::from(*other)
                    );
                    return Some(Err(self.fatal(RestError::bad_request(what))));
                }
            }
        }
        match self.scan.end_in(&self.buffer) {
            Some(end) if end > self.bytes_max => Some(Err(self.too_large(end))),
            Some(end) => {
                self.scan = Scan::default();
                let object = self.buffer.split_to(end);
                Some(ProduceRequest::parse(&object).map_err(|error| FrameError {
                    error,
                    ends_stream: false,
                }))
            }
            None if self.buffer.len() > self.bytes_max => {
                Some(Err(self.too_large(self.buffer.len())))
            }
            None if self.finished && !self.buffer.is_empty() => {
                let what = "Unexpected end of input within a record";
                Some(Err(self.fatal(RestError::bad_request(what))))
            }
            None => None,
        }
    }

    fn too_large(&mut self, bytes: usize) -> FrameError {
        let error = RestError::too_large(bytes, self.bytes_max);
        self.fatal(error)
    }

    fn fatal(&mut self, error: RestError) -> FrameError {
        self.broken = true;
        self.buffer.clear();
        FrameError {
            error,
            ends_stream: true,
        }
    }

    /// White space stands between objects.
    fn skip_space(&mut self) {
        if self.scan.position == 0 {
            let space = self
                .buffer
                .iter()
                .take_while(|byte| byte.is_ascii_whitespace())
                .count();
            self.buffer.advance(space);
        }
    }
}

impl Scan {
    /// Where the object that begins at 0 ends, looking only at bytes not seen before.
    fn end_in(&mut self, bytes: &[u8]) -> Option<usize> {
        let unseen = bytes.get(self.position..)?;
        for (index, byte) in unseen.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(self.position + index + 1);
                    }
                }
                _ => {}
            }
        }
        self.position = bytes.len();
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ends(text: &str) -> Option<usize> {
        Scan::default().end_in(text.as_bytes())
    }

    #[test]
    fn brackets_in_strings_do_not_count() {
        assert_eq!(ends(r#"{"a":"}"}{"#), Some(9));
        assert_eq!(ends(r#"{"a":"\"}"}"#), Some(11));
        assert_eq!(ends(r#"{"a":[{}]}"#), Some(10));
        assert_eq!(ends(r#"{"a":"#), None);
    }

    #[test]
    fn an_object_above_the_limit_ends_the_stream() {
        let mut frames = Frames::new(20);
        frames.push(br#"{"value":{"data":"0123456789"#);
        let error = frames.next_request().unwrap().unwrap_err();
        assert!(error.ends_stream);
        assert_eq!(error.error.code, 413);
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            texts in prop::collection::vec("[ -~]{0,30}", 1..8),
            cuts in prop::collection::vec(1usize..40, 1..20),
        ) {
            let mut whole = String::new();
            for text in &texts {
                let data = serde_json::Value::String(text.clone());
                whole.push_str(&format!("{{\"value\":{{\"type\":\"STRING\",\"data\":{data}}}}} \n"));
            }
            let mut frames = Frames::new(1000);
            let mut rest = whole.as_bytes();
            let mut found = Vec::new();
            for cut in cuts.iter().cycle() {
                let (chunk, after) = rest.split_at((*cut).min(rest.len()));
                frames.push(chunk);
                rest = after;
                while let Some(request) = frames.next_request() {
                    found.push(request.expect("the objects are well formed"));
                }
                if rest.is_empty() {
                    break;
                }
            }
            let data: Vec<_> = found
                .into_iter()
                .map(|request| request.value.and_then(|value| value.data))
                .collect();
            let expected: Vec<_> = texts
                .into_iter()
                .map(|text| Some(serde_json::Value::String(text)))
                .collect();
            prop_assert_eq!(data, expected);
        }
    }
}
