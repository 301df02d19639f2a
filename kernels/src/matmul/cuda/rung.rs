//! Which kernel a product takes, and into how many parts its K is cut.

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
}

/// Goes no higher than `rung` from now on, in products that this thread asks for; meant for tests and benches that
/// walk over all.
pub fn set_cap(rung: Rung) {
    CAP.set(Some(rung));
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
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    pub rows: usize,
    pub cols: usize,
    /// How many such blocks a multiprocessor runs at once.
    resident: usize,
}

impl Tile {
    /// `Wgmma` has two: the wider one moves less for each product, if N fills it and enough of them are there.
    pub fn of(rung: Rung, job: &Job) -> Self {
        let wide = Self { rows: 128, cols: 256, resident: 1 };
        let fills = job.n.div_ceil(128).is_multiple_of(2);
        match rung {
            Rung::Naive => Self { rows: 8, cols: 32, resident: 8 },
            Rung::Tiled => Self { rows: 128, cols: 128, resident: 2 },
            Rung::Mma => Self { rows: 128, cols: 128, resident: mma_resident(job.device()) },
            Rung::Wgmma if fills && wide.count(job) >= multiprocessors(job.device()) => wide,
            Rung::Wgmma => Self { rows: 128, cols: 128, resident: 1 },
        }
    }

    /// How many make C, in all products of a batch.
    pub fn count(self, job: &Job) -> usize {
        job.m.div_ceil(self.rows) * job.n.div_ceil(self.cols) * job.batch()
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

/// How K is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Split {
    /// Parts, at least 1.
    pub parts: usize,
    /// K of all but the last.
    pub depth: usize,
}

/// Less than this of K in a part does not pay for writing its sums and reading them again. Without tensor cores the
/// same K takes ten times as long and more: a head over the 32 texts of a batch has 6 tiles, which would leave a GPU
/// idle and take 90 us on an H100 at K = 768.
fn least_depth(rung: Rung) -> usize {
    match rung {
        Rung::Naive | Rung::Tiled => 64,
        Rung::Mma | Rung::Wgmma => 512,
    }
}

/// Parts are a multiple of the steps of all kernels.
const STEP: usize = 64;

impl Split {
    /// As many parts as fill the GPU once. A batch has tiles enough and is never cut.
    pub fn of(rung: Rung, job: &Job, tile: Tile) -> Self {
        let slots = multiprocessors(job.device()) * tile.resident;
        let parts = (slots / tile.count(job)).min(job.k / least_depth(rung)).max(1);
        Self::into(job.k, if job.batch() == 1 { parts } else { 1 })
    }

    fn into(k: usize, parts: usize) -> Self {
        let depth = k.div_ceil(parts).next_multiple_of(STEP).max(STEP);
        Self { parts: k.div_ceil(depth).max(1), depth }
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

    #[test]
    fn parts_cover_k_and_none_is_empty() {
        for k in [0, 1, 63, 64, 65, 1000, 16384] {
            for parts in [1, 2, 3, 7, 14] {
                let split = Split::into(k, parts);
                assert!(split.parts * split.depth >= k, "{k} in {parts}: {split:?}");
                assert!(k == 0 || (split.parts - 1) * split.depth < k, "{k} in {parts}: {split:?}");
                assert!(split.parts <= parts && split.depth.is_multiple_of(STEP));
            }
        }
    }
}
