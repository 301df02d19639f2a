//! An interrupted training goes on as if nothing had happened.

mod common;

use autograd::{Gradients, Param, Tape, Tensor, Var, ops};
use common::{gradients, param};
use optim::{
    Adam, Optimizer, Schedule, ScheduleKind, Sgd, SgdOptions, State, StepSize, weight_decay_groups,
};
use tensor::philox::Rng;

const SCHEDULE: Schedule = Schedule { kind: ScheduleKind::Cosine, warmup: 3, total: 20 };

/// A layer that learns to repeat its input, and its gradients at step `t`.
fn layer() -> [Param; 2] {
    let w = Tensor::randn(&[6, 6], &mut Rng::new(3, 0)).scale(0.4).unwrap();
    [Param::new("dense.weight", w), Param::new("dense.bias", Tensor::zeros(&[6]))]
}

fn step_gradients([w, b]: &[Param; 2], t: u64) -> Gradients {
    let tape = Tape::new();
    let x = Tensor::randn(&[4, 6], &mut Rng::new(9, t));
    let y = ops::linear(&Var::constant(x.clone()), &tape.param(w), Some(&tape.param(b))).unwrap();
    ops::mse(&y, &x).unwrap().backward().unwrap()
}

fn train(layer: &[Param; 2], optimizer: &mut dyn Optimizer, steps: std::ops::Range<u64>) {
    for t in steps {
        let size = StepSize { lr: 0.05 * SCHEDULE.factor(t), grad_scale: 0.9.into() };
        optimizer.step(&step_gradients(layer, t), size).unwrap();
    }
}

fn bits(layer: &[Param; 2]) -> Vec<u32> {
    let values = layer.iter().flat_map(|p| p.value().to_vec::<f32>().unwrap());
    values.map(f32::to_bits).collect()
}

/// Twenty steps at once; eight, a file, and twelve more with a new optimizer.
fn interrupted_equals_whole(make: impl Fn(&[Param]) -> Box<dyn Optimizer>) {
    let whole = layer();
    train(&whole, &mut *make(&whole), 0..20);

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("optimizer.safetensors");
    let parts = layer();
    let mut first = make(&parts);
    train(&parts, &mut *first, 0..8);
    first.state().unwrap().save(&path).unwrap();
    let mut second = make(&parts);
    let state = State::load(&path).unwrap();
    assert_eq!(state.step, 8);
    second.load_state(&state).unwrap();
    train(&parts, &mut *second, 8..20);
    assert_eq!(bits(&parts), bits(&whole));

    // The state matters: without it the weights come out differently.
    let without = layer();
    train(&without, &mut *make(&without), 0..8);
    train(&without, &mut *make(&without), 8..20);
    assert_ne!(bits(&without), bits(&whole));
}

#[test]
fn adamw_goes_on_bit_for_bit() {
    interrupted_equals_whole(|params| Box::new(Adam::adamw(weight_decay_groups(params, 0.01))));
}

#[test]
fn momentum_goes_on_bit_for_bit() {
    let options = SgdOptions { momentum: 0.9, nesterov: true };
    interrupted_equals_whole(|params| {
        Box::new(Sgd::new(weight_decay_groups(params, 0.01), options))
    });
}

#[test]
fn a_state_of_other_parameters_is_refused_with_all_their_names() {
    let mut saved = Adam::new(&[param("a", &[1.0]), param("b", &[1.0, 2.0]), param("old", &[1.0])]);
    let now = [param("a", &[1.0]), param("b", &[1.0]), param("new", &[1.0])];
    let mut adam = Adam::new(&now);
    let message = adam.load_state(&saved.state().unwrap()).unwrap_err().to_string();
    assert_eq!(
        message,
        "optimizer state does not fit: exp_avg.b: expected f32 [1], got f32 [2]; \
         exp_avg_sq.b: expected f32 [1], got f32 [2]; exp_avg.new is missing; exp_avg_sq.new is missing; \
         step.new is missing; exp_avg.old is not expected; exp_avg_sq.old is not expected; \
         step.old is not expected"
    );
    // Of another optimizer.
    let mut sgd = Sgd::new(weight_decay_groups(&now[..1], 0.0), SgdOptions::default());
    let message = Adam::new(&now[..1]).load_state(&sgd.state().unwrap()).unwrap_err().to_string();
    assert_eq!(
        message,
        "optimizer state does not fit: exp_avg.a is missing; exp_avg_sq.a is missing; \
         step.a is missing; momentum.a is not expected"
    );
}

#[test]
fn a_refused_state_changes_nothing() {
    let run = |interfere: bool| {
        let w = param("w", &[1.0, -1.0]);
        let mut adam = Adam::new(std::slice::from_ref(&w));
        for t in 0..4 {
            let g = gradients(&[(&w, &[0.3, f64::from(t)])]);
            adam.step(&g, StepSize { lr: 0.1, grad_scale: 1.0.into() }).unwrap();
            let mut state = Adam::new(std::slice::from_ref(&w)).state().unwrap();
            state.tensors.pop();
            assert!(!interfere || adam.load_state(&state).is_err());
        }
        w.value().to_f64_vec().unwrap()
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn files_that_are_no_state_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    tensor::safetensors::write(&path, &[("w".to_owned(), Tensor::zeros(&[2]))]).unwrap();
    let message = State::load(&path).unwrap_err().to_string();
    let expected = format!("optimizer state does not fit: {} has no step counter", path.display());
    assert_eq!(message, expected);
    assert!(State::load(&dir.path().join("nothing")).is_err());
}
