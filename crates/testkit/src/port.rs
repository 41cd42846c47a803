//! Ports that a restarted server can have again.
//!
//! A port that the kernel picks for port 0 lies in the range it also gives to outgoing connections. While the
//! server is down, a client's own socket may be given its port, or a client that reconnects to it may even be
//! connected to itself; the server then cannot come back. So ports are taken from below that range.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

const FIRST: u16 = 20_000;
/// Linux gives outgoing connections ports from 32768 (`net.ipv4.ip_local_port_range`).
const COUNT: u16 = 12_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port of the loopback interface that was free a moment ago and that no outgoing connection will be given.
///
/// # Errors
/// When a thousand ports in a row are taken.
pub fn free_port() -> Result<u16> {
    // Test processes run side by side: each begins at a place of its own.
    let start = u16::try_from(std::process::id().wrapping_mul(7_919) % u32::from(COUNT))?;
    for _ in 0..1_000 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (u32::from(start) + u32::from(step)).rem_euclid(u32::from(COUNT)) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between {FIRST} and {}", FIRST + COUNT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_and_lie_below_the_outgoing_range() {
        let (a, b) = (free_port().unwrap(), free_port().unwrap());
        assert_ne!(a, b);
        assert!((FIRST..32_768).contains(&a) && (FIRST..32_768).contains(&b));
    }
}
