//! On a GPU: a thread an element; see `copy.cu`.

use crate::cuda::{Array, DType, Launch, Param, Result, Slice, Source, blocks_for};

pub(crate) static SOURCE: Source =
    Source { name: "copy.cu", text: include_str!("copy.cu"), hopper: false };

/// More than any tensor here has.
const MAX_AXES: usize = 8;

/// `struct View` of `copy.cu`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct View {
    offset: usize,
    strides: [usize; MAX_AXES],
    shape: [u32; MAX_AXES],
    axes: i32,
}

// SAFETY: the same fields in the same order, `size_t`, `unsigned` and `int`.
unsafe impl Param for View {}

/// The elements of a view of `x`, in row-major order.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When the view leaves `x` or has more than eight axes.
pub fn row_major(x: Slice, offset: usize, shape: &[usize], strides: &[usize]) -> Result<Array> {
    let n: usize = shape.iter().product();
    let mut y = Array::uninit(x.device(), x.dtype(), n)?;
    if n == 0 {
        return Ok(y);
    }
    assert!(
        x.holds(offset, shape, strides),
        "copy: view from {offset} of {shape:?} with strides {strides:?} of {x:?}"
    );
    let kernel = kernel(x.dtype(), ["copy_view_16", "copy_view_32"]);
    let launch = Launch::new(x.device(), &SOURCE, DType::F32, kernel)?;
    let (view, blocks) = (view(offset, shape, strides), blocks_for(x.device(), n));
    // SAFETY: the kernel's parameters; each of the n threads reads inside the view, which is inside x, and
    // writes its own element of y.
    unsafe { launch.grid(blocks).read(x).write(&mut y).arg(n).arg(view).start() }?;
    Ok(y)
}

/// Tensors side by side: `[rows, widths[i]]` each, to `[rows, sum of widths]`.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When there are none, their types or devices differ, or a length is no multiple of `rows`.
pub fn side_by_side(parts: &[Slice], rows: usize) -> Result<Array> {
    let (device, dtype) = (parts[0].device(), parts[0].dtype());
    assert!(parts.iter().all(|x| x.dtype() == dtype), "concat: dtypes");
    assert!(parts.iter().all(|x| x.len().is_multiple_of(rows)), "concat: {rows} rows");
    let n: usize = parts.iter().map(|x| x.len()).sum();
    let (mut y, mut start) = (Array::uninit(device, dtype, n)?, 0);
    for &part in parts.iter().filter(|x| !x.is_empty()) {
        let width = part.len() / rows;
        match rows {
            1 => y.copy_from(start, part)?,
            _ => copy_rows(part, &mut y, width, start, n / rows)?,
        }
        start += width;
    }
    Ok(y)
}

/// Rows of x, `width` long, into rows of y, `pitch` long, from column `start` on.
fn copy_rows(x: Slice, y: &mut Array, width: usize, start: usize, pitch: usize) -> Result<()> {
    let (n, kernel) = (x.len(), kernel(x.dtype(), ["copy_rows_16", "copy_rows_32"]));
    assert!(start + width <= pitch && n / width * pitch <= y.len(), "copy: {x:?} to {y:?}");
    let launch = Launch::new(x.device(), &SOURCE, DType::F32, kernel)?;
    let launch = launch.grid(blocks_for(x.device(), n)).read(x).write(y);
    // SAFETY: the kernel's parameters; x has n elements, and y a row of `pitch` for each row of x, in which
    // columns `start` to `start + width` exist.
    unsafe { launch.arg(n).arg(width).arg(start).arg(pitch).start() }
}

/// The kernel for elements of two bytes, or of four.
fn kernel(dtype: DType, [of_2, of_4]: [&'static str; 2]) -> &'static str {
    if dtype.size() == 2 { of_2 } else { of_4 }
}

fn view(offset: usize, shape: &[usize], strides: &[usize]) -> View {
    assert!(shape.len() <= MAX_AXES, "copy: a view of {} axes", shape.len());
    let mut view = View { offset, strides: [0; MAX_AXES], shape: [1; MAX_AXES], axes: 0 };
    for (axis, (&n, &stride)) in shape.iter().zip(strides).rev().enumerate() {
        view.shape[axis] = u32::try_from(n).expect("an axis has fewer than 2^32 elements");
        view.strides[axis] = stride;
    }
    view.axes = shape.len() as i32;
    view
}
