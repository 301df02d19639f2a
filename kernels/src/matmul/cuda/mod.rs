//! The product on a GPU: the three of a linear layer, each with what follows it, and batches at any strides.
//!
//! ```text
//! naive.cu   the definition: a thread an element
//! tiled.cu   tiles in shared memory, 8 x 8 sums in registers      all of f32, and bf16 in odd shapes
//! mma.cu     tensor cores by the warp, asynchronous copies        bf16, from Ampere on
//! wgmma.cu   tensor cores by four warps, the copy engine          bf16, on Hopper
//! split.cu   sums of parts of K, in order                         of the tiles of a round that does not fill the GPU
//! ```
//!
//! Each file says what it changes against the one before. `KERNELS_CUDA_MATMUL=naive|tiled|mma|wgmma` caps the rung
//! ([`set_cap`] for a thread); [`Rung`] has the rule. No operand is copied or transposed. Sums are f32, in an order
//! that shapes and GPU decide alone: the same bits in every run. Unlike on the CPU, they are not the same for a
//! row alone and among others, as the parts of K depend on the number of rows.
//!
//! A product of bf16 has both operands in bf16; weights that are kept in f32 are rounded before, [`Array::rounded`].

mod map;
mod param;
mod run;
mod rung;

use crate::cuda::{Array, DType, Result, Slice, Source};

use run::{Job, run};
pub use rung::{Rung, set_cap, set_columns};

pub(crate) static NAIVE: Source =
    Source { name: "matmul_naive.cu", text: include_str!("naive.cu"), hopper: false };
pub(crate) static TILED: Source =
    Source { name: "matmul_tiled.cu", text: include_str!("tiled.cu"), hopper: false };
pub(crate) static MMA: Source =
    Source { name: "matmul_mma.cu", text: include_str!("mma.cu"), hopper: false };
pub(crate) static WGMMA: Source =
    Source { name: "matmul_wgmma.cu", text: include_str!("wgmma.cu"), hopper: true };
pub(crate) static SPLIT: Source =
    Source { name: "matmul_split.cu", text: include_str!("split.cu"), hopper: false };

/// The sizes of a linear layer, y `[rows, outputs]` = x `[rows, inputs]` w^T with w `[outputs, inputs]`.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    /// T, the tokens.
    pub rows: usize,
    /// I, the columns of x and of w.
    pub inputs: usize,
    /// O, the rows of w.
    pub outputs: usize,
}

/// What happens to a product before it is written: C = A B + `bias` + `residual`.
#[derive(Clone, Copy, Debug, Default)]
pub struct After<'a> {
    /// f32, an element for each column.
    pub bias: Option<Slice<'a>>,
    /// In shape and dtype of C.
    pub residual: Option<Slice<'a>>,
}

/// An operand: matrices at strides. One of each matrix's two strides is 1 where the product is to be fast.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a> {
    /// f32 or bf16, from the first element on.
    pub values: Slice<'a>,
    /// From row to row, and from column to column.
    pub strides: [usize; 2],
    /// Along each leading axis of the batch; 0 repeats the operand.
    pub lead: &'a [usize],
}

/// y `[rows, outputs]` from x and w, which have one dtype; y has it too.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When lengths, dtypes or devices do not fit.
pub fn forward(x: Slice, w: Slice, layer: Linear, after: After) -> Result<Array> {
    Ok(run(forward_job(x, w, layer, after))?.0)
}

/// [`forward`], and GELU of y as a second array.
///
/// # Errors
/// As [`forward`].
///
/// # Panics
/// As [`forward`].
pub fn forward_gelu(x: Slice, w: Slice, layer: Linear, after: After) -> Result<[Array; 2]> {
    let (y, gelu) = run(Job { gelu: true, ..forward_job(x, w, layer, after) })?;
    Ok([y, gelu.expect("asked for")])
}

fn forward_job<'a>(x: Slice<'a>, w: Slice<'a>, layer: Linear, after: After<'a>) -> Job<'a> {
    let Linear { rows, inputs, outputs } = layer;
    let shape = [rows, outputs, inputs];
    Job::new(row_major(x, inputs), transposed(w, inputs), shape, x.dtype()).after(after)
}

/// dx `[rows, inputs]` from dy `[rows, outputs]` and w, which have one dtype; dx has it too.
///
/// # Errors
/// As [`forward`].
///
/// # Panics
/// As [`forward`].
pub fn backward_input(dy: Slice, w: Slice, layer: Linear, after: After) -> Result<Array> {
    let Linear { rows, inputs, outputs } = layer;
    let (a, b) = (row_major(dy, outputs), row_major(w, inputs));
    Ok(run(Job::new(a, b, [rows, inputs, outputs], dy.dtype()).after(after))?.0)
}

/// dw `[outputs, inputs]` in f32 from x and dy `[rows, outputs]`, which have one dtype.
///
/// # Errors
/// As [`forward`].
///
/// # Panics
/// As [`forward`].
pub fn backward_weight(x: Slice, dy: Slice, layer: Linear, after: After) -> Result<Array> {
    let Linear { rows, inputs, outputs } = layer;
    let (a, b) = (transposed(dy, outputs), row_major(x, inputs));
    Ok(run(Job::new(a, b, [outputs, inputs, rows], DType::F32).after(after))?.0)
}

/// C `[lead.., M, N]` = A B for each index of the leading axes `lead`; `[M, N, K]` are the sizes of one product.
///
/// Leading axes that follow each other in both operands are taken as one.
///
/// # Errors
/// As [`forward`].
///
/// # Panics
/// As [`forward`], and when more than four leading axes are left.
pub fn batched(a: Operand, b: Operand, lead: &[usize], sizes: [usize; 3]) -> Result<Array> {
    Ok(run(Job { lead, ..Job::new(a, b, sizes, a.values.dtype()) })?.0)
}

fn row_major(values: Slice, cols: usize) -> Operand {
    Operand { values, strides: [cols, 1], lead: &[] }
}

/// The transpose of a row-major matrix with `cols` columns.
fn transposed(values: Slice, cols: usize) -> Operand {
    Operand { values, strides: [1, cols], lead: &[] }
}
