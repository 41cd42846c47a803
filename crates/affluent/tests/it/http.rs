//! HTTP/1.1 by hand, as far as the tests of services need it: one request for each connection, bodies in chunks too.
//!
//! Every function gives nothing when the other side went away, since some tests kill it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Sends one request and goes away without waiting for the answer.
pub(crate) fn hang_up(address: &str, method: &str, path: &str, body: &str) {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return;
    };
    let sent = stream.write_all(head_and_body(address, method, path, body).as_bytes());
    drop((sent, stream));
}

fn head_and_body(address: &str, method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Sends one request with a JSON body and gives the status and the body of the answer.
pub(crate) fn call(
    address: &str,
    method: &str,
    path: &str,
    body: &str,
    limit: Duration,
) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    let request = head_and_body(address, method, path, body);
    stream.write_all(request.as_bytes()).ok()?;
    let mut reader = BufReader::new(stream);
    let (status, in_chunks) = read_head(&mut reader)?;
    let mut text = String::new();
    if !in_chunks {
        reader.read_to_string(&mut text).ok()?;
        return Some((status, text));
    }
    loop {
        match read_chunk(&mut reader)? {
            chunk if chunk.is_empty() => return Some((status, text)),
            chunk => text.push_str(&chunk),
        }
    }
}

/// The status, and whether the body comes in chunks.
pub(crate) fn read_head(reader: &mut BufReader<TcpStream>) -> Option<(u16, bool)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let mut in_chunks = false;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            return Some((status, in_chunks));
        }
        in_chunks |= line
            .to_ascii_lowercase()
            .starts_with("transfer-encoding: chunked");
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
