//! Kernel parameters, by value.

use crate::dropout::Dropout;
use crate::philox;

/// A type that a kernel takes by value, with the layout that it has in CUDA C.
///
/// # Safety
/// The type has the same size, alignment and meaning there.
pub unsafe trait Param: Copy {}

// SAFETY: `int`.
unsafe impl Param for i32 {}
// SAFETY: `unsigned`.
unsafe impl Param for u32 {}
// SAFETY: `unsigned long long`, and addresses.
unsafe impl Param for u64 {}
// SAFETY: `size_t`.
unsafe impl Param for usize {}
// SAFETY: `float`.
unsafe impl Param for f32 {}
// SAFETY: `double`.
unsafe impl Param for f64 {}

/// `struct Dropout` of `common.cuh`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct DropoutParam {
    seed_low: u32,
    seed_high: u32,
    step: u32,
    site: u32,
    threshold: u32,
    /// 0 for no dropout.
    scale: f32,
}

// SAFETY: six fields of four bytes, in the same order.
unsafe impl Param for DropoutParam {}

impl From<Option<Dropout>> for DropoutParam {
    /// Dropout with p = 0 drops nothing and costs nothing.
    fn from(dropout: Option<Dropout>) -> Self {
        let Some(d) = dropout.filter(|d| d.p > 0.0) else {
            return Self { seed_low: 0, seed_high: 0, step: 0, site: 0, threshold: 0, scale: 0.0 };
        };
        let [seed_low, seed_high] = philox::words(d.key.seed);
        Self {
            seed_low,
            seed_high,
            step: d.key.step,
            site: d.key.site,
            threshold: d.threshold(),
            scale: d.scale(),
        }
    }
}

/// A size as kernels take it, an `int`.
///
/// # Panics
/// When it does not fit: a kernel would walk over other elements than it was launched for.
pub(crate) fn int(n: usize) -> i32 {
    i32::try_from(n).unwrap_or_else(|_| panic!("a kernel takes sizes below 2^31, not {n}"))
}

/// The parameters of one launch, laid out for the driver, which wants the address of each.
#[derive(Debug)]
pub(super) struct Arguments {
    bytes: Room,
    used: usize,
    /// Where each begins.
    starts: Vec<usize>,
}

/// More than any kernel here takes: two tensor maps and a product. The room is moved with each call that adds to a
/// launch, so it is not the 4 KiB that the driver would take.
const ROOM: usize = 512;

/// 64 is the alignment of a tensor map, the strictest parameter.
#[derive(Debug)]
#[repr(align(64))]
struct Room([u8; ROOM]);

impl Arguments {
    pub(super) fn new() -> Self {
        Self { bytes: Room([0; ROOM]), used: 0, starts: Vec::with_capacity(16) }
    }

    pub(super) fn push<T: Param>(&mut self, value: T) {
        let start = self.used.next_multiple_of(align_of::<T>());
        assert!(
            start + size_of::<T>() <= ROOM,
            "a kernel takes at most {ROOM} bytes of parameters"
        );
        // SAFETY: the range is inside the room, and aligned because the room is to 64 bytes.
        unsafe { self.bytes.0.as_mut_ptr().add(start).cast::<T>().write(value) };
        self.starts.push(start);
        self.used = start + size_of::<T>();
    }

    /// The address of each parameter.
    pub(super) fn addresses(&mut self) -> Vec<*mut core::ffi::c_void> {
        let base = self.bytes.0.as_mut_ptr();
        // SAFETY: every start is inside the room.
        self.starts.iter().map(|&start| unsafe { base.add(start) }.cast()).collect()
    }
}
