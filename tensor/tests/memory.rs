//! Who shares memory with whom, and what the pool does with memory that nobody uses.

use tensor::ops::{concat, reduce};
use tensor::{DType, Tensor, pool};

fn address(t: &Tensor) -> *const f32 {
    t.as_slice::<f32>().unwrap().as_ptr()
}

#[test]
fn make_mut_writes_in_place_when_alone() {
    let mut x = Tensor::full(1.0, &[2, 3]);
    let before = address(&x);
    x.make_mut().unwrap()[4] = 7.0;
    assert_eq!(address(&x), before);
    assert_eq!(x.to_vec::<f32>().unwrap(), [1.0, 1.0, 1.0, 1.0, 7.0, 1.0]);
}

#[test]
fn make_mut_leaves_other_tensors_their_values() {
    let x = Tensor::from_vec(vec![0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0], &[2, 3]).unwrap();
    let (mut row, mut column) = (x.narrow(0, 1, 1).unwrap(), x.narrow(1, 1, 1).unwrap());
    let mut wide = row.broadcast_to(&[2, 3]).unwrap();
    row.make_mut().unwrap().fill(9.0);
    column.make_mut().unwrap().copy_from_slice(&[8.0, 8.0]);
    wide.make_mut().unwrap()[0] = 7.0;
    assert_eq!(row.to_vec::<f32>().unwrap(), [9.0; 3]);
    assert_eq!(column.to_vec::<f32>().unwrap(), [8.0; 2]);
    // One row shown twice became two rows before it was written.
    assert_eq!(wide.to_vec::<f32>().unwrap(), [7.0, 4.0, 5.0, 3.0, 4.0, 5.0]);
    assert_eq!(x.to_vec::<f32>().unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
}

#[test]
fn make_mut_of_a_part_that_outlives_the_whole() {
    let mut row =
        Tensor::from_vec(vec![0.0f32, 1.0, 2.0, 3.0], &[2, 2]).unwrap().narrow(0, 1, 1).unwrap();
    let before = address(&row);
    row.make_mut().unwrap()[0] = 5.0;
    assert_eq!(address(&row), before);
    assert_eq!(row.to_vec::<f32>().unwrap(), [5.0, 3.0]);
}

/// One test for all that looks at the pool, which the process has only one of.
#[test]
fn the_pool_hands_memory_out_again() {
    pool::clear();
    assert_eq!(pool::bytes_at_rest(), 0);
    let x = Tensor::full(1.0, &[300, 400]);
    let first = address(&x);
    drop(x);
    let at_rest = pool::bytes_at_rest();
    assert!((480_000..=540_000).contains(&at_rest), "{at_rest} bytes");
    // Slightly smaller: the same memory. Zeros are zeros even there.
    let y = Tensor::zeros(&[299, 399]);
    assert_eq!(address(&y), first);
    assert_eq!(y.sum().unwrap().item().unwrap(), 0.0);
    drop(y);
    // After the first step a training step takes nothing from the system and returns nothing to it.
    let (a, b) = (Tensor::full(1.0, &[128, 96]), Tensor::full(2.0, &[96, 64]));
    settles("products", || {
        let sum = a.matmul(&b).unwrap().scale(0.5).unwrap().sum().unwrap().item().unwrap();
        assert_eq!(sum, 128.0 * 64.0 * 96.0);
    });
    let half = a.to_dtype(DType::BF16).unwrap();
    for (what, x) in [("f32", &a), ("bf16", &half)] {
        settles(what, || drop(x.t().unwrap().contiguous().unwrap()));
        settles(what, || drop(concat::forward(&[x, x], 0).unwrap()));
        settles(what, || drop(concat::forward(&[x, &x.narrow(1, 3, 70).unwrap()], 1).unwrap()));
    }
    settles("sums", || drop(reduce::sum_axis(&a.reshape(&[4, 32, 96]).unwrap(), 1).unwrap()));
    // Memory that the pool did not lend goes back to the allocator, and so does what is too small for it.
    settles("vectors", || drop(Tensor::from_vec(vec![1.0f32; 5000], &[5000]).unwrap()));
    settles("small", || drop(Tensor::zeros(&[1020])));
}

/// Repeats a step: the pool holds the same after each, from the first on.
#[track_caller]
fn settles(what: &str, step: impl Fn()) {
    step();
    let at_rest = pool::bytes_at_rest();
    for _ in 0..5 {
        step();
        assert_eq!(pool::bytes_at_rest(), at_rest, "{what}");
    }
}
