//! A card for the tests of CUDA, a real or an emulated one, and comparisons with f64.

use tensor::ops::concat;
use tensor::{DType, Device, Tensor};

/// The card of this process. Tests that call this are `#[ignore]`d where there may be none.
///
/// # Panics
/// When there is none.
pub fn device() -> Device {
    Device::cuda(0).unwrap_or_else(|error| panic!("a card is needed: {error}"))
}

/// What a result on a card may differ from the f64 definition, as the norm of the difference over the norm.
pub fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::BF16 => 1e-2,
        _ => 1e-5,
    }
}

/// Fails unless `got` is as near to `want` as [`tolerance`] says.
///
/// # Panics
/// When it is not, with the place of the greatest difference.
pub fn assert_close(what: &str, got: &Tensor, want: &[f64]) {
    assert_ne!(got.device(), Device::Cpu, "{what}: the result left the card");
    let (values, limit) = (got.to_f64_vec().expect("the card works"), tolerance(got.dtype()));
    assert_eq!(values.len(), want.len(), "{what}: number of elements");
    let distance = relative_distance(&values, want);
    assert!(
        distance <= limit,
        "{what}: {distance:e} away, allowed are {limit:e}: {}",
        worst(&values, want)
    );
}

/// The norm of the difference over the norm of what is wanted; where both have the same infinity, or NaN, they
/// agree.
pub fn relative_distance(got: &[f64], want: &[f64]) -> f64 {
    let pairs = || got.iter().zip(want).filter(|(g, w)| !(g == w || g.is_nan() && w.is_nan()));
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut pairs().map(|(g, w)| g - w));
    match difference {
        0.0 => 0.0,
        _ => difference / norm(&mut want.iter().copied().filter(|w| w.is_finite())),
    }
}

fn worst(got: &[f64], want: &[f64]) -> String {
    let differences = got.iter().zip(want).map(|(g, w)| if g == w { 0.0 } else { (g - w).abs() });
    let greatest = differences.enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
    greatest
        .map_or_else(String::new, |(i, _)| format!("element {i} is {}, not {}", got[i], want[i]))
}

/// Standard normal values of this dtype on the host: the same for the same seed.
pub fn normal(shape: &[usize], seed: u64, dtype: DType) -> Tensor {
    let x = Tensor::randn(shape, &mut tensor::philox::Rng::new(seed, 0));
    x.to_dtype(dtype).expect("on the host")
}

/// Numbers of elements: one, around warps and packs of 16 bytes, rows of models, and more than one block's.
pub const SIZES: [usize; 9] = [1, 7, 15, 17, 33, 130, 384, 1000, 100_003];

/// The same values on the card, where no access of more than one element is aligned: a view that begins behind the
/// first element of its array.
pub fn odd_view(x: &Tensor, card: &Device) -> Tensor {
    let flat = x.reshape(&[x.len()]).expect("as many elements");
    let flat = flat.to_dtype(DType::F32).expect("on the host");
    let longer = concat::forward(&[&Tensor::zeros(&[1]), &flat], 0).expect("two vectors");
    let there =
        longer.to_dtype(x.dtype()).expect("on the host").to_device(card).expect("there is room");
    let view = there.narrow(0, 1, x.len()).and_then(|view| view.reshape(x.shape()));
    view.expect("one element shorter")
}

/// On the card aligned, and not.
pub fn placements(x: &Tensor, card: &Device) -> [Tensor; 2] {
    [x.to_device(card).expect("there is room"), odd_view(x, card)]
}

/// The same values in f64, which ops compute by their definitions.
pub fn wide(x: &Tensor) -> Tensor {
    x.to_dtype(DType::F64).expect("on the host")
}
