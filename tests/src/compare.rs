//! How far a result is from what it should be.

use tensor::{DType, Tensor};

/// The norm of the difference over the norm of what is wanted; where both have the same infinity, or NaN, they
/// agree. Infinite where nothing but zeros is wanted and something else came.
///
/// # Panics
/// When there are more of one than of the other.
pub fn relative_distance(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len(), "numbers of elements");
    let pairs = got.iter().zip(want).filter(|(g, w)| !(g == w || g.is_nan() && w.is_nan()));
    match norm(pairs.map(|(g, w)| g - w)) {
        0.0 => 0.0,
        difference => difference / norm(want.iter().copied().filter(|w| w.is_finite())),
    }
}

fn norm(x: impl Iterator<Item = f64>) -> f64 {
    x.map(|x| x * x).sum::<f64>().sqrt()
}

/// Fails unless the [`relative_distance`] is at most `limit`.
///
/// # Panics
/// When it is not, with the place of the greatest difference.
pub fn assert_near(what: &str, got: &[f64], want: &[f64], limit: f64) {
    assert_eq!(got.len(), want.len(), "{what}: number of elements");
    let distance = relative_distance(got, want);
    println!("{what}: {distance:.1e} away");
    assert!(
        distance <= limit,
        "{what}: {distance:e} away, allowed are {limit:e}: {}",
        worst(got, want)
    );
}

fn worst(got: &[f64], want: &[f64]) -> String {
    let differences = got.iter().zip(want).map(|(g, w)| if g == w { 0.0 } else { (g - w).abs() });
    let greatest = differences.enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
    greatest
        .map_or_else(String::new, |(i, _)| format!("element {i} is {}, not {}", got[i], want[i]))
}

/// The same values in f64, which ops compute by their definitions.
///
/// # Panics
/// When they are on a GPU.
pub fn wide(x: &Tensor) -> Tensor {
    x.to_dtype(DType::F64).expect("on the host")
}
