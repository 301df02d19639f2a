//! 32 x 32 of bf16 pairs on AMX: four tiles of C, 16 x 16 of f32 each, stay in tile registers; a step of K reads
//! two tiles of A (16 rows x 16 pairs, rows together) and two of B (16 pairs x 16 columns).
//!
//! `TDPBF16PS` adds a tile of A times a tile of B to a tile of C: 16 x 16 x 32 = 8192 multiplications, one each 16
//! cycles, so 512 a cycle where `avx512bf16` does 32 an instruction. A step is four of them, each on its own tile
//! of C as a result takes 52 cycles: 64 cycles at least, of which its four tile loads, 8 cycles each from L1, fill
//! half. A register is loaded for the next step once its last product of this one is issued: both overlap.
//! For each element of C and the 16 pairs of a step the instruction computes
//!
//! ```text
//! even = sum_k a[2k] b[2k]     odd = sum_k a[2k + 1] b[2k + 1]     c += even + odd
//! ```
//!
//! where sums begin at 0, go in the order of k and round fused multiply-adds to nearest even. Denormal operands
//! count as zero, denormal results become zero; MXCSR plays no part and no exception is raised.
//!
//! So far this has run under emulation only: `tests/amx.rs` executes the machine code instruction by instruction.
//! What it computes is tested. How fast it is is not known, and nothing is tuned for it: a panel of A of `K_BLOCK`
//! words takes 48 KiB, all of the L1 of such a CPU.
//!
//! Source: the chapters on AMX of Intel's *Software Developer's Manual* and *Optimization Reference Manual*.

use std::arch::asm;
use std::mem::MaybeUninit;

use super::blocked::K_BLOCK;
use super::kernel::{MAX_PACKED, MicroKernel, Tile};
use super::pack::Word;

const ROWS: usize = 32;
const COLS: usize = 32;

/// Words of a row of a tile of A, and rows of one of B.
const DEPTH: usize = 16;

/// Words of a panel of A, and of one of B, in a step.
const STEP: usize = ROWS * DEPTH;

const _: () = assert!(ROWS == COLS && K_BLOCK.is_multiple_of(DEPTH));

pub(super) const KERNEL: MicroKernel = MicroKernel {
    rows: ROWS,
    cols: COLS,
    word: Word::Pair,
    depth: DEPTH,
    max_packed: MAX_PACKED,
    enter,
    leave,
    run,
};

/// The operand of `LDTILECFG`.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Eight tiles of 16 rows of 64 bytes: all there are.
static CONFIG: Config = Config {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// Configures the tiles of this thread. That takes longer than a short product, hence not in `run`.
///
/// # Safety
/// The CPU has AMX-TILE, and this process may use it.
unsafe fn enter() {
    // SAFETY: the caller's contract; 64 bytes are read. The compiler keeps nothing in tile registers.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &CONFIG, options(nostack, preserves_flags, readonly)) }
}

/// Gives the tiles of this thread up: 8 KiB that a switch of threads need not save.
///
/// # Safety
/// As `enter`.
unsafe fn leave() {
    // SAFETY: the caller's contract.
    unsafe { asm!("tilerelease", options(nostack, preserves_flags, nomem)) }
}

/// What four tiles of C are stored to.
#[repr(C, align(64))]
struct Product([[f32; COLS]; ROWS]);

/// # Safety
/// The CPU has AMX-BF16 and AVX-512F, and this process may use them; `enter` has configured the tiles; nobody else
/// uses the elements of the tile.
unsafe fn run(a: &[u32], b: &[u32], tile: &Tile) {
    // SAFETY: the caller's contract.
    unsafe { write(&multiply(a, b), tile) }
}

/// # Safety
/// The CPU has AVX-512F; nobody else uses the elements of the tile.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn write(product: &Product, tile: &Tile) {
    // SAFETY: the caller's contract.
    unsafe { tile.write(&product.0) }
}

/// A whole product, also where the tile has fewer rows or columns: the others are zeros in the panels.
///
/// # Safety
/// As `run`.
#[inline(always)]
unsafe fn multiply(a: &[u32], b: &[u32]) -> Product {
    assert!(!a.is_empty() && a.len().is_multiple_of(STEP) && a.len() == b.len());
    let mut product = MaybeUninit::<Product>::uninit();
    // SAFETY: the caller's contract. Each step reads `STEP` words of `a` and `b`, which have as many for each of
    // the steps; all of `product` is written.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "tileloadd tmm4, [{a} + 1*{a_row}]",
            "tileloadd tmm6, [{b} + 1*{b_row}]",
            "tileloadd tmm7, [{b} + 1*{b_row} + 64]",
            "tileloadd tmm5, [{a} + 1*{a_row} + 1024]",
            "dec {steps}",
            "jz 3f",
            // The products of a step, and the loads for the next one.
            "2:",
            "add {a}, {step}",
            "add {b}, {step}",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm4, [{a} + 1*{a_row}]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tileloadd tmm6, [{b} + 1*{b_row}]",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm7, [{b} + 1*{b_row} + 64]",
            "tileloadd tmm5, [{a} + 1*{a_row} + 1024]",
            "dec {steps}",
            "jnz 2b",
            "3:",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tilestored [{c} + 1*{b_row}], tmm0",
            "tilestored [{c} + 1*{b_row} + 64], tmm1",
            "tilestored [{c} + 1*{b_row} + 2048], tmm2",
            "tilestored [{c} + 1*{b_row} + 2112], tmm3",
            a = inout(reg) a.as_ptr() => _,
            b = inout(reg) b.as_ptr() => _,
            steps = inout(reg) a.len() / STEP => _,
            c = in(reg) product.as_mut_ptr(),
            a_row = in(reg) 4 * DEPTH,
            // Of C too.
            b_row = in(reg) 4 * COLS,
            step = const 4 * STEP,
            options(nostack),
        );
        product.assume_init()
    }
}
