//! A table that is updated by rows has the bits of one that is updated as a whole.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice::from_ref;

use autograd::{Gradient, Gradients, Param, Tape, Tensor, Var, ops};
use optim::{
    Adam, AdamOptions, Optimizer, ParamGroup, Schedule, ScheduleKind, Sgd, SgdOptions, StepSize,
    clip, weight_decay_groups,
};
use tensor::philox::Rng;

const V: usize = 23;
const H: usize = 19;

const SCHEDULE: Schedule = Schedule { kind: ScheduleKind::Linear, warmup: 5, total: 60 };

fn table() -> Param {
    Param::new("word.weight", Tensor::randn(&[V, H], &mut Rng::new(1, 0)).scale(0.1).unwrap())
}

/// The rows that step `t` reads, with repeats: none, one, some, all.
fn ids(t: u64) -> Vec<u32> {
    let mut rng = Rng::new(2, t);
    let tokens = [0, 1, 6, 9, 3][t as usize % 5];
    match t % 17 {
        11 => (0..V as u32).collect(),
        _ => (0..tokens).map(|_| (rng.normal().abs() * 5.0) as u32 % V as u32).collect(),
    }
}

/// The gradients of a step, as rows or, by way of a matrix that is multiplied by, as a whole.
fn gradients(table: &Param, t: u64, whole: bool) -> Gradients {
    let tape = Tape::new();
    let ids = ids(t);
    let g = Tensor::randn(&[ids.len(), H], &mut Rng::new(3, t));
    if whole {
        let w = Param::new("like", Tensor::zeros(&[V, H]));
        let dense = rows_loss(&tape, &w, &ids, g).backward().unwrap().param(&w).unwrap();
        let w = tape.param(table);
        return w.mul(&Var::constant(dense)).unwrap().sum().unwrap().backward().unwrap();
    }
    rows_loss(&tape, table, &ids, g).backward().unwrap()
}

fn rows_loss(tape: &Tape, table: &Param, ids: &[u32], g: Tensor) -> Var {
    let ids = Tensor::from_vec(ids.to_vec(), &[ids.len()]).unwrap();
    let rows = ops::lookup(tape, table, &ids).unwrap();
    rows.mul(&Var::constant(g)).unwrap().sum().unwrap()
}

fn bits(t: &Tensor) -> Vec<u32> {
    t.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

/// Weights and state, to the bit.
fn all_bits(table: &Param, optimizer: &mut dyn Optimizer) -> Vec<Vec<u32>> {
    let state = optimizer.state().unwrap();
    let moments = state.tensors.iter().filter(|(_, t)| t.rank() == 2).map(|(_, t)| bits(t));
    moments.chain([bits(&table.value())]).collect()
}

/// How a run treats its table.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// Gradients are whole tensors.
    Whole,
    /// Gradients are rows; nobody calls `catch_up`.
    Eager,
    /// Rows, updated when they are read.
    Deferred,
}

fn train(table: &Param, optimizer: &mut dyn Optimizer, steps: std::ops::Range<u64>, mode: Mode) {
    for t in steps {
        if mode == Mode::Deferred {
            optimizer.catch_up(table, &ids(t)).unwrap();
            if t % 7 == 3 {
                optimizer
                    .catch_up(table, &[22, 0, 0, ids(t).first().copied().unwrap_or(4)])
                    .unwrap();
                optimizer.catch_up(table, &ids(t)).unwrap();
            }
        }
        let size = StepSize {
            lr: 1e-2 * SCHEDULE.factor(t),
            grad_scale: clip::factor(1.0 + (t % 4) as f64, 2.5).into(),
        };
        // Now and then the table is frozen, and has no gradient.
        let other = Param::new("other", Tensor::zeros(&[1]));
        let grads = match t % 13 {
            6 => Tape::new().param(&other).sum().unwrap().backward().unwrap(),
            _ => gradients(table, t, mode == Mode::Whole),
        };
        optimizer.step(&grads, size).unwrap();
        if mode == Mode::Deferred && t % 29 == 20 {
            optimizer.flush().unwrap();
        }
    }
}

fn adam(table: &Param, weight_decay: f64) -> Adam {
    let options = AdamOptions { beta1: 0.8, beta2: 0.99, eps: 1e-6 };
    let group = ParamGroup { params: vec![table.clone()], weight_decay };
    Adam::with_options(vec![group], options)
}

#[test]
fn rows_equal_the_whole_bit_for_bit() {
    for weight_decay in [0.0, 0.1] {
        let [whole, eager, deferred] = [Mode::Whole, Mode::Eager, Mode::Deferred].map(|mode| {
            let table = table();
            let mut optimizer = adam(&table, weight_decay);
            train(&table, &mut optimizer, 0..60, mode);
            all_bits(&table, &mut optimizer)
        });
        assert!(whole == eager, "weight decay {weight_decay}, eager");
        assert!(whole == deferred, "weight decay {weight_decay}, deferred");
    }
}

/// Thousands of updates between two uses.
#[test]
fn long_gaps() {
    let run = |lazily: bool| {
        let table = table();
        let mut optimizer = Adam::adamw(weight_decay_groups(from_ref(&table), 0.01));
        for t in 0..2500u64 {
            let size = StepSize { lr: 1e-3 * (1.0 - t as f64 / 2500.0), grad_scale: 1.0.into() };
            let rows = if t % 2100 == 7 { vec![3, 5] } else { vec![8] };
            if lazily {
                optimizer.catch_up(&table, &rows).unwrap();
            }
            let g = Tensor::randn(&[rows.len(), H], &mut Rng::new(3, t));
            let grads = rows_loss(&Tape::new(), &table, &rows, g).backward().unwrap();
            optimizer.step(&grads, size).unwrap();
        }
        all_bits(&table, &mut optimizer)
    };
    assert!(run(true) == run(false));
}

/// A gradient of the whole table among those of rows. It is computed before its rows are read, as that of a tied
/// table would be after a flush.
#[test]
fn a_whole_gradient_in_between() {
    let run = |mode: Mode| {
        let table = table();
        let mut optimizer = adam(&table, 0.1);
        let grads = gradients(&table, 14, true);
        train(&table, &mut optimizer, 0..13, mode);
        optimizer.step(&grads, StepSize { lr: 0.01, grad_scale: 1.0.into() }).unwrap();
        drop(table.value());
        train(&table, &mut optimizer, 13..25, mode);
        all_bits(&table, &mut optimizer)
    };
    assert!(run(Mode::Whole) == run(Mode::Deferred));
}

/// The gradient of a table that is looked up and multiplied by, as of a masked language model: whole at each step.
fn tied_gradients(table: &Param, t: u64) -> Gradients {
    let (tape, ids) = (Tape::new(), [ids(t), vec![2]].concat());
    let g = Tensor::randn(&[ids.len(), H], &mut Rng::new(3, t));
    let logits = Tensor::randn(&[V, H], &mut Rng::new(4, t));
    let read = rows_loss(&tape, table, &ids, g).tanh().unwrap();
    let decoded = tape.param(table).mul(&Var::constant(logits)).unwrap().sum().unwrap();
    read.add(&decoded).unwrap().backward().unwrap()
}

/// Steps of a tied table defer nothing: it may be read as a whole between them, and a flush is all that the steps
/// of a classifier before them leave to do.
#[test]
fn a_tied_table_is_always_up_to_date() {
    let run = |mode: Mode| {
        let table = table();
        let mut optimizer = adam(&table, 0.1);
        for start in [0, 20] {
            train(&table, &mut optimizer, start..start + 10, mode);
            optimizer.flush().unwrap();
            for t in start + 10..start + 20 {
                if mode == Mode::Deferred {
                    optimizer.catch_up(&table, &ids(t)).unwrap();
                }
                let grads = tied_gradients(&table, t);
                assert!(matches!(grads.of(&table), Some(Gradient::Dense(_))));
                optimizer.step(&grads, StepSize { lr: 0.01, grad_scale: 0.5.into() }).unwrap();
            }
        }
        all_bits(&table, &mut optimizer)
    };
    let whole = run(Mode::Whole);
    assert!(whole == run(Mode::Eager) && whole == run(Mode::Deferred));
}

/// A state that is taken amid deferred updates, and loaded amid others.
#[test]
fn states_hold_every_update() {
    let run = |mode: Mode| {
        let [first, second] = [table(), table()];
        let mut optimizer = adam(&first, 0.1);
        train(&first, &mut optimizer, 0..10, mode);
        let state = optimizer.state().unwrap();
        let mut other = adam(&second, 0.1);
        train(&second, &mut other, 30..34, mode);
        other.load_state(&state).unwrap();
        train(&second, &mut other, 10..30, mode);
        all_bits(&second, &mut other)
    };
    assert!(run(Mode::Whole) == run(Mode::Deferred));
}

#[test]
fn stale_rows_cannot_be_read() {
    let table = table();
    let mut optimizer = adam(&table, 0.0);
    train(&table, &mut optimizer, 0..3, Mode::Deferred);
    let read = || catch_unwind(AssertUnwindSafe(|| table.value()));
    assert!(read().is_err());
    let row = |id: u32| {
        let ids = Tensor::from_vec(vec![id], &[1]).unwrap();
        ops::lookup(&Tape::inference(), &table, &ids)
    };
    let untouched = (0..V as u32).find(|id| !ids(2).contains(id)).unwrap();
    assert!(row(ids(2)[0]).is_ok() && row(untouched).is_err());
    assert!(optimizer.catch_up(&table, &[untouched, V as u32]).is_err());
    assert!(row(untouched).is_err(), "a refused call catches up with nothing");
    optimizer.catch_up(&table, &[untouched]).unwrap();
    assert!(row(untouched).is_ok() && read().is_err());
    optimizer.flush().unwrap();
    assert!(read().is_ok());
    // Of another optimizer's parameter there is nothing to say.
    assert!(optimizer.catch_up(&Param::new("other", Tensor::zeros(&[2])), &[9]).is_ok());
}

#[test]
fn sgd_updates_every_row_at_once() {
    let options = SgdOptions { momentum: 0.9, nesterov: true };
    let [whole, rows] = [Mode::Whole, Mode::Deferred].map(|mode| {
        let table = table();
        let mut sgd = Sgd::new(weight_decay_groups(from_ref(&table), 0.01), options);
        train(&table, &mut sgd, 0..20, mode);
        all_bits(&table, &mut sgd)
    });
    assert!(whole == rows);
}
