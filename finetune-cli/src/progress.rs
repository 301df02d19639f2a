//! Progress on the terminal: on stderr, and only if someone is looking.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over `steps` steps, hidden if `quiet` or stderr is no terminal.
pub fn bar(steps: u64, quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style =
        ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len}  {msg}  {elapsed} < {eta}");
    ProgressBar::with_draw_target(Some(steps), target)
        .with_style(style.expect("a constant template"))
}

/// A remark on stderr, above the bar.
pub fn remark(quiet: bool, text: &str) {
    if !quiet {
        eprintln!("{text}");
    }
}
