//! `finetune bench`: speed and memory, one JSON object a line, with the keys of the PyTorch programs it is
//! compared with. Medians, because what else runs on the machine makes single runs late and never early.

mod matmul;
mod step;
mod train;

use std::time::Instant;

use anyhow::{Result, bail};
use serde_json::{Value, json};
use tensor::Device;

use super::on_threads;
use crate::args::bench::{Bench, BenchArgs};
use crate::memory::{self, human};

/// Rounds that are not measured: memory is taken from the system and filled for the first time in them.
const WARM_UP: u32 = 3;

/// Measures what was asked for.
pub(super) fn run(args: &BenchArgs) -> Result<()> {
    match &args.what {
        Bench::Step(args) => on_threads(args.hardware.threads, || step::run(args)),
        Bench::Train(args) => on_threads(args.hardware.threads, || train::run(args)),
        Bench::Matmul(args) => on_threads(args.hardware.threads, || matmul::run(args)),
    }
}

/// What `f` gives, and the seconds it took.
fn timed<T>(f: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let start = Instant::now();
    Ok((f()?, start.elapsed().as_secs_f64()))
}

/// What `once` gives in each of `count` rounds, after those of the warm-up.
fn rounds<T>(count: u32, mut once: impl FnMut() -> Result<T>) -> Result<Vec<T>> {
    for _ in 0..WARM_UP {
        once()?;
    }
    (0..count).map(|_| once()).collect()
}

/// The middle of the values, of which there is one at least; the mean of both middles of an even number.
fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

fn least(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(f64::INFINITY, f64::min)
}

/// A number with so many digits behind the point, and no more.
fn rounded(value: f64, digits: i32) -> Value {
    let unit = 10f64.powi(digits);
    json!((value * unit).round() / unit)
}

/// Peak memory of a device in MiB; null where the system does not tell.
fn peak_mib(device: &Device) -> Value {
    json!(memory::peak(device).map(|bytes| bytes >> 20))
}

/// Refuses what can't fit, before the system ends the process for it.
fn check_memory(what: &str, bytes: u64) -> Result<()> {
    match memory::available() {
        Some(free) if bytes > free => {
            bail!("{what}: takes about {}, {} are free; use less", human(bytes), human(free))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_rounding() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(least([3.0, 1.0, 2.0]), 1.0);
        assert_eq!(rounded(2.0 / 3.0, 2), json!(0.67));
    }

    #[test]
    fn what_can_not_fit_is_refused() {
        assert!(check_memory("a byte", 1).is_ok());
        let refused = check_memory("everything", u64::MAX);
        assert_eq!(refused.is_err(), memory::available().is_some());
    }
}
