//! Lines of standard input, read in a thread of their own.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::failure::{Failure, Outcome};

/// The longest line, in bytes. A broker takes 1 MiB unless told otherwise; this only keeps a stream without
/// line ends from filling the memory.
const LINE_BYTES_MAX: usize = 64 << 20;

/// Lines handed over at a time, at most.
const BATCH_LINES_MAX: usize = 1_000;

/// Batches that wait for the producer, at most.
const BATCHES_WAITING_MAX: usize = 4;

/// Some lines without their line ends, or why there are no more.
pub(super) type Batch = Outcome<Vec<Vec<u8>>>;

/// Reads standard input until it ends or nobody receives any more.
pub(super) fn read_stdin() -> Outcome<Receiver<Batch>> {
    let (sender, receiver) = sync_channel(BATCHES_WAITING_MAX);
    // Not joined: it may wait for a key press for ever. It ends with the process.
    std::thread::Builder::new()
        .name("standard-input".to_owned())
        .spawn(move || {
            read_all(
                &mut BufReader::with_capacity(64 * 1024, io::stdin()),
                &sender,
            )
        })
        .map_err(|error| Failure::new(format!("cannot start a thread: {error}")))?;
    Ok(receiver)
}

fn read_all(input: &mut BufReader<impl Read>, to: &SyncSender<Batch>) {
    let mut number = 0;
    loop {
        let batch = read_batch(input, &mut number);
        let ended = !matches!(&batch, Ok(lines) if !lines.is_empty());
        let empty = matches!(&batch, Ok(lines) if lines.is_empty());
        if (!empty && to.send(batch).is_err()) || ended {
            return;
        }
    }
}

/// Waits for one line, then takes those that are there already. No line means the end.
fn read_batch(input: &mut BufReader<impl Read>, number: &mut u64) -> Batch {
    let mut lines = Vec::new();
    while let Some(line) = read_line(input, *number + 1)? {
        *number += 1;
        lines.push(line);
        let another_is_there = input.buffer().contains(&b'\n');
        if !another_is_there || lines.len() >= BATCH_LINES_MAX {
            break;
        }
    }
    Ok(lines)
}

fn read_line(input: &mut impl BufRead, number: u64) -> Outcome<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = input
        .take(LINE_BYTES_MAX as u64 + 1)
        .read_until(b'\n', &mut line)
        .map_err(|error| Failure::new(format!("cannot read standard input: {error}")))?;
    if read == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() > LINE_BYTES_MAX {
        return Err(Failure::new(format!(
            "line {number} of standard input is longer than {LINE_BYTES_MAX} bytes: \
             expected one record a line"
        )));
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(text: &[u8]) -> Vec<Vec<String>> {
        let (sender, receiver) = sync_channel(1_000);
        read_all(&mut BufReader::new(text), &sender);
        drop(sender);
        let text = |line: Vec<u8>| String::from_utf8(line).unwrap();
        receiver
            .into_iter()
            .map(|batch| batch.unwrap().into_iter().map(text).collect())
            .collect()
    }

    #[test]
    fn lines_lose_only_their_line_end() {
        assert_eq!(batches(b"a\r\n\n  b "), [vec!["a\r", ""], vec!["  b "]]);
        assert!(batches(b"").is_empty());
    }

    #[test]
    fn a_batch_is_bounded() {
        let text = "x\n".repeat(BATCH_LINES_MAX + 1);
        let sizes: Vec<usize> = batches(text.as_bytes()).iter().map(Vec::len).collect();
        assert_eq!(sizes, [BATCH_LINES_MAX, 1]);
    }

    #[test]
    fn a_stream_without_line_ends_is_refused() {
        let mut endless = io::repeat(b'x');
        let error = read_line(&mut BufReader::new(&mut endless), 3)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("line 3") && error.contains("67108864"),
            "{error}"
        );
    }
}
