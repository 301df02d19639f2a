//! Rotary position embeddings against their definition.

use half::bf16;
use kernels::Element;
use kernels::rotary::{self, Rotary, reference};
use kernels::testing::{assert_close, each_isa, f64s, random};

const THETA: f64 = 10_000.0;

/// Lengths of a ragged batch; more tokens than one task takes, where heads are large.
const BATCHES: [&[u32]; 3] = [&[0, 1], &[0, 1, 8, 10, 75], &[0, 300]];

/// N and D.
const HEADS: [[usize; 2]; 7] = [[1, 2], [3, 6], [2, 32], [12, 64], [3, 80], [1, 128], [5, 66]];

/// q, k and v, and what `join` makes of three gradients, as f32.
fn run<E: Element>(rotary: Rotary, qkv: &[E], grads: [&[E]; 3]) -> ([Vec<f32>; 3], Vec<f32>) {
    let mut parts = [(); 3].map(|()| vec![E::round(f32::NAN); qkv.len() / 3]);
    let [q, k, v] = &mut parts;
    rotary::split(rotary, qkv, [q, k, v]);
    let mut dqkv = vec![E::round(f32::NAN); qkv.len()];
    rotary::join(rotary, grads, &mut dqkv);
    let wide = |x: Vec<E>| x.into_iter().map(E::widen).collect();
    (parts.map(wide), wide(dqkv))
}

fn check<E: Element>(what: &str, ends: &[u32], [heads, head_dim]: [usize; 2], tolerance: f64) {
    let n = *ends.last().unwrap() as usize * heads * head_dim;
    let rounded = |n, seed| random(n, 1.0, seed).into_iter().map(E::round).collect::<Vec<E>>();
    let (qkv, grads) = (rounded(3 * n, 1), [2, 3, 4].map(|seed| rounded(n, seed)));
    let table = rotary::table(head_dim, THETA, 300);
    let rotary = Rotary { table: &table, cu_seqlens: ends, heads, head_dim };
    let (parts, dqkv) = run(rotary, &qkv, grads.each_ref().map(|g| &g[..]));

    let wide = |x: &[E]| x.iter().map(|x| f64::from(x.widen())).collect::<Vec<f64>>();
    let want = reference::split(THETA, ends, [heads, head_dim], &wide(&qkv));
    let grads = grads.each_ref().map(|g| wide(g));
    let want_dqkv =
        reference::join(THETA, ends, [heads, head_dim], grads.each_ref().map(|g| &g[..]));
    let what = format!("{what} {ends:?}, {heads} heads of {head_dim}");
    for (name, (part, want)) in ["q", "k", "v"].iter().zip(parts.iter().zip(&want)) {
        assert_close(&format!("{what} {name}"), part, want, tolerance);
    }
    assert_close(&format!("{what} dqkv"), &dqkv, &want_dqkv, tolerance);
}

#[test]
fn equals_reference() {
    each_isa(|isa| {
        for ends in BATCHES {
            for heads in HEADS {
                check::<f32>(&format!("{isa:?}"), ends, heads, 3e-7);
                check::<bf16>(&format!("{isa:?} bf16"), ends, heads, 4e-3);
            }
        }
    });
}

#[test]
fn by_hand() {
    // One head of 4: pairs are columns 0 and 2, which turn by 1 a place, and 1 and 3, which turn by 1/2.
    let table = rotary::table(4, 4.0, 3);
    let rotary = Rotary { table: &table, cu_seqlens: &[0, 1, 4], heads: 1, head_dim: 4 };
    let qkv = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 5.0, 6.0, 7.0, 8.0].repeat(4);
    let places = [0.0f64, 0.0, 1.0, 2.0];
    let q = places.map(|p| [p.cos(), (p / 2.0).cos(), p.sin(), (p / 2.0).sin()]).concat();
    let k = places.map(|p| [-p.sin(), -(p / 2.0).sin(), p.cos(), (p / 2.0).cos()]).concat();
    each_isa(|_| {
        let (parts, _) = run::<f32>(rotary, &qkv, [&[0.0; 16]; 3]);
        assert_close("q", &parts[0], &q, 1e-7);
        assert_close("k", &parts[1], &k, 1e-7);
        assert_eq!(parts[2], [5.0, 6.0, 7.0, 8.0].repeat(4));
    });
}

#[test]
fn joining_undoes_splitting() {
    each_isa(|isa| {
        for [heads, head_dim] in HEADS {
            let table = rotary::table(head_dim, THETA, 65);
            let rotary = Rotary { table: &table, cu_seqlens: BATCHES[1], heads, head_dim };
            let qkv = random(75 * 3 * heads * head_dim, 1.0, 1);
            let mut parts = [(); 3].map(|()| vec![0.0; qkv.len() / 3]);
            let [q, k, v] = &mut parts;
            rotary::split(rotary, &qkv, [q, k, v]);
            let (_, back) = run(rotary, &qkv, parts.each_ref().map(|part| &part[..]));
            assert_close(&format!("{isa:?}, D {head_dim}"), &back, &f64s(&qkv), 4e-7);
        }
    });
}

/// The same query and key everywhere in a sequence: what they score is a function of how far apart they are.
#[test]
fn scores_depend_on_the_difference_of_places() {
    let (head_dim, len) = (64, 40);
    let token = random(3 * head_dim, 1.0, 1);
    let table = rotary::table(head_dim, THETA, len);
    let ends = [0, len as u32];
    let rotary = Rotary { table: &table, cu_seqlens: &ends, heads: 1, head_dim };
    each_isa(|isa| {
        let ([q, k, _], _) =
            run::<f32>(rotary, &token.repeat(len), [&vec![0.0; len * head_dim]; 3]);
        let row = |x: &[f32], p: usize| f64s(&x[p * head_dim..][..head_dim]);
        let score = |p, r| row(&q, p).iter().zip(row(&k, r)).map(|(q, k)| q * k).sum::<f64>();
        for (p, r) in (0..len).flat_map(|p| (0..len).map(move |r| (p, r))) {
            let first = score(p.saturating_sub(r), r.saturating_sub(p));
            assert!((score(p, r) - first).abs() < 2e-5, "{isa:?}: places {p} and {r}");
        }
        let spread = (1..len).map(|p| (score(p, 0) - score(0, 0)).abs()).fold(0.0, f64::max);
        assert!(spread > 0.1, "{isa:?}: no score depends on places");
    });
}

/// `join` is the transpose of `split`: <y, split(x)> = <join(y), x>.
#[test]
fn joining_is_the_backward_of_splitting() {
    let (ends, heads) = (BATCHES[1], [3, 6]);
    let (x, y) = (f64s(&random(75 * 3 * 18, 1.0, 1)), f64s(&random(75 * 3 * 18, 1.0, 2)));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let split = reference::split(THETA, ends, heads, &x).concat();
    let parts: [&[f64]; 3] = std::array::from_fn(|i| &y[i * y.len() / 3..][..y.len() / 3]);
    let join = reference::join(THETA, ends, heads, parts);
    assert!((dot(&y, &split) - dot(&join, &x)).abs() < 1e-11);
}

#[test]
fn a_nan_stays_in_its_pair() {
    each_isa(|_| {
        let table = rotary::table(8, THETA, 5);
        let rotary = Rotary { table: &table, cu_seqlens: &[0, 5], heads: 2, head_dim: 8 };
        let mut qkv = random(5 * 48, 1.0, 1);
        // The third token, the second head of its keys.
        qkv[2 * 48 + 16 + 8 + 1] = f32::NAN;
        let (parts, _) = run(rotary, &qkv, [&[0.0; 80]; 3]);
        let nans = |x: &[f32]| (0..x.len()).filter(|&i| x[i].is_nan()).collect::<Vec<_>>();
        assert_eq!(parts.map(|x| nans(&x)), [vec![], vec![2 * 16 + 8 + 1, 2 * 16 + 8 + 5], vec![]]);
    });
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    each_isa(|_| {
        let table = rotary::table(64, THETA, 300);
        let rotary = Rotary { table: &table, cu_seqlens: BATCHES[2], heads: 12, head_dim: 64 };
        let (qkv, grad) = (random(300 * 3 * 768, 1.0, 1), random(300 * 768, 1.0, 2));
        let [one, two] = [1, 2].map(|n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            pool.install(|| run::<f32>(rotary, &qkv, [&grad; 3]))
        });
        assert_eq!(one, two);
    });
}

#[test]
#[should_panic(expected = "2 places of the table")]
fn a_short_table_panics() {
    let table = rotary::table(2, THETA, 1);
    let rotary = Rotary { table: &table, cu_seqlens: &[0, 2], heads: 1, head_dim: 2 };
    run::<f32>(rotary, &[0.0; 12], [&[0.0; 4]; 3]);
}
