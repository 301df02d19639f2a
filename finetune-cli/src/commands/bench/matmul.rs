//! `finetune bench matmul`: y = x w^T + b through the op that every layer uses.

use anyhow::Result;
use serde_json::{Value, json};
use tensor::{DType, Device, Tensor, ops::linear, philox::Rng};

use super::{check_memory, least, median, rounded, rounds, timed};
use crate::args::PrecisionName;
use crate::args::bench::BenchMatmulArgs;
use crate::progress::say;

/// Products that a GPU is asked for before the host waits, which takes longer than one of them.
const IN_A_ROW: u32 = 20;

/// Prints a line for each size.
pub(super) fn run(args: &BenchMatmulArgs) -> Result<()> {
    for size in &args.sizes {
        say(measure(*size, args)?)?;
    }
    Ok(())
}

fn measure([m, k, n]: [usize; 3], args: &BenchMatmulArgs) -> Result<Value> {
    let elements = m as u128 * k as u128 + k as u128 * n as u128 + m as u128 * n as u128;
    let bytes = u64::try_from(4 * elements).unwrap_or(u64::MAX);
    check_memory(&format!("--sizes {m}x{k}x{n}"), bytes)?;
    let device = args.hardware.device.open(false)?;
    let mut rng = Rng::new(0, 0);
    let mut random = |shape: &[usize]| Tensor::randn(shape, &mut rng).to_device(&device);
    let (x, w, b) = (random(&[m, k])?, random(&[n, k])?, random(&[n])?);
    let x = match args.precision {
        PrecisionName::F32 => x,
        PrecisionName::Bf16 => x.to_dtype(DType::BF16)?,
    };
    // The result is dropped after each round: its memory goes to the next one, as in a training step.
    let in_a_row = if device == Device::Cpu { 1 } else { IN_A_ROW };
    let products = || {
        (0..in_a_row).try_for_each(|_| linear::forward(&x, &w, Some(&b)).map(drop))?;
        Ok(device.synchronize()?)
    };
    let once = || Ok(timed(products)?.1 / f64::from(in_a_row));
    let seconds = rounds(args.repeats, once)?;
    let flops = 2.0 * m as f64 * k as f64 * n as f64;
    let (middle, best) = (median(seconds.iter().copied()), least(seconds));
    Ok(json!({
        "m": m, "k": k, "n": n, "precision": args.precision, "device": device.label(),
        "threads": rayon::current_num_threads(),
        "ms": rounded(middle * 1e3, 4), "gflops": rounded(flops / middle / 1e9, 1),
        "best_ms": rounded(best * 1e3, 4), "best_gflops": rounded(flops / best / 1e9, 1),
    }))
}
