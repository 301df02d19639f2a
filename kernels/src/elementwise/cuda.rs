//! On a card; see `elementwise.cu`.

use crate::cuda::{Array, DType, Launch, Result, Slice, Source, blocks_for};

pub(crate) static SOURCE: Source =
    Source { name: "elementwise.cu", text: include_str!("elementwise.cu"), hopper: false };

/// The values of f32 in bf16, or the other way round.
///
/// # Errors
/// When the card refuses or is full.
///
/// # Panics
/// When x has dtype `to` already, or either is u32.
pub fn convert(x: Slice, to: DType) -> Result<Array> {
    let pair = (x.dtype(), to);
    assert!(
        matches!(pair, (DType::F32, DType::BF16) | (DType::BF16, DType::F32)),
        "convert: {pair:?}"
    );
    let n = x.len();
    let mut y = Array::stale(x.device(), to, n)?;
    let packs = x.packs(4);
    let launch = Launch::new(x.device(), &SOURCE, to, "convert")?.grid(blocks_for(x.device(), n));
    // SAFETY: the kernel's parameters; both arrays have n elements, and packs of four are aligned.
    unsafe { launch.read(x).write(&mut y).arg(n).arg(packs).start() }?;
    Ok(y)
}
