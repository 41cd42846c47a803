//! One JSON object after another out of a stream of bytes, however the bytes are cut.
//!
//! A scan that knows strings, escapes and brackets finds where an object ends; only then it is parsed, once. The insides
//! of strings, which are most of a record, are passed over many bytes at a time. So the cost is linear in the bytes
//! whatever the chunks, and what waits is bounded by one object's limit.

use crate::error::RestError;

/// Bytes that wait to become requests.
#[derive(Debug)]
pub(super) struct Frames {
    buffer: Vec<u8>,
    /// What comes before this is done with.
    begin: usize,
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

/// What is at the front.
#[derive(Debug, PartialEq)]
pub(super) enum Front {
    /// An object of so many bytes: [`Frames::object`].
    Object(usize),
    /// More bytes are needed, or nothing is left.
    Nothing,
    /// Where the next object begins is not known: nothing more comes.
    Broken(RestError),
}

impl Frames {
    /// Objects of at most `bytes_max` bytes each.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            buffer: Vec::new(),
            begin: 0,
            scan: Scan::default(),
            bytes_max,
            finished: false,
            broken: false,
        }
    }

    /// Takes in what came.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.begin);
        self.begin = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Nothing comes any more.
    pub(super) fn finish(&mut self) {
        self.finished = true;
    }

    /// What has come is of no interest any more.
    pub(super) fn close(&mut self) {
        self.broken = true;
        self.buffer = Vec::new();
        self.begin = 0;
    }

    /// Whether all that will ever come is done with.
    pub(super) fn is_over(&self) -> bool {
        self.broken || (self.finished && self.waiting().is_empty())
    }

    fn waiting(&self) -> &[u8] {
        self.buffer.get(self.begin..).unwrap_or_default()
    }

    /// Looks for an object. One that is found stays until [`Frames::consume`].
    pub(super) fn front(&mut self) -> Front {
        if self.broken {
            return Front::Nothing;
        }
        if self.scan.position == 0 {
            let is_space = |byte: &&u8| byte.is_ascii_whitespace();
            self.begin += self.waiting().iter().take_while(is_space).count();
            match self.waiting().first() {
                None => return Front::Nothing,
                Some(b'{') => {}
                Some(other) => {
                    let what = format!(
                        "Unexpected character {:?}: a record is a JSON object",
                        char::from(*other)
                    );
                    return self.fail(RestError::bad_request(what));
                }
            }
        }
        let waiting = self.buffer.get(self.begin..).unwrap_or_default();
        let bytes = waiting.len();
        match self.scan.end_in(waiting) {
            Some(end) if end > self.bytes_max => self.too_large(end),
            Some(end) => Front::Object(end),
            None if bytes > self.bytes_max => self.too_large(bytes),
            None if self.finished => {
                let what = "Unexpected end of input within a record";
                self.fail(RestError::bad_request(what))
            }
            None => Front::Nothing,
        }
    }

    /// The object that [`Frames::front`] found.
    pub(super) fn object(&self, bytes: usize) -> &[u8] {
        self.waiting().get(..bytes).unwrap_or_default()
    }

    /// Goes on behind it.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.begin = self.begin.saturating_add(bytes).min(self.buffer.len());
        self.scan = Scan::default();
    }

    fn too_large(&mut self, bytes: usize) -> Front {
        self.fail(RestError::too_large(bytes, self.bytes_max))
    }

    fn fail(&mut self, error: RestError) -> Front {
        self.close();
        Front::Broken(error)
    }
}

impl Scan {
    /// Where the object that begins at 0 ends, looking only at bytes not seen before.
    fn end_in(&mut self, bytes: &[u8]) -> Option<usize> {
        while let Some(byte) = bytes.get(self.position) {
            if self.in_string {
                self.pass_string(bytes)?;
                continue;
            }
            self.position += 1;
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(self.position);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Goes behind the string's end; none when the bytes end before it.
    fn pass_string(&mut self, bytes: &[u8]) -> Option<()> {
        if std::mem::take(&mut self.escaped) {
            self.position += 1;
        }
        let rest = bytes.get(self.position..)?;
        let Some(at) = memchr::memchr2(b'"', b'\\', rest) else {
            self.position = bytes.len();
            return None;
        };
        self.position += at + 1;
        if rest.get(at) == Some(&b'"') {
            self.in_string = false;
        } else {
            self.escaped = true;
        }
        Some(())
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
        assert_eq!(ends(r#"{"a":"\\"}"#), Some(10));
        assert_eq!(ends(r#"{"a":[{}]}"#), Some(10));
        for open in [r#"{"a":"#, r#"{"a":"x\"#, r#"{"a":"x\""#, ""] {
            assert_eq!(ends(open), None, "{open}");
        }
    }

    fn all(frames: &mut Frames) -> Vec<Result<String, RestError>> {
        let mut found = Vec::new();
        loop {
            match frames.front() {
                Front::Object(bytes) => {
                    found.push(Ok(
                        String::from_utf8_lossy(frames.object(bytes)).into_owned()
                    ));
                    frames.consume(bytes);
                }
                Front::Broken(error) => found.push(Err(error)),
                Front::Nothing => return found,
            }
        }
    }

    fn of(chunks: &[&str]) -> Vec<Result<String, RestError>> {
        let mut frames = Frames::new(100);
        let mut found = Vec::new();
        for chunk in chunks {
            frames.push(chunk.as_bytes());
            found.extend(all(&mut frames));
        }
        frames.finish();
        found.extend(all(&mut frames));
        assert!(frames.is_over());
        found
    }

    #[test]
    fn a_broken_body_ends_with_one_error() {
        let found = of(&["{\"a\":1}", "garbage {\"a\":2}"]);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].as_ref().unwrap_err().code, 400);
        let found = of(&["{\"a\":1"]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].as_ref().unwrap_err().code, 400);
        assert!(of(&[" ", "\n"]).is_empty());
    }

    #[test]
    fn an_object_above_the_limit_ends_the_stream() {
        let long = format!("{{\"data\":\"{}", "x".repeat(200));
        let found = of(&[&long, "\"}{}"]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].as_ref().unwrap_err().code, 413);
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            texts in prop::collection::vec("[ -~]{0,30}", 1..8),
            cuts in prop::collection::vec(1usize..40, 1..20),
        ) {
            let objects: Vec<String> = texts
                .iter()
                .map(|text| format!("{{\"data\":{}}}", serde_json::Value::from(text.as_str())))
                .collect();
            let whole = objects.join(" \n");
            let mut frames = Frames::new(1000);
            let mut rest = whole.as_bytes();
            let mut found = Vec::new();
            for cut in cuts.iter().cycle() {
                let (chunk, after) = rest.split_at((*cut).min(rest.len()));
                frames.push(chunk);
                rest = after;
                found.extend(all(&mut frames).into_iter().map(|object| object.expect("well formed")));
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(found, objects);
        }
    }
}
