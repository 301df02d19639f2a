//! What the kernels take by value: the structs of `product.cuh`, `strided.cuh` and `hopper.cuh`.

use crate::cuda::Param;

/// The most leading axes of a batch.
pub(super) const BATCH_AXES: usize = 4;

/// `Product`. Addresses are 0 where there is nothing.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct ProductParam {
    pub a: u64,
    pub b: u64,
    pub c: u64,
    pub bias: u64,
    pub residual: u64,
    pub gelu: u64,
    pub partial: u64,
    pub m: i32,
    pub n: i32,
    pub k: i32,
    pub ldc: i32,
    pub whole: i32,
    pub parts: i32,
    pub k_part: i32,
    pub wide: i32,
    pub boxed: i32,
}

// SAFETY: seven addresses and nine `int`, filled up to a multiple of eight bytes, in the same order.
unsafe impl Param for ProductParam {}

/// `Strides`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct StridesParam {
    pub a: [i64; 2],
    pub b: [i64; 2],
    pub lead: [i32; BATCH_AXES],
    pub a_lead: [i64; BATCH_AXES],
    pub b_lead: [i64; BATCH_AXES],
}

// SAFETY: four `long long`, four `int` and eight `long long`, in the same order.
unsafe impl Param for StridesParam {}

/// `TensorMap`, as the driver encodes it.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct MapParam(pub [u64; 16]);

// SAFETY: 128 bytes at a multiple of 64. The kernel aligns its copy to 128, which moves no parameter: maps come
// first, and are followed by the rest.
unsafe impl Param for MapParam {}

/// The leading axes of a batch, each with its size and the strides of both operands, the last one fastest.
///
/// # Panics
/// When more than [`BATCH_AXES`] are left after axes that follow each other in both operands became one.
pub(super) fn merge_axes(lead: &[usize], a: &[usize], b: &[usize]) -> [[usize; 3]; BATCH_AXES] {
    assert!(a.len() == lead.len() && b.len() == lead.len(), "matmul: {lead:?}, {a:?}, {b:?}");
    let mut merged: Vec<[usize; 3]> = Vec::new();
    for ((&size, &a), &b) in lead.iter().zip(a).zip(b).filter(|((size, _), _)| **size != 1) {
        match merged.last_mut() {
            Some(outer) if outer[1] == size * a && outer[2] == size * b => {
                *outer = [outer[0] * size, a, b];
            }
            _ => merged.push([size, a, b]),
        }
    }
    assert!(merged.len() <= BATCH_AXES, "matmul: more than {BATCH_AXES} leading axes: {merged:?}");
    let mut axes = [[1, 0, 0]; BATCH_AXES];
    axes[BATCH_AXES - merged.len()..].copy_from_slice(&merged);
    axes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_that_follow_each_other_are_one() {
        let none = [1, 0, 0];
        assert_eq!(merge_axes(&[], &[], &[]), [none; 4]);
        assert_eq!(merge_axes(&[2, 3], &[30, 10], &[60, 20])[3], [6, 10, 20]);
        assert_eq!(merge_axes(&[2, 3], &[0, 0], &[60, 20])[3], [6, 0, 20]);
        assert_eq!(merge_axes(&[2, 3], &[30, 10], &[0, 20])[2..], [[2, 30, 0], [3, 10, 20]]);
        assert_eq!(merge_axes(&[2, 1, 3], &[30, 7, 10], &[60, 7, 20])[3], [6, 10, 20]);
    }

    #[test]
    fn the_layouts_are_those_of_c() {
        assert_eq!((size_of::<ProductParam>(), align_of::<ProductParam>()), (96, 8));
        assert_eq!(std::mem::offset_of!(ProductParam, boxed), 88);
        assert_eq!((size_of::<StridesParam>(), align_of::<StridesParam>()), (112, 8));
        assert_eq!(size_of::<MapParam>(), 128);
    }
}
