//! What the kernel tests share: inputs, sizes and the walk over instruction sets.

use std::sync::Mutex;

use crate::isa::{self, Isa};

/// Row lengths that meet every remainder of every vector width.
pub const SIZES: [usize; 8] = [1, 7, 15, 17, 33, 130, 384, 1000];

static ISA: Mutex<()> = Mutex::new(());

/// Runs `test` once per instruction set of this machine, with that one in use.
///
/// Tests of one binary that call this take turns, for the instruction set is a property of the process. A test
/// that expects the same bits of two calls must call this too: outside, another test may switch in between.
pub fn each_isa(test: impl Fn(Isa)) {
    let _turn = ISA.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let before = Restore(isa::current());
    for isa in isa::supported().filter(|&isa| isa <= before.0) {
        isa::set(isa);
        test(isa);
    }
}

/// Sets the instruction set back when it goes, after a failed test too.
struct Restore(Isa);

impl Drop for Restore {
    fn drop(&mut self) {
        isa::set(self.0);
    }
}

/// `n` values in [-scale, scale], the same for the same seed.
pub fn random(n: usize, scale: f32, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    std::iter::repeat_with(|| {
        // xorshift64*: Marsaglia 2003, Vigna 2016.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let bits = state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 40;
        (bits as f32 / (1u64 << 23) as f32 - 1.0) * scale
    })
    .take(n)
    .collect()
}

/// The same numbers in f64, for a reference.
pub fn f64s(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// Asserts `|got - want| <= tolerance * (1 + |want|)` everywhere; NaN equals NaN, an infinity itself.
///
/// # Panics
/// When an element is further off, naming `what`, the index and both values.
pub fn assert_close(what: &str, got: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}: lengths");
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let got = f64::from(got);
        let same = (got.is_nan() && want.is_nan()) || got == want;
        let near = want.is_finite() && (got - want).abs() <= tolerance * (1.0 + want.abs());
        assert!(same || near, "{what}[{i}]: got {got}, expected {want}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_is_within_the_tolerance_or_the_same() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        let close = |got: f32, want: f64| {
            std::panic::catch_unwind(|| assert_close("x", &[got], &[want], 1e-3)).is_ok()
        };
        for (got, want) in [(1.0, 1.0019), (-0.0, 0.0009), (f32::MAX, 3.402e38)] {
            assert!(close(got, want), "{got} {want}");
        }
        for (got, want) in [(f32::INFINITY, inf), (f32::NEG_INFINITY, -inf), (f32::NAN, nan)] {
            assert!(close(got, want), "{got} {want}");
        }
        for (got, want) in [(1.0, 1.0021), (1.0, inf), (f32::MAX, -inf), (f32::NEG_INFINITY, inf)] {
            assert!(!close(got, want), "{got} {want}");
        }
        for (got, want) in [(f32::INFINITY, 1.0), (f32::NAN, inf), (f32::NAN, 0.0), (0.0, nan)] {
            assert!(!close(got, want), "{got} {want}");
        }
    }
}
