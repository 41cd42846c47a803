//! The REST interface of a server, with as much of HTTP as it takes: one request, one answer, one connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Longer than a worker of Connect makes a caller wait (90 s for a request that the leader must answer).
const ANSWER_LIMIT: Duration = Duration::from_secs(100);

/// A server's REST interface.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rest {
    pub(crate) port: u16,
}

/// An answer: the status and the body, which is null when there is none.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Rest {
    /// Sends a request and reads the answer, whatever its status.
    ///
    /// HTTP/1.0, so that the body ends with the connection and is not cut into chunks.
    pub(crate) fn ask(self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))
            .context("could not connect to the server")?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
             Accept: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .with_context(|| format!("no answer to {method} {path}"))?;
        parse(&answer).with_context(|| format!("the answer to {method} {path} is {answer:?}"))
    }

    /// As [`Self::ask`], for a request that must succeed.
    pub(crate) fn ok(self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = self.ask(method, path, body)?;
        if !(200..300).contains(&answer.status) {
            bail!("{method} {path}: status {}: {}", answer.status, answer.body);
        }
        Ok(answer.body)
    }
}

fn parse(answer: &str) -> Result<Answer> {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("no end of the head")?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .context("no status")?;
    let body = if body.trim().is_empty() {
        Value::Null
    } else {
        serde_json::from_str(body).context("the body is no JSON")?
    };
    Ok(Answer { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_and_a_body() {
        let answer = parse("HTTP/1.1 201 Created\r\nDate: x\r\n\r\n{\"name\":\"a\"}").unwrap();
        assert_eq!((answer.status, &answer.body["name"]), (201, &"a".into()));
        let answer = parse("HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        assert_eq!((answer.status, answer.body), (204, Value::Null));
        assert!(parse("nonsense").is_err());
    }
}
