//! Asks a port whether a Kafka broker serves there, with bytes written by hand.
//!
//! A listening socket proves nothing: Apache Kafka accepts connections into the backlog long before it answers.
//! The question is Metadata version 0 for no topic (which means all topics); the answer must name a broker.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// One request: size 19, Metadata (key 3) version 0, correlation id 7, client id "probe", an empty array of topics.
const METADATA_V0: &[u8] = b"\0\0\0\x13\0\x03\0\0\0\0\0\x07\0\x05probe\0\0\0\0";

/// Answers longer than this are not what we asked for.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Ports of the loopback interface that were free a moment ago.
///
/// All are held together until each has its number, so that no two are the same. Another process may take one
/// before its user binds it; the start that follows then fails loudly.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut listeners = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .context("no free port on the loopback interface")?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}

/// What the probe learnt of a broker that serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// How long it took from the first attempt.
    pub elapsed: Duration,
    /// The id of the first broker that Metadata names.
    pub broker_id: i32,
}

/// Waits until the broker at `port` answers Metadata with at least one broker.
///
/// `check` runs between attempts and ends the wait with its error, such as that the process is gone.
pub fn wait_until_ready(
    port: u16,
    limit: Duration,
    mut check: impl FnMut() -> Result<()>,
) -> Result<Ready> {
    let started = Instant::now();
    loop {
        let error = match ask_broker(port) {
            Ok(Some(broker_id)) => {
                return Ok(Ready {
                    elapsed: started.elapsed(),
                    broker_id,
                });
            }
            Ok(None) => anyhow::anyhow!("Metadata names no broker yet"),
            Err(error) => error,
        };
        check()?;
        if started.elapsed() > limit {
            return Err(error.context(format!(
                "nothing served 127.0.0.1:{port} within {} s",
                limit.as_secs()
            )));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The first broker in the Metadata answer of the broker at `port`.
fn ask_broker(port: u16) -> Result<Option<i32>> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))
        .context("could not connect")?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(METADATA_V0)?;
    let mut size = [0; 4];
    stream
        .read_exact(&mut size)
        .context("no answer to Metadata")?;
    let size =
        usize::try_from(i32::from_be_bytes(size)).context("the answer has a negative size")?;
    ensure!(
        (8..=ANSWER_BYTES_MAX).contains(&size),
        "the answer to Metadata has the absurd size {size}"
    );
    let mut answer = vec![0; size];
    stream
        .read_exact(&mut answer)
        .context("the answer to Metadata is cut short")?;
    parse_first_broker(&answer)
}

/// Correlation id, the number of brokers, then the id of the first.
fn parse_first_broker(answer: &[u8]) -> Result<Option<i32>> {
    let mut rest = answer;
    let mut int32 = || -> Result<i32> {
        let (head, tail) = rest
            .split_first_chunk()
            .context("the answer to Metadata is cut short")?;
        rest = tail;
        Ok(i32::from_be_bytes(*head))
    };
    let correlation = int32()?;
    ensure!(
        correlation == 7,
        "the answer carries correlation id {correlation}, not 7"
    );
    let count = int32()?;
    ensure!(count >= 0, "the answer holds a negative number of brokers");
    if count == 0 {
        Ok(None)
    } else {
        Ok(Some(int32()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_says_its_own_size() {
        let size = u32::from_be_bytes(METADATA_V0[..4].try_into().unwrap());
        assert_eq!(size as usize, METADATA_V0.len() - 4);
    }

    #[test]
    fn an_answer_is_read_only_when_it_is_ours() {
        assert_eq!(
            parse_first_broker(b"\0\0\0\x07\0\0\0\x01\0\0\0\x05rest").unwrap(),
            Some(5)
        );
        assert_eq!(parse_first_broker(b"\0\0\0\x07\0\0\0\0").unwrap(), None);
        assert!(parse_first_broker(b"\0\0\0\x08\0\0\0\x01\0\0\0\x05").is_err());
        assert!(parse_first_broker(b"\0\0\0\x07\xff\xff\xff\xff").is_err());
        assert!(parse_first_broker(b"\0\0\0\x07\0\0\0\x01").is_err());
    }

    #[test]
    fn free_ports_differ() {
        let [a, b, c] = free_ports::<3>().unwrap();
        assert!(a != b && b != c && a != c);
    }
}
