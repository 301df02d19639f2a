//! Shapes and strides: which element of the storage an index means.

use std::ops::Range;

use crate::{Error, Result};

/// Where the elements of a tensor lie in its storage: index `i` at `offset + sum of i_k * strides_k`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
    pub offset: usize,
}

impl Layout {
    /// Row-major, from the start of the storage.
    pub fn contiguous(shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), strides: row_major(shape), offset: 0 }
    }

    /// Whether the elements lie in row-major order without gaps; axes of length 1 may have any stride.
    pub fn is_contiguous(&self) -> bool {
        let expected = row_major(&self.shape);
        self.shape.contains(&0)
            || (self.shape.iter().zip(&self.strides).zip(&expected))
                .all(|((&n, stride), expected)| n == 1 || stride == expected)
    }

    /// Where the elements of a contiguous layout lie. Without elements that is nowhere: the offset of an
    /// empty view may be beyond the storage.
    pub fn span(&self) -> Range<usize> {
        match count(&self.shape) {
            0 => 0..0,
            n => self.offset..self.offset + n,
        }
    }

    /// The layout that repeats this one along new or length-1 axes (stride 0), by NumPy's rules.
    pub fn broadcast_to(&self, shape: &[usize]) -> Result<Self> {
        let fits = broadcast_shapes("broadcast_to", &self.shape, shape)? == shape;
        if !fits {
            return Err(Error::Shapes {
                op: "broadcast_to",
                left: self.shape.clone(),
                right: shape.to_vec(),
            });
        }
        let new = shape.len() - self.shape.len();
        let mut strides = vec![0; new];
        let old = self.shape.iter().zip(&self.strides);
        strides.extend(old.zip(&shape[new..]).map(|((&n, &s), &m)| if n == m { s } else { 0 }));
        Ok(Self { shape: shape.to_vec(), strides, offset: self.offset })
    }
}

/// The number of elements of a shape.
pub(crate) fn count(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// The number of elements of a shape from outside, which may be more than a `usize` counts.
pub(crate) fn checked_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |count, &n| count.checked_mul(n))
}

/// Row-major strides of a shape.
pub(crate) fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i];
    }
    strides
}

/// The shape of an elementwise result: axes are aligned at the right, and a missing or length-1 axis
/// stretches to the other's length (NumPy's broadcasting rules).
///
/// # Errors
/// When two lengths differ and neither is 1; the message names `op` and both shapes.
pub fn broadcast_shapes(op: &'static str, a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let axis =
        |shape: &[usize], i: usize| (i + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    let joined = (0..rank).map(|i| match (axis(a, i), axis(b, i)) {
        (n, m) if n == m => Some(n),
        (1, m) => Some(m),
        (n, 1) => Some(n),
        _ => None,
    });
    joined.collect::<Option<Vec<usize>>>().ok_or_else(|| Error::Shapes {
        op,
        left: a.to_vec(),
        right: b.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_follows_numpy() {
        let cases: [(&[usize], &[usize], &[usize]); 4] = [
            (&[2, 3], &[3], &[2, 3]),
            (&[2, 1], &[1, 3], &[2, 3]),
            (&[], &[4], &[4]),
            (&[5, 1, 2], &[7, 1], &[5, 7, 2]),
        ];
        for (a, b, want) in cases {
            assert_eq!(broadcast_shapes("add", a, b).unwrap(), want);
        }
        let error = broadcast_shapes("add", &[2, 3], &[2]).unwrap_err().to_string();
        assert_eq!(error, "add: shapes [2, 3] and [2] do not fit together");
    }
}
