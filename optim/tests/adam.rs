//! Adam and AdamW against the formulas, written here in f64, and against PyTorch.

mod common;

use autograd::Param;
use common::{assert_close, gradients, param, torch_gradients};
use optim::{Adam, AdamOptions, Optimizer, ParamGroup, StepSize, weight_decay_groups};
use tensor::{DType, philox::Rng};

/// Kingma and Ba, algorithm 1, of one number, with decoupled weight decay.
struct Formulas {
    options: AdamOptions,
    weight_decay: f64,
    m: f64,
    v: f64,
    t: i32,
}

impl Formulas {
    fn step(&mut self, w: f64, g: f64, lr: f64) -> f64 {
        let AdamOptions { beta1, beta2, eps } = self.options;
        self.t += 1;
        self.m = beta1 * self.m + (1.0 - beta1) * g;
        self.v = beta2 * self.v + (1.0 - beta2) * g * g;
        let m_hat = self.m / (1.0 - beta1.powi(self.t));
        let v_hat = self.v / (1.0 - beta2.powi(self.t));
        w - lr * self.weight_decay * w - lr * m_hat / (v_hat.sqrt() + eps)
    }
}

/// Fifty steps with random gradients and changing learning rates, by both.
fn follow(dtype: DType, options: AdamOptions, weight_decay: f64, tolerance: f64) {
    let n = 37;
    let mut rng = Rng::new(1, 0);
    let mut normal = |scale: f64| -> Vec<f64> { (0..n).map(|_| scale * rng.normal()).collect() };
    let w = param("w", &normal(1.0));
    w.set(w.value().to_dtype(dtype).unwrap());
    let mut want = w.value().to_f64_vec().unwrap();
    let group = ParamGroup { params: vec![w.clone()], weight_decay };
    let mut adam = Adam::with_options(vec![group], options);
    let mut formulas: Vec<Formulas> =
        (0..n).map(|_| Formulas { options, weight_decay, m: 0.0, v: 0.0, t: 0 }).collect();
    for step in 0..50 {
        // Small and large, so that epsilon counts for some; as f32 holds them.
        let g: Vec<f64> =
            normal(10f64.powi(step % 7 - 5)).iter().map(|&g| f64::from(g as f32)).collect();
        let (lr, grad_scale) = (0.02 / f64::from(step + 1), 0.25);
        adam.step(&gradients(&[(&w, &g)]), StepSize { lr, grad_scale: grad_scale.into() }).unwrap();
        for ((want, f), g) in want.iter_mut().zip(&mut formulas).zip(&g) {
            *want = f.step(*want, grad_scale * g, lr);
        }
        assert_close(&w.value().to_f64_vec().unwrap(), &want, tolerance);
    }
}

#[test]
fn adam_is_its_formulas() {
    follow(DType::F64, AdamOptions::default(), 0.0, 1e-13);
    follow(DType::F32, AdamOptions::default(), 0.0, 1e-6);
}

#[test]
fn adamw_is_its_formulas() {
    let options = AdamOptions { beta1: 0.8, beta2: 0.98, eps: 1e-6 };
    follow(DType::F64, options, 0.1, 1e-13);
    follow(DType::F32, options, 0.1, 1e-6);
}

/// Ten steps with the gradients of the PyTorch scripts; the weights, then the bias.
fn ten_steps(make: impl FnOnce(&[Param]) -> Adam) -> Vec<f64> {
    let params = [param("w", &[0.5, -1.0, 2.0, 0.0]), param("bias", &[0.25])];
    let mut adam = make(&params);
    for t in 1..=10 {
        let (w, b) = torch_gradients(t);
        let grads = gradients(&[(&params[0], &w), (&params[1], &b)]);
        adam.step(&grads, StepSize { lr: 1e-2, grad_scale: 1.0.into() }).unwrap();
    }
    params.iter().flat_map(|p| p.value().to_f64_vec().unwrap()).collect()
}

/// PyTorch 2.15:
///
/// ```python
/// w = torch.nn.Parameter(torch.tensor([0.5, -1.0, 2.0, 0.0]))
/// b = torch.nn.Parameter(torch.tensor([0.25]))
/// groups = [dict(params=[w], weight_decay=0.1), dict(params=[b], weight_decay=0.0)]
/// opt = torch.optim.AdamW(groups, lr=1e-2)
/// for t in range(1, 11):
///     w.grad = torch.tensor([0.1 * t, -0.2, 3.0 / t, 0.0 if t % 2 else -1e-3])
///     b.grad = torch.tensor([0.5 - 0.1 * (t - 1)])
///     opt.step()
/// print(w.tolist() + b.tolist())
/// ```
#[test]
fn adamw_equals_pytorch() {
    let want = [
        0.3970014452934265,
        -0.8904939293861389,
        1.9033440351486206,
        0.062106259167194366,
        0.18666106462478638,
    ];
    assert_close(&ten_steps(|params| Adam::adamw(weight_decay_groups(params, 0.1))), &want, 3e-7);
}

/// The same with `torch.optim.Adam([w, b], lr=1e-2, betas=(0.8, 0.99), eps=1e-6)`.
#[test]
fn adam_equals_pytorch() {
    let want = [
        0.39482197165489197,
        -0.9000006914138794,
        1.9295638799667358,
        0.06368887424468994,
        0.19800575077533722,
    ];
    let options = AdamOptions { beta1: 0.8, beta2: 0.99, eps: 1e-6 };
    let make = |params: &[Param]| Adam::with_options(weight_decay_groups(params, 0.0), options);
    assert_close(&ten_steps(make), &want, 3e-7);
}

/// Seven steps in which the bias is frozen, then three in which it is not. PyTorch 2.15, gradient `None` while
/// it is frozen, 0.5 afterwards: 0.2199999839067459. The bias corrections begin with a parameter's own first
/// update. Counted from the first of all, its first step would be 0.5 of the rate here and 3.2 after thousands.
#[test]
fn a_parameter_that_comes_later_starts_like_the_others() {
    let (w, b) = (param("w", &[0.5, -1.0]), param("bias", &[0.25]));
    let mut adam = Adam::new(&[w.clone(), b.clone()]);
    for step in 0..10 {
        b.freeze(step < 7);
        let grads = gradients(&[(&w, &[0.1, -0.2]), (&b, &[0.5])]);
        adam.step(&grads, StepSize { lr: 1e-2, grad_scale: 1.0.into() }).unwrap();
    }
    assert_close(
        &w.value().to_f64_vec().unwrap(),
        &[0.40000009536743164, -0.9000000953674316],
        3e-7,
    );
    assert_close(&b.value().to_f64_vec().unwrap(), &[0.2199999839067459], 3e-7);
}

#[test]
fn names_decide_what_decays() {
    let names = [
        "embeddings.word_embeddings.weight",
        "embeddings.LayerNorm.weight",
        "encoder.layer.0.attention.self.query.weight",
        "encoder.layer.0.attention.self.query.bias",
        "encoder.layer.0.output.LayerNorm.bias",
        "classifier.bias",
    ];
    let params = names.map(|name| param(name, &[1.0]));
    let groups = weight_decay_groups(&params, 0.01);
    let described: Vec<(f64, Vec<&str>)> = groups
        .iter()
        .map(|g| (g.weight_decay, g.params.iter().map(Param::name).collect()))
        .collect();
    let (with, without) = (vec![names[0], names[2]], vec![names[1], names[3], names[4], names[5]]);
    assert_eq!(described, [(0.01, with), (0.0, without)]);

    // Without a gradient's pull, only what decays moves.
    let mut adam = Adam::adamw(groups);
    let zero = [0.0];
    let pairs = params.each_ref().map(|p| (p, &zero[..]));
    adam.step(&gradients(&pairs), StepSize { lr: 0.1, grad_scale: 1.0.into() }).unwrap();
    let moved = params.each_ref().map(|p| p.value().item().unwrap() < 1.0);
    assert_eq!(moved, [true, false, true, false, false, false]);
}
