//! How much memory training takes: an estimate from the configuration.

use bert::{Config, Family};
use tensor::Device;

use crate::cgroup;

/// Bytes, by what they are for.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Memory {
    /// The parameters, f32.
    pub weights: u64,
    /// One gradient a parameter.
    pub gradients: u64,
    /// Two moments a parameter.
    pub optimizer: u64,
    /// What the forward keeps for the backward, at the given number of tokens.
    pub activations: u64,
}

impl Memory {
    /// Of a training step on `batch` sequences of `length` tokens, with `params` parameters. With `checkpoints` all
    /// layers but one keep their input alone.
    pub fn of_step(
        config: &Config,
        params: u64,
        [batch, length]: [u64; 2],
        checkpoints: bool,
    ) -> Self {
        let tokens = batch.saturating_mul(length);
        let (h, f) = (config.hidden_size as u64, config.intermediate_size as u64);
        let (n, layers) = (config.num_attention_heads as u64, config.num_hidden_layers as u64);
        let per_layer = match config.family {
            // Per token and layer: x, its norm, q, k, v, o, the sum, its norm, both halves of the inner state; one lse
            // a head.
            Family::ModernBert(_) => 8 * h + 2 * f + n,
            // x, q, k, v, o, the sum, its norm, the inner state before the activation, the second sum; one lse a head.
            _ => 8 * h + f + n,
        };
        let kept = match checkpoints {
            true => layers.saturating_sub(1) * h + per_layer,
            false => layers * per_layer,
        };
        // In the backward of a DeBERTa's layer, of each token two products with each distance, and their gradients.
        let meets_distances = matches!(config.family, Family::DebertaV2(_));
        let met = if meets_distances { 4 * n * 2 * length } else { 0 };
        // The embeddings' three rows, sums, norm and dropout, as if E were H; one gradient of the widest state on the
        // way.
        let activations = tokens.saturating_mul((kept + met + 7 * h + f) * 4);
        let weights = params * 4;
        Self { weights, gradients: weights, optimizer: 2 * weights, activations }
    }

    /// Of a training step on a frozen encoder: gradients and moments of the `trained` parameters alone, and the
    /// activations of one layer at a time, since no backward comes back to them.
    pub fn of_frozen_step(config: &Config, params: u64, trained: u64, batch: [u64; 2]) -> Self {
        let mut one_layer = config.clone();
        one_layer.num_hidden_layers = 1;
        let activations = Self::of_step(&one_layer, params, batch, false).activations;
        let weights = params * 4;
        Self { weights, gradients: trained * 4, optimizer: trained * 8, activations }
    }

    /// Of a training step of adapters: gradients and moments of the `trained` parameters alone, a head included. The
    /// backward goes through all layers.
    pub fn of_adapted_step(
        config: &Config,
        params: u64,
        trained: u64,
        batch: [u64; 2],
        checkpoints: bool,
    ) -> Self {
        let whole = Self::of_step(config, params, batch, checkpoints);
        Self { gradients: trained * 4, optimizer: trained * 8, ..whole }
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        (self.weights + self.gradients + self.optimizer).saturating_add(self.activations)
    }
}

/// Bytes as people read them: `1.4 GB`.
pub fn human(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[unit]) }
}

/// The most memory this process has held on a device so far, in bytes: tensors on a GPU, everything on the host, where
/// only Linux tells.
pub fn peak(device: &Device) -> Option<u64> {
    device.peak_memory().or_else(|| kilobytes("/proc/self/status", "VmHWM:"))
}

/// Bytes that can be had without pushing others out of memory, or over a limit of the [container](cgroup); none where
/// the system is not Linux.
pub fn available() -> Option<u64> {
    let free = kilobytes("/proc/meminfo", "MemAvailable:")?;
    Some(cgroup::available().map_or(free, |left| left.min(free)))
}

/// The bytes behind `key` in a file of lines such as `VmHWM:   108544 kB`.
fn kilobytes(path: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    value.trim().strip_suffix("kB")?.trim_end().parse().ok().map(|kb: u64| kb << 10)
}

/// Begins a new count of [`peak`] from what is held right now; on the host where the system can.
pub fn reset_peak(device: &Device) {
    device.reset_peak_memory();
    // Where it can't be done, the peak stays that of the whole process.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}
