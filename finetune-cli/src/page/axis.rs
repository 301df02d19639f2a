//! Axes: values to pixels, and ticks at round numbers.

use super::numbers;

/// Ticks at most, so that their labels keep apart.
const TICKS: usize = 8;

/// A line of values, or of their logarithms, between two pixels.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    log: bool,
}

/// The least and greatest finite value; none if there is none.
pub fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.into_iter().filter(|v| v.is_finite());
    finite.fold(None, |range, v| match range {
        None => Some((v, v)),
        Some((low, high)) => Some((v.min(low), v.max(high))),
    })
}

impl Axis {
    /// From `low` to `high`, between pixels; a single value gets room around it.
    pub fn linear((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let room = if high > low { 0.0 } else { (low.abs() * 0.1).max(0.01) };
        Self { low: low - room, high: high + room, from, to, log: false }
    }

    /// Likewise with a tenth of the range as margin on both sides.
    pub fn roomy((low, high): (f64, f64), pixels: (f64, f64)) -> Self {
        let margin = (high - low) * 0.1;
        Self::linear((low - margin, high + margin), pixels)
    }

    /// Logarithmic, over a factor of four at least, so that round numbers fall on it.
    pub fn log((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let (low, high) = (low.max(f64::MIN_POSITIVE).ln(), high.max(f64::MIN_POSITIVE).ln());
        let margin = ((high - low) * 0.06).max((4f64.ln() - (high - low)) / 2.0);
        Self { low: low - margin, high: high + margin, from, to, log: true }
    }

    /// The pixel of a value.
    pub fn place(&self, value: f64) -> f64 {
        let value = if self.log { value.max(f64::MIN_POSITIVE).ln() } else { value };
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// The pixels at both ends.
    pub fn ends(&self) -> (f64, f64) {
        (self.from, self.to)
    }

    /// Round values of a linear axis with their labels.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let step = round_step((self.high - self.low) / 5.0);
        let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
        let first = (self.low / step - 1e-9).ceil();
        let values = (0..TICKS).map(|i| (first + i as f64) * step);
        let inside = values.filter(|v| *v <= self.high + step * 1e-9);
        inside.map(|v| (v, numbers::fixed(v, decimals))).collect()
    }

    /// Those of the values that are on the axis; not all, if they are many.
    pub fn some_of(&self, values: &[f64]) -> Vec<f64> {
        let (least, most) = (self.from.min(self.to), self.from.max(self.to));
        let on = |v: &&f64| (least..=most).contains(&self.place(**v));
        let inside: Vec<f64> = values.iter().filter(on).copied().collect();
        inside.iter().step_by(inside.len().div_ceil(TICKS).max(1)).copied().collect()
    }
}

/// The next of 1, 2, 5, 10, 20, .. times a power of ten.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.abs().max(f64::MIN_POSITIVE).log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|f| f * power >= least * 0.999);
    factor.unwrap_or(10.0) * power
}

/// 1, 2 and 5 times all powers of ten between two exponents.
pub fn decades(exponents: std::ops::Range<i32>) -> Vec<f64> {
    exponents.flat_map(|e| [1.0, 2.0, 5.0].map(|f| f * 10f64.powi(e))).collect()
}

/// Seconds that are round in the units in which people tell time.
pub fn round_times() -> Vec<f64> {
    let (minute, hour, day) = (60.0, 3600.0, 86_400.0);
    let small = [1.0, 2.0, 5.0, 10.0, 30.0].map(|s| [s, s * minute]).concat();
    let hours = [1.0, 2.0, 5.0, 12.0].map(|h| h * hour);
    let days = decades(0..5).into_iter().map(|d| d * day);
    let mut times: Vec<f64> = decades(-4..0).into_iter().chain(small).chain(hours).collect();
    times.extend(days);
    times.sort_by(f64::total_cmp);
    times
}
