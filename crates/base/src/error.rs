//! One way to print an error with all of its causes.
//!
//! An error's own `Display` never prints its source (house rule 18), so whatever is logged or shown goes
//! through [`ErrorChain`], which walks the chain once.

use std::error::Error;
use std::fmt;

/// Displays an error followed by each of its sources, separated by `: `.
#[derive(Clone, Copy)]
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open journal file 'j-1'")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn prints_every_cause_once() {
        let error = Outer(std::io::Error::other("disk is gone"));
        assert_eq!(
            ErrorChain(&error).to_string(),
            "cannot open journal file 'j-1': disk is gone"
        );
    }
}
