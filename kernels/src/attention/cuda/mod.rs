//! On a GPU: FlashAttention, by tensor cores in bf16, by multiply-adds of f32 otherwise.
//!
//! A block has a tile of rows of one head of one sequence (its queries; its keys for dk and dv) and walks over
//! tiles of columns, the other ones, from the first to the last that a window lets any of its rows see; blocks beyond
//! the end of their sequence return at once. Scores are never in device memory:
//!
//! | | `plain.cu` | `flash.cu`, `flash_backward.cu` |
//! |---|---|---|
//! | for | f32; bf16 where D, the scale or an address is unusual | bf16, D = 32, 64; without distances 96, 128 |
//! | tiles | 64 x 64, less where D is large | 64 x 64, 16 rows a warp |
//! | shared memory | tiles in f32, rows padded against bank conflicts; p | tiles in bf16, XOR swizzle; two stages |
//! | registers | scores and results | scores, results and the fragments of the rows |
//!
//! The softmax is online: where a tile raises the maximum of a row, what was accumulated is scaled down. The
//! backward makes the scores again in each of two kernels, one for dk and dv, one for dq, which costs two
//! products of seven, and needs no atomics: the same bits in every run. Dropout takes one call of Philox for
//! four scores, except in tiles below 64. On tensor cores it would cost more than the softmax: there the forward
//! leaves the mask to the backward, a bit a score (`mask.cuh`). `flash.cu` counts what bounds the forward. Kernels for
//! scores that depend on distance are compiled apart (`relative.cuh`). With a bias they have their head's in shared
//! memory, and dq adds up the diagonals of ds there; products are read where they are, and ds is written to the places
//! of their gradients.

mod plan;
mod relative;

use super::{Attention, Relative};
use crate::cuda::{
    Array, DType, Device, DropoutParam, Launch, Offsets, Param, Result, Slice, Source, WARP,
    blocks_for, int,
};
use plan::{FLASH_THREADS, FLASH_TILE, Kernel, Path};
use relative::Gradient;

/// By what scores have by distance, each the same text: nothing, a bias, products.
pub(crate) static PLAIN: [Source; 3] = [
    source("attention_plain.cu", include_str!("plain.cu")),
    source("attention_plain_biased.cu", concat!("#define BIASED 1\n", include_str!("plain.cu"))),
    source(
        "attention_plain_products.cu",
        concat!("#define PRODUCTS 1\n", include_str!("plain.cu")),
    ),
];
pub(crate) static FLASH: [Source; 3] = [
    source("attention_flash.cu", include_str!("flash.cu")),
    source("attention_flash_biased.cu", concat!("#define BIASED 1\n", include_str!("flash.cu"))),
    source(
        "attention_flash_products.cu",
        concat!("#define PRODUCTS 1\n", include_str!("flash.cu")),
    ),
];
pub(crate) static FLASH_BACKWARD: [Source; 3] = [
    source("attention_flash_backward.cu", include_str!("flash_backward.cu")),
    source(
        "attention_flash_backward_biased.cu",
        concat!("#define BIASED 1\n", include_str!("flash_backward.cu")),
    ),
    source(
        "attention_flash_backward_products.cu",
        concat!("#define PRODUCTS 1\n", include_str!("flash_backward.cu")),
    ),
];
pub(crate) static DELTA: Source = source("attention_delta.cu", include_str!("delta.cu"));

const fn source(name: &'static str, text: &'static str) -> Source {
    Source { name, text, hopper: false }
}

/// The widest head that there are kernels for.
pub const MAX_HEAD_DIM: usize = 256;

/// The furthest reach R of a bias that there are kernels for.
pub const MAX_REACH: usize = 128;

/// Queries, keys and values on the GPU, all f32 or all bf16, and what is added to scores.
#[derive(Clone, Copy, Debug)]
pub struct Qkv<'a> {
    /// Queries, `[Tq, N*D]`.
    pub q: Slice<'a>,
    /// Keys, `[T, N*D]`.
    pub k: Slice<'a>,
    /// Values, `[T, N*D]`.
    pub v: Slice<'a>,
    /// What scores have by distance, f32; R of a bias is at most [`MAX_REACH`].
    pub relative: Relative<Slice<'a>>,
}

/// `struct Attention` of `attention.cuh`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Settings {
    heads: i32,
    head_dim: i32,
    tiles: i32,
    key_tiles: i32,
    window: i32,
    scale: f32,
    dropout: DropoutParam,
}

// SAFETY: fields of four bytes, in the same order.
unsafe impl Param for Settings {}

/// What the forward makes; all of it goes into the backward.
#[derive(Debug)]
pub struct Output {
    /// `[Tq, N*D]`, of the dtype of q.
    pub o: Array,
    /// The log-sum-exp of the scores, `[Tq, N]`, f32.
    pub lse: Array,
    /// Which scores were dropped, if anything was and a backward follows that reads it: u32, a bit a score, in tiles.
    pub mask: Option<Array>,
}

/// The output, with a dropout mask for the backward only if that follows.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When lengths or dtypes do not fit, D is above [`MAX_HEAD_DIM`] or R above [`MAX_REACH`], there is a bias but the
/// scale is 0, or the mask would have 2^32 words.
pub fn forward(a: Attention, at: [&Offsets; 2], x: Qkv, backward_follows: bool) -> Result<Output> {
    let device = x.q.device();
    let mut o = Array::uninit(device, x.q.dtype(), x.q.len())?;
    let mut lse = Array::uninit(device, DType::F32, super::total(a.queries) * a.heads)?;
    check(a, at, &[x.q], &[x.k, x.v], lse.slice());
    let path = Path::choose(a, &[x.q, x.k, x.v], relative::widths(a, x.relative));
    let masked = path.keeps_mask && backward_follows && drops(a);
    let mut mask = masked.then(|| Array::uninit(device, DType::U32, mask_len(a))).transpose()?;
    let (launch, settings) = tiles(device, x.q.dtype(), path.forward, a, a.queries)?;
    let launch = launch.read(x.q).read(x.k).read(x.v).read(at[0].slice()).read(at[1].slice());
    let launch = launch.write(&mut o).write(&mut lse);
    let launch = match &mut mask {
        Some(mask) => launch.write(mask),
        None if path.keeps_mask => launch.none(),
        None => launch,
    };
    let launch = relative::add_parameters(launch.arg(settings), a, x.relative, None);
    // SAFETY: the kernel's parameters. Its blocks read the rows between offsets, which are those of the host and
    // end where the matrices do, and write those of o and lse, and the mask's words of their tiles; what scores have
    // by distance has the length that goes with its reach.
    unsafe { launch.start() }?;
    Ok(Output { o, lse, mask })
}

/// Whether anything is dropped.
fn drops(a: Attention) -> bool {
    a.dropout.is_some_and(|d| d.p > 0.0)
}

/// The words of the mask: one a thread for each tile of queries and of keys. A sequence has a tile of queries more than
/// it needs, at times, and as many of keys as any needs: a block then finds its words without those before it. One
/// long sequence among many short ones costs memory: 1 of 512 tokens and 2047 of 8 take 112 MB a layer of 12 heads.
fn mask_len(a: Attention) -> usize {
    let sequences = a.queries.len() - 1;
    let query_tiles = (super::total(a.queries) + (FLASH_TILE - 1) * sequences) / FLASH_TILE;
    let len = query_tiles * a.heads * key_tiles(a) * FLASH_THREADS;
    assert!(u32::try_from(len).is_ok(), "attention: a mask of {len} words");
    len
}

/// Tiles of keys that a tile of queries sees at most: its own and on either side those that the window reaches. At
/// least one, as kernels divide by it.
fn key_tiles(a: Attention) -> usize {
    tiles_of_longest(a.keys, FLASH_TILE).min(2 * window(a).div_ceil(FLASH_TILE) + 1).max(1)
}

/// The window; where there is none, one that hides nothing in the longest sequence.
fn window(a: Attention) -> usize {
    let longest = tiles_of_longest(a.queries, 1).max(tiles_of_longest(a.keys, 1));
    a.window_within(longest).unwrap_or(longest)
}

/// dq `[Tq, N*D]`, dk and dv `[T, N*D]`, and the gradient of what scores have by distance, from what the forward read
/// and wrote, and the gradient of its output.
///
/// # Errors
/// As [`forward`].
///
/// # Panics
/// As [`forward`], and when that was told that this does not follow.
pub fn backward<'a>(
    a: Attention,
    at: [&Offsets; 2],
    x: Qkv<'a>,
    (o, lse, mask): (Slice<'a>, Slice<'a>, Option<Slice<'a>>),
    d_o: Slice,
) -> Result<([Array; 3], Relative<Array>)> {
    check(a, at, &[x.q, o, d_o], &[x.k, x.v], lse);
    let (device, dtype) = (x.q.device(), x.q.dtype());
    let delta = delta(a, o, d_o)?;
    let path = Path::choose(a, &[x.q, x.k, x.v, d_o], relative::widths(a, x.relative));
    check_mask(a, path, mask);
    let mut by_distance = Gradient::zeros(a, path.dq, x.relative)?;
    let read = |launch: Launch<'a>| {
        let launch = launch.read(x.q).read(x.k).read(x.v).read(d_o);
        let launch = launch.read(at[0].slice()).read(at[1].slice()).read(lse).read(delta.slice());
        match mask {
            Some(mask) if path.keeps_mask => launch.read(mask),
            None if path.keeps_mask => launch.none(),
            _ => launch,
        }
    };
    let [mut dq, mut dk, mut dv] = uninit_like([x.q, x.k, x.v])?;
    let (launch, settings) = tiles(device, dtype, path.dkdv, a, a.keys)?;
    let launch = read(launch).write(&mut dk).write(&mut dv).arg(settings);
    let launch = relative::add_parameters(launch, a, x.relative, by_distance.of_dkdv());
    // SAFETY: as in the forward; a row of dk and dv for each of k and v; the mask has the forward's length; the
    // gradient of products has theirs.
    unsafe { launch.start() }?;
    let (launch, settings) = tiles(device, dtype, path.dq, a, a.queries)?;
    let launch = read(launch).write(&mut dq).arg(settings);
    let launch = relative::add_parameters(launch, a, x.relative, by_distance.of_dq());
    // SAFETY: as above; a row of dq for each of q, and a part of the gradient of a bias for each block.
    unsafe { launch.start() }?;
    Ok(([dq, dk, dv], by_distance.finish(x.relative)?))
}

/// Panics unless the mask of the forward is there, if the backward reads it.
fn check_mask(a: Attention, path: Path, mask: Option<Slice>) {
    let words = mask.map_or(0, Slice::len);
    let fits = !path.keeps_mask || !drops(a) || words == mask_len(a);
    assert!(fits, "attention: mask of {words} words");
}

/// do . o of each query and head, `[Tq, N]`.
fn delta(a: Attention, o: Slice, d_o: Slice) -> Result<Array> {
    let (device, rows) = (o.device(), o.len() / a.head_dim);
    let mut delta = Array::uninit(device, DType::F32, rows)?;
    // Lanes of a row: as many as it has accesses of 16 bytes, or the next power of two.
    let chunk = 16 / o.dtype().size();
    let lanes = a.head_dim.div_ceil(chunk).next_power_of_two().min(WARP);
    let packed = a.head_dim.is_multiple_of(chunk)
        && [o, d_o].iter().all(|x| x.packs(chunk) * chunk == x.len());
    let launch = Launch::new(device, &DELTA, o.dtype(), "attention_delta")?;
    let launch = launch.grid(blocks_for(device, rows * lanes)).read(d_o).read(o).write(&mut delta);
    let launch = launch.int(rows).int(a.head_dim);
    // SAFETY: the kernel's parameters; it walks over the rows of all three; `packed` is true only where rows may be
    // moved by 16 bytes.
    unsafe { launch.int(lanes).arg(i32::from(packed)).start() }?;
    Ok(delta)
}

/// Arrays of the same lengths and dtypes.
fn uninit_like<const N: usize>(slices: [Slice; N]) -> Result<[Array; N]> {
    let arrays = slices.iter().map(|x| Array::uninit(x.device(), x.dtype(), x.len()));
    let arrays: Vec<Array> = arrays.collect::<Result<_>>()?;
    Ok(arrays.try_into().expect("as many as slices"))
}

/// A launch with a block for each tile of the longest sequence, of every sequence and head.
fn tiles<'a>(
    device: &'a Device,
    dtype: DType,
    kernel: Kernel,
    a: Attention,
    offsets: &[u32],
) -> Result<(Launch<'a>, Settings)> {
    let tiles = tiles_of_longest(offsets, kernel.tile);
    let settings = Settings {
        heads: int(a.heads),
        head_dim: int(a.head_dim),
        tiles: int(tiles),
        key_tiles: int(key_tiles(a)),
        window: int(window(a)),
        scale: a.scale,
        dropout: a.dropout.into(),
    };
    let launch = Launch::new(device, kernel.source, dtype, kernel.name)?;
    let grid = [(offsets.len() - 1) * tiles, a.heads, 1];
    Ok((launch.grid_3(grid).block(kernel.threads).shared(kernel.shared), settings))
}

/// Tiles of that many rows of the longest sequence.
fn tiles_of_longest(offsets: &[u32], tile: usize) -> usize {
    let longest = offsets.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
    (longest as usize).div_ceil(tile)
}

fn check(a: Attention, at: [&Offsets; 2], queries: &[Slice], keys: &[Slice], lse: Slice) {
    let lengths = |slices: &[Slice]| slices.iter().map(|x| x.len()).collect::<Vec<_>>();
    a.check_lengths(&lengths(queries), &lengths(keys), lse.len());
    let dtype = queries[0].dtype();
    let same = queries.iter().chain(keys).all(|x| x.dtype() == dtype);
    assert!(same && dtype != DType::U32 && lse.dtype() == DType::F32, "attention: dtypes");
    assert!(at.map(Offsets::host) == [a.queries, a.keys], "attention: other offsets on the GPU");
}
