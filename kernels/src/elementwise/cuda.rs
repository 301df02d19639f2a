//! On a GPU; see `elementwise.cu`. f32, but for [`add_assign`] and [`convert`].

use super::{Binary, Unary};
use crate::cuda::{Array, DType, Launch, Result, Slice, Source, blocks_for};

pub(crate) static SOURCE: Source =
    Source { name: "elementwise.cu", text: include_str!("elementwise.cu"), hopper: false };

/// Elements of f32 that move at once.
const PACK: usize = 4;

/// y = a op b.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When the lengths differ or one is not f32.
pub fn binary(op: Binary, a: Slice, b: Slice) -> Result<Array> {
    let [kernel, _] = binary_kernels(op);
    map2(kernel, a, b)
}

/// y = a op b, the row `b` (`[cols]`) repeated over the rows of a; a and y are `[rows, cols]`.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When the length of a is no multiple of that of b, b is empty, or one is not f32.
pub fn binary_row(op: Binary, a: Slice, b: Slice) -> Result<Array> {
    let (n, cols, [_, kernel]) = (a.len(), b.len(), binary_kernels(op));
    check_f32(kernel, [a, b]);
    assert!(cols > 0 && n.is_multiple_of(cols), "{kernel}: {a:?}, {b:?}");
    let packed = cols.is_multiple_of(PACK) && a.packs(PACK).min(b.packs(PACK)) > 0;
    let mut y = Array::uninit(a.device(), DType::F32, n)?;
    let launch =
        Launch::new(a.device(), &SOURCE, DType::F32, kernel)?.grid(blocks_for(a.device(), n));
    // SAFETY: the kernel's parameters; a and y have n elements, b has `cols`, which divides n; with `packed` all
    // three are aligned to packs and rows are whole packs.
    unsafe {
        let launch = launch.read(a).read(b).write(&mut y);
        launch.arg(n).int(cols).arg(i32::from(packed)).start()
    }?;
    Ok(y)
}

/// y = op x.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When x is not f32.
pub fn unary(op: Unary, x: Slice) -> Result<Array> {
    let [kernel, _] = unary_kernels(op);
    check_f32(kernel, [x]);
    let n = x.len();
    let mut y = Array::uninit(x.device(), DType::F32, n)?;
    let launch =
        Launch::new(x.device(), &SOURCE, DType::F32, kernel)?.grid(blocks_for(x.device(), n));
    // SAFETY: the kernel's parameters; both have n elements, and packs are aligned.
    unsafe { launch.read(x).write(&mut y).arg(n).arg(x.packs(PACK)).start() }?;
    Ok(y)
}

/// dx from the input x, the output y and its gradient dy.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When the lengths differ or one is not f32.
pub fn unary_backward(op: Unary, x: Slice, y: Slice, dy: Slice) -> Result<Array> {
    assert_eq!(x.len(), y.len(), "unary {op:?} backward: lengths");
    let [_, kernel] = unary_kernels(op);
    // No derivative needs both.
    let saved = if matches!(op, Unary::Exp | Unary::Sqrt | Unary::Recip) { y } else { x };
    map2(kernel, saved, dy)
}

/// y = alpha x.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When x is not f32.
pub fn scale(alpha: f32, x: Slice) -> Result<Array> {
    check_f32("scale", [x]);
    let n = x.len();
    let mut y = Array::uninit(x.device(), DType::F32, n)?;
    let launch =
        Launch::new(x.device(), &SOURCE, DType::F32, "scale")?.grid(blocks_for(x.device(), n));
    // SAFETY: the kernel's parameters; both have n elements, and packs are aligned.
    unsafe { launch.arg(alpha).read(x).write(&mut y).arg(n).arg(x.packs(PACK)).start() }?;
    Ok(y)
}

/// y += x, both f32 or both bf16.
///
/// # Errors
/// When the GPU refuses.
///
/// # Panics
/// When lengths or types differ, or they are u32.
pub fn add_assign(y: &mut Array, x: Slice) -> Result<()> {
    let (n, dtype) = (x.len(), x.dtype());
    assert!(dtype != DType::U32 && y.dtype() == dtype && y.len() == n, "add: {y:?}, {x:?}");
    let packs = x.packs(16 / dtype.size());
    let launch = Launch::new(x.device(), &SOURCE, dtype, "add_assign")?;
    // SAFETY: the kernel's parameters; both have n elements, and packs are aligned. Each thread reads the elements
    // of y that it writes, before.
    unsafe { launch.grid(blocks_for(x.device(), n)).write(y).read(x).arg(n).arg(packs).start() }
}

/// The values of f32 in bf16, or the other way round.
///
/// # Errors
/// When the GPU refuses or is full.
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
    let mut y = Array::uninit(x.device(), to, n)?;
    let launch = Launch::new(x.device(), &SOURCE, to, "convert")?.grid(blocks_for(x.device(), n));
    // SAFETY: the kernel's parameters; both arrays have n elements, and packs are aligned.
    unsafe { launch.read(x).write(&mut y).arg(n).arg(x.packs(PACK)).start() }?;
    Ok(y)
}

/// A map of two elements to one.
fn map2(kernel: &'static str, a: Slice, b: Slice) -> Result<Array> {
    check_f32(kernel, [a, b]);
    assert_eq!(a.len(), b.len(), "{kernel}: lengths");
    let (n, packs) = (a.len(), a.packs(PACK).min(b.packs(PACK)));
    let mut y = Array::uninit(a.device(), DType::F32, n)?;
    let launch =
        Launch::new(a.device(), &SOURCE, DType::F32, kernel)?.grid(blocks_for(a.device(), n));
    // SAFETY: the parameters of all these kernels; a, b and y have n elements, and packs are aligned.
    unsafe { launch.read(a).read(b).write(&mut y).arg(n).arg(packs).start() }?;
    Ok(y)
}

fn check_f32<const N: usize>(kernel: &str, operands: [Slice; N]) {
    assert!(operands.iter().all(|x| x.dtype() == DType::F32), "{kernel}: {operands:?}");
}

/// For equal shapes, and for a row.
fn binary_kernels(op: Binary) -> [&'static str; 2] {
    match op {
        Binary::Add => ["add", "add_row"],
        Binary::Sub => ["sub", "sub_row"],
        Binary::Mul => ["mul", "mul_row"],
        Binary::Div => ["divide", "divide_row"],
    }
}

/// Forward and backward.
fn unary_kernels(op: Unary) -> [&'static str; 2] {
    match op {
        Unary::Neg => ["neg_forward", "neg_backward"],
        Unary::Exp => ["exp_forward", "exp_backward"],
        Unary::Ln => ["ln_forward", "ln_backward"],
        Unary::Sqrt => ["sqrt_forward", "sqrt_backward"],
        Unary::Abs => ["abs_forward", "abs_backward"],
        Unary::Square => ["square_forward", "square_backward"],
        Unary::Recip => ["recip_forward", "recip_backward"],
    }
}
