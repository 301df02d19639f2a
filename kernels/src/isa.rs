//! Which instruction set the kernels use.
//!
//! The choice is made once, at run time, from what the CPU reports. `KERNELS_ISA` caps it (`portable`, `avx2`,
//! `avx512`, `avx512bf16` or `amx`, and on AArch64 `portable` or `neon`), unless it is empty, which is how one machine
//! tests and measures every path; a program that does not want to panic looks at it first, by [`cap`]. Results may
//! differ in the last bits between instruction sets; on one instruction set they never depend on the number of threads.

use std::sync::atomic::{AtomicU8, Ordering};

/// An instruction set that has kernels of its own, each with all that the ones before it have on that CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Isa {
    /// Plain Rust, vectorized by the compiler for the baseline of the target.
    Portable = 1,
    /// AArch64: 8 lanes of f32 in two registers, with fused multiply-add.
    Neon,
    /// x86-64: 8 lanes of f32, with fused multiply-add.
    Avx2,
    /// 16 lanes of f32.
    Avx512,
    /// The same, and products of pairs of bf16.
    Avx512Bf16,
    /// The same, and products of tiles of bf16, on Linux.
    Amx,
}

/// The instruction sets of this architecture by their names in `KERNELS_ISA`, narrowest first.
const ALL: &[(&str, Isa)] = &[
    ("portable", Isa::Portable),
    #[cfg(target_arch = "aarch64")]
    ("neon", Isa::Neon),
    #[cfg(target_arch = "x86_64")]
    ("avx2", Isa::Avx2),
    #[cfg(target_arch = "x86_64")]
    ("avx512", Isa::Avx512),
    #[cfg(target_arch = "x86_64")]
    ("avx512bf16", Isa::Avx512Bf16),
    #[cfg(target_arch = "x86_64")]
    ("amx", Isa::Amx),
];

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

/// The widest instruction set that has kernels and that this CPU and the operating system offer.
pub fn widest() -> Isa {
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        match (avx2, avx512, is_x86_feature_detected!("avx512bf16")) {
            (true, true, true) if amx::is_usable() => return Isa::Amx,
            (true, true, true) => return Isa::Avx512Bf16,
            (true, true, false) => return Isa::Avx512,
            (true, false, _) => return Isa::Avx2,
            _ => {}
        }
    }
    if cfg!(target_arch = "aarch64") { Isa::Neon } else { Isa::Portable }
}

/// Uses `isa` from now on, in the whole process; meant for tests and benches that walk over all of them.
///
/// # Panics
/// When the CPU does not have it.
pub fn set(isa: Isa) {
    assert!(is_supported(isa), "isa: {isa:?} asked for, this CPU has {:?}", widest());
    CURRENT.store(isa as u8, Ordering::Relaxed);
}

/// Uses `isa` from now on, though the CPU lacks it: for the test that emulates one.
///
/// # Safety
/// Every instruction of `isa` is executed in this process, by the CPU or by a handler of the trap that it raises.
#[doc(hidden)]
pub unsafe fn assume(isa: Isa) {
    CURRENT.store(isa as u8, Ordering::Relaxed);
}

/// The instruction sets that this CPU has, narrowest first.
pub fn supported() -> impl Iterator<Item = Isa> {
    ALL.iter().map(|&(_, isa)| isa).filter(|&isa| isa <= widest())
}

/// Whether this CPU has `isa`.
pub fn is_supported(isa: Isa) -> bool {
    supported().any(|other| other == isa)
}

/// The widest instruction set that `KERNELS_ISA` allows: all of them where it is not set or empty.
///
/// # Errors
/// When it is no name of an instruction set of this architecture; the message says which there are.
pub fn cap() -> Result<Isa, String> {
    let name = std::env::var_os("KERNELS_ISA").unwrap_or_default();
    if name.is_empty() {
        return Ok(widest());
    }
    let known = ALL.iter().find(|(known, _)| name == *known);
    known.map(|&(_, isa)| isa).ok_or_else(|| {
        let names: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
        format!("KERNELS_ISA={}: expected one of {}", name.display(), names.join(", "))
    })
}

#[cold]
fn choose() -> Isa {
    let isa = cap().unwrap_or_else(|message| panic!("{message}")).min(widest());
    // Unless `set` has come in between, on another thread.
    match CURRENT.compare_exchange(0, isa as u8, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => isa,
        Err(set) => decode(set),
    }
}

fn decode(value: u8) -> Isa {
    let known = ALL.iter().map(|&(_, isa)| isa).find(|&isa| isa as u8 == value);
    known.expect("what was stored is of this architecture")
}

/// Whether tiles can be used takes three answers: of the CPU, of the operating system, and of the system again
/// about this process.
#[cfg(target_arch = "x86_64")]
mod amx {
    use std::arch::x86_64::{__cpuid_count, _xgetbv};
    use std::sync::OnceLock;

    /// AMX-BF16 and AMX-TILE in EDX of CPUID leaf 7.
    const CPU: u32 = 1 << 22 | 1 << 24;

    /// The configuration and the data of tiles in XCR0: the system saves both when it switches threads.
    const SAVED: u64 = 1 << 17 | 1 << 18;

    /// Whether tiles of bf16 can be multiplied; the CPU has AVX-512. Asks once.
    pub(super) fn is_usable() -> bool {
        static USABLE: OnceLock<bool> = OnceLock::new();
        *USABLE.get_or_init(|| cpu_has_it() && system_saves_it() && process_may())
    }

    // The intrinsic has become a safe function after the oldest Rust that is supported.
    #[allow(unused_unsafe)]
    fn cpu_has_it() -> bool {
        // SAFETY: every CPU with AVX-512 has leaf 7.
        unsafe { __cpuid_count(7, 0) }.edx & CPU == CPU
    }

    fn system_saves_it() -> bool {
        // SAFETY: a CPU on which AVX-512 can be used has the instruction, and the system has enabled it.
        unsafe { _xgetbv(0) & SAVED == SAVED }
    }

    /// Asks Linux for the permission, which holds for all threads of the process, those that run included. A thread
    /// that touched a tile without it would be killed.
    #[cfg(target_os = "linux")]
    fn process_may() -> bool {
        const ARCH_PRCTL: isize = 158;
        const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
        const XFEATURE_XTILEDATA: usize = 18;
        let result: isize;
        // SAFETY: the call takes two numbers and touches no memory of ours.
        unsafe {
            std::arch::asm!(
                "syscall",
                inlateout("rax") ARCH_PRCTL => result,
                in("rdi") ARCH_REQ_XCOMP_PERM,
                in("rsi") XFEATURE_XTILEDATA,
                lateout("rcx") _,
                lateout("r11") _,
                options(nostack),
            );
        }
        result == 0
    }

    /// Other systems have rules of their own, for which there is no code here.
    #[cfg(not(target_os = "linux"))]
    fn process_may() -> bool {
        false
    }
}
