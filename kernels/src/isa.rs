//! Which instruction set the kernels use.
//!
//! The choice is made once, at run time, from what the CPU reports. `KERNELS_ISA=portable|avx2|avx512|avx512bf16`
//! caps it, which is how one machine tests and measures every path. Results may differ in the last bits
//! between instruction sets; on one instruction set they never depend on the number of threads.

use std::sync::atomic::{AtomicU8, Ordering};

/// An instruction set that has kernels of its own, in ascending order of vector width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Isa {
    /// Plain Rust, vectorized by the compiler for the baseline of the target.
    Portable = 1,
    /// 8 lanes of f32, with fused multiply-add.
    Avx2 = 2,
    /// 16 lanes of f32.
    Avx512 = 3,
    /// The same, and products of pairs of bf16.
    Avx512Bf16 = 4,
}

/// Every instruction set, narrowest first.
pub const ALL: [Isa; 4] = [Isa::Portable, Isa::Avx2, Isa::Avx512, Isa::Avx512Bf16];

/// What `KERNELS_ISA` may be.
const NAMES: &str = "portable, avx2, avx512 or avx512bf16";

/// 0 until the first call of [`current`].
static CURRENT: AtomicU8 = AtomicU8::new(0);

/// The instruction set in use.
///
/// # Panics
/// On the first call, when `KERNELS_ISA` is set to an unknown name.
#[inline]
pub fn current() -> Isa {
    match CURRENT.load(Ordering::Relaxed) {
        0 => choose(),
        known => decode(known),
    }
}

/// The widest instruction set of this CPU that has kernels.
pub fn widest() -> Isa {
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        match (avx2, avx512, is_x86_feature_detected!("avx512bf16")) {
            (true, true, true) => return Isa::Avx512Bf16,
            (true, true, false) => return Isa::Avx512,
            (true, false, _) => return Isa::Avx2,
            _ => {}
        }
    }
    Isa::Portable
}

/// Uses `isa` from now on, in the whole process; meant for tests and benches that walk over all of them.
///
/// # Panics
/// When the CPU does not have it.
pub fn set(isa: Isa) {
    assert!(isa <= widest(), "isa: {isa:?} asked for, this CPU has {:?}", widest());
    CURRENT.store(isa as u8, Ordering::Relaxed);
}

/// The instruction sets that this CPU has, narrowest first.
pub fn supported() -> impl Iterator<Item = Isa> {
    ALL.into_iter().filter(|&isa| isa <= widest())
}

/// Reads the name of an instruction set, as `KERNELS_ISA` spells it.
pub fn parse(name: &str) -> Option<Isa> {
    match name {
        "portable" => Some(Isa::Portable),
        "avx2" => Some(Isa::Avx2),
        "avx512" => Some(Isa::Avx512),
        "avx512bf16" => Some(Isa::Avx512Bf16),
        _ => None,
    }
}

#[cold]
fn choose() -> Isa {
    let cap = match std::env::var("KERNELS_ISA") {
        Ok(name) => {
            parse(&name).unwrap_or_else(|| panic!("KERNELS_ISA={name}: expected {}", NAMES))
        }
        Err(_) => ALL[ALL.len() - 1],
    };
    let isa = cap.min(widest());
    // Unless `set` has come in between, on another thread.
    match CURRENT.compare_exchange(0, isa as u8, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => isa,
        Err(set) => decode(set),
    }
}

fn decode(value: u8) -> Isa {
    ALL[usize::from(value) - 1]
}
