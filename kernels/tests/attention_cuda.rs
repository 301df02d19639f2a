//! Attention on a card against its definition.

use half::bf16;
use kernels::attention::cuda::{self, Offsets, Qkv};
use kernels::attention::{self, Attention};
use kernels::cuda::{Array, Device, Element};
use kernels::dropout::Dropout;
use kernels::philox::Key;
use kernels::testing::{f64s, random};

const DROPOUT: Dropout = Dropout { p: 0.25, key: Key { seed: 11 << 32 | 7, step: 3, site: 5 } };

/// Every remainder of tiles of 64 and of warps' 16 rows.
const LENS: [u32; 7] = [1, 7, 17, 33, 64, 65, 130];

/// What the card stores, as the host reads it.
trait Hidden: Element {
    /// The relative error that arithmetic in this type may leave.
    const TOLERANCE: f64;

    fn narrow(x: f32) -> Self;
    fn wide(self) -> f32;
}

impl Hidden for f32 {
    const TOLERANCE: f64 = 1e-5;

    fn narrow(x: f32) -> Self {
        x
    }
    fn wide(self) -> f32 {
        self
    }
}

impl Hidden for bf16 {
    const TOLERANCE: f64 = 1e-2;

    fn narrow(x: f32) -> Self {
        bf16::from_f32(x)
    }
    fn wide(self) -> f32 {
        self.to_f32()
    }
}

/// Offsets of sequences of these lengths.
fn offsets(lens: &[u32]) -> Vec<u32> {
    let ends = lens.iter().scan(0, |end, len| {
        *end += len;
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}

fn settings<'a>(
    queries: &'a [u32],
    keys: &'a [u32],
    heads: usize,
    head_dim: usize,
) -> Attention<'a> {
    let scale = 1.0 / (head_dim as f32).sqrt();
    Attention { queries, keys, heads, head_dim, scale, dropout: None }
}

/// q, k, v and the gradient of o, as T holds them.
fn inputs<T: Hidden>(a: Attention, size: f32) -> [Vec<f32>; 4] {
    let [queries, keys] =
        [a.queries, a.keys].map(|ends| *ends.last().unwrap() as usize * a.heads * a.head_dim);
    let part = |n, seed| {
        let values = random(n, if seed < 3 { size } else { 1.0 }, seed);
        values.into_iter().map(|x| T::narrow(x).wide()).collect()
    };
    [part(queries, 1), part(keys, 2), part(keys, 3), part(queries, 4)]
}

/// o, lse, dq, dk, dv.
fn run<T: Hidden>(a: Attention, x: &[Vec<f32>; 4]) -> [Vec<f32>; 5] {
    let device = Device::open(0).unwrap();
    let upload = |x: &Vec<f32>| {
        let narrow: Vec<T> = x.iter().map(|&x| T::narrow(x)).collect();
        Array::from_host(&device, &narrow).unwrap()
    };
    let download = |y: &Array| -> Vec<f32> {
        y.slice().to_host::<T>().unwrap().into_iter().map(T::wide).collect()
    };
    let [queries, keys] = [a.queries, a.keys].map(|x| Array::from_host(&device, x).unwrap());
    let at = Offsets { queries: queries.slice(), keys: keys.slice() };
    let [q, k, v, d_o] = x.each_ref().map(upload);
    let x = Qkv { q: q.slice(), k: k.slice(), v: v.slice() };
    let (o, lse) = cuda::forward(a, at, x).unwrap();
    let grads = cuda::backward(a, at, x, (o.slice(), lse.slice()), d_o.slice()).unwrap();
    let [dq, dk, dv] = grads.each_ref().map(download);
    [download(&o), lse.slice().to_host().unwrap(), dq, dk, dv]
}

/// |got - want| / |want|; a little absolute error passes, where all should be 0.
fn relative(got: &[f32], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut got.iter().zip(want).map(|(&got, want)| f64::from(got) - want));
    difference / (norm(&mut want.iter().copied()) + 1e-3)
}

fn check<T: Hidden>(what: &str, a: Attention, size: f32, tolerance: f64) {
    let x = inputs::<T>(a, size);
    let [o, lse, dq, dk, dv] = run::<T>(a, &x);
    assert!(lse.iter().all(|lse| lse.is_finite()), "{what}: lse");
    let [q, k, v, d_o] = x.each_ref().map(|x| f64s(x));
    let want_o = attention::reference::forward(a, &q, &k, &v);
    let (want_dq, want_dk, want_dv) = attention::reference::backward(a, &q, &k, &v, &d_o);
    for (name, got, want) in
        [("o", o, want_o), ("dq", dq, want_dq), ("dk", dk, want_dk), ("dv", dv, want_dv)]
    {
        let error = relative(&got, &want);
        let (n, d) = (a.heads, a.head_dim);
        println!("{what} {:?} N {n} D {d} {name}: {error:.1e}", T::DTYPE);
        assert!(error <= tolerance, "{what} {:?} N {n} D {d} {name}: {error:.1e}", T::DTYPE);
    }
}

fn check_all<T: Hidden>(head_dims: &[usize]) {
    let keys = offsets(&LENS);
    let few = offsets(&LENS.map(|len| len.min(3)));
    let first = offsets(&[1; LENS.len()]);
    for (i, &head_dim) in head_dims.iter().enumerate() {
        let heads = 1 + i % 3;
        for dropout in [None, Some(DROPOUT)] {
            for (what, queries) in [("all", &keys), ("few", &few), ("first", &first)] {
                let a = Attention { dropout, ..settings(queries, &keys, heads, head_dim) };
                check::<T>(what, a, 2.0, T::TOLERANCE);
            }
        }
    }
}

#[test]
fn f32_equals_reference() {
    check_all::<f32>(&[7, 32, 64, 1, 96, 128, 200, 256]);
}

#[test]
fn bf16_equals_reference() {
    check_all::<bf16>(&[7, 16, 32, 64, 96, 128]);
}

#[test]
fn a_negative_scale() {
    let ends = offsets(&[70, 5]);
    let a = Attention { scale: -0.7, ..settings(&ends, &ends, 2, 32) };
    check::<f32>("negative", a, 1.0, f32::TOLERANCE);
    check::<bf16>("negative", a, 1.0, bf16::TOLERANCE);
}

#[test]
fn lse_is_the_log_of_the_sum_of_exponentials() {
    let ends = offsets(&[9, 70]);
    let a = settings(&ends, &ends, 1, 32);
    let x = inputs::<bf16>(a, 2.0);
    let score = |i: usize, j: usize| -> f64 {
        let dot = |c| f64::from(x[0][i * 32 + c]) * f64::from(x[1][j * 32 + c]);
        f64::from(a.scale) * (0..32).map(dot).sum::<f64>()
    };
    let want: Vec<f64> = (0..79)
        .map(|i| if i < 9 { (i, 0..9) } else { (i, 9..79) })
        .map(|(i, keys)| keys.map(|j| score(i, j).exp()).sum::<f64>().ln())
        .collect();
    for lse in [&run::<f32>(a, &x)[1], &run::<bf16>(a, &x)[1]] {
        assert!(relative(lse, &want) < 1e-6, "{:.1e}", relative(lse, &want));
    }
}

fn check_alone<T: Hidden>() {
    let ends = offsets(&LENS);
    let a = settings(&ends, &ends, 2, 64);
    let x = inputs::<T>(a, 2.0);
    let together = run::<T>(a, &x);
    for pair in ends.windows(2) {
        let tokens = pair[0] as usize..pair[1] as usize;
        let alone_ends = [0, pair[1] - pair[0]];
        let alone = Attention { queries: &alone_ends, keys: &alone_ends, ..a };
        let part = |m: &Vec<f32>| {
            let width = m.len() / *ends.last().unwrap() as usize;
            m[tokens.start * width..tokens.end * width].to_vec()
        };
        let alone = run::<T>(alone, &x.each_ref().map(part));
        assert_eq!(alone, together.each_ref().map(part), "tokens {tokens:?}");
    }
}

#[test]
fn a_batch_equals_its_members_alone() {
    check_alone::<f32>();
    check_alone::<bf16>();
}

fn check_huge<T: Hidden>(tolerance: f64) {
    let ends = offsets(&[5, 70]);
    let a = Attention { scale: 1.0, ..settings(&ends, &ends, 2, 32) };
    let x = inputs::<T>(a, 30.0);
    let [o, lse, ..] = &run::<T>(a, &x);
    assert!(lse.iter().any(|&lse| lse > 3e3), "no huge score in this test");
    assert!(run::<T>(a, &x).iter().flatten().all(|y| y.is_finite()));
    let [q, k, v, _] = x.each_ref().map(|x| f64s(x));
    let want = attention::reference::forward(a, &q, &k, &v);
    assert!(relative(o, &want) < tolerance, "{:.1e}", relative(o, &want));
}

#[test]
fn huge_scores_stay_finite() {
    // Scores near 1e4 are known to 1e-3, and so are the probabilities.
    check_huge::<f32>(2e-3);
    check_huge::<bf16>(1e-2);
}

fn check_nan<T: Hidden>() {
    let ends = offsets(&[20, 20, 20]);
    let a = settings(&ends, &ends, 3, 32);
    for poisoned in 0..4 {
        let clean = inputs::<T>(a, 2.0);
        let mut x = clean.clone();
        // Token 27 is in the second sequence, column 33 in the second head.
        x[poisoned][27 * 96 + 33] = f32::NAN;
        let (got, want) = (run::<T>(a, &x), run::<T>(a, &clean));
        for (got, want) in got.iter().zip(&want) {
            let (row, width) = (got.len() / 60, got.len() / 180);
            for (i, (got, want)) in got.iter().zip(want).enumerate() {
                let inside = (20..40).contains(&(i / row)) && i % row / width == 1;
                assert!(inside || got == want, "input {poisoned}: element {i} is {got}");
            }
        }
        assert!(got[2..].iter().flatten().any(|y| y.is_nan()), "input {poisoned} vanished");
    }
}

#[test]
fn nan_stays_inside_its_sequence_and_head() {
    check_nan::<f32>();
    check_nan::<bf16>();
}
