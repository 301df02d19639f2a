//! On a GPU; see `reduce.cu`. How a sum is shared out depends on the number of elements and their alignment, not
//! on the GPU or on chance: the same bits on every run.

use crate::cuda::{Array, BLOCK, DType, Device, Launch, Result, Slice, Source, WARP};

pub(crate) static SOURCE: Source =
    Source { name: "reduce.cu", text: include_str!("reduce.cu"), hopper: false };

/// Columns that a thread sums up at once.
const PACK: usize = 4;

/// Strips of columns with a counter, as in `reduce.cu`.
const STRIPS: usize = 1024;

/// The sum of x, one f32.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When x is not f32.
pub fn sum(x: Slice) -> Result<Array> {
    partials(x, "sum_partials")?.total(1.0)
}

/// The sum of the squares of x, on the host: this waits.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When x is not f32.
pub fn sum_squares(x: Slice) -> Result<f64> {
    partials(x, "sum_squares_partials")?.to_host()
}

fn partials(x: Slice, kernel: &'static str) -> Result<Partials> {
    assert_eq!(x.dtype(), DType::F32, "{kernel}: dtype");
    let (n, mut sums) = (x.len(), Partials::of_elements(x.device(), x.len())?);
    let launch = Launch::new(x.device(), &SOURCE, DType::F32, kernel)?.grid(sums.blocks());
    // SAFETY: the kernel's parameters; x has n elements, packs are aligned, and each block writes its sum.
    unsafe { launch.read(x).write(sums.array()).arg(n).arg(x.packs(4)).start() }?;
    Ok(sums)
}

/// The sums of the blocks of a kernel, in f64.
pub(crate) struct Partials {
    /// Two u32 each, the lower half first: arrays have no dtype for f64, and nothing else needs one.
    halves: Array,
}

impl Partials {
    /// Of unspecified value, one for each of `blocks`.
    pub(crate) fn uninit(device: &Device, blocks: usize) -> Result<Self> {
        Ok(Self { halves: Array::uninit(device, DType::U32, 2 * blocks)? })
    }

    /// Of unspecified value, for as many blocks as should share n elements.
    pub(crate) fn of_elements(device: &Device, n: usize) -> Result<Self> {
        /// Elements that are worth a block.
        const SHARE: usize = 4096;
        /// Blocks that keep every GPU busy.
        const MOST: usize = 1024;
        Self::uninit(device, n.div_ceil(SHARE).clamp(1, MOST))
    }

    /// How many there are.
    pub(crate) fn blocks(&self) -> usize {
        self.halves.len() / 2
    }

    /// `double *` of the kernel that writes them.
    pub(crate) fn array(&mut self) -> &mut Array {
        &mut self.halves
    }

    /// `const double *` of a kernel that reads them.
    pub(crate) fn slice(&self) -> Slice<'_> {
        self.halves.slice()
    }

    /// `factor` times their sum, one f32.
    pub(crate) fn total(self, factor: f64) -> Result<Array> {
        let device = self.halves.device();
        let mut y = Array::uninit(device, DType::F32, 1)?;
        let launch = Launch::new(device, &SOURCE, DType::F32, "total")?.read(self.slice());
        // SAFETY: the kernel's parameters; there are that many f64, at an address for them.
        unsafe { launch.write(&mut y).int(self.blocks()).arg(factor).start() }?;
        Ok(y)
    }

    /// Their sum.
    fn to_host(&self) -> Result<f64> {
        let halves = self.slice().to_host::<u32>()?;
        let (pairs, _) = halves.as_chunks::<2>();
        Ok(pairs
            .iter()
            .map(|&[low, high]| f64::from_bits(u64::from(high) << 32 | u64::from(low)))
            .sum())
    }
}

/// The sum of each column in f32; x is `[rows, cols]`, f32 or bf16.
///
/// Where there are many rows, chunks of them are summed side by side, and then the chunks.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When the length is no multiple of `cols`, or x is u32.
pub fn column_sums(x: Slice, cols: usize) -> Result<Array> {
    assert!(x.dtype() != DType::U32 && x.len().is_multiple_of(cols), "column_sums: {x:?}, {cols}");
    if x.is_empty() {
        return Array::zeros(x.device(), DType::F32, cols);
    }
    let rows = x.len() / cols;
    let chunks = row_chunks(rows, cols);
    let packed = cols.is_multiple_of(PACK) && x.packs(PACK) > 0;
    let strips = cols.div_ceil(WARP * if packed { PACK } else { 1 });
    assert!(chunks == 1 || strips <= STRIPS, "column_sums: {strips} strips in {chunks} chunks");
    let workspace = if chunks > 1 { chunks * cols } else { 0 };
    let mut partial = Array::uninit(x.device(), DType::F32, workspace)?;
    let mut y = Array::uninit(x.device(), DType::F32, cols)?;
    let launch = Launch::new(x.device(), &SOURCE, x.dtype(), "column_sums")?;
    let launch = launch.grid_3([strips, chunks, 1]).read(x).write(&mut partial).write(&mut y);
    let launch = launch.int(rows).int(cols).int(rows.div_ceil(chunks));
    // SAFETY: the kernel's parameters; x is [rows, cols], y [cols] and partial, if there are several chunks,
    // [chunks, cols], with a counter for each strip; with `packed` x is aligned to packs and rows are whole packs.
    unsafe { launch.arg(i32::from(packed)).start() }?;
    Ok(y)
}

/// Chunks of rows: enough that all columns together keep a GPU busy, no more than have some rows each.
fn row_chunks(rows: usize, cols: usize) -> usize {
    /// Warps of columns times chunks: several chunks only if there are no more than `STRIPS` of these.
    const BUSY: usize = 2 * STRIPS;
    /// A block adds up the sums of these.
    const MOST: usize = 256;
    /// Rows that are worth a chunk.
    const SHARE: usize = 64;
    let wanted = (BUSY / cols.div_ceil(WARP)).clamp(1, MOST).min(rows.div_ceil(SHARE));
    // No chunk begins behind the last row.
    rows.div_ceil(rows.div_ceil(wanted))
}

/// Where each row has its greatest element first, u32; a NaN counts as the greatest. x is `[rows, cols]`, f32.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When the length is no multiple of `cols`, `cols` is 0, or x is not f32.
pub fn row_argmax(x: Slice, cols: usize) -> Result<Array> {
    /// A warp takes a row.
    const ROWS: usize = BLOCK as usize / WARP;
    assert!(x.dtype() == DType::F32 && cols > 0, "row_argmax: {x:?}, {cols} columns");
    assert!(x.len().is_multiple_of(cols), "row_argmax: {x:?}, {cols} columns");
    let rows = x.len() / cols;
    let mut y = Array::uninit(x.device(), DType::U32, rows)?;
    let launch = Launch::new(x.device(), &SOURCE, DType::F32, "row_argmax")?;
    let launch = launch.grid(rows.div_ceil(ROWS)).read(x).write(&mut y);
    // SAFETY: the kernel's parameters; x is [rows, cols] and y has an element for each row.
    unsafe { launch.int(rows).int(cols).start() }?;
    Ok(y)
}
