//! What a command says: progress and remarks on stderr, results on stdout.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a line moves that counts nothing.
const TICK: Duration = Duration::from_millis(200);

/// A bar over `steps` steps, hidden if `quiet` or stderr is no terminal.
pub fn bar(steps: u64, quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style =
        ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len}  {msg}  {elapsed} < {eta}");
    ProgressBar::with_draw_target(Some(steps), target)
        .with_style(style.expect("a constant template"))
}

/// A line that says what is done, and for how long, while `work` runs; none if `quiet` or stderr is no terminal.
pub fn during<T>(what: &str, quiet: bool, work: impl FnOnce() -> T) -> T {
    let style = ProgressStyle::with_template("{spinner} {msg}  {elapsed}");
    let line =
        bar(0, quiet).with_style(style.expect("a constant template")).with_message(what.to_owned());
    line.enable_steady_tick(TICK);
    let result = work();
    line.finish_and_clear();
    result
}

/// A line on stdout. Unlike `println!` it gives the error of a closed pipe back.
///
/// # Errors
/// When it can't be written.
pub fn say(line: impl std::fmt::Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

/// A line on stdout about work that goes on whether or not anybody can read it: a closed pipe, a terminal that is gone
/// or a log file on a full disk ends no training.
pub fn report(line: impl std::fmt::Display) {
    let _ = say(line);
}

/// A line on stderr. Unlike `eprintln!` it does not panic where stderr is closed.
pub fn warn(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A remark on stderr, above the bar.
pub fn remark(quiet: bool, text: &str) {
    if !quiet {
        warn(text);
    }
}
