//! The question before something is lost.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::failure::{Failure, Outcome};

/// Asks `question` (yes or no) unless `force` says not to ask.
///
/// # Errors
/// The answer is no, or nobody can be asked.
pub(crate) fn confirm(force: bool, question: &str) -> Outcome {
    if force {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(
            Failure::new("this needs a confirmation, and nobody can be asked")
                .remedy("pass --force"),
        );
    }
    let mut stderr = io::stderr();
    write!(stderr, "{question} (y/n): ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new("nothing was deleted")),
    }
}
