//! What the optimizer tests share: gradients of our choice.

use autograd::{Gradients, Param, Tape, Tensor, Var};

/// A parameter `[n]` of f32.
pub fn param(name: &str, values: &[f64]) -> Param {
    let values: Vec<f32> = values.iter().map(|&x| x as f32).collect();
    let shape = [values.len()];
    Param::new(name, Tensor::from_vec(values, &shape).unwrap())
}

/// Gradients with these values: those of the loss sum of g w.
pub fn gradients(pairs: &[(&Param, &[f64])]) -> Gradients {
    let tape = Tape::new();
    let mut loss: Option<Var> = None;
    for (param, g) in pairs {
        let w = tape.param(param);
        let g =
            Tensor::from_vec(g.to_vec(), w.shape()).unwrap().to_dtype(w.value().dtype()).unwrap();
        let term = w.mul(&Var::constant(g)).unwrap().sum().unwrap();
        loss = Some(match loss {
            Some(loss) => loss.add(&term).unwrap(),
            None => term,
        });
    }
    loss.expect("at least one parameter").backward().unwrap()
}

/// The gradients of step t, from 1, of the four weights and the bias in the PyTorch scripts.
#[allow(dead_code, reason = "not every test compares with those")]
pub fn torch_gradients(t: usize) -> ([f64; 4], [f64; 1]) {
    let t = t as f64;
    let last = if t % 2.0 == 1.0 { 0.0 } else { -1e-3 };
    ([0.1 * t, -0.2, 3.0 / t, last], [0.5 - 0.1 * (t - 1.0)])
}

/// Asserts |got - want| <= tolerance (1 + |want|).
#[allow(dead_code, reason = "not every test compares values")]
#[track_caller]
pub fn assert_close(got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() <= tolerance * (1.0 + want.abs()), "got {got}, expected {want}");
    }
}
