//! Which kernel a product takes, which tiles, and how those of the last round are cut along K.

use std::cell::Cell;
use std::sync::OnceLock;

use super::run::{Job, Layout};
use crate::cuda::{DType, Device, Error, Result};

/// The kernels, each faster than the ones before where it can be used.
///
/// The rule: f32 takes `Tiled`. bf16 takes the tensor cores, `Wgmma` on compute capability 9.0 and `Mma` on all
/// others, if the product is one of the three of a linear layer in its usual output dtype and the copies of 16
/// bytes fit: rows start at multiples of 16 bytes and hold a multiple of 8 elements. Where dy alone has an even number
/// of columns only, as over a vocabulary, its two products take `Mma` by copies of 4 bytes. Else it takes `Tiled`.
/// `Naive` is there to be read and to be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// The definition.
    Naive,
    /// Tiles in shared memory, sums in registers.
    Tiled,
    /// Tensor cores by the warp, from Ampere on.
    Mma,
    /// Tensor cores by four warps, on Hopper.
    Wgmma,
}

impl Rung {
    /// All, from the bottom.
    pub const ALL: [Self; 4] = [Self::Naive, Self::Tiled, Self::Mma, Self::Wgmma];
}

thread_local! {
    /// Of the products that this thread asks for; `None` leaves it to the environment.
    static CAP: Cell<Option<Rung>> = const { Cell::new(None) };
    /// The columns of tiles of `Wgmma`, for this thread; `None` leaves them to the rule.
    static COLUMNS: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Goes no higher than `rung` from now on, in products that this thread asks for; meant for tests and benches that
/// walk over all.
pub fn set_cap(rung: Rung) {
    CAP.set(Some(rung));
}

/// Takes tiles of 256, 192 or 128 columns only where [`Rung::Wgmma`] has the choice, in products that this thread asks
/// for; `None` takes the best again. Meant for tests, as [`set_cap`].
///
/// # Panics
/// When there are no such tiles.
pub fn set_columns(columns: Option<usize>) {
    let known = columns.is_none_or(|columns| [128, 192, 256].contains(&columns));
    assert!(known, "matmul: tiles of {columns:?} columns");
    COLUMNS.set(columns);
}

/// # Errors
/// When `KERNELS_CUDA_MATMUL` is set to an unknown name.
fn cap() -> Result<Rung> {
    static USUAL: OnceLock<Result<Rung>> = OnceLock::new();
    let usual =
        || USUAL.get_or_init(|| named(std::env::var("KERNELS_CUDA_MATMUL").ok().as_deref()));
    CAP.get().map_or_else(|| usual().clone(), Ok)
}

/// The rung of that name; the highest without one.
fn named(name: Option<&str>) -> Result<Rung> {
    match name {
        None | Some("" | "wgmma") => Ok(Rung::Wgmma),
        Some("mma") => Ok(Rung::Mma),
        Some("tiled") => Ok(Rung::Tiled),
        Some("naive") => Ok(Rung::Naive),
        Some(other) => Err(Error::UnknownRung(other.to_owned())),
    }
}

/// The rung of a product, by the rule that [`Rung`] states.
///
/// # Errors
/// When the environment caps it by an unknown name.
pub(super) fn choose(job: &Job) -> Result<Rung> {
    let hopper = job.device().capability() == (9, 0);
    // There is no tensor map of nothing.
    let layout = job.linear_layout().filter(|_| job.a.values.dtype() == DType::BF16 && job.k > 0);
    let best = match layout {
        Some(_) if job.moves_by(Job::CHUNK) && hopper => Rung::Wgmma,
        Some(_) if job.moves_by(Job::CHUNK) => Rung::Mma,
        Some(Layout::Nn | Layout::Tn) if job.moves_each_by([Job::PAIR, Job::CHUNK]) => Rung::Mma,
        _ => Rung::Tiled,
    };
    Ok(best.min(cap()?))
}

/// The tile of C that a block computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tile {
    pub rows: usize,
    pub cols: usize,
    /// How many such blocks a multiprocessor runs at once.
    resident: usize,
    /// What 64 of K take, in nanoseconds for each column, when that many do: measured on an H100 at K = 8192 with both
    /// rungs of the tensor cores, in a product of 32 rows with `Tiled`, which stands for `Naive`, too.
    step: f64,
}

impl Tile {
    /// Those of `Wgmma`. Of two that take as long the wider moves less; so 192 columns, measured at 3.1, have a little
    /// more. 128 were measured in a weight gradient.
    fn of_wgmma() -> [Self; 3] {
        [(256, 3.1), (192, 3.15), (128, 3.3)].map(|(cols, step)| Self {
            rows: 128,
            cols,
            resident: 1,
            step,
        })
    }

    /// Those that a rung has kernels for.
    fn all(rung: Rung, device: &Device) -> Vec<Self> {
        let square = Self { rows: 128, cols: 128, resident: 2, step: 60.0 };
        match rung {
            Rung::Naive => vec![Self { rows: 8, cols: 32, resident: 8, ..square }],
            Rung::Tiled => vec![square],
            Rung::Mma => vec![Self { resident: mma_resident(device), step: 10.0, ..square }],
            Rung::Wgmma => {
                let wanted = |tile: &Self| COLUMNS.get().is_none_or(|only| only == tile.cols);
                Self::of_wgmma().into_iter().filter(wanted).collect()
            }
        }
    }

    /// How many make C, `[m, n]`.
    fn count(self, [m, n]: [usize; 2]) -> usize {
        m.div_ceil(self.rows) * n.div_ceil(self.cols)
    }
}

pub(super) fn multiprocessors(device: &Device) -> usize {
    device.multiprocessor().count
}

/// Two by their registers, if there is shared memory for two: not on the smaller GPUs from Ampere on (8.6, 8.9, 12.0).
fn mma_resident(device: &Device) -> usize {
    /// Of a block, with the kibibyte that the system takes of each.
    const SHARED: usize = (64 + 1) << 10;
    (device.multiprocessor().shared_memory / SHARED).clamp(1, 2)
}

/// How C is cut into pieces: tiles, and of the tiles of the last round, which do not fill the GPU, parts of K.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cut {
    pub tile: Tile,
    /// Tiles that are computed whole: all, or as many full rounds as there are.
    pub whole: usize,
    /// Tiles behind them, which are not.
    pub rest: usize,
    /// Parts of each of these; 1 where there are none.
    pub parts: usize,
    /// K of all parts but the last.
    pub depth: usize,
}

/// Parts are a multiple of the steps of all kernels.
const STEP: usize = 64;

impl Cut {
    /// The one that should take the least time.
    pub fn of(rung: Rung, job: &Job) -> Self {
        let all = Tile::all(rung, job.device());
        Self::best(&all, [job.m, job.n, job.k], job.batch(), multiprocessors(job.device()))
    }

    /// The same among `tiles`, of a batch of products `[m, n, k]` on so many multiprocessors.
    fn best(tiles: &[Tile], [m, n, k]: [usize; 3], batch: usize, multiprocessors: usize) -> Self {
        let candidates = tiles.iter().flat_map(|tile| {
            let slots = multiprocessors * tile.resident;
            let cuts = Self::candidates(*tile, tile.count([m, n]) * batch, k, slots);
            // A batch has tiles enough.
            let cuts = cuts.into_iter().filter(move |cut| batch == 1 || cut.rest == 0);
            cuts.map(move |cut| (cut.nanoseconds(k, slots), cut))
        });
        candidates.min_by(|a, b| a.0.total_cmp(&b.0)).expect("one leaves all tiles whole").1
    }

    /// All ways to cut that leave the last round one round.
    fn candidates(tile: Tile, tiles: usize, k: usize, slots: usize) -> Vec<Self> {
        let rest = tiles % slots;
        let most = slots.checked_div(rest).unwrap_or(1).min(k.div_ceil(STEP)).max(1);
        let rest = |parts| if parts > 1 { rest } else { 0 };
        (1..=most).map(|parts| Self::into(k, tile, tiles, rest(parts), parts)).collect()
    }

    fn into(k: usize, tile: Tile, tiles: usize, rest: usize, parts: usize) -> Self {
        let depth = k.div_ceil(parts).next_multiple_of(STEP).max(STEP);
        Self { tile, whole: tiles - rest, rest, parts: k.div_ceil(depth).max(1), depth }
    }

    /// An estimate by what was measured on an H100.
    fn nanoseconds(self, k: usize, slots: usize) -> f64 {
        /// For each column of a tile, filling the pipeline and writing C; one more launch, of which a step of few
        /// tokens consists (MiniLM at 32 x 25: 2.7 ms, some 300 of them); a byte of the sums of a part, written and
        /// read.
        const TIMES: [f64; 3] = [9.0, 8000.0, 6e-4];
        let [ends, launch, byte] = TIMES;
        let steps = |k: usize| k.div_ceil(STEP) as f64 * self.tile.step;
        let round = |k: usize| (steps(k) + ends) * self.tile.cols as f64;
        let whole = self.whole.div_ceil(slots) as f64 * round(k);
        if self.rest == 0 {
            return whole;
        }
        whole + round(self.depth) + launch + self.partial_sums() as f64 * 4.0 * byte
    }

    /// How many pieces there are.
    pub fn pieces(self) -> usize {
        self.whole + self.rest * self.parts
    }

    /// Elements of the sums of parts.
    pub fn partial_sums(self) -> usize {
        self.rest * self.parts * self.tile.rows * self.tile.cols
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_an_error() {
        assert_eq!(named(None), Ok(Rung::Wgmma));
        assert_eq!(named(Some("tiled")), Ok(Rung::Tiled));
        let message = named(Some("fast")).expect_err("no such rung").to_string();
        assert_eq!(
            message,
            "KERNELS_CUDA_MATMUL=fast: expected naive, tiled, mma or wgmma; correct it, or unset it"
        );
    }

    const TILE: Tile = Tile { rows: 128, cols: 128, resident: 1, step: 1.0 };

    #[test]
    fn the_last_round_is_cut_where_that_pays() {
        let on_an_h100 = |sizes| {
            let cut = Cut::best(&Tile::of_wgmma(), sizes, 1, 132);
            (cut.tile.cols, cut.whole, cut.rest, cut.parts)
        };
        // Three rounds, the last nearly full.
        assert_eq!(on_an_h100([16384, 768, 768]), (256, 384, 0, 1));
        // Two columns of tiles instead of three.
        assert_eq!(on_an_h100([32768, 384, 384]), (192, 512, 0, 1));
        // Twelve tiles more than multiprocessors, eleven parts of each fill them again.
        assert_eq!(on_an_h100([3072, 768, 16384]), (128, 132, 12, 11));
        // A batch is never cut.
        assert_eq!(Cut::best(&[TILE], [128, 128, 16384], 2, 132).rest, 0);
    }

    #[test]
    fn parts_cover_k_and_none_is_empty() {
        for k in [0, 1, 63, 64, 65, 1000, 16384] {
            for parts in [1, 2, 3, 7, 14] {
                let cut = Cut::into(k, TILE, 9, 9, parts);
                assert!(cut.parts * cut.depth >= k, "{k} in {parts}: {cut:?}");
                assert!(k == 0 || (cut.parts - 1) * cut.depth < k, "{k} in {parts}: {cut:?}");
                assert!(cut.parts <= parts && cut.depth.is_multiple_of(STEP));
            }
        }
    }
}
