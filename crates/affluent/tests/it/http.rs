//! HTTP/1.1 by hand, as far as the tests of services need it: one request for each connection, bodies in chunks too.
//!
//! Every function gives nothing when the other side went away, since some tests kill it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Sends one request with a JSON body and goes away without waiting for the answer.
pub(crate) fn hang_up(address: &str, method: &str, path: &str, body: &str) {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return;
    };
    let sent = stream.write_all(head_and_body(address, method, path, &[JSON], body).as_bytes());
    drop((sent, stream));
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn head_and_body(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> String {
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         {headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

/// Sends one request with a JSON body and gives the status and the body of the answer.
pub(crate) fn call(
    address: &str,
    method: &str,
    path: &str,
    body: &str,
    limit: Duration,
) -> Option<(u16, String)> {
    let answer = send(address, method, path, &[JSON], body, limit)?;
    Some((answer.status, answer.body))
}

/// Sends one request with headers of its own.
pub(crate) fn send(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
    limit: Duration,
) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    let request = head_and_body(address, method, path, headers, body);
    stream.write_all(request.as_bytes()).ok()?;
    let mut reader = BufReader::new(stream);
    let head = read_whole_head(&mut reader)?;
    let mut text = String::new();
    if head.in_chunks {
        loop {
            match read_chunk(&mut reader)? {
                chunk if chunk.is_empty() => break,
                chunk => text.push_str(&chunk),
            }
        }
    } else {
        reader.read_to_string(&mut text).ok()?;
    }
    Some(Answer {
        status: head.status,
        content_type: head.content_type,
        body: text,
    })
}

struct Head {
    status: u16,
    in_chunks: bool,
    content_type: String,
}

/// The status, and whether the body comes in chunks.
pub(crate) fn read_head(reader: &mut BufReader<TcpStream>) -> Option<(u16, bool)> {
    let head = read_whole_head(reader)?;
    Some((head.status, head.in_chunks))
}

fn read_whole_head(reader: &mut BufReader<TcpStream>) -> Option<Head> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let mut head = Head {
        status,
        in_chunks: false,
        content_type: String::new(),
    };
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            return Some(head);
        }
        let field = line.trim().to_ascii_lowercase();
        head.in_chunks |= field == "transfer-encoding: chunked";
        if let Some(value) = field.strip_prefix("content-type: ") {
            value.clone_into(&mut head.content_type);
        }
    }
}

/// One chunk of a body; the last is empty.
pub(crate) fn read_chunk(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut size = String::new();
    reader.read_line(&mut size).ok()?;
    let size = usize::from_str_radix(size.trim(), 16).ok()?;
    let mut chunk = vec![0; size + 2];
    reader.read_exact(&mut chunk).ok()?;
    chunk.truncate(size);
    String::from_utf8(chunk).ok()
}
