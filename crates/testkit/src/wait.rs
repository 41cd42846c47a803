//! Waiting for a condition instead of sleeping for a guess.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at again.
pub const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Looks at `condition` until it gives a value, at most for `limit`.
///
/// `what` completes the sentence "waited in vain for ...". An error of the condition ends the wait at once.
///
/// # Errors
/// The condition's own, or one that names `what` and the limit.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        if started.elapsed() >= limit {
            bail!("waited {} ms in vain for {what}", limit.as_millis());
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// As [`wait_for`], for a condition whose errors mean "not yet". The last of them is the cause of the failure.
///
/// # Errors
/// One that names `what`, the limit and why the last attempt failed.
pub fn retry<T>(what: &str, limit: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if started.elapsed() >= limit => {
                return Err(error.context(format!(
                    "waited {} ms in vain for {what}",
                    limit.as_millis()
                )));
            }
            Err(_) => thread::sleep(POLL_INTERVAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_in_vain_names_what_was_missing() {
        let limit = Duration::from_millis(1);
        let error = wait_for::<()>("the moon", limit, || Ok(None)).unwrap_err();
        assert_eq!(error.to_string(), "waited 1 ms in vain for the moon");
        let error = retry::<()>("the sun", limit, || bail!("it is night")).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "waited 1 ms in vain for the sun: it is night"
        );
    }

    #[test]
    fn an_error_ends_the_wait_and_a_value_is_returned() {
        let mut left = 3;
        let value = wait_for("a countdown", Duration::from_secs(10), || {
            left -= 1;
            Ok((left == 0).then_some("done"))
        });
        assert_eq!(value.unwrap(), "done");
        let error = wait_for::<()>("nothing", Duration::from_secs(10), || bail!("it is gone"));
        assert_eq!(error.unwrap_err().to_string(), "it is gone");
    }
}
