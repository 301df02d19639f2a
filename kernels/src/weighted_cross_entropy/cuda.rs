//! On a GPU: a block of threads a row; see `weighted_cross_entropy.cu`.

use super::Weighting;
use crate::cuda::{Array, DType, Launch, Result, Slice, Source, WARP};
use crate::reduce::cuda::Partials;

pub(crate) static SOURCE: Source = Source {
    name: "weighted_cross_entropy.cu",
    text: include_str!("weighted_cross_entropy.cu"),
    hopper: false,
};

/// Threads of the largest block.
const LARGEST_BLOCK: usize = 256;

/// The loss, one element, and `rsum`, `[rows]`, for the backward; logits `[rows, C]` in f32, labels `[rows]` and
/// weights on the host, where they are checked.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When there are no rows, the lengths or types do not fit or a label is not below C.
pub fn forward(logits: Slice, labels: &[u32], weighting: &Weighting) -> Result<[Array; 2]> {
    let (device, rows) = (logits.device(), labels.len());
    let cols = columns(logits, labels, weighting);
    let targets = Targets::upload(logits, labels, weighting)?;
    let mut rsum = Array::uninit(device, DType::F32, rows)?;
    let mut losses = Partials::uninit(device, rows)?;
    let launch = Launch::new(device, &SOURCE, DType::F32, "weighted_cross_entropy_rows")?;
    let launch = targets.read_by(launch.grid(rows).block(threads(cols)).read(logits));
    let launch = launch.write(losses.array()).write(&mut rsum).int(cols);
    let launch = launch.arg(1.0 - weighting.label_smoothing).arg(weighting.share());
    // SAFETY: the kernel's parameters; block i reads row i, its label, which is a column, and the weights of all
    // columns, and writes number i of the losses and of rsum.
    unsafe { launch.start() }?;
    Ok([losses.total(1.0 / weighting.total(labels))?, rsum])
}

/// dlogits `[rows, C]`, from the operands, what the forward saved, and the gradient of the loss, one element that
/// stays on the GPU.
///
/// # Errors
/// As [`forward`].
///
/// # Panics
/// As [`forward`].
pub fn backward(
    logits: Slice,
    labels: &[u32],
    weighting: &Weighting,
    rsum: Slice,
    dloss: Slice,
) -> Result<Array> {
    let (device, rows) = (logits.device(), labels.len());
    let cols = columns(logits, labels, weighting);
    assert!(rsum.dtype() == DType::F32 && rsum.len() == rows, "weighted_cross_entropy: {rsum:?}");
    assert!(dloss.dtype() == DType::F32 && dloss.len() == 1, "weighted_cross_entropy: {dloss:?}");
    let targets = Targets::upload(logits, labels, weighting)?;
    let mut dx = Array::uninit(device, DType::F32, logits.len())?;
    let launch = Launch::new(device, &SOURCE, DType::F32, "weighted_cross_entropy_backward")?;
    let launch = targets.read_by(launch.grid(rows).block(threads(cols)).read(logits));
    let launch = launch.read(rsum).read(dloss).write(&mut dx).int(cols);
    let (share, weights) = (weighting.share(), weighting.weights.iter().sum::<f64>());
    let launch = launch.arg(1.0 - weighting.label_smoothing).arg(share).arg(share * weights);
    // SAFETY: the kernel's parameters; block i reads row i, its label, which is a column, its rsum and the weights of
    // all columns, and writes row i.
    unsafe { launch.arg(weighting.total(labels)).start() }?;
    Ok(dx)
}

/// Labels, u32, and weights, f32.
struct Targets {
    labels: Array,
    weights: Array,
}

impl Targets {
    /// Beside the logits.
    fn upload(logits: Slice, labels: &[u32], weighting: &Weighting) -> Result<Self> {
        let weights: Vec<f32> = weighting.weights.iter().map(|&w| w as f32).collect();
        let device = logits.device();
        let labels = Array::from_host(device, labels)?;
        Ok(Self { labels, weights: Array::from_host(device, &weights)? })
    }

    fn read_by<'a>(&self, launch: Launch<'a>) -> Launch<'a> {
        launch.read(self.labels.slice()).read(self.weights.slice())
    }
}

/// A thread a column, in whole warps.
fn threads(cols: usize) -> u32 {
    cols.next_multiple_of(WARP).min(LARGEST_BLOCK) as u32
}

fn columns(logits: Slice, labels: &[u32], weighting: &Weighting) -> usize {
    assert!(logits.dtype() == DType::F32, "weighted_cross_entropy: {logits:?}");
    weighting.columns(logits.len(), labels)
}
