//! `attention` on a GPU.

use kernels::dropout::Dropout;
use kernels::philox::Key;
use tensor::ops::attention::{self, Attention, Relative};
use tensor::{CuSeqLens, DType, Device, Tensor};
use tests::gpu::{assert_close, device, normal, tolerance, wide};

pub(super) const DROPOUT: Dropout =
    Dropout { p: 0.25, key: Key { seed: 11 << 32 | 7, step: 3, site: 5 } };

/// Lengths that end in every part of a tile of 64 tokens and of a warp's 16 rows.
const LENS: [usize; 8] = [1, 7, 17, 33, 63, 64, 65, 130];

/// q, k, v and the gradient of o, on the host.
pub(super) type Inputs = [Tensor; 4];

pub(super) fn inputs(a: &Attention, head_dim: usize, dtype: DType) -> Inputs {
    let h = a.heads * head_dim;
    let part = |rows: usize, seed| normal(&[rows, h], seed, dtype);
    let (queries, keys) = (a.queries.total(), a.keys.total());
    [part(queries, 1), part(keys, 2), part(keys, 3), part(queries, 4)]
}

/// o, dq, dk, dv where the inputs are, and lse.
fn run(a: &Attention, x: &Inputs) -> ([Tensor; 4], Tensor) {
    let (y, lse, _) = run_by_distance(a, x, Relative::None);
    (y, lse)
}

/// The same with what scores have by distance, and its gradient.
pub(super) fn run_by_distance(
    a: &Attention,
    [q, k, v, d_o]: &Inputs,
    relative: Relative<&Tensor>,
) -> ([Tensor; 4], Tensor, Relative<Tensor>) {
    let qkv = [q, k, v];
    let (o, saved) = attention::forward(a, qkv, relative, true).unwrap();
    let ([dq, dk, dv], d_relative) =
        attention::backward(a, qkv, relative, (&o, &saved), d_o).unwrap();
    ([o, dq, dk, dv], saved.lse, d_relative)
}

fn run_on(gpu: &Device, a: &Attention, x: &Inputs) -> ([Tensor; 4], Tensor) {
    run(a, &x.each_ref().map(|x| x.to_device(gpu).unwrap()))
}

pub(super) fn values(x: &Tensor) -> Vec<f64> {
    x.to_f64_vec().unwrap()
}

fn check(gpu: &Device, what: &str, a: &Attention, x: &Inputs) {
    let (got, _) = run_on(gpu, a, x);
    let (want, _) = run(a, &x.each_ref().map(wide));
    for (name, (got, want)) in ["o", "dq", "dk", "dv"].iter().zip(got.iter().zip(&want)) {
        assert_close(&format!("{name}, {what}"), got, &values(want));
    }
}

/// All tokens of each sequence ask, or at most so many.
pub(super) fn ragged(most: usize, heads: usize, dropout: Option<Dropout>) -> Attention {
    let keys = CuSeqLens::from_lens(&LENS).unwrap();
    let queries = CuSeqLens::from_lens(&LENS.map(|len| len.min(most))).unwrap();
    Attention { queries, keys, heads, dropout, window: None }
}

fn equals_the_definition(dtype: DType, head_dims: &[usize]) {
    let gpu = device();
    for (i, &head_dim) in head_dims.iter().enumerate() {
        for dropout in [None, Some(DROPOUT)] {
            for most in [usize::MAX, 20, 1] {
                let a = ragged(most, 1 + i % 3, dropout);
                let what = format!("{dtype:?}, N {}, D {head_dim}, {dropout:?}", a.heads);
                check(&gpu, &what, &a, &inputs(&a, head_dim, dtype));
            }
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn f32_equals_the_definition() {
    equals_the_definition(DType::F32, &[7, 32, 64, 1, 96, 128, 256]);
}

#[test]
#[ignore = "needs a GPU"]
fn bf16_equals_the_definition() {
    equals_the_definition(DType::BF16, &[7, 16, 32, 64, 96, 128]);
}

/// Less than the rows of a warp, and as many as those of a tile or more; 62 hides no more of some tiles than their
/// corners. 300 tokens are more tiles of keys than masks of most of these windows have room for: there they take turns.
const WINDOWS: [usize; 7] = [1, 5, 16, 62, 63, 64, 100];
const WINDOW_LENS: [usize; 5] = [1, 2, 65, 130, 300];

fn in_window(window: usize, heads: usize, dropout: Option<Dropout>) -> Attention {
    let batch = CuSeqLens::from_lens(&WINDOW_LENS).unwrap();
    Attention::of_all(&batch, heads, dropout).with_window(Some(window))
}

fn windows_equal_the_definition(dtype: DType, head_dim: usize, windows: &[usize]) {
    let gpu = device();
    // In turns, and mostly with it: the words of masks are what a window makes difficult.
    let dropouts = [Some(DROPOUT), None, Some(DROPOUT)].into_iter().cycle();
    for (i, (&window, dropout)) in windows.iter().zip(dropouts).enumerate() {
        let a = in_window(window, 1 + i % 2, dropout);
        let what = format!("{dtype:?}, D {head_dim}, {dropout:?}, window {window}");
        check(&gpu, &what, &a, &inputs(&a, head_dim, dtype));
    }
}

#[test]
#[ignore = "needs a GPU"]
fn f32_windows_equal_the_definition() {
    windows_equal_the_definition(DType::F32, 7, &WINDOWS);
    for head_dim in [64, 128, 256] {
        windows_equal_the_definition(DType::F32, head_dim, &[5]);
    }
}

#[test]
#[ignore = "needs a GPU"]
fn bf16_windows_equal_the_definition() {
    windows_equal_the_definition(DType::BF16, 32, &WINDOWS);
    for head_dim in [7, 64, 96, 128] {
        windows_equal_the_definition(DType::BF16, head_dim, &[62]);
    }
}

/// A token that sees only itself. Its probability is 1 whatever q and k are, whose gradients are rounding errors.
#[test]
#[ignore = "needs a GPU"]
fn a_window_of_0_equals_the_definition() {
    let gpu = device();
    for (dtype, dropout) in
        [DType::F32, DType::BF16].into_iter().flat_map(|t| [(t, None), (t, Some(DROPOUT))])
    {
        let a = in_window(0, 2, dropout);
        let x = inputs(&a, 32, dtype);
        let ([o, dq, dk, dv], _) = run_on(&gpu, &a, &x);
        let ([want_o, _, _, want_dv], _) = run(&a, &x.each_ref().map(wide));
        assert_close("o", &o, &values(&want_o));
        assert_close("dv", &dv, &values(&want_dv));
        let small = |x: &f64| x.abs() < 5.0 * tolerance(dtype);
        assert!([dq, dk].iter().flat_map(values).all(|x| small(&x)), "{dtype:?}, {dropout:?}");
    }
}

#[test]
#[ignore = "needs a GPU"]
fn a_window_over_all_changes_no_bit() {
    let gpu = device();
    for dtype in [DType::F32, DType::BF16] {
        let a = in_window(299, 2, Some(DROPOUT));
        let x = inputs(&a, 32, dtype);
        let (want, _) = run_on(&gpu, &a.clone().with_window(None), &x);
        for a in [a.clone(), a.with_window(Some(usize::MAX))] {
            let (got, _) = run_on(&gpu, &a, &x);
            assert_eq!(got.each_ref().map(values), want.each_ref().map(values), "{dtype:?}");
        }
    }
}

/// The sums of the exponentials are f32 in both, but for bf16 the exponentials are approximate to 2^-22.
#[test]
#[ignore = "needs a GPU"]
fn lse_is_the_log_of_the_sum_of_exponentials() {
    let gpu = device();
    let a = ragged(usize::MAX, 2, Some(DROPOUT));
    let x = inputs(&a, 32, DType::BF16);
    let (_, want) = run(&a, &x.each_ref().map(|x| x.to_dtype(DType::F32).unwrap()));
    let (_, lse) = run_on(&gpu, &a, &x);
    assert_close("lse", &lse, &values(&want));
}

#[test]
#[ignore = "needs a GPU"]
fn a_batch_equals_its_members_alone() {
    let gpu = device();
    for dtype in [DType::F32, DType::BF16] {
        let a = ragged(usize::MAX, 2, None);
        let x = inputs(&a, 64, dtype);
        let (together, _) = run_on(&gpu, &a, &x);
        for i in 0..LENS.len() {
            let rows = a.keys.range(i);
            let part = |x: &Tensor| x.narrow(0, rows.start, rows.len()).unwrap();
            let alone = Attention::of_all(&CuSeqLens::from_lens(&[rows.len()]).unwrap(), 2, None);
            let (alone, _) = run_on(&gpu, &alone, &x.each_ref().map(part));
            for (alone, together) in alone.iter().zip(&together) {
                assert_eq!(values(alone), values(&part(together)), "{dtype:?}, sequence {i}");
            }
        }
    }
}

/// Scores up to some thousand are known to 1e-3, and so are the probabilities, in f32.
#[test]
#[ignore = "needs a GPU"]
fn huge_scores_stay_finite() {
    let gpu = device();
    for (dtype, tolerance) in [(DType::F32, 2e-3), (DType::BF16, 1e-2)] {
        let a = ragged(usize::MAX, 2, None);
        let [q, k, v, d_o] = inputs(&a, 32, DType::F32);
        let huge =
            |x: &Tensor| tensor::ops::elementwise::scale(32.0, x).unwrap().to_dtype(dtype).unwrap();
        let x = [huge(&q), huge(&k), v.to_dtype(dtype).unwrap(), d_o.to_dtype(dtype).unwrap()];
        let (got, lse) = run_on(&gpu, &a, &x);
        assert!(values(&lse).iter().any(|&lse| lse > 3e3), "no huge score in this test");
        assert!(got.iter().chain([&lse]).flat_map(values).all(f64::is_finite), "{dtype:?}");
        let (want, _) = run(&a, &x.each_ref().map(wide));
        let distance = tests::gpu::relative_distance(&values(&got[0]), &values(&want[0]));
        assert!(distance < tolerance, "{dtype:?}: {distance:e}");
    }
}

#[test]
#[ignore = "needs a GPU"]
fn nan_stays_inside_its_sequence_and_head() {
    let gpu = device();
    let a = Attention::of_all(&CuSeqLens::from_lens(&[20, 20, 20]).unwrap(), 3, None);
    for dtype in [DType::F32, DType::BF16] {
        let clean = inputs(&a, 32, dtype);
        let (want, _) = run_on(&gpu, &a, &clean);
        for poisoned in 0..4 {
            let mut x = clean.clone();
            let mut poison = values(&x[poisoned]);
            // Token 27 is in the second sequence, column 33 in the second head.
            poison[27 * 96 + 33] = f64::NAN;
            x[poisoned] = Tensor::from_vec(poison, &[60, 96]).unwrap().to_dtype(dtype).unwrap();
            let (got, _) = run_on(&gpu, &a, &x);
            for (got, want) in got.iter().zip(&want) {
                for (i, (got, want)) in values(got).iter().zip(values(want)).enumerate() {
                    let inside = (20..40).contains(&(i / 96)) && i % 96 / 32 == 1;
                    assert!(inside || *got == want, "input {poisoned}: element {i} is {got}");
                }
            }
            let vanished = !got[1..].iter().flat_map(values).any(f64::is_nan);
            assert!(!vanished, "{dtype:?}: input {poisoned} vanished");
        }
    }
}

/// Not a window further than the tiles reach beyond theirs.
#[test]
#[ignore = "needs a GPU"]
fn nan_stays_near_the_window() {
    let gpu = device();
    let a = Attention::of_all(&CuSeqLens::from_lens(&[500]).unwrap(), 1, None).with_window(Some(4));
    for dtype in [DType::F32, DType::BF16] {
        let clean = inputs(&a, 32, dtype);
        let (want, _) = run_on(&gpu, &a, &clean);
        for poisoned in 0..4 {
            let mut x = clean.clone();
            let mut poison = values(&x[poisoned]);
            poison[250 * 32] = f64::NAN;
            x[poisoned] = Tensor::from_vec(poison, &[500, 32]).unwrap().to_dtype(dtype).unwrap();
            let (got, _) = run_on(&gpu, &a, &x);
            for (got, want) in got.iter().zip(&want) {
                for (i, (got, want)) in values(got).iter().zip(values(want)).enumerate() {
                    let near = (i / 32).abs_diff(250) < 2 * (4 + 2 * 64);
                    assert!(near || *got == want, "input {poisoned}: element {i} is {got}");
                }
            }
            let vanished = !got[1..].iter().flat_map(values).any(f64::is_nan);
            assert!(!vanished, "{dtype:?}: input {poisoned} vanished");
        }
    }
}

/// The mask by what it does, element by element: the probabilities of equal scores are zero only where they are
/// dropped, or beyond the window. Rows of the unit matrix as values, D at a time, show them in o; as gradients of o they
/// show them in dv.
#[test]
#[ignore = "needs a GPU"]
fn drops_in_both_directions_what_the_definition_drops() {
    let gpu = device();
    let (heads, d) = (2, 64);
    let a = ragged(usize::MAX, heads, Some(DROPOUT));
    let rows = a.keys.total();
    let zeros = Tensor::zeros(&[rows, heads * d]).to_dtype(DType::BF16).unwrap();
    for first in (0..130).step_by(d) {
        let mut unit = vec![0.0; rows * heads * d];
        for i in 0..a.keys.batch() {
            for (column, token) in a.keys.range(i).skip(first).take(d).enumerate() {
                (0..heads).for_each(|head| unit[(token * heads + head) * d + column] = 1.0);
            }
        }
        let unit = Tensor::from_vec(unit, &[rows, heads * d]).unwrap();
        let unit = unit.to_dtype(DType::BF16).unwrap();
        let x = [zeros.clone(), zeros.clone(), unit.clone(), unit];
        let dropped = |x: &Tensor| values(x).iter().map(|&x| x == 0.0).collect::<Vec<_>>();
        for a in [a.clone(), a.clone().with_window(Some(40))] {
            let (got, _) = run_on(&gpu, &a, &x);
            let (want, _) = run(&a, &x.each_ref().map(wide));
            for (name, i) in [("o", 0), ("dv", 3)] {
                assert!(dropped(&got[i]) == dropped(&want[i]), "{name}, columns from {first} on");
            }
        }
    }
}

/// It draws the same mask, and does not keep it.
#[test]
#[ignore = "needs a GPU"]
fn a_forward_alone_has_the_same_output() {
    let gpu = device();
    let a = ragged(usize::MAX, 2, Some(DROPOUT));
    let [q, k, v, _] = inputs(&a, 64, DType::BF16).map(|x| x.to_device(&gpu).unwrap());
    let [with, without] = [true, false].map(|backward_follows| {
        let (o, _) =
            attention::forward(&a, [&q, &k, &v], Relative::None, backward_follows).unwrap();
        values(&o)
    });
    assert_eq!(with, without);
}

#[test]
#[ignore = "needs a GPU"]
fn heads_wider_than_the_kernels_are_an_error() {
    let gpu = device();
    let a = ragged(1, 1, None);
    let [q, k, v, _] = inputs(&a, 257, DType::F32).map(|x| x.to_device(&gpu).unwrap());
    assert!(attention::forward(&a, [&q, &k, &v], Relative::None, true).is_err());
}
