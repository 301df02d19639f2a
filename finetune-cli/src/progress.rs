//! What a command says: progress and remarks on stderr, results on stdout.

use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over `steps` steps, hidden if `quiet` or stderr is no terminal.
pub fn bar(steps: u64, quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style =
        ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len}  {msg}  {elapsed} < {eta}");
    ProgressBar::with_draw_target(Some(steps), target)
        .with_style(style.expect("a constant template"))
}

/// A line on stdout. Unlike `println!` it gives the error of a closed pipe back.
///
/// # Errors
/// When it can't be written.
pub fn say(line: impl std::fmt::Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

/// A line on stdout about work that goes on whether or not anybody reads it: a closed pipe is no error.
///
/// # Errors
/// When it can't be written for another reason.
pub fn report(line: impl std::fmt::Display) -> io::Result<()> {
    match say(line) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// A remark on stderr, above the bar.
pub fn remark(quiet: bool, text: &str) {
    if !quiet {
        eprintln!("{text}");
    }
}
