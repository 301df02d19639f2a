//! What the benches share: the clock, and the words on the command line.

use std::time::{Duration, Instant};

/// How long one measurement takes.
const BUDGET: Duration = Duration::from_millis(200);

/// Calls of one measurement at least.
const MIN_CALLS: usize = 5;

/// Seconds of one call.
pub struct Times {
    /// Of the shortest call: other work on the machine only ever adds to it.
    pub shortest: f64,
    /// Of the call in the middle: far above the shortest, it says that the machine was not alone.
    pub median: f64,
}

/// Times calls of `f`, after one that is not counted.
pub fn time(mut f: impl FnMut()) -> Times {
    f();
    let (begin, mut seconds) = (Instant::now(), Vec::new());
    while seconds.len() < MIN_CALLS || begin.elapsed() < BUDGET {
        let start = Instant::now();
        f();
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Times { shortest: seconds[0], median: seconds[seconds.len() / 2] }
}

/// Which rows the command line asks for: those whose name contains one of its words, all without words.
pub struct Filter(Vec<String>);

impl Filter {
    /// From the words on the command line; flags are cargo's.
    pub fn from_args() -> Self {
        Self(std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect())
    }

    /// Whether the row `name` is asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|word| name.contains(word.as_str()))
    }
}
