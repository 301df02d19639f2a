//! The loops around the micro-kernel.
//!
//! ```text
//! for each block of K              panels of B, packed by all threads and read by all
//!   for each tile of C             one task; its rows of A are packed by the thread that needs them
//!     for each block of K          [tile rows, K_BLOCK] of A ...
//!       for some columns           ... and [K_BLOCK, COLS] of B stay in L2
//!         for each panel of A      stays in L1 ...
//!           for each panel of B    ... while B streams past
//!             micro-kernel         an element of C sums its K products in order, a block at a time
//! ```
//!
//! The order of the additions into an element of C depends on K alone, not on the tiles: serial and parallel
//! products, and products of a part of the rows, have the same bits. Where C is bf16 and K has several blocks,
//! their sums wait in f32 beside the tile and are rounded once.
//!
//! Source: Goto and van de Geijn, *Anatomy of high-performance matrix multiplication*, 2008,
//! <https://doi.org/10.1145/1356052.1356053>.

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::kernel::{MicroKernel, Tile};
use super::narrow::Narrow;
use super::pack::{Buffer, Layout, pack};
use super::store::Store;
use super::view::{MatMut, MatRef, SharedMat};
use crate::parallel::Shared;

/// Words of K, products or pairs of them, summed in registers before they are added to C. A panel of A
/// (12 x 384 x 4 bytes = 18 KiB) and the passing panel of B share an L1 of 32 KiB. Hidden sizes are multiples
/// of it.
pub(super) const K_BLOCK: usize = 384;

/// Rows of a tile at most, rounded up to whole panels. 96 x K_BLOCK of A take 144 KiB of L2.
const MAX_TILE_ROWS: usize = 96;

/// Rows of a tile at least, rounded up: each element of B that a tile reads from L3 is used that often, and what
/// micro-kernels read from L2 is hidden behind their arithmetic.
const MIN_TILE_ROWS: usize = 24;

/// Columns of B that all rows of a tile meet before the next ones: a multiple of the columns of every micro-kernel.
/// K_BLOCK x 384 of B take 576 KiB of L2.
const COLS: usize = 384;

/// Tiles that rows are split into, where there are enough of them: with many for each core, none waits long for
/// the others.
const TILES: usize = 40;

/// Tiles below which columns are split too. Tiles beside each other pack the same rows of A.
const MIN_TILES: usize = 16;

/// Multiplications worth a task (some 10 microseconds).
pub(super) const MIN_WORK: usize = 512 * 1024;

/// Multiplications up to which a product stays on its thread (some 40 microseconds: [8, 384] x [384, 384], the
/// layer of a short sentence). Waking other threads, twice as they also pack B, takes about as long.
pub(super) const SERIAL_WORK: usize = 4 * MIN_WORK;

/// Columns of B that a thread packs at a time: whole panels of every micro-kernel, 512 bytes of a row at a time.
const PACKED_COLS: usize = 128;

/// Looks at a counter between two offers of the core to other threads: some 10 microseconds.
const SPINS: usize = 256;

/// Packing buffers.
#[derive(Default)]
struct Scratch {
    a: Buffer,
    b: Buffer,
    /// Sums of a tile of a C of bf16.
    sums: Buffer<f32>,
}

thread_local! {
    /// Packed rows of A of the tile that this thread works on; both buffers of a serial product.
    static SCRATCH: Cell<Scratch> = Cell::default();
    /// Packed B of the products that this thread has called for.
    static SHARED: Cell<Buffer> = Cell::default();
}

/// Lends `f` the value of this thread. While it waits for other threads, a thread may begin a second product:
/// that one finds a default value instead.
fn lend<T: Default>(key: &'static std::thread::LocalKey<Cell<T>>, f: impl FnOnce(&mut T)) {
    let mut value = key.take();
    f(&mut value);
    key.set(value);
}

/// C = A B, by the rule of `store`; shapes agree and none of them is 0.
#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    pub a: MatRef<'a>,
    pub b: MatRef<'a>,
    pub c: SharedMat<'a>,
    pub store: Store<'a>,
}

impl Product<'_> {
    /// Runs on the threads of the current pool, where there is work for several.
    ///
    /// # Safety
    /// Nobody else uses C.
    pub(super) unsafe fn run(&self) {
        // SAFETY: the caller's contract.
        unsafe {
            if self.a.rows() * self.b.cols() * self.a.cols() <= SERIAL_WORK {
                self.run_serial();
            } else if let Some(narrow) = Narrow::of(self) {
                narrow.run(self);
            } else {
                lend(&SHARED, |shared| self.run_parallel(shared));
            }
        }
    }

    /// Runs on this thread.
    ///
    /// # Safety
    /// Nobody else uses C.
    pub(super) unsafe fn run_serial(&self) {
        // SAFETY: the caller's contract.
        unsafe {
            match Narrow::of(self) {
                Some(narrow) => narrow.run_serial(self),
                None => lend(&SCRATCH, |scratch| self.run_blocked(scratch)),
            }
        }
    }

    /// Whether the operands are multiplied in bf16.
    fn is_bf16(&self) -> bool {
        self.a.is_bf16() || self.b.is_bf16()
    }

    /// # Safety
    /// Nobody else uses C.
    unsafe fn run_blocked(&self, scratch: &mut Scratch) {
        let kernel = MicroKernel::current(self.is_bf16());
        let mut packed = std::mem::take(&mut scratch.b);
        for cols in blocks(0..self.b.cols(), COLS) {
            for k in blocks(0..self.a.cols(), self.k_packed(kernel, cols.len())) {
                let extent = Extent { layout: kernel.b(), k, cols: cols.clone() };
                let data = packed.take(extent.len());
                for k in blocks(extent.k.clone(), k_block(kernel)) {
                    let out = &mut data[extent.part(&k, &cols)];
                    pack(self.b.block(k, cols.clone()).t(), extent.layout, out);
                }
                let panels = PackedB { data, extent };
                for rows in blocks(0..self.a.rows(), MAX_TILE_ROWS.next_multiple_of(kernel.rows)) {
                    // SAFETY: the caller's contract.
                    unsafe { self.tile(kernel, rows, cols.clone(), &panels, scratch) };
                }
            }
        }
        scratch.b = packed;
    }

    /// # Safety
    /// Nobody else uses C.
    unsafe fn run_parallel(&self, shared: &mut Buffer) {
        let kernel = MicroKernel::current(self.is_bf16());
        let n = self.b.cols();
        let (tile_rows, tile_cols) = self.tile_shape(kernel);
        let across = n.div_ceil(tile_cols);
        let tiles = self.a.rows().div_ceil(tile_rows) * across;
        for k in blocks(0..self.a.cols(), self.k_packed(kernel, n)) {
            let extent = Extent { layout: kernel.b(), k, cols: 0..n };
            let packing = Packing::new(self.b, kernel, shared.take(extent.len()), extent);
            (0..tiles).into_par_iter().with_max_len(1).for_each(|i| {
                let rows = part(i / across, tile_rows, self.a.rows());
                let cols = part(i % across, tile_cols, n);
                let panels = packing.help();
                lend(&SCRATCH, |scratch| {
                    // SAFETY: the caller's contract; no two tiles have an element in common.
                    unsafe { self.tile(kernel, rows, cols, &panels, scratch) }
                });
            });
        }
    }

    /// How much of K is packed at a time for `n` columns: whole blocks, and all of them where C is bf16.
    fn k_packed(&self, kernel: MicroKernel, n: usize) -> usize {
        match self.c.is_bf16() {
            true => self.a.cols(),
            false => (kernel.max_packed / n / K_BLOCK).max(1) * k_block(kernel),
        }
    }

    /// Rows and columns of a tile.
    fn tile_shape(&self, kernel: MicroKernel) -> (usize, usize) {
        let (m, n, k) = (self.a.rows(), self.b.cols(), self.a.cols());
        let rows = m.div_ceil(TILES).clamp(MIN_TILE_ROWS, MAX_TILE_ROWS);
        let rows = rows.next_multiple_of(kernel.rows);
        let (down, mut across) = (m.div_ceil(rows), 1);
        while down * across < MIN_TILES && m * n * k / (down * across) > 2 * MIN_WORK {
            across *= 2;
        }
        (rows, n.div_ceil(across).next_multiple_of(kernel.cols))
    }

    /// Adds the products of the K in `b` to one tile of C.
    ///
    /// # Safety
    /// Nobody else uses the tile.
    unsafe fn tile(
        &self,
        kernel: MicroKernel,
        rows: Range<usize>,
        cols: Range<usize>,
        b: &PackedB,
        scratch: &mut Scratch,
    ) {
        let mut target =
            Tile { c: self.c, rows: rows.clone(), cols: cols.clone(), store: self.store };
        let (n, wait) = (cols.len(), self.c.is_bf16() && b.extent.k.len() > k_block(kernel));
        let sums = scratch.sums.take(if wait { rows.len() * n } else { 0 });
        if wait {
            let c = MatMut::new(&mut *sums, rows.len(), n).share();
            target = Tile { c, rows: 0..rows.len(), cols: 0..n, store: Store::default() };
        }
        for k in blocks(b.extent.k.clone(), k_block(kernel)) {
            let a = scratch.a.take(kernel.a().packed_len(rows.len(), k.len()));
            pack(self.a.block(rows.clone(), k.clone()), kernel.a(), a);
            let store = target.store.of_block(k.start);
            for part in blocks(0..n, COLS) {
                let part_of = |cols: &Range<usize>| cols.start + part.start..cols.start + part.end;
                let b = b.part(&k, &part_of(&cols));
                let target = Tile { store, cols: part_of(&target.cols), ..target.clone() };
                // SAFETY: the caller's contract; the sums are this tile's.
                unsafe { panels(kernel, k.len(), (a, b), &target) };
            }
        }
        if wait {
            for (i, sums) in rows.zip(sums.chunks_exact(n)) {
                // SAFETY: the caller's contract.
                unsafe { self.c.store_row(i, cols.start, sums, self.store) };
            }
        }
    }
}

/// Elements of K in a block.
fn k_block(kernel: MicroKernel) -> usize {
    K_BLOCK * kernel.word.elements()
}

/// The products of all panels in `a` with all in `b`, a block of `k` of K, for as many rows and columns as the target
/// has.
///
/// # Safety
/// Nobody else uses the target.
unsafe fn panels(kernel: MicroKernel, k: usize, (a, b): (&[u32], &[u32]), target: &Tile) {
    let panel_a = kernel.a().packed_len(kernel.rows, k);
    let panel_b = kernel.b().packed_len(kernel.cols, k);
    // SAFETY: the kernel is of the instruction set in use.
    unsafe { (kernel.enter)() };
    for (rows, a) in blocks(target.rows.clone(), kernel.rows).zip(a.chunks_exact(panel_a)) {
        for (cols, b) in blocks(target.cols.clone(), kernel.cols).zip(b.chunks_exact(panel_b)) {
            let tile = Tile { rows: rows.clone(), cols, ..target.clone() };
            // SAFETY: the kernel is of the instruction set in use and entered; the caller's contract.
            unsafe { (kernel.run)(a, b, &tile) };
        }
    }
    // SAFETY: as above.
    unsafe { (kernel.leave)() };
}

/// B while it is packed by the threads that are about to read it. Each takes the next part until none is left, and
/// waits for those that others have taken: shorter than handing out all parts, then all tiles.
struct Packing<'a> {
    b: MatRef<'a>,
    kernel: MicroKernel,
    out: Shared<'a, u32>,
    extent: Extent,
    next: AtomicUsize,
    done: AtomicUsize,
}

impl<'a> Packing<'a> {
    fn new(b: MatRef<'a>, kernel: MicroKernel, out: &'a mut [u32], extent: Extent) -> Self {
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { b, kernel, out: Shared::new(out), extent, next, done }
    }

    /// All of B, once it is packed.
    fn help(&self) -> PackedB<'_> {
        let across = self.extent.cols.len().div_ceil(PACKED_COLS);
        let parts = across * self.extent.k.len().div_ceil(k_block(self.kernel));
        loop {
            let i = self.next.fetch_add(1, Ordering::Relaxed);
            if i >= parts {
                break;
            }
            self.pack(i / across, i % across);
            self.done.fetch_add(1, Ordering::Release);
        }
        let mut waited = 0;
        while self.done.load(Ordering::Acquire) < parts {
            waited += 1;
            // A thread that was interrupted while it packed may need this core.
            if waited % SPINS == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
        // SAFETY: every part is packed, and nobody writes any more.
        let data = unsafe { self.out.read(0, self.extent.len()) };
        PackedB { data, extent: self.extent.clone() }
    }

    /// Packs part `col` of the columns of block `block` of K.
    fn pack(&self, block: usize, col: usize) {
        let Range { start, end } = self.extent.k;
        let k = start + block * k_block(self.kernel);
        let k = k..(k + k_block(self.kernel)).min(end);
        let cols = part(col, PACKED_COLS, self.extent.cols.len());
        let to = self.extent.part(&k, &cols);
        // SAFETY: parts do not overlap, each is taken by one thread, and nobody reads before all are done.
        let out = unsafe { self.out.slice(to.start, to.len()) };
        pack(self.b.block(k, cols).t(), self.extent.layout, out);
    }
}

/// Rows `k` and columns `cols` of B, and how they lie when they are packed: a block of K after the other, in each a
/// panel after the other.
#[derive(Clone)]
struct Extent {
    layout: Layout,
    k: Range<usize>,
    cols: Range<usize>,
}

impl Extent {
    /// Words of all.
    fn len(&self) -> usize {
        self.layout.packed_len(self.cols.len(), self.k.len())
    }

    /// Where the panels of columns `cols` are in block `k`; the first of them begins a panel.
    fn part(&self, k: &Range<usize>, cols: &Range<usize>) -> Range<usize> {
        let blocks_before = self.layout.packed_len(self.cols.len(), k.start - self.k.start);
        let panels_before = self.layout.packed_len(cols.start - self.cols.start, k.len());
        let start = blocks_before + panels_before;
        start..start + self.layout.packed_len(cols.len(), k.len())
    }
}

/// Packed B, or part of it.
struct PackedB<'a> {
    data: &'a [u32],
    extent: Extent,
}

impl PackedB<'_> {
    /// The panels of columns `cols` in block `k`.
    fn part(&self, k: &Range<usize>, cols: &Range<usize>) -> &[u32] {
        &self.data[self.extent.part(k, cols)]
    }
}

/// `range` in parts of `size`, the last one shorter.
pub(super) fn blocks(range: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(size).map(move |start| start..(start + size).min(end))
}

/// Part `i` of `0..len` in parts of `size`.
pub(super) fn part(i: usize, size: usize, len: usize) -> Range<usize> {
    i * size..((i + 1) * size).min(len)
}
