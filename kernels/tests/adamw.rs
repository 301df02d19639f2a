//! AdamW against its definition and against PyTorch.

use kernels::adamw::{self, Step};
use kernels::testing::{SIZES, assert_close, each_isa, f64s, random};

const STEP: Step = Step {
    lr: 1e-2,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weight_decay: 0.1,
    step: 1,
    grad_scale: 1.0,
};

/// Ten updates of `n` weights, the gradients new each time, with the kernel and with the reference.
fn check(what: &str, n: usize, s: Step) {
    let mut got = [random(n, 1.0, 1), vec![0.0; n], vec![0.0; n]];
    let mut want = got.each_ref().map(|x| f64s(x));
    for step in 1..=10 {
        let (s, g) = (Step { step, ..s }, random(n, 0.5, 10 + step));
        let [w, m, v] = &mut got;
        adamw::update(s, w, &g, m, v);
        let [w, m, v] = &mut want;
        adamw::reference::update(s, w, &f64s(&g), m, v);
    }
    for ((name, got), want) in ["w", "m", "v"].into_iter().zip(&got).zip(&want) {
        assert_close(&format!("{what} {name}"), got, want, 1e-6);
    }
}

#[test]
fn equals_reference() {
    each_isa(|isa| {
        for n in SIZES.into_iter().chain([40_000]) {
            check(&format!("{isa:?} n {n}"), n, STEP);
        }
    });
}

#[test]
fn clipping_and_no_decay() {
    each_isa(|_| {
        check("clipped", 130, Step { grad_scale: 0.25, ..STEP });
        check("Adam", 130, Step { weight_decay: 0.0, ..STEP });
        check("large eps", 130, Step { eps: 0.1, ..STEP });
    });
}

/// Ten updates in PyTorch 2.15:
///
/// ```python
/// w = torch.nn.Parameter(torch.tensor([0.5, -1.0, 2.0, 0.0]))
/// opt = torch.optim.AdamW([w], lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1)
/// for t in range(1, 11):
///     w.grad = torch.tensor([0.1 * t, -0.2, 3.0 / t, 0.0 if t % 2 else -1e-3])
///     opt.step()
/// s = opt.state[w]
/// print(w.tolist(), s["exp_avg"].tolist(), s["exp_avg_sq"].tolist(), sep="\n")
/// ```
#[test]
fn equals_pytorch() {
    const W: [f64; 4] =
        [0.3970014452934265, -0.8904939293861389, 1.9033440351486206, 0.062106259167194366];
    const M: [f64; 4] =
        [0.4138105809688568, -0.1302643120288849, 0.4583362936973572, -0.0003428008349146694];
    const V: [f64; 4] = [
        0.0038417628966271877,
        0.00039820486563257873,
        0.013835215009748936,
        4.9800510382169705e-09,
    ];
    each_isa(|isa| {
        let (mut w, mut m, mut v) = ([0.5, -1.0, 2.0, 0.0], [0.0; 4], [0.0; 4]);
        for t in 1..=10 {
            let last = if t % 2 == 1 { 0.0 } else { -1e-3 };
            let g = [0.1 * t as f32, -0.2, 3.0 / t as f32, last];
            adamw::update(Step { step: t, ..STEP }, &mut w, &g, &mut m, &mut v);
        }
        assert_close(&format!("{isa:?} w"), &w, &W, 3e-7);
        assert_close(&format!("{isa:?} m"), &m, &M, 1e-7);
        // 1 - 0.999 of an f32 0.999 would be 1.3e-5 off.
        for (got, want) in v.into_iter().zip(V) {
            assert!((f64::from(got) / want - 1.0).abs() < 1e-6, "{isa:?} v: {got}, {want}");
        }
    });
}

#[test]
fn the_first_step_is_the_learning_rate() {
    each_isa(|_| {
        let (mut w, mut m, mut v) = ([0.0; 4], [0.0; 4], [0.0; 4]);
        let g = [1e-3, -7.0, 1e10, 0.0];
        adamw::update(Step { weight_decay: 0.0, ..STEP }, &mut w, &g, &mut m, &mut v);
        assert_close("w", &w, &[-0.01 * 1e-3 / (1e-3 + 1e-8), 0.01, -0.01, 0.0], 1e-7);
    });
}

/// A gradient that is no number spoils its own weight and no other.
#[test]
fn extreme_gradients() {
    each_isa(|_| {
        let (mut w, mut m, mut v) = ([1.0; 4], [0.0; 4], [0.0; 4]);
        let g = [f32::NAN, f32::INFINITY, 1e30, 0.0];
        adamw::update(STEP, &mut w, &g, &mut m, &mut v);
        // inf / inf; and 1e30 squared is infinity, by which m is divided.
        assert!(w[0].is_nan() && w[1].is_nan());
        assert_close("w", &w[2..], &[0.999, 0.999], 1e-7);
    });
}

#[test]
fn threads_do_not_change_the_bits() {
    let (g, start) = (random(100_003, 1.0, 2), random(100_003, 1.0, 3));
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (mut w, mut m, mut v) = (start.clone(), vec![0.0; g.len()], vec![0.0; g.len()]);
        pool.install(|| adamw::update(STEP, &mut w, &g, &mut m, &mut v));
        w
    };
    each_isa(|isa| assert_eq!(run(1), run(3), "{isa:?}"));
}

#[test]
#[should_panic(expected = "count from 1")]
fn step_zero_panics() {
    adamw::update(Step { step: 0, ..STEP }, &mut [], &[], &mut [], &mut []);
}
