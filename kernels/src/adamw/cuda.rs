//! On a GPU: all parameters of a step in one launch, from a table of addresses; see `adamw.cu`.

use super::Step;
use super::cpu::Factors;
use crate::cuda::{Array, BLOCK, DType, Device, Launch, Result, Slice, Source};
use crate::reduce::cuda::Partials;

pub(crate) static SOURCE: Source =
    Source { name: "adamw.cu", text: include_str!("adamw.cu"), hopper: false };

/// Elements of a block, as in `adamw.cu`: 64 for each thread.
const PIECE: usize = 16384;

/// One parameter with its gradient and moments, all of the same length, f32.
#[derive(Debug)]
pub struct Update<'a> {
    /// The numbers of the update.
    pub step: Step,
    /// The weights.
    pub w: &'a mut Array,
    /// Their gradient.
    pub g: Slice<'a>,
    /// The first moment.
    pub m: &'a mut Array,
    /// The second moment.
    pub v: &'a mut Array,
}

/// Clipping by the norm of all gradients, which stays on the GPU.
#[derive(Clone, Copy, Debug)]
pub struct Clip<'a> {
    /// That norm, one f32.
    pub norm: Slice<'a>,
    /// What it is brought down to if it is greater.
    pub max_norm: f64,
}

/// The Euclidean norm of all gradients together, one f32; squares and sums are f64.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When there is none, or one is not f32 or on another device.
pub fn norm(grads: &[Slice]) -> Result<Array> {
    let device = grads.first().expect("adamw: the norm of at least one gradient").device();
    let mut tensors = Words::default();
    for g in grads {
        assert!(g.dtype() == DType::F32 && g.device() == device, "adamw: {g:?}");
        tensors.u64(g.address());
        tensors.u64(g.len() as u64);
    }
    let table = Table::new(device, tensors, grads.iter().map(|g| g.len()))?;
    let mut sums = Partials::uninit(device, table.count)?;
    let launch = Launch::new(device, &SOURCE, DType::F32, "adamw_squares")?.grid(table.count);
    let launch = launch.read(table.tensors()).read(table.pieces()).write(sums.array());
    // SAFETY: the kernel's parameters; block i reads a piece of a gradient of the table, which lives, and writes
    // sum i.
    unsafe { launch.start() }?;
    let mut norm = Array::uninit(device, DType::F32, 1)?;
    let launch = Launch::new(device, &SOURCE, DType::F32, "adamw_norm")?.block(4 * BLOCK);
    // SAFETY: the kernel's parameters; one block reads the sums.
    unsafe { launch.read(sums.slice()).write(&mut norm).int(sums.blocks()).start() }?;
    Ok(norm)
}

/// min(1, max_norm / (norm + 1e-6)), NaN if the norm is, one f32.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When the norm is not one f32.
pub fn clip_factor(Clip { norm, max_norm }: Clip) -> Result<Array> {
    assert!(norm.dtype() == DType::F32 && norm.len() == 1, "adamw: {norm:?}");
    let device = norm.device();
    let mut factor = Array::uninit(device, DType::F32, 1)?;
    let launch = Launch::new(device, &SOURCE, DType::F32, "adamw_clip_factor")?.block(1);
    // SAFETY: the kernel's parameters; its one thread reads one value and writes one.
    unsafe { launch.read(norm).write(&mut factor).arg(max_norm).start() }?;
    Ok(factor)
}

/// One update of all parameters. With `clip` their gradients are multiplied by min(1, max_norm / (norm + 1e-6)),
/// NaN if the norm is, in place of the `grad_scale` of each step.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When lengths, types or devices differ, or a step is 0.
pub fn update(updates: &mut [Update], clip: Option<Clip>) -> Result<()> {
    let Some(device) = updates.first().map(|u| u.w.device().clone()) else { return Ok(()) };
    let mut tensors = Words::default();
    for update in updates.iter_mut() {
        check(update, &device);
        tensors.parameter(update);
    }
    let table = Table::new(&device, tensors, updates.iter().map(|u| u.w.len()))?;
    let launch = Launch::new(&device, &SOURCE, DType::F32, "adamw_update")?.grid(table.count);
    let launch = launch.read(table.tensors()).read(table.pieces());
    let launch = match clip {
        Some(Clip { norm, max_norm }) => {
            assert!(norm.dtype() == DType::F32 && norm.len() == 1, "adamw: {norm:?}");
            launch.read(norm).arg(max_norm)
        }
        None => launch.none().arg(0.0f64),
    };
    // SAFETY: the kernel's parameters; block i reads and writes a piece of the arrays of one update, which have the
    // same length and are borrowed for writing; no two blocks have the same piece.
    unsafe { launch.start() }
}

fn check(Update { w, g, m, v, .. }: &Update, device: &Device) {
    let types = [w.dtype(), g.dtype(), m.dtype(), v.dtype()];
    assert!(types.iter().all(|t| *t == DType::F32), "adamw: {w:?}, {g:?}, {m:?}, {v:?}");
    let same = [w.device(), g.device(), m.device(), v.device()].iter().all(|d| *d == device);
    assert!(same, "adamw: {w:?}, {g:?}, {m:?}, {v:?}");
    let lengths = [g.len(), m.len(), v.len()];
    assert!(lengths.iter().all(|n| *n == w.len()), "adamw: {w:?}, {g:?}, {m:?}, {v:?}");
}

/// Structs of `adamw.cu`, word by word.
#[derive(Default)]
struct Words(Vec<u32>);

impl Words {
    fn u64(&mut self, x: u64) {
        self.0.extend([x as u32, (x >> 32) as u32]);
    }

    /// `struct Parameter`.
    fn parameter(&mut self, Update { step, w, g, m, v }: &mut Update) {
        let f = Factors::new(*step);
        let [weights, rounded] = w.addresses_mut();
        let moments = [m.address_mut(), v.address_mut()];
        for x in [weights, g.address(), moments[0], moments[1], rounded, w.len() as u64] {
            self.u64(x);
        }
        let ([a, b], [c, d], unused) = (f.first, f.second, 0.0);
        let factors = [f.grad_scale, f.keep, a, b, c, d, f.rate, f.correction, f.eps, unused];
        self.0.extend(factors.map(f32::to_bits));
    }
}

/// Tensors and the pieces that they are cut into, on the GPU.
struct Table {
    words: Array,
    /// Words of the tensors; the pieces follow.
    tensors: usize,
    /// The number of pieces.
    count: usize,
}

impl Table {
    /// One upload a step.
    fn new(
        device: &Device,
        Words(mut words): Words,
        lengths: impl Iterator<Item = usize>,
    ) -> Result<Self> {
        let tensors = words.len();
        for (tensor, length) in lengths.enumerate() {
            // `struct Piece`.
            words.extend((0..length.div_ceil(PIECE)).flat_map(|n| [tensor as u32, n as u32]));
        }
        let count = (words.len() - tensors) / 2;
        Ok(Self { words: Array::from_host(device, &words)?, tensors, count })
    }

    fn tensors(&self) -> Slice<'_> {
        self.words.slice().narrow(0, self.tensors)
    }

    fn pieces(&self) -> Slice<'_> {
        self.words.slice().narrow(self.tensors, 2 * self.count)
    }
}
