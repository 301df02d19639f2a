//! From a product to launches.

use super::map::encode;
use super::param::{BATCH_AXES, MapParam, ProductParam, StridesParam, merge_axes};
use super::rung::{Cut, Rung, choose, multiprocessors};
use super::{After, MMA, NAIVE, Operand, SPLIT, TILED, WGMMA};
use crate::cuda::{Array, BLOCK, DType, Device, Launch, Result, Slice, Source, blocks_for, int};

/// C `[lead.., m, n]` = A B.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job<'a> {
    pub a: Operand<'a>,
    pub b: Operand<'a>,
    pub lead: &'a [usize],
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// The dtype of C.
    pub out: DType,
    pub after: After<'a>,
    /// Whether GELU of C is wanted too.
    pub gelu: bool,
}

/// Which axis of each operand has neighbours, in the names of the kernels: `n` is row-major, `t` transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Nt,
    Nn,
    Tn,
    Tt,
}

impl<'a> Job<'a> {
    /// Elements of bf16 in a copy of 16 bytes.
    pub const CHUNK: usize = 8;
    /// In one of 4.
    pub const PAIR: usize = 2;

    pub fn new(a: Operand<'a>, b: Operand<'a>, [m, n, k]: [usize; 3], out: DType) -> Self {
        Self { a, b, lead: &[], m, n, k, out, after: After::default(), gelu: false }
    }

    pub fn after(self, after: After<'a>) -> Self {
        Self { after, ..self }
    }

    pub fn device(&self) -> &'a Device {
        self.a.values.device()
    }

    /// The number of products.
    pub fn batch(&self) -> usize {
        self.lead.iter().product()
    }

    /// `None` where neither stride of an operand is 1.
    pub fn layout(&self) -> Option<Layout> {
        match (self.a.strides, self.b.strides) {
            ([_, 1], [1, _]) => Some(Layout::Nt),
            ([_, 1], [_, 1]) => Some(Layout::Nn),
            ([1, _], [_, 1]) => Some(Layout::Tn),
            ([1, _], [1, _]) => Some(Layout::Tt),
            _ => None,
        }
    }

    /// The layout, if the product is one of a linear layer, for which kernels of bf16 were compiled.
    pub fn linear_layout(&self) -> Option<Layout> {
        let out = match self.layout()? {
            Layout::Nt | Layout::Nn => DType::BF16,
            Layout::Tn => DType::F32,
            Layout::Tt => return None,
        };
        (self.out == out && self.batch() == 1).then(|| self.layout()).flatten()
    }

    /// Whether both operands can be moved `len` neighbours at a time.
    pub fn moves_by(&self, len: usize) -> bool {
        self.moves_each_by([len, len])
    }

    /// Whether A and B can be moved so many neighbours at a time: runs begin at a multiple of their bytes, and none is
    /// cut by an edge.
    pub fn moves_each_by(&self, [a, b]: [usize; 2]) -> bool {
        let fits = |x: &Operand, [rows, cols]: [usize; 2], len: usize| {
            let (extent, distance) =
                if x.strides[1] == 1 { (cols, x.strides[0]) } else { (rows, x.strides[1]) };
            let all = x.lead.iter().chain([&extent, &distance]);
            let bytes = (len * x.values.dtype().size()) as u64;
            x.values.address().is_multiple_of(bytes)
                && all.into_iter().all(|n| n.is_multiple_of(len))
        };
        fits(&self.a, [self.m, self.k], a) && fits(&self.b, [self.k, self.n], b)
    }

    /// # Panics
    /// When the kernels would leave an array or read it as another type.
    fn check(&self) {
        inside(&self.a, [self.m, self.k], self.lead);
        inside(&self.b, [self.k, self.n], self.lead);
        let device = self.device();
        let same = |x: Slice, dtype: DType, len: usize| {
            assert!(
                x.dtype() == dtype && x.len() == len,
                "matmul: {x:?}, expected {dtype:?} [{len}]"
            );
            assert_eq!(x.device(), device, "matmul: operands on two devices");
        };
        same(self.b.values, self.a.values.dtype(), self.b.values.len());
        if let Some(bias) = self.after.bias {
            same(bias, DType::F32, self.n);
        }
        if let Some(residual) = self.after.residual {
            same(residual, self.out, self.m * self.n);
        }
        let fits = |n: usize| i32::try_from(n).is_ok();
        assert!([self.m, self.n, self.k, self.batch()].into_iter().all(fits), "matmul: too large");
    }
}

/// # Panics
/// When an element of the operand lies outside of its values.
fn inside(x: &Operand, sizes: [usize; 2], lead: &[usize]) {
    let sizes: Vec<usize> = lead.iter().chain(&sizes).copied().collect();
    let strides: Vec<usize> = x.lead.iter().chain(&x.strides).copied().collect();
    assert!(
        x.lead.len() == lead.len() && x.values.holds(0, &sizes, &strides),
        "matmul: {sizes:?} with strides {strides:?} in {:?}",
        x.values
    );
}

/// C, and GELU of it if wanted.
///
/// # Panics
/// When lengths, dtypes or devices do not fit.
pub(super) fn run(job: Job) -> Result<(Array, Option<Array>)> {
    job.check();
    let (device, len) = (job.device(), job.batch() * job.m * job.n);
    let mut c = Array::uninit(device, job.out, len)?;
    let mut gelu = job.gelu.then(|| Array::uninit(device, job.out, len)).transpose()?;
    if len == 0 {
        return Ok((c, gelu));
    }
    let rung = choose(&job)?;
    let cut = Cut::of(rung, &job);
    let mut partial = Array::uninit(device, DType::F32, cut.partial_sums())?;
    let outputs = [Some(&mut c), gelu.as_mut(), Some(&mut partial)];
    let product = parameters(&job, outputs, cut, rung);
    let start = Start { job: &job, cut, product };
    match rung {
        Rung::Naive => start.naive(),
        Rung::Tiled => start.tiled(),
        Rung::Mma => start.mma(),
        Rung::Wgmma => start.wgmma(),
    }?;
    if cut.rest > 0 {
        start.add_parts()?;
    }
    Ok((c, gelu))
}

/// `outputs` are C, GELU of C, and the sums of parts.
fn parameters(job: &Job, outputs: [Option<&mut Array>; 3], cut: Cut, rung: Rung) -> ProductParam {
    let [c, gelu, partial] = outputs.map(|x| x.map_or(0, Array::address_mut));
    let [bias, residual] =
        [job.after.bias, job.after.residual].map(|x| x.map_or(0, |x| x.address()));
    let wide = job.n.is_multiple_of(Job::CHUNK)
        && [c, gelu, partial, bias, residual].iter().all(|x| x.is_multiple_of(16));
    let boxed = rung == Rung::Wgmma && job.out == DType::BF16 && residual == 0;
    ProductParam {
        a: job.a.values.address(),
        b: job.b.values.address(),
        c,
        bias,
        residual,
        gelu,
        partial,
        m: int(job.m),
        n: int(job.n),
        k: int(job.k),
        ldc: int(job.n),
        whole: int(cut.whole),
        parts: int(cut.parts),
        k_part: int(cut.depth),
        wide: wide.into(),
        boxed: (boxed && wide).into(),
    }
}

/// A product with all that its launches need.
struct Start<'a> {
    job: &'a Job<'a>,
    cut: Cut,
    product: ProductParam,
}

impl Start<'_> {
    fn launch(&self, source: &'static Source, kernel: &'static str) -> Result<Launch<'_>> {
        Launch::new(self.job.device(), source, self.job.a.values.dtype(), kernel)
    }

    fn strides(&self) -> StridesParam {
        let Job { a, b, lead, .. } = self.job;
        let axes = merge_axes(lead, a.lead, b.lead);
        let strides = |of: usize| std::array::from_fn::<_, BATCH_AXES, _>(|i| axes[i][of] as i64);
        StridesParam {
            a: a.strides.map(|s| s as i64),
            b: b.strides.map(|s| s as i64),
            lead: axes.map(|axis| int(axis[0])),
            a_lead: strides(1),
            b_lead: strides(2),
        }
    }

    /// Whether C has a dtype of its own: f32 of operands in bf16.
    fn widens(&self) -> bool {
        self.job.out != self.job.a.values.dtype()
    }

    fn naive(&self) -> Result<()> {
        let name = if self.widens() { "matmul_naive_f32" } else { "matmul_naive" };
        let launch = self.launch(&NAIVE, name)?.grid(self.cut.pieces()).block(BLOCK);
        // SAFETY: the kernel's parameters; `Job::check` has shown that operands are inside their arrays, and C, GELU
        // of it and the sums of parts were allocated for these sizes.
        unsafe { launch.arg(self.product).arg(self.strides()).start() }
    }

    fn tiled(&self) -> Result<()> {
        /// Elements of f32 that move at once.
        const RUN: usize = 4;
        let by_runs = self.job.a.values.dtype() == DType::F32 && self.job.moves_by(RUN);
        let name = match self.job.layout().filter(|_| by_runs) {
            Some(Layout::Nt) => "matmul_tiled_nt",
            Some(Layout::Nn) => "matmul_tiled_nn",
            Some(Layout::Tn) => "matmul_tiled_tn",
            Some(Layout::Tt) => "matmul_tiled_tt",
            None if self.widens() => "matmul_tiled_f32",
            None => "matmul_tiled",
        };
        let launch = self.launch(&TILED, name)?.grid(self.cut.pieces()).block(256);
        // SAFETY: as in `naive`; runs of four are whole by `moves_by`.
        unsafe { launch.arg(self.product).arg(self.strides()).start() }
    }

    fn mma(&self) -> Result<()> {
        /// Four stages of 128 x 32 of both operands in bf16.
        const SHARED: usize = 4 * 2 * 128 * 32 * 2;
        let name = match (self.linear_layout(), self.job.moves_by(Job::CHUNK)) {
            (Layout::Nt, _) => "matmul_mma_nt",
            (Layout::Nn, true) => "matmul_mma_nn",
            (Layout::Nn, false) => "matmul_mma_nn_pairs",
            (_, true) => "matmul_mma_tn",
            (_, false) => "matmul_mma_tn_pairs",
        };
        let distance = |x: &Operand| int(x.strides[0] * x.strides[1]);
        let launch = self.launch(&MMA, name)?.grid(self.cut.pieces()).block(128).shared(SHARED);
        let launch = launch.arg(self.product).arg(distance(&self.job.a)).arg(distance(&self.job.b));
        // SAFETY: as in `naive`; copies are whole by `moves_each_by`, which `choose` has asked.
        unsafe { launch.start() }
    }

    fn wgmma(&self) -> Result<()> {
        /// The ring of stages, what warps put their sums into, and the barriers.
        const SHARED: usize = (224 + 1) << 10;
        /// Rows of C that a warp writes at once, as in product.cuh.
        const SLICE_ROWS: usize = 16;
        let tile = self.cut.tile;
        let name = match (self.linear_layout(), tile.cols) {
            (Layout::Nt, 128) => "matmul_wgmma_nt_128",
            (Layout::Nt, 192) => "matmul_wgmma_nt_192",
            (Layout::Nt, _) => "matmul_wgmma_nt_256",
            (Layout::Nn, 128) => "matmul_wgmma_nn_128",
            (Layout::Nn, 192) => "matmul_wgmma_nn_192",
            (Layout::Nn, _) => "matmul_wgmma_nn_256",
            (_, 128) => "matmul_wgmma_tn_128",
            (_, 192) => "matmul_wgmma_tn_192",
            (_, _) => "matmul_wgmma_tn_256",
        };
        let launch = self.launch(&WGMMA, name)?;
        let Job { a, b, m, n, k, .. } = *self.job;
        // The rows of a tile are those of A and the columns of B: a map of B transposed has them as rows, too.
        let b_transposed = Operand { strides: [b.strides[1], b.strides[0]], ..b };
        let (a, b) = (map(a, [m, k], tile.rows)?, map(b_transposed, [n, k], tile.cols)?);
        // There is no map of C where its rows begin anywhere; the kernel asks for none then.
        let c = match self.product.boxed {
            0 => a,
            _ => encode(self.job.device(), self.product.c, [m, n], n, SLICE_ROWS)?,
        };
        let blocks = multiprocessors(self.job.device()).min(self.cut.pieces());
        let launch = launch.grid(blocks).block(384).shared(SHARED);
        // SAFETY: as in `naive`; the maps end where the operands do.
        unsafe { launch.arg(a).arg(b).arg(c).arg(self.product).start() }
    }

    fn linear_layout(&self) -> Layout {
        self.job.linear_layout().expect("asked by the choice of the rung")
    }

    fn add_parts(&self) -> Result<()> {
        let name = if self.widens() { "matmul_add_parts_f32" } else { "matmul_add_parts" };
        let Cut { tile, rest, .. } = self.cut;
        let blocks = blocks_for(self.job.device(), (rest * tile.rows * tile.cols).div_ceil(4));
        let launch = self.launch(&SPLIT, name)?.grid(blocks);
        let launch = launch.arg(self.product).int(tile.rows).int(tile.cols);
        // SAFETY: the kernel's parameters; the sums of that many parts were allocated.
        unsafe { launch.start() }
    }
}

/// The map of an operand `[mn, k]`, of which a tile has `box_rows` along the first axis. Where that is the axis of
/// neighbours, boxes are 64 x 64 and several make a tile.
fn map(x: Operand, [mn, k]: [usize; 2], box_rows: usize) -> Result<MapParam> {
    match x.strides {
        [row, 1] => encode(x.values.device(), x.values.address(), [mn, k], row, box_rows),
        [_, col] => encode(x.values.device(), x.values.address(), [k, mn], col, 64),
    }
}
