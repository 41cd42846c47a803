//! A stream of records that comes in, and the reports of it that go out.
//!
//! Both run in the task of the connection: as long as there are reports to give, they go first, all that are known in
//! one piece; else what has come of the body is taken apart and handed to the producer.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::{Body, BodyDataStream, Bytes};
use futures::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::IN_FLIGHT_MAX;
use super::data::ProduceRequest;
use super::frames::{Frames, Front};
use super::prepare::{Begun, Held, Prepared};
use super::report::{Parts, Reporter, refused};
use crate::error::RestError;
use crate::produce::{Lane, Outcome, Sink, send};
use crate::proxy::Proxy;

/// How many records are taken before it is looked whether reports can go out.
const TURN: usize = 128;
/// Bytes for a report, about.
const REPORT_BYTES: usize = 192;

/// A stream of records.
pub(super) struct Records {
    target: Target,
    body: BodyDataStream,
    frames: Frames,
    /// The body has ended, or broken off.
    ended: bool,
    opened: Instant,
    /// When the stream is closed, once it has lasted as long as it may.
    closes: Option<Instant>,
    /// Records after those of `waiting`.
    held: Held,
    waiting: VecDeque<Waiting>,
    outcomes: VecDeque<Outcome>,
    reporter: Reporter,
}

/// Where the records go.
struct Target {
    proxy: Arc<Proxy>,
    sink: Arc<Sink>,
    topic_name: String,
    lane: Arc<Lane>,
}

impl Target {
    /// Reads a record, and finds its schemas.
    async fn begin<'o>(&self, object: &'o [u8]) -> Result<Begun<'o>, RestError> {
        let request = ProduceRequest::parse(object)?;
        Begun::of(request, &self.topic_name, self.proxy.schemas()).await
    }

    /// Makes its bytes, and hands it to the producer.
    async fn finish(&self, begun: Begun<'_>) -> Waiting {
        let prepared = begun.finish(&self.topic_name, &self.proxy).await;
        self.send(prepared).await
    }

    /// Hands a record to the producer.
    async fn send(&self, prepared: Result<Prepared<'_>, RestError>) -> Waiting {
        let mut prepared = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Waiting::Refused(error),
        };
        let parts = prepared.parts();
        let ticket = self.lane.ticket();
        send(&self.sink, &self.topic_name, prepared.outgoing(), ticket).await;
        Waiting::Sent(parts)
    }
}

/// A record whose report has not gone out.
enum Waiting {
    /// It was not handed to the producer.
    Refused(RestError),
    /// It was.
    Sent(Parts),
}

impl Records {
    pub(super) async fn new(
        proxy: Arc<Proxy>,
        cluster_id: &str,
        topic_name: String,
        body: Body,
    ) -> Result<Self, RestError> {
        let sink = Arc::clone(proxy.producer().await?);
        Ok(Self {
            reporter: Reporter::new(cluster_id, &topic_name),
            body: body.into_data_stream(),
            frames: Frames::new(proxy.config.produce_request_bytes_max),
            ended: false,
            opened: Instant::now(),
            closes: None,
            held: Held::default(),
            waiting: VecDeque::new(),
            outcomes: VecDeque::new(),
            target: Target {
                proxy,
                sink,
                topic_name,
                lane: Arc::default(),
            },
        })
    }

    /// The reports that are next, each on a line of its own; none when the body is over and all is reported.
    pub(super) async fn next_reports(&mut self) -> Option<Bytes> {
        loop {
            let reports = self.reports();
            if !reports.is_empty() {
                return Some(reports.into());
            }
            if !self.held.is_empty() {
                self.take_held().await;
                continue;
            }
            if self.closes.is_some_and(|closes| Instant::now() >= closes) {
                self.ended = true;
                self.frames.close();
            }
            let room = IN_FLIGHT_MAX.saturating_sub(self.waiting.len());
            if room > 0 && self.take_records(room.min(TURN)).await > 0 {
                continue;
            }
            let over = self.frames.is_over() || (self.ended && room > 0);
            match (self.waiting.is_empty(), over || room == 0) {
                (true, true) => return None,
                (false, true) => self.target.lane.front().await,
                (true, false) => self.read().await,
                (false, false) => self.read_or_report().await,
            }
        }
    }

    /// Reads on, unless a report can go out first.
    async fn read_or_report(&mut self) {
        tokio::select! {
            biased;
            () = self.target.lane.front() => {}
            next = next_of(&mut self.body, self.closes) => self.take_bytes(next),
        }
    }

    async fn read(&mut self) {
        let next = next_of(&mut self.body, self.closes).await;
        self.take_bytes(next);
    }

    fn take_bytes(&mut self, next: Option<Result<Bytes, axum::Error>>) {
        match next {
            Some(Ok(bytes)) => self.frames.push(&bytes),
            // A connection that broke off has nobody to answer to; what came whole before is written.
            Some(Err(_)) => self.ended = true,
            None => {
                self.ended = true;
                self.frames.finish();
            }
        }
    }

    /// Takes up to so many records from what has come, and gives how many it took. From the first on whose schema has
    /// rules they are held.
    async fn take_records(&mut self, records_max: usize) -> usize {
        let limits = self.target.proxy.config.stream_limits;
        let is_late = self.opened.elapsed() > limits.duration_max;
        for taken in 0..records_max {
            let bytes = match self.frames.front() {
                Front::Object(bytes) => bytes,
                Front::Broken(error) => {
                    self.refuse(error);
                    return taken + 1;
                }
                Front::Nothing => return taken,
            };
            if is_late {
                self.closes
                    .get_or_insert_with(|| Instant::now() + limits.grace);
                self.refuse(RestError::stream_too_long());
                self.frames.consume(bytes);
                continue;
            }
            let begun = self.target.begin(self.frames.object(bytes)).await;
            match begun {
                Ok(begun) if self.held.is_empty() && begun.is_ready() => {
                    let waiting = self.target.finish(begun).await;
                    self.waiting.push_back(waiting);
                }
                Ok(begun) => self.held.push(Ok(begun.into_owned())),
                Err(error) => self.refuse(error),
            }
            self.frames.consume(bytes);
        }
        records_max
    }

    fn refuse(&mut self, error: RestError) {
        if self.held.is_empty() {
            self.waiting.push_back(Waiting::Refused(error));
        } else {
            self.held.push(Err(error));
        }
    }

    /// Goes on with what is held.
    async fn take_held(&mut self) {
        let target = &self.target;
        let taken = self.held.take(&target.topic_name, &target.proxy).await;
        for prepared in taken {
            let waiting = target.send(prepared).await;
            self.waiting.push_back(waiting);
        }
    }

    /// Writes the reports that can be given, in order.
    fn reports(&mut self) -> Vec<u8> {
        self.target.lane.take(&mut self.outcomes);
        let ready = self.outcomes.len();
        let mut out = Vec::with_capacity(ready.saturating_mul(REPORT_BYTES));
        while let Some(waiting) = self.waiting.front() {
            match waiting {
                Waiting::Refused(error) => refused(&mut out, error),
                Waiting::Sent(parts) => match self.outcomes.pop_front() {
                    Some(outcome) => self.reporter.object(&mut out, &outcome, parts),
                    None => break,
                },
            }
            self.waiting.pop_front();
            out.extend_from_slice(b"\r\n");
        }
        out
    }
}

/// What comes next of a body; nothing once the time is up.
async fn next_of(
    body: &mut BodyDataStream,
    until: Option<Instant>,
) -> Option<Result<Bytes, axum::Error>> {
    match until {
        None => body.next().await,
        Some(until) => timeout_at(until, body.next()).await.ok().flatten(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::stream;

    use super::*;
    use crate::config::Config;

    /// Records that are all refused before the producer sees them, so that no cluster is needed.
    async fn reports(chunks: &[&str]) -> Vec<String> {
        let chunks: Vec<Result<Bytes, std::convert::Infallible>> = chunks
            .iter()
            .map(|chunk| Ok(Bytes::copy_from_slice(chunk.as_bytes())))
            .collect();
        let proxy = Arc::new(Proxy::new(Config::new("127.0.0.1:1"), String::new()).unwrap());
        let body = Body::from_stream(stream::iter(chunks));
        let mut records = Records::new(proxy, "c", "t".to_owned(), body)
            .await
            .unwrap();
        let mut text = String::new();
        while let Some(reports) = records.next_reports().await {
            text.push_str(std::str::from_utf8(&reports).unwrap());
        }
        text.lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn a_stream_that_lasts_too_long_is_closed() {
        let mut config = Config::new("127.0.0.1:1");
        config.stream_limits.duration_max = Duration::ZERO;
        config.stream_limits.grace = Duration::from_millis(1);
        let proxy = Arc::new(Proxy::new(config, String::new()).unwrap());
        let one = stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from_static(b"{}"))]);
        // A client that goes on for ever.
        let body = Body::from_stream(one.chain(stream::pending()));
        let records = Records::new(proxy, "c", "t".to_owned(), body).await;
        let mut records = records.unwrap();
        let report = records.next_reports().await.unwrap();
        assert!(report.starts_with(b"{\"error_code\":408,"), "{report:?}");
        assert_eq!(records.next_reports().await, None);
    }

    #[tokio::test]
    async fn each_record_gets_its_report_in_its_place() {
        let bad = |n: i32| format!("{{\"value\":{{\"type\":\"BINARY\",\"data\":{n}}}}}");
        let whole = (0..300).map(bad).collect::<Vec<_>>().join("\n");
        let (first, second) = whole.split_at(5000);
        let found = reports(&[first, second]).await;
        assert_eq!(found.len(), 300);
        for (n, report) in found.iter().enumerate() {
            assert!(report.contains(&format!("data={n} ")), "{report}");
        }
    }

    #[tokio::test]
    async fn one_bad_record_does_not_end_the_stream_and_a_broken_body_does() {
        let found = reports(&["{\"partition_id\":\"x\"}{\"partition_id\":-2}", "oops {}"]).await;
        assert_eq!(found.len(), 3);
        assert!(found[1].contains("40402"), "{found:?}");
        assert!(found[2].contains("Unexpected character"), "{found:?}");
        assert!(reports(&[" ", "\n"]).await.is_empty());
    }
}
