//! The kernels of a GPU against what it can do: copies, elementwise ops, normalization, attention and matrix products,
//! as JSON lines. `tests/gpu/torch_kernels.py` prints the same of PyTorch.
//!
//! Each figure is the median of 20 timings of 50 launches in a row, in f32 or bf16 as the size of hidden states asks;
//! rates count operations, or bytes read and written once. Without a GPU it says so and ends. Arguments choose among
//! `copies`, `rows`, `gate`, `turn`, `products` and `attention`, without any it runs all. With `--test` every kernel
//! runs once, at a small size: the program is checked, and its figures mean nothing.

use std::time::Instant;

use kernels::activation::{self, Activation};
use kernels::attention::{self, Attention};
use kernels::cuda::{Array, DType, Device, Offsets, Result};
use kernels::dropout::Dropout;
use kernels::matmul::cuda::{self as matmul, After, Linear, Rung};
use kernels::philox::Key;
use kernels::rotary;
use kernels::rotary::cuda::{Places, Rotary};
use kernels::{add_norm, elementwise, gated};

/// Timings of one figure, and launches in one timing.
const TIMES: [usize; 2] = [20, 50];

/// What models are trained with.
const DROPOUT: Dropout = Dropout { p: 0.1, key: Key { seed: 1, step: 2, site: 3 } };

/// Rows, inputs and outputs of linear layers: BERT-base and MiniLM, masked tokens over a vocabulary, and one that is
/// all arithmetic.
const PRODUCTS: [[usize; 3]; 8] = [
    [16384, 768, 768],
    [16384, 768, 3072],
    [16384, 3072, 768],
    [32768, 384, 384],
    [32768, 384, 1536],
    [32768, 1536, 384],
    [614, 768, 30522],
    [8192, 8192, 8192],
];

/// Sequences, tokens of each, heads, size of a head.
const ATTENTION: [[usize; 4]; 3] = [[32, 512, 12, 64], [256, 128, 12, 64], [256, 128, 12, 32]];

/// What can be run alone.
const GROUPS: [&str; 6] = ["copies", "rows", "gate", "turn", "products", "attention"];

fn main() {
    let device = match Device::open(0) {
        Ok(device) => device,
        Err(error) => return println!("skipped: {error}"),
    };
    println!("{{\"gpu\": \"{}\"}}", device.label());
    // Cargo's own flag is among the arguments.
    let (flags, only): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|a| a.starts_with("--"));
    let test = flags.iter().any(|flag| flag == "--test");
    if let Some(other) = only.iter().find(|name| !GROUPS.contains(&name.as_str())) {
        eprintln!("error: {other} is none of: {}", GROUPS.join(" "));
        std::process::exit(2);
    }
    if let Err(error) = (Bench { device, test, only }).run() {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

struct Bench {
    device: Device,
    /// Run everything once and small.
    test: bool,
    /// The groups to run; all if there are none.
    only: Vec<String>,
}

impl Bench {
    fn run(&self) -> Result<()> {
        let wants =
            |group: &str| self.only.is_empty() || self.only.iter().any(|name| name == group);
        if wants("copies") {
            self.copies()?;
        }
        if wants("rows") {
            self.rows()?;
        }
        if wants("gate") {
            self.gate([self.at_most(9, 65536), 1152])?;
        }
        if wants("turn") {
            self.turn([self.at_most(30, 65536), 12, 64])?;
        }
        // Small, and for the kernels that take the size itself: what is a multiple of 8 stays one.
        let small = |n: usize| self.at_most(if n.is_multiple_of(8) { 136 } else { 130 }, n);
        for [rows, inputs, outputs] in PRODUCTS.into_iter().filter(|_| wants("products")) {
            self.products([self.at_most(136, rows), small(inputs), small(outputs)])?;
        }
        for [batch, length, heads, d] in ATTENTION.into_iter().filter(|_| wants("attention")) {
            self.attend([
                self.at_most(2, batch),
                self.at_most(70, length),
                self.at_most(2, heads),
                d,
            ])?;
        }
        Ok(())
    }

    /// The size to run: a small one in a test.
    fn at_most(&self, small: usize, size: usize) -> usize {
        if self.test { size.min(small) } else { size }
    }

    /// The median of the seconds that one call takes.
    fn seconds<T>(&self, mut once: impl FnMut() -> Result<T>) -> Result<f64> {
        let [timings, in_a_row] = TIMES.map(|n| self.at_most(1, n));
        for _ in 0..self.at_most(0, 3) {
            once()?;
        }
        self.device.synchronize()?;
        let mut times = Vec::with_capacity(timings);
        for _ in 0..timings {
            let start = Instant::now();
            for _ in 0..in_a_row {
                once()?;
            }
            self.device.synchronize()?;
            times.push(start.elapsed().as_secs_f64() / in_a_row as f64);
        }
        times.sort_by(f64::total_cmp);
        Ok(times[timings / 2])
    }

    /// Random values, the same for the same seed, over and over where there are more than a million: zeros would be
    /// multiplied faster than any model's.
    fn random(&self, dtype: DType, len: usize, seed: u64) -> Result<Array> {
        let some: Vec<f32> = kernels::testing::random(len.min(1_000_003), 1.0, seed);
        let values: Vec<f32> = some.iter().copied().cycle().take(len).collect();
        let there = Array::from_host(&self.device, &values)?;
        match dtype {
            DType::BF16 => elementwise::cuda::convert(there.slice(), DType::BF16),
            _ => Ok(there),
        }
    }

    fn copies(&self) -> Result<()> {
        let n = self.at_most(1 << 12, 1 << 28);
        let x = self.random(DType::F32, n, 1)?;
        let time = self.seconds(|| Array::duplicate(x.slice()))?;
        say("copy", &[n], time, 8.0 * n as f64, "gb_per_s");
        let time = self.seconds(|| elementwise::cuda::convert(x.slice(), DType::BF16))?;
        say("convert", &[n], time, 6.0 * n as f64, "gb_per_s");
        let [half, dy] = [self.random(DType::BF16, n, 1)?, self.random(DType::BF16, n, 2)?];
        let gelu = || activation::cuda::forward(Activation::Gelu, half.slice());
        say("gelu", &[n], self.seconds(gelu)?, 4.0 * n as f64, "gb_per_s");
        let backward =
            || activation::cuda::backward_and_value(Activation::Gelu, half.slice(), dy.slice());
        say("gelu_backward", &[n], self.seconds(backward)?, 8.0 * n as f64, "gb_per_s");
        Ok(())
    }

    fn rows(&self) -> Result<()> {
        for [rows, h] in [[65536, 768], [131_072, 384]] {
            let rows = self.at_most(9, rows);
            let n = rows * h;
            let (x, r) = (self.random(DType::BF16, n, 1)?, self.random(DType::BF16, n, 2)?);
            let [w, b] = [self.random(DType::F32, h, 3)?, self.random(DType::F32, h, 4)?];
            // Bytes: x, r, z and y; in the gradient z, dy, dr, and dx if it is not dr.
            for (suffix, dropout, moved) in [("", None, 6.0), ("_dropout", Some(DROPOUT), 8.0)] {
                let size = [rows, h];
                let forward = || {
                    add_norm::cuda::forward(
                        [x.slice(), r.slice()],
                        [w.slice(), b.slice()],
                        1e-12,
                        dropout,
                    )
                };
                let time = self.seconds(forward)?;
                say(&format!("add_norm{suffix}"), &size, time, 8.0 * n as f64, "gb_per_s");
                let made = forward()?;
                let backward = || {
                    let [z, mean, rstd] = [&made.z, &made.mean, &made.rstd].map(Array::slice);
                    let saved = add_norm::cuda::Saved { z, mean, rstd };
                    add_norm::cuda::backward(saved, w.slice(), dropout, r.slice())
                };
                let time = self.seconds(backward)?;
                let op = format!("add_norm_backward{suffix}");
                say(&op, &size, time, moved * n as f64, "gb_per_s");
            }
        }
        Ok(())
    }

    /// Rows, and the columns of each half.
    fn gate(&self, [rows, cols]: [usize; 2]) -> Result<()> {
        let (n, f) = (rows * cols, Activation::Gelu);
        let (z, dy) = (self.random(DType::BF16, 2 * n, 1)?, self.random(DType::BF16, n, 2)?);
        let time = self.seconds(|| gated::cuda::forward(f, z.slice(), cols))?;
        say("gated", &[rows, 2 * cols], time, 6.0 * n as f64, "gb_per_s");
        let backward = || gated::cuda::backward_and_value(f, z.slice(), dy.slice(), cols);
        let time = self.seconds(backward)?;
        say("gated_backward", &[rows, 2 * cols], time, 12.0 * n as f64, "gb_per_s");
        Ok(())
    }

    /// Tokens in sequences of 512, heads and their size.
    fn turn(&self, [tokens, heads, head_dim]: [usize; 3]) -> Result<()> {
        let n = 3 * tokens * heads * head_dim;
        let lens = (0..tokens).step_by(512).map(|start| (tokens - start).min(512));
        let places = Places::upload(&self.device, lens)?;
        let table = Array::from_host(&self.device, &rotary::table(head_dim, 1e4, 512))?;
        let (table, places) = (table.slice(), &places);
        let settings = Rotary { table, places, heads, head_dim };
        let (qkv, size) = (self.random(DType::BF16, n, 1)?, [tokens, heads, head_dim]);
        let time = self.seconds(|| rotary::cuda::split(settings, qkv.slice()))?;
        say("rotary_split", &size, time, 4.0 * n as f64, "gb_per_s");
        let parts = rotary::cuda::split(settings, qkv.slice())?;
        let parts = parts.each_ref().map(Array::slice);
        let time = self.seconds(|| rotary::cuda::join(settings, parts))?;
        say("rotary_join", &size, time, 4.0 * n as f64, "gb_per_s");
        Ok(())
    }

    /// The products of a layer, forward, input gradient and weight gradient, on the rungs with tensor cores; and
    /// whether GELU is cheaper while y is written or behind it.
    fn products(&self, [rows, inputs, outputs]: [usize; 3]) -> Result<()> {
        let layer = Linear { rows, inputs, outputs };
        let [x, w, dy] = [([rows, inputs], 1), ([outputs, inputs], 2), ([rows, outputs], 3)]
            .map(|([m, n], seed)| self.random(DType::BF16, m * n, seed));
        let (x, w, dy) = (x?, w?, dy?);
        let bias = self.random(DType::F32, outputs, 4)?;
        let (biased, plain) =
            (|| After { bias: Some(bias.slice()), ..After::default() }, After::default);
        let size = [rows, inputs, outputs];
        let flops = 2.0 * (rows * inputs * outputs) as f64;
        let timed = |op: &str, once: &dyn Fn() -> Result<()>| {
            say(op, &size, self.seconds(once)?, flops, "gflops");
            Ok(())
        };
        for (rung, suffix) in [(Rung::Mma, "_mma"), (Rung::Wgmma, "")] {
            matmul::set_cap(rung);
            let named = |op: &str| format!("{op}{suffix}");
            timed(&named("linear"), &|| {
                matmul::forward(x.slice(), w.slice(), layer, biased()).map(drop)
            })?;
            timed(&named("linear_input"), &|| {
                matmul::backward_input(dy.slice(), w.slice(), layer, plain()).map(drop)
            })?;
            timed(&named("linear_weight"), &|| {
                matmul::backward_weight(x.slice(), dy.slice(), layer, plain()).map(drop)
            })?;
        }
        timed("linear_gelu_fused", &|| {
            matmul::forward_gelu(x.slice(), w.slice(), layer, biased()).map(drop)
        })?;
        timed("linear_gelu_behind", &|| {
            let y = matmul::forward(x.slice(), w.slice(), layer, biased())?;
            activation::cuda::forward(Activation::Gelu, y.slice()).map(drop)
        })
    }

    fn attend(&self, [batch, length, heads, head_dim]: [usize; 4]) -> Result<()> {
        let n = batch * length * heads * head_dim;
        let offsets: Vec<u32> = (0..=batch).map(|i| (i * length) as u32).collect();
        let there = Offsets::upload(&self.device, &offsets)?;
        let at = [&there, &there];
        let [q, k, v, d_o] = [1, 2, 3, 4].map(|seed| self.random(DType::BF16, n, seed));
        let (q, k, v, d_o) = (q?, k?, v?, d_o?);
        let relative = attention::Relative::None;
        let x = attention::cuda::Qkv { q: q.slice(), k: k.slice(), v: v.slice(), relative };
        let flops = (4 * batch * heads * length * length * head_dim) as f64;
        let size = [batch, length, heads, head_dim];
        for (suffix, dropout) in [("", None), ("_dropout", Some(DROPOUT))] {
            let a = Attention {
                queries: &offsets,
                keys: &offsets,
                heads,
                head_dim,
                scale: 1.0 / (head_dim as f32).sqrt(),
                dropout,
                window: None,
            };
            let time = self.seconds(|| attention::cuda::forward(a, at, x, true))?;
            say(&format!("attention{suffix}"), &size, time, flops, "gflops");
            let made = attention::cuda::forward(a, at, x, true)?;
            let saved = (made.o.slice(), made.lse.slice(), made.mask.as_ref().map(Array::slice));
            let backward = || attention::cuda::backward(a, at, x, saved, d_o.slice());
            let time = self.seconds(backward)?;
            say(&format!("attention_backward{suffix}"), &size, time, 2.5 * flops, "gflops");
        }
        Ok(())
    }
}

/// `amount` operations or bytes took so long.
fn say(op: &str, size: &[usize], seconds: f64, amount: f64, unit: &str) {
    let (us, rate) = (seconds * 1e6, amount / seconds / 1e9);
    println!(
        "{{\"side\": \"finetune\", \"op\": \"{op}\", \"size\": {size:?}, \"us\": {us:.2}, \"{unit}\": {rate:.1}}}"
    );
}
