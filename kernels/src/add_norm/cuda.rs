//! On a GPU: a warp a row, which stays in registers, or for long rows, and those that do not move by 16 bytes, a block;
//! see `add_norm.cu`.

use crate::cuda::{Array, BLOCK, DType, DropoutParam, Launch, Result, Slice, Source, WARP};
use crate::dropout::Dropout;
use crate::layer_norm;

pub(crate) static SOURCE: Source =
    Source { name: "add_norm.cu", text: include_str!("add_norm.cu"), hopper: false };

/// Kernels that hold a row in the registers of a warp.
struct InRegisters {
    /// Columns that fit. In each of 32 lanes that is 8 elements, 12, and so on: not more registers than the row needs.
    cols: usize,
    forward: &'static str,
    backward: &'static str,
    /// Blocks of the backward that fit a multiprocessor, as in `add_norm.cu`.
    blocks: usize,
}

const IN_REGISTERS: [InRegisters; 5] = [
    InRegisters::new(256, "add_norm_forward_8", "add_norm_backward_8", 6),
    InRegisters::new(384, "add_norm_forward_12", "add_norm_backward_12", 5),
    InRegisters::new(512, "add_norm_forward_16", "add_norm_backward_16", 4),
    InRegisters::new(768, "add_norm_forward_24", "add_norm_backward_24", 3),
    InRegisters::new(1024, "add_norm_forward_32", "add_norm_backward_32", 2),
];

/// Threads of a block of the backward in registers, as in `add_norm.cu`.
const BACKWARD_BLOCK: u32 = 128;

/// What the forward returns.
#[derive(Debug)]
pub struct Output {
    /// r + m x, `[rows, H]`.
    pub z: Array,
    /// z, normalized, `[rows, H]`.
    pub y: Array,
    /// The mean of each row of z, `[rows]`.
    pub mean: Array,
    /// One over the standard deviation of each row of z, `[rows]`.
    pub rstd: Array,
}

/// What the backward needs of the forward.
#[derive(Clone, Copy, Debug)]
pub struct Saved<'a> {
    /// `[rows, H]`
    pub z: Slice<'a>,
    /// `[rows]`
    pub mean: Slice<'a>,
    /// `[rows]`
    pub rstd: Slice<'a>,
}

/// What the backward returns.
#[derive(Debug)]
pub struct Gradients {
    /// The gradient of r, `[rows, H]`.
    pub dr: Array,
    /// The gradient of x, `[rows, H]`; where nothing is dropped it is that of r.
    pub dx: Option<Array>,
    /// The gradient of w, `[H]`.
    pub dw: Array,
    /// The gradient of b, `[H]`.
    pub db: Array,
}

/// z and y of x and r, `[rows, H]` in f32 or bf16, with w and b, `[H]` in f32.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When the lengths or types do not fit.
pub fn forward(
    [x, r]: [Slice; 2],
    [w, b]: [Slice; 2],
    eps: f32,
    dropout: Option<Dropout>,
) -> Result<Output> {
    check([x, r], [w, b]);
    assert!(b.len() == w.len(), "add_norm: {w:?}, {b:?}");
    let (device, cols) = (x.device(), w.len());
    let rows = x.len() / cols;
    let [mut z, mut y] = pair(x)?;
    let mut mean = Array::uninit(device, DType::F32, rows)?;
    let mut rstd = Array::uninit(device, DType::F32, rows)?;
    let packed = packed([x, r], [w, b]);
    let kernel = InRegisters::choose(cols, packed);
    let name = kernel.map_or("add_norm_forward_wide", |kernel| kernel.forward);
    let launch = Launch::new(device, &SOURCE, x.dtype(), name)?;
    let launch = launch.read(x).read(r).read(w).read(b).write(&mut z).write(&mut y);
    let launch = launch.write(&mut mean).write(&mut rstd).int(rows).int(cols);
    let launch = match kernel {
        Some(_) => launch.grid(rows.div_ceil(BLOCK as usize / WARP)),
        None => launch.grid(rows).arg(i32::from(packed)),
    };
    let launch = launch.arg(eps).arg(DropoutParam::from(dropout));
    // SAFETY: the kernel's parameters; each warp, or block, reads and writes a row below `rows`, and its mean and
    // rstd; rows are moved by 16 bytes only where all may be.
    unsafe { launch.start() }?;
    Ok(Output { z, y, mean, rstd })
}

/// All gradients, from dy `[rows, H]`.
///
/// # Errors
/// As [`forward`].
///
/// # Panics
/// As [`forward`].
pub fn backward(saved: Saved, w: Slice, dropout: Option<Dropout>, dy: Slice) -> Result<Gradients> {
    check([saved.z, dy], [w, w]);
    let Saved { z, mean, rstd } = saved;
    assert!(mean.dtype() == DType::F32 && rstd.dtype() == DType::F32, "{mean:?}, {rstd:?}");
    assert!(mean.len() * w.len() == z.len() && rstd.len() == mean.len(), "add_norm: {mean:?}");
    let dropout = dropout.filter(|d| d.p > 0.0);
    let mut dr = Array::uninit(z.device(), z.dtype(), z.len())?;
    let mut dx = match dropout {
        Some(_) => Some(Array::uninit(z.device(), z.dtype(), z.len())?),
        None => None,
    };
    let packed = packed([z, dy], [w, w]);
    let kernel = InRegisters::choose(w.len(), packed);
    let name = kernel.map_or("add_norm_backward_wide", |kernel| kernel.backward);
    let launch = Launch::new(z.device(), &SOURCE, z.dtype(), name)?;
    let launch = launch.read(z).read(mean).read(rstd).read(w).read(dy).write(&mut dr);
    let launch = match &mut dx {
        Some(dx) => launch.write(dx),
        None => launch.none(),
    };
    let launch = launch.int(mean.len()).int(w.len());
    let dropout = DropoutParam::from(dropout);
    let [dw, db] = match kernel {
        Some(kernel) => in_one(launch.arg(dropout), mean, w.len(), kernel.blocks)?,
        None => {
            let launch = launch.grid(mean.len()).arg(i32::from(packed)).arg(dropout);
            // SAFETY: the kernel's parameters; block i reads and writes row i, which exists; dx is null only
            // without dropout.
            unsafe { launch.start() }?;
            layer_norm::cuda::backward_params(z, [mean, rstd], dy, w.len())?
        }
    };
    Ok(Gradients { dr, dx, dw, db })
}

/// Starts a kernel that writes dr, dx and partial sums of dw and db, and adds these up: as many as blocks fit the GPU
/// at once, so that their order, and with it the last bit of dw and db, is that of the GPU.
fn in_one(launch: Launch, mean: Slice, cols: usize, blocks: usize) -> Result<[Array; 2]> {
    let (device, rows) = (mean.device(), mean.len());
    let at_once = device.multiprocessor().count * blocks;
    let blocks = rows.div_ceil(BACKWARD_BLOCK as usize / WARP).min(at_once);
    let mut partial = Array::uninit(device, DType::F32, blocks * 2 * cols)?;
    let launch = launch.grid(blocks).block(BACKWARD_BLOCK).write(&mut partial);
    // SAFETY: the kernel's parameters; each warp reads and writes rows below `rows`, each block its own row of
    // `partial`; dx is null only without dropout.
    unsafe { launch.start() }?;
    layer_norm::cuda::add_partials(&partial, cols)
}

impl InRegisters {
    const fn new(
        cols: usize,
        forward: &'static str,
        backward: &'static str,
        blocks: usize,
    ) -> Self {
        Self { cols, forward, backward, blocks }
    }

    /// Those for rows of `cols` columns, which must be `packed`.
    fn choose(cols: usize, packed: bool) -> Option<&'static Self> {
        IN_REGISTERS.iter().find(|kernels| packed && cols <= kernels.cols)
    }
}

/// Two arrays as long as `x`.
fn pair(x: Slice) -> Result<[Array; 2]> {
    let array = || Array::uninit(x.device(), x.dtype(), x.len());
    Ok([array()?, array()?])
}

/// Whether rows of hidden states and of parameters can be moved by 16 bytes of hidden states.
fn packed(hidden: [Slice; 2], params: [Slice; 2]) -> bool {
    let chunk = 16 / hidden[0].dtype().size();
    let whole = |s: Slice, n: usize| s.packs(n) * n == s.len();
    params[0].len().is_multiple_of(chunk)
        && hidden.into_iter().all(|s| whole(s, chunk))
        && params.into_iter().all(|s| whole(s, 4))
}

fn check([x, r]: [Slice; 2], [w, b]: [Slice; 2]) {
    assert!(x.dtype() == r.dtype() && x.dtype() != DType::U32, "add_norm: {x:?}, {r:?}");
    assert!(w.dtype() == DType::F32 && b.dtype() == DType::F32, "add_norm: {w:?}, {b:?}");
    assert!(x.len() == r.len() && x.len().is_multiple_of(w.len()), "add_norm: {x:?}, {w:?}");
}
