//! Attention against its definition.

use half::bf16;
use kernels::attention::{self, Attention, Gradients, Qkv, Relative};
use kernels::dropout::Dropout;
use kernels::philox::Key;
use kernels::testing::{assert_close, each_isa, f64s, random};

const DROPOUT: Dropout = Dropout { p: 0.25, key: Key { seed: 11 << 32 | 7, step: 3, site: 5 } };

/// Offsets of sequences of these lengths.
fn offsets(lens: &[u32]) -> Vec<u32> {
    let ends = lens.iter().scan(0, |end, len| {
        *end += len;
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}

fn settings(cu_seqlens: &[u32], heads: usize, head_dim: usize) -> Attention<'_> {
    let (queries, keys, scale) = (cu_seqlens, cu_seqlens, 1.0 / (head_dim as f32).sqrt());
    Attention { queries, keys, heads, head_dim, scale, dropout: None, window: None }
}

/// q, k, v and the gradient of o.
fn inputs(a: Attention, size: f32) -> [Vec<f32>; 4] {
    let [queries, keys] =
        [a.queries, a.keys].map(|ends| *ends.last().unwrap() as usize * a.heads * a.head_dim);
    let part = |n, seed| random(n, if seed < 3 { size } else { 1.0 }, seed);
    [part(queries, 1), part(keys, 2), part(keys, 3), part(queries, 4)]
}

/// o, lse, dq, dk, dv.
fn run(a: Attention, x: &[Vec<f32>; 4]) -> [Vec<f32>; 5] {
    run_by_distance(a, x, Relative::None).0
}

/// The same with what scores have by distance, and its gradient.
fn run_by_distance(
    a: Attention,
    [q, k, v, d_o]: &[Vec<f32>; 4],
    relative: Relative<&[f32]>,
) -> ([Vec<f32>; 5], Relative<Vec<f32>>) {
    let x = Qkv { q, k, v, relative };
    let mut y = [q, q, k, v].map(|x| vec![f32::NAN; x.len()]);
    let mut lse = vec![f32::NAN; q.len() / a.head_dim];
    let mut d_relative = relative.map(|x| vec![f32::NAN; x.len()]);
    let [o, dq, dk, dv] = &mut y;
    attention::forward(a, x, o, &mut lse);
    let relative = d_relative.as_mut().map(|x| &mut x[..]);
    attention::backward(a, x, (o, &lse), d_o, Gradients { dq, dk, dv, relative });
    let [o, dq, dk, dv] = y;
    ([o, lse, dq, dk, dv], d_relative)
}

fn check(what: &str, a: Attention, size: f32, tolerance: f64) {
    check_by_distance(what, (a, Relative::None), size, tolerance);
}

fn check_by_distance(
    what: &str,
    (a, relative): (Attention, Relative<&[f32]>),
    size: f32,
    tolerance: f64,
) {
    let x = inputs(a, size);
    let ([o, _, dq, dk, dv], d_relative) = run_by_distance(a, &x, relative);
    let [q, k, v, d_o] = x.map(|x| f64s(&x));
    let (qkv, wide) = ([&q[..], &k, &v], relative.map(f64s));
    let wide = wide.as_ref().map(|x| &x[..]);
    let want_o = attention::reference::forward(a, qkv, wide);
    let ([want_dq, want_dk, want_dv], want_relative) =
        attention::reference::backward(a, qkv, wide, &d_o);
    let name = |y| format!("{what} {y}, N {}, D {}", a.heads, a.head_dim);
    assert_close(&name("o"), &o, &want_o, tolerance);
    assert_close(&name("dq"), &dq, &want_dq, tolerance);
    assert_close(&name("dk"), &dk, &want_dk, tolerance);
    assert_close(&name("dv"), &dv, &want_dv, tolerance);
    for (got, want) in parts(d_relative).iter().zip(parts(want_relative)) {
        assert_close(&name("by distance"), got, &want, tolerance);
    }
}

fn parts<T>(relative: Relative<T>) -> Vec<T> {
    let mut parts = Vec::new();
    relative.map(|part| parts.push(part));
    parts
}

#[test]
fn equals_reference() {
    let cu_seqlens = offsets(&[1, 7, 15, 17, 33, 130]);
    each_isa(|isa| {
        for (heads, head_dim) in [(1, 1), (3, 8), (12, 32), (3, 33), (1, 64), (12, 8), (3, 64)] {
            for dropout in [None, Some(DROPOUT)] {
                let a = Attention { dropout, ..settings(&cu_seqlens, heads, head_dim) };
                check(&format!("{isa:?} {dropout:?}"), a, 2.0, 1e-5);
            }
        }
    });
}

#[test]
fn a_sequence_of_several_spans_of_queries() {
    let cu_seqlens = offsets(&[2, 300, 1]);
    each_isa(|isa| {
        let a = Attention { dropout: Some(DROPOUT), ..settings(&cu_seqlens, 2, 32) };
        check(&format!("{isa:?}"), a, 2.0, 1e-5);
    });
}

#[test]
fn a_negative_scale() {
    let cu_seqlens = offsets(&[20, 5]);
    each_isa(|_| check("", Attention { scale: -0.7, ..settings(&cu_seqlens, 2, 8) }, 2.0, 1e-5));
}

#[test]
fn lse_is_the_log_of_the_sum_of_exponentials() {
    let cu_seqlens = offsets(&[9, 40]);
    each_isa(|_| {
        let a = settings(&cu_seqlens, 1, 16);
        let x = inputs(a, 2.0);
        let [_, lse, ..] = run(a, &x);
        let score = |i: usize, j: usize| -> f64 {
            let dot = |c| f64::from(x[0][i * 16 + c]) * f64::from(x[1][j * 16 + c]);
            f64::from(a.scale) * (0..16).map(dot).sum::<f64>()
        };
        let want: Vec<f64> = (0..49)
            .map(|i| if i < 9 { (i, 0..9) } else { (i, 9..49) })
            .map(|(i, mut keys)| keys.by_ref().map(|j| score(i, j).exp()).sum::<f64>().ln())
            .collect();
        assert_close("lse", &lse, &want, 1e-6);
    });
}

#[test]
fn a_batch_equals_its_members_alone() {
    let lens = [130, 1, 17, 300, 15];
    let cu_seqlens = offsets(&lens);
    each_isa(|_| {
        let a = settings(&cu_seqlens, 3, 33);
        let x = inputs(a, 2.0);
        let together = run(a, &x);
        for pair in cu_seqlens.windows(2) {
            let tokens = pair[0] as usize..pair[1] as usize;
            let alone_offsets = [0, pair[1] - pair[0]];
            let alone = Attention { queries: &alone_offsets, keys: &alone_offsets, ..a };
            let part = |m: &Vec<f32>| {
                let width = m.len() / *cu_seqlens.last().unwrap() as usize;
                m[tokens.start * width..tokens.end * width].to_vec()
            };
            let alone = run(alone, &x.each_ref().map(part));
            assert_eq!(alone, together.each_ref().map(part), "tokens {tokens:?}");
        }
    });
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let cu_seqlens = offsets(&[40, 300, 3, 64, 65]);
    let a = Attention { dropout: Some(DROPOUT), ..settings(&cu_seqlens, 3, 32) };
    let x = inputs(a, 2.0);
    each_isa(|_| {
        let [one, two, five] = [1, 2, 5].map(|n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            pool.install(|| run(a, &x))
        });
        assert_eq!(one, two);
        assert_eq!(one, five);
    });
}

#[test]
fn huge_scores_stay_finite() {
    let cu_seqlens = offsets(&[5, 70]);
    each_isa(|_| {
        let a = Attention { scale: 1.0, ..settings(&cu_seqlens, 2, 1) };
        let x = inputs(a, 100.0);
        let [o, lse, ..] = &run(a, &x);
        assert!(lse.iter().any(|&lse| lse > 5e3), "no huge score in this test");
        assert!(run(a, &x).iter().flatten().all(|y| y.is_finite()));
        let [q, k, v, _] = x.each_ref().map(|x| f64s(x));
        // Scores near 1e4 are known to 1e-3, and so are the probabilities.
        assert_close("o", o, &attention::reference::forward(a, [&q, &k, &v], Relative::None), 2e-3);
    });
}

#[test]
fn nan_stays_inside_its_sequence_and_head() {
    let cu_seqlens = offsets(&[20, 20, 20]);
    each_isa(|_| {
        let a = settings(&cu_seqlens, 3, 8);
        for poisoned in 0..4 {
            let clean = inputs(a, 2.0);
            let mut x = clean.clone();
            // Token 27 is in the second sequence, column 9 in the second head.
            x[poisoned][27 * 24 + 9] = f32::NAN;
            let (got, want) = (run(a, &x), run(a, &clean));
            for (got, want) in got.iter().zip(&want) {
                let (row, width) = (got.len() / 60, got.len() / 180);
                for (i, (got, want)) in got.iter().zip(want).enumerate() {
                    let inside = (20..40).contains(&(i / row)) && i % row / width == 1;
                    assert!(inside || got == want, "input {poisoned}: element {i} is {got}");
                }
            }
            assert!(got[2..].iter().flatten().any(|y| y.is_nan()), "input {poisoned} vanished");
        }
    });
}

#[test]
fn reference_gradients_are_central_differences() {
    let cu_seqlens = offsets(&[4, 1, 3]);
    for (dropout, window) in [(None, None), (Some(DROPOUT), None), (Some(DROPOUT), Some(1))] {
        let a = Attention { dropout, window, ..settings(&cu_seqlens, 2, 3) };
        // R = 2: a sequence has keys within, at and beyond it. R = 4: none is beyond it.
        let (bias, products) =
            (random(5 * 2, 2.0, 5), [5, 6].map(|seed| random(2 * 8 * 9, 2.0, seed)));
        for relative in [Relative::Bias(bias), Relative::Products(products)] {
            let d_o = f64s(&inputs(a, 2.0)[3]);
            let mut x = inputs(a, 2.0)[..3].iter().map(|x| f64s(x)).collect::<Vec<_>>();
            x.extend(parts(relative.as_ref().map(|x| f64s(x))));
            let of = |x: &[Vec<f64>]| {
                let mut rest = x[3..].iter().cloned();
                relative.as_ref().map(|_| rest.next().unwrap())
            };
            let loss = |x: &[Vec<f64>]| -> f64 {
                let relative = of(x);
                let relative = relative.as_ref().map(|x| &x[..]);
                let o = attention::reference::forward(a, [&x[0], &x[1], &x[2]], relative);
                o.iter().zip(&d_o).map(|(o, d_o)| o * d_o).sum()
            };
            let wide = of(&x);
            let wide = wide.as_ref().map(|x| &x[..]);
            let (grads, d_relative) =
                attention::reference::backward(a, [&x[0], &x[1], &x[2]], wide, &d_o);
            for (m, gradient) in grads.into_iter().chain(parts(d_relative)).enumerate() {
                for (i, got) in gradient.iter().enumerate() {
                    let [up, down] = [1e-5, -1e-5].map(|step| {
                        let mut moved = x.clone();
                        moved[m][i] += step;
                        loss(&moved)
                    });
                    let want = (up - down) / 2e-5;
                    assert!((got - want).abs() < 1e-8, "input {m}[{i}]: {got}, expected {want}");
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "offsets must ascend from 0")]
fn an_empty_sequence_is_refused() {
    let a = settings(&[0, 2, 2], 1, 1);
    attention::forward(
        a,
        Qkv { q: &[0.0; 2], k: &[0.0; 2], v: &[0.0; 2], relative: Relative::None },
        &mut [0.0; 2],
        &mut [0.0; 2],
    );
}

#[test]
fn fewer_queries_than_keys() {
    let (queries, keys) = (offsets(&[1, 1, 5, 2]), offsets(&[7, 1, 130, 2]));
    each_isa(|isa| {
        for dropout in [None, Some(DROPOUT)] {
            let a = Attention { queries: &queries, dropout, ..settings(&keys, 3, 32) };
            check(&format!("{isa:?} {dropout:?}"), a, 2.0, 1e-5);
        }
    });
}

/// o, dq, dk and dv from bf16 against the definition on the same values.
fn check_bf16(what: &str, a: Attention) {
    check_bf16_by_distance(what, a, Relative::None);
}

fn check_bf16_by_distance(what: &str, a: Attention, relative: Relative<&[f32]>) {
    let narrow = inputs(a, 2.0).map(|x| x.iter().map(|&x| bf16::from_f32(x)).collect());
    let [q, k, v, d_o]: [Vec<bf16>; 4] = narrow;
    let mut y = [&q, &q, &k, &v].map(|x| vec![bf16::NAN; x.len()]);
    let mut lse = vec![f32::NAN; q.len() / a.head_dim];
    let [o, dq, dk, dv] = &mut y;
    let x = Qkv { q: &q, k: &k, v: &v, relative };
    let mut d_relative = relative.map(|x| vec![f32::NAN; x.len()]);
    attention::forward(a, x, o, &mut lse);
    let to = d_relative.as_mut().map(|x| &mut x[..]);
    attention::backward(a, x, (o, &lse), &d_o, Gradients { dq, dk, dv, relative: to });
    let [q, k, v, d_o] = [q, k, v, d_o].map(|x| x.iter().map(|x| x.to_f64()).collect::<Vec<f64>>());
    let (qkv, wide) = ([&q[..], &k, &v], relative.map(f64s));
    let wide = wide.as_ref().map(|x| &x[..]);
    let ([dq, dk, dv], want_relative) = attention::reference::backward(a, qkv, wide, &d_o);
    let o = attention::reference::forward(a, qkv, wide);
    match (d_relative, want_relative) {
        (Relative::Bias(db), Relative::Bias(want)) => check_bf16_bias(what, a.heads, &db, &want),
        (got, want) => {
            for (got, want) in parts(got).iter().zip(parts(want)) {
                assert_close(&format!("{what} by distance"), got, &want, 6e-3);
            }
        }
    }
    for (name, (got, want)) in ["o", "dq", "dk", "dv"].iter().zip(y.iter().zip([o, dq, dk, dv])) {
        let got: Vec<f32> = got.iter().map(|x| x.to_f32()).collect();
        // Rounded once, and delta is taken from a rounded o.
        assert_close(&format!("{what} {name}"), &got, &want, 6e-3);
    }
}

fn check_bf16_bias(what: &str, heads: usize, db: &[f32], want: &[f64]) {
    for (i, (got, want)) in db.iter().zip(want).enumerate() {
        // The first and the last row add up what is left of rounding o of all queries.
        let is_last = i < heads || i + heads >= db.len();
        let tolerance = if is_last { 4e-2 } else { 6e-3 };
        assert_close(&format!("{what} dbias[{i}]"), &[*got], &[*want], tolerance);
    }
}

#[test]
fn bf16_equals_the_definition_on_the_same_values() {
    let (queries, keys) = (offsets(&[1, 17, 130]), offsets(&[7, 17, 130]));
    each_isa(|isa| {
        let a = Attention { queries: &queries, dropout: Some(DROPOUT), ..settings(&keys, 3, 33) };
        check_bf16(&format!("{isa:?}"), a);
    });
}

/// Some less than a vector, some as wide as a block of queries or wider, beside sequences that they cover or do not.
const WINDOWS: [usize; 7] = [0, 1, 5, 16, 63, 64, 100];
const LENS: [u32; 8] = [1, 2, 17, 64, 65, 101, 130, 300];

#[test]
fn windows_equal_the_definition() {
    let cu_seqlens = offsets(&LENS);
    each_isa(|isa| {
        for (window, dropout) in WINDOWS.into_iter().flat_map(|w| [(w, None), (w, Some(DROPOUT))]) {
            let a = Attention { dropout, window: Some(window), ..settings(&cu_seqlens, 2, 33) };
            let what = format!("{isa:?}, window {window}, {dropout:?}");
            check(&what, a, 2.0, 1e-5);
            check_bf16(&what, a);
        }
    });
}

#[test]
fn a_window_over_all_changes_no_bit() {
    let cu_seqlens = offsets(&LENS);
    let a = Attention { dropout: Some(DROPOUT), ..settings(&cu_seqlens, 2, 32) };
    let x = inputs(a, 2.0);
    each_isa(|_| {
        let want = run(a, &x);
        for window in [299, 300, usize::MAX] {
            let window = Some(window);
            assert_eq!(run(Attention { window, ..a }, &x), want, "window {window:?}");
        }
    });
}

/// Segments of a sequence far too long to score all pairs of its tokens: those in the middle of a segment, and all
/// that these depend on, see nothing beyond it.
#[test]
fn the_work_of_a_window_is_local() {
    let (window, len, d) = (8, 200_000, 4);
    let (all, segment) = (offsets(&[len]), offsets(&[100]));
    let a = Attention { window: Some(window), ..settings(&all, 1, d) };
    let x = inputs(a, 2.0);
    let [o, _, dq, dk, dv] = &run(a, &x);
    for first in [0, 1_000, 123_456, len as usize - 100] {
        let [q, k, v, d_o] = x.each_ref().map(|x| f64s(&x[first * d..(first + 100) * d]));
        let alone = Attention { queries: &segment, keys: &segment, ..a };
        let ([want_dq, want_dk, want_dv], _) =
            attention::reference::backward(alone, [&q, &k, &v], Relative::None, &d_o);
        let want_o = attention::reference::forward(alone, [&q, &k, &v], Relative::None);
        let middle = 2 * window * d..(100 - 2 * window) * d;
        let got = [o, dq, dk, dv].map(|y| &y[first * d..][middle.clone()]);
        for (got, want) in got.iter().zip([want_o, want_dq, want_dk, want_dv]) {
            assert_close(&format!("from {first} on"), got, &want[middle.clone()], 1e-5);
        }
    }
}

/// Not a window further than the blocks of queries reach beyond theirs.
#[test]
fn nan_stays_near_the_window() {
    let cu_seqlens = offsets(&[500]);
    each_isa(|_| {
        let a = Attention { window: Some(16), ..settings(&cu_seqlens, 1, 8) };
        for poisoned in 0..4 {
            let clean = inputs(a, 2.0);
            let mut x = clean.clone();
            x[poisoned][250 * 8] = f32::NAN;
            let (got, want) = (run(a, &x), run(a, &clean));
            for (got, want) in got.iter().zip(&want) {
                let width = got.len() / 500;
                for (i, (got, want)) in got.iter().zip(want).enumerate() {
                    let near = (i / width).abs_diff(250) < 2 * (16 + 2 * 64);
                    assert!(near || got == want, "input {poisoned}: element {i} is {got}");
                }
            }
            assert!(got[2..].iter().flatten().any(|y| y.is_nan()), "input {poisoned} vanished");
        }
    });
}

#[test]
#[should_panic(expected = "attention: a window, but not all tokens ask")]
fn a_window_for_some_of_the_tokens_is_refused() {
    let a = Attention { queries: &[0, 1], window: Some(1), ..settings(&[0, 2], 1, 1) };
    let x = Qkv { q: &[0.0; 1], k: &[0.0; 2], v: &[0.0; 2], relative: Relative::None };
    attention::forward(a, x, &mut [0.0; 1], &mut [0.0; 1]);
}

/// Reaches of a bias: of no distance, one, less than a vector, more than a block of queries.
const REACHES: [usize; 4] = [0, 1, 7, 90];

fn bias(a: Attention, reach: usize) -> Vec<f32> {
    random((2 * reach + 1) * a.heads, 2.0, 5)
}

#[test]
fn biases_equal_the_definition() {
    let cu_seqlens = offsets(&LENS);
    each_isa(|isa| {
        let variants =
            [(None, None), (None, Some(DROPOUT)), (Some(20), None), (Some(100), Some(DROPOUT))];
        for (reach, (window, dropout)) in
            REACHES.into_iter().flat_map(|reach| variants.map(|variant| (reach, variant)))
        {
            let a = Attention { dropout, window, ..settings(&cu_seqlens, 3, 9) };
            let bias = bias(a, reach);
            let what = format!("{isa:?}, R {reach}, window {window:?}, {dropout:?}");
            check_by_distance(&what, (a, Relative::Bias(&bias)), 2.0, 1e-5);
            check_bf16_by_distance(&what, a, Relative::Bias(&bias));
        }
    });
}

#[test]
fn a_bias_of_zeros_changes_no_bit() {
    let cu_seqlens = offsets(&LENS);
    let a = Attention { dropout: Some(DROPOUT), ..settings(&cu_seqlens, 2, 32) };
    let x = inputs(a, 2.0);
    each_isa(|_| assert_eq!(run_by_distance(a, &x, Relative::Bias(&[0.0; 6])).0, run(a, &x)));
}

#[test]
fn the_number_of_threads_changes_no_bit_of_a_bias() {
    let cu_seqlens = offsets(&[40, 300, 3, 64, 65]);
    let a = Attention { dropout: Some(DROPOUT), ..settings(&cu_seqlens, 3, 32) };
    let (x, bias) = (inputs(a, 2.0), bias(a, 7));
    each_isa(|_| {
        let [one, two, five] = [1, 2, 5].map(|n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            pool.install(|| run_by_distance(a, &x, Relative::Bias(&bias)))
        });
        assert_eq!(one, two);
        assert_eq!(one, five);
    });
}

#[test]
#[should_panic(expected = "attention: expected a bias [2R + 1, N]")]
fn a_bias_of_an_even_number_of_rows_is_refused() {
    let a = settings(&[0, 2], 2, 1);
    let x = Qkv { q: &[0.0; 4], k: &[0.0; 4], v: &[0.0; 4], relative: Relative::Bias(&[0.0; 4]) };
    attention::forward(a, x, &mut [0.0; 4], &mut [0.0; 4]);
}

#[test]
#[should_panic(expected = "attention: scores by distance, but not all tokens ask")]
fn a_bias_for_some_of_the_tokens_is_refused() {
    let a = Attention { queries: &[0, 1], ..settings(&[0, 2], 1, 1) };
    let x = Qkv { q: &[0.0; 1], k: &[0.0; 2], v: &[0.0; 2], relative: Relative::Bias(&[0.0; 3]) };
    attention::forward(a, x, &mut [0.0; 1], &mut [0.0; 1]);
}

/// c and g of all tokens, `[N, T, 2R + 1]`.
fn products(a: Attention, reach: usize) -> [Vec<f32>; 2] {
    let tokens = *a.keys.last().unwrap() as usize;
    [5, 6].map(|seed| random(a.heads * tokens * (2 * reach + 1), 2.0, seed))
}

#[test]
fn products_equal_the_definition() {
    let cu_seqlens = offsets(&LENS);
    let longest = *LENS.iter().max().unwrap() as usize;
    each_isa(|isa| {
        for (window, dropout) in
            [(None, None), (None, Some(DROPOUT)), (Some(20), None), (Some(100), Some(DROPOUT))]
        {
            for reach in [longest - 1, longest + 9] {
                let a = Attention { dropout, window, ..settings(&cu_seqlens, 3, 9) };
                let [c, g] = &products(a, reach);
                let relative = Relative::Products([&c[..], g]);
                let what = format!("{isa:?}, R {reach}, window {window:?}, {dropout:?}");
                check_by_distance(&what, (a, relative), 2.0, 1e-5);
                check_bf16_by_distance(&what, a, relative);
            }
        }
    });
}

/// With D = 1 and queries of ones, products with the keys alone are scores.
#[test]
fn products_are_scaled_as_scores_are() {
    let cu_seqlens = offsets(&[1, 3, 70]);
    let a = Attention { scale: 0.37, ..settings(&cu_seqlens, 1, 1) };
    let [_, k, v, d_o] = inputs(a, 2.0);
    let width = 2 * 69 + 1;
    let (c, g) =
        (vec![0.0; 74 * width], k.iter().flat_map(|k| vec![*k; width]).collect::<Vec<_>>());
    let (zeros, ones) = (vec![0.0; 74], vec![1.0; 74]);
    let by_distance = [zeros.clone(), zeros, v.clone(), d_o.clone()];
    let (got, _) = run_by_distance(a, &by_distance, Relative::Products([&c[..], &g]));
    let want = run(a, &[ones, k, v, d_o]);
    assert_close("o", &got[0], &f64s(&want[0]), 1e-6);
    assert_close("lse", &got[1], &f64s(&want[1]), 1e-6);
}

#[test]
#[should_panic(expected = "attention: distances beyond R 1")]
fn products_that_lack_a_distance_are_refused() {
    let a = settings(&[0, 3], 1, 1);
    let relative = Relative::Products([&[0.0; 9][..]; 2]);
    let x = Qkv { q: &[0.0; 3], k: &[0.0; 3], v: &[0.0; 3], relative };
    attention::forward(a, x, &mut [0.0; 3], &mut [0.0; 3]);
}
