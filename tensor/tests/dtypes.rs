//! Conversions between element types, and the rounding of each.

use half::{bf16, f16};
use tensor::{DType, Element, Tensor, philox::Rng};

const ALL: [DType; 6] = [DType::F32, DType::F64, DType::BF16, DType::F16, DType::I64, DType::U32];

fn converted<T: Element, U: Element>(values: &[T]) -> Vec<U> {
    let x = Tensor::from_vec(values.to_vec(), &[values.len()]).unwrap();
    x.to_dtype(U::DTYPE).unwrap().to_vec().unwrap()
}

/// f32 to bf16, to nearest even, by the bits: the upper half, plus one where the lower half asks for it.
fn upper_half(x: f32) -> u16 {
    let bits = x.to_bits();
    let round_up = 0x7fff + (bits >> 16 & 1);
    ((bits + round_up) >> 16) as u16
}

#[test]
fn bf16_rounds_to_nearest_even() {
    let mut rng = Rng::new(1, 0);
    let mut values: Vec<f32> = std::iter::repeat_with(|| f32::from_bits(rng.next_u32()))
        .filter(|x| x.is_finite())
        .take(10_000)
        .collect();
    // Halfway between two neighbours, upwards and downwards; the largest; the smallest.
    values.extend([1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, -1.0 - 1.0 / 256.0, 0.0, -0.0]);
    values.extend([f32::MAX, f32::MIN_POSITIVE, f32::from_bits(1), f32::INFINITY]);
    let got: Vec<bf16> = converted(&values);
    for (x, got) in values.iter().zip(&got) {
        assert_eq!(got.to_bits(), upper_half(*x), "{x:e}");
        assert_eq!(*got, bf16::from_f32(*x));
    }
    assert!(converted::<f32, bf16>(&[f32::NAN])[0].is_nan());
    // Back is exact.
    let back: Vec<f32> = converted(&got);
    assert!(got.iter().zip(back).all(|(a, b)| a.to_f32() == b));
}

#[test]
fn f16_rounds_to_nearest_even() {
    let mut rng = Rng::new(2, 0);
    let values: Vec<f32> =
        (0..10_000).map(|i| (rng.normal() * 2f64.powi(i % 40 - 24)) as f32).collect();
    let got: Vec<f16> = converted(&values);
    for (x, got) in values.iter().zip(&got) {
        assert_eq!(*got, f16::from_f32(*x));
        // No neighbour is nearer.
        let distance = |y: f16| (f64::from(y) - f64::from(*x)).abs();
        for step in if got.is_finite() { &[-1i16, 1][..] } else { &[] } {
            let other = f16::from_bits(got.to_bits().wrapping_add_signed(*step));
            assert!(!other.is_finite() || distance(*got) <= distance(other), "{x:e}");
        }
    }
    // Halfway: 2049 and 2051 lie between even neighbours; 65520 is the first that becomes infinite.
    let halves: Vec<f16> = converted(&[2049.0f32, 2051.0, 65519.0, 65520.0]);
    assert_eq!(halves, [2048.0, 2052.0, 65504.0, f32::INFINITY].map(f16::from_f32));
}

#[test]
fn f64_is_rounded_once() {
    // Just above a tie of bf16, by less than f32 can see: by way of f32 it would round down.
    let x = 1.0 + 2f64.powi(-8) + 2f64.powi(-40);
    assert_eq!(f64::from(converted::<f64, bf16>(&[x])[0]), 1.0 + 2f64.powi(-7));
    let x = 1.0 + 2f64.powi(-11) + 2f64.powi(-40);
    assert_eq!(f64::from(converted::<f64, f16>(&[x])[0]), 1.0 + 2f64.powi(-10));
    assert_eq!(converted::<f64, f32>(&[0.1]), [0.1f32]);
}

#[test]
fn integers() {
    let values = [1.9f32, -1.9, 3e9, -3e9, f32::NAN, f32::INFINITY];
    assert_eq!(converted::<f32, i64>(&values), [1, -1, 3_000_000_000, -3_000_000_000, 0, i64::MAX]);
    assert_eq!(converted::<f32, u32>(&values), [1, 0, 3_000_000_000, 0, 0, u32::MAX]);
    assert_eq!(converted::<u32, f32>(&[0, 16_777_217]), [0.0, 16_777_216.0]);
    assert_eq!(converted::<i64, f64>(&[-(1 << 53), 1 << 53]), [-2f64.powi(53), 2f64.powi(53)]);
    assert_eq!(converted::<i64, u32>(&[7, -1, 1 << 40]), [7, 0, u32::MAX]);
}

#[test]
fn small_integers_survive_every_dtype() {
    let x = Tensor::from_vec(vec![0u32, 1, 2, 5, 100, 255], &[2, 3]).unwrap();
    for from in ALL {
        for to in ALL {
            // A strided view, so that the order is at stake too.
            let y = x.to_dtype(from).unwrap().t().unwrap().to_dtype(to).unwrap();
            assert_eq!(y.dtype(), to);
            assert_eq!(y.shape(), [3, 2]);
            assert_eq!(
                y.to_f64_vec().unwrap(),
                [0.0, 5.0, 1.0, 100.0, 2.0, 255.0],
                "{from} to {to}"
            );
        }
    }
}

#[test]
fn the_same_dtype_shares_memory() {
    let x = Tensor::full(1.0, &[4]);
    let y = x.to_dtype(DType::F32).unwrap();
    assert_eq!(x.as_slice::<f32>().unwrap().as_ptr(), y.as_slice::<f32>().unwrap().as_ptr());
}

#[test]
fn large_tensors_are_converted_in_order() {
    let values: Vec<u32> = (0..200_000).collect();
    let x = Tensor::from_vec(values.clone(), &[200_000]).unwrap();
    assert_eq!(
        x.to_dtype(DType::F64).unwrap().to_dtype(DType::U32).unwrap().to_vec::<u32>().unwrap(),
        values
    );
}
