//! Learning-rate schedules.
//!
//! ```text
//! s < warmup     factor = s / warmup
//! after it, with t = (s - warmup) / (total - warmup), 1 from the end on:
//! constant       1
//! linear         1 - t
//! cosine         (1 + cos(pi t)) / 2
//! polynomial     (1 - t)^power (1 - end) + end
//! ```
//!
//! Steps count from 0, as in transformers: with a warm-up the first step has rate 0.
//! Sources: Loshchilov and Hutter, *SGDR*, 2016, <https://arxiv.org/abs/1608.03983>; transformers'
//! optimization.py, whose values the tests compare with.

/// The course after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScheduleKind {
    /// Stays at the peak.
    Constant,
    /// A straight line to zero.
    Linear,
    /// Half a cosine wave to zero.
    Cosine,
    /// A power of the remaining share, down to `end`.
    Polynomial {
        /// 1 is a straight line.
        power: f64,
        /// The last factor, relative to the peak.
        end: f64,
    },
}

/// How long the rate rises from zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warmup {
    /// For so many steps.
    Steps(u64),
    /// For a share of all steps, in [0, 1].
    Ratio(f64),
}

impl Warmup {
    /// The number of steps, of `total`; a ratio is rounded up, as in transformers.
    pub fn steps(self, total: u64) -> u64 {
        match self {
            Warmup::Steps(steps) => steps,
            Warmup::Ratio(ratio) => (ratio * total as f64).ceil() as u64,
        }
    }
}

/// A learning rate over time, as a factor of its peak.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The course after the warm-up.
    pub kind: ScheduleKind,
    /// Steps of linear rise.
    pub warmup: u64,
    /// All steps, those of the warm-up included.
    pub total: u64,
}

impl Schedule {
    /// The factor of step `step`, counted from 0.
    pub fn factor(&self, step: u64) -> f64 {
        if step < self.warmup {
            return step as f64 / self.warmup as f64;
        }
        let t = match step < self.total {
            true => (step - self.warmup) as f64 / (self.total - self.warmup) as f64,
            false => 1.0,
        };
        match self.kind {
            ScheduleKind::Constant => 1.0,
            ScheduleKind::Linear => 1.0 - t,
            ScheduleKind::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * t).cos()),
            ScheduleKind::Polynomial { power, end } => (1.0 - t).powf(power) * (1.0 - end) + end,
        }
    }
}
