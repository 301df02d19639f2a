//! Views against `ndarray`, which does its own bookkeeping, on copies.

use half::bf16;
use ndarray::{ArrayD, Axis, IxDyn, Slice};
use proptest::prelude::*;
use tensor::{Element, Tensor, ops};

/// 0, 1, 2, ... under a shape, twice.
fn ramp(shape: &[usize]) -> (Tensor, ArrayD<f32>) {
    let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| i as f32).collect();
    let array = ArrayD::from_shape_vec(IxDyn(shape), values.clone()).unwrap();
    (Tensor::from_vec(values, shape).unwrap(), array)
}

fn assert_same(t: &Tensor, x: &ArrayD<f32>) {
    assert_eq!(t.shape(), x.shape());
    assert_eq!(t.len(), x.len());
    assert_eq!(t.view::<f32>().unwrap(), x.view());
    let values: Vec<f32> = x.iter().copied().collect();
    assert_eq!(t.to_vec::<f32>().unwrap(), values);
    assert_eq!(t.is_contiguous(), t.as_slice::<f32>().is_ok());
    if t.is_contiguous() {
        assert_eq!(t.as_slice::<f32>().unwrap(), values);
    }
    assert_eq!(Tensor::from_ndarray(x).to_vec::<f32>().unwrap(), values);
}

/// One random view, of the tensor and of the array.
fn view(t: &Tensor, x: &ArrayD<f32>, [kind, a, b, c]: [usize; 4]) -> (Tensor, ArrayD<f32>) {
    let rank = t.rank();
    match kind {
        0 if rank > 0 => {
            let mut y = x.clone();
            y.swap_axes(a % rank, b % rank);
            (t.transpose(a % rank, b % rank).unwrap(), y)
        }
        1 if rank > 0 => {
            let axis = a % rank;
            let start = b % (t.shape()[axis] + 1);
            let len = c % (t.shape()[axis] - start + 1);
            let y = x.slice_axis(Axis(axis), Slice::from(start..start + len)).to_owned();
            (t.narrow(axis, start, len).unwrap(), y)
        }
        2 => {
            let axis = a % (rank + 1);
            (t.unsqueeze(axis).unwrap(), x.clone().insert_axis(Axis(axis)))
        }
        3 if t.shape().contains(&1) => {
            let axis = t.shape().iter().position(|&n| n == 1).unwrap();
            (t.squeeze(axis).unwrap(), x.index_axis(Axis(axis), 0).to_owned())
        }
        4 => {
            let stretch = |&n: &usize| if n == 1 { c % 3 + 1 } else { n };
            let shape: Vec<usize> =
                std::iter::once(b % 3 + 1).chain(t.shape().iter().map(stretch)).collect();
            let y = x.broadcast(IxDyn(&shape)).unwrap().to_owned();
            (t.broadcast_to(&shape).unwrap(), y)
        }
        5 if rank > 1 => {
            let axis = a % (rank - 1);
            let mut shape = t.shape().to_vec();
            shape[axis] *= shape.remove(axis + 1);
            let y = x.as_standard_layout().to_owned();
            (t.reshape(&shape).unwrap(), y.into_shape_with_order(IxDyn(&shape)).unwrap())
        }
        _ => (t.clone(), x.clone()),
    }
}

/// A tensor of 120 thousand elements, more than one task copies, in this dtype, permuted, cut and repeated: its copy has
/// the bits that ndarray finds when it walks the view.
fn assert_copies<T: Element + PartialEq>(settings: &[[usize; 4]]) {
    let x = ramp(&[4, 50, 3, 200]).0.to_dtype(T::DTYPE).unwrap();
    let mut y = x;
    for &[kind, axis, a, b] in settings {
        let (rank, axis) = (y.rank(), axis % y.rank());
        y = match kind {
            0 | 1 => y.transpose(axis, a % rank).unwrap(),
            2 => {
                let start = a % y.shape()[axis];
                y.narrow(axis, start, (y.shape()[axis] - start).min(b)).unwrap()
            }
            _ if y.len() > 300_000 => y,
            _ => {
                let y = y.unsqueeze(axis).unwrap();
                let mut shape = y.shape().to_vec();
                shape[axis] = 1 + a % 3;
                y.broadcast_to(&shape).unwrap()
            }
        };
    }
    let want: Vec<T> = y.view::<T>().unwrap().iter().copied().collect();
    assert!(y.contiguous().unwrap().as_slice::<T>().unwrap() == want, "{settings:?}");
    assert!(Tensor::from_ndarray(&y.to_ndarray::<T>().unwrap()).to_vec::<T>().unwrap() == want);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn chains_of_views_equal_ndarray(
        shape in prop::collection::vec(0usize..5, 0..4),
        views in prop::collection::vec(prop::array::uniform4(0usize..6), 0..7),
    ) {
        let (mut t, mut x) = ramp(&shape);
        assert_same(&t, &x);
        for settings in views {
            (t, x) = view(&t, &x, settings);
            assert_same(&t, &x);
        }
    }

    #[test]
    fn concat_puts_narrowed_parts_together_again(
        shape in prop::collection::vec(0usize..5, 1..4),
        axis in 0usize..3,
        cuts in prop::array::uniform2(0usize..5),
    ) {
        let (whole, _) = ramp(&shape);
        let axis = axis % shape.len();
        let n = shape[axis];
        let (a, b) = (cuts[0].min(n), cuts[1].min(n));
        let (a, b) = (a.min(b), a.max(b));
        let parts = [(0, a), (a, b - a), (b, n - b)];
        let parts = parts.map(|(start, len)| whole.narrow(axis, start, len).unwrap());
        let joined = ops::concat::forward(&parts.each_ref(), axis).unwrap();
        prop_assert_eq!(joined.shape(), &shape[..]);
        prop_assert_eq!(joined.to_vec::<f32>().unwrap(), whole.to_vec::<f32>().unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn copies_of_large_views_equal_ndarray(
        settings in prop::collection::vec(
            (0usize..4, 0usize..6, 0usize..200, 1usize..200).prop_map(|(k, a, b, c)| [k, a, b, c]),
            1..6,
        ),
        dtype in 0usize..4,
    ) {
        match dtype {
            0 => assert_copies::<f32>(&settings),
            1 => assert_copies::<bf16>(&settings),
            2 => assert_copies::<u32>(&settings),
            _ => assert_copies::<f64>(&settings),
        }
    }
}

#[test]
fn arrays_of_ndarray_may_run_backwards() {
    let (_, mut x) = ramp(&[3, 700]);
    x.invert_axis(Axis(1));
    x.swap_axes(0, 1);
    let values: Vec<f32> = x.iter().copied().collect();
    assert_eq!(values[..2], [699.0, 1399.0]);
    assert_eq!(Tensor::from_ndarray(&x).to_vec::<f32>().unwrap(), values);
}

#[test]
fn views_share_memory_and_strides_say_how() {
    let (x, _) = ramp(&[2, 3, 4]);
    assert_eq!(x.strides(), [12, 4, 1]);
    let t = x.transpose(0, 2).unwrap();
    assert_eq!((t.shape(), t.strides()), (&[4, 3, 2][..], &[1, 4, 12][..]));
    let row = x.narrow(1, 2, 1).unwrap().squeeze(1).unwrap();
    assert_eq!((row.shape(), row.strides()), (&[2, 4][..], &[12, 1][..]));
    let wide = row.unsqueeze(1).unwrap().broadcast_to(&[5, 2, 3, 4]).unwrap();
    assert_eq!(wide.strides(), [0, 12, 0, 1]);
    assert_eq!(wide.view::<f32>().unwrap()[[4, 1, 2, 3]], 23.0);
    // A contiguous part is a slice of the same memory.
    let second = x.narrow(0, 1, 1).unwrap();
    assert_eq!(
        second.as_slice::<f32>().unwrap().as_ptr(),
        x.as_slice::<f32>().unwrap()[12..].as_ptr()
    );
    assert!(!t.is_contiguous() && second.is_contiguous());
}

#[test]
fn contiguous_copies_only_strided_views() {
    let (x, _) = ramp(&[3, 4]);
    let address = |t: &Tensor| t.as_slice::<f32>().unwrap().as_ptr();
    assert_eq!(address(&x.contiguous().unwrap()), address(&x));
    assert_eq!(address(&x.reshape(&[2, 6]).unwrap()), address(&x));
    assert_ne!(address(&x.t().unwrap().contiguous().unwrap()), address(&x));
    // Axes of length 1 may have any stride.
    let column = x.narrow(1, 0, 1).unwrap().narrow(0, 1, 1).unwrap();
    assert_eq!(address(&column), address(&x).wrapping_add(4));
}

#[test]
fn debug_shows_the_first_values() {
    let (x, _) = ramp(&[2, 2]);
    assert_eq!(format!("{:?}", x.t().unwrap()), "f32 [2, 2] [0.0, 2.0, 1.0, 3.0]");
    let (x, _) = ramp(&[300, 400]);
    let shown = "f32 [300, 400] [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, ..]";
    assert_eq!(format!("{x:?}"), shown);
    assert_eq!(format!("{:?}", Tensor::zeros(&[0])), "f32 [0] []");
}

#[test]
fn views_without_elements() {
    let (x, _) = ramp(&[3, 4]);
    // Beyond the last element: nothing is there, and nothing is read.
    let corner = x.narrow(0, 3, 0).unwrap().narrow(1, 4, 0).unwrap();
    let (empty, _) = ramp(&[0, 4]);
    for t in [corner, empty.narrow(1, 2, 2).unwrap(), empty.t().unwrap(), empty.clone()] {
        assert!(t.is_empty());
        assert_eq!(t.to_vec::<f32>().unwrap(), [0.0; 0]);
        assert_eq!(t.view::<f32>().unwrap().shape(), t.shape());
        assert_eq!(t.reshape(&[0]).unwrap().shape(), [0]);
        assert_eq!(t.reshape(&[5, 0, 2]).unwrap().to_vec::<f32>().unwrap(), [0.0; 0]);
        assert_eq!(t.to_dtype(tensor::DType::F64).unwrap().shape(), t.shape());
        assert_eq!(t.clone().make_mut().unwrap(), [] as [f32; 0]);
        assert_eq!(t.sum().unwrap().item().unwrap(), 0.0);
        assert_eq!(t.add(&t).unwrap().shape(), t.shape());
    }
    let sums = ops::reduce::sum_axis(&empty, 0).unwrap();
    assert_eq!(sums.to_vec::<f32>().unwrap(), [0.0; 4]);
}
