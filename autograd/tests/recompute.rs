//! Recomputation: the gradients of the plain composition, and what is kept in the meantime.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use autograd::gradcheck::GradCheck;
use autograd::{Error, Gradients, Param, Result, Tape, Tensor, Var, ops, recompute, record};
use tensor::philox::Rng;

fn random(shape: &[usize], seed: u64) -> Tensor {
    Tensor::randn(shape, &mut Rng::new(seed, 0))
}

fn bits(t: &Tensor) -> Vec<u64> {
    t.to_f64_vec().unwrap().into_iter().map(f64::to_bits).collect()
}

/// w `[5, 5]`, b `[5]`
fn params() -> [Param; 2] {
    [Param::new("w", random(&[5, 5], 1)), Param::new("b", random(&[5], 2))]
}

/// x + tanh(x w^T + b)
fn block(tape: &Tape, [w, b]: &[Param; 2], x: &Var) -> Result<Var> {
    ops::linear(x, &tape.param(w), Some(&tape.param(b)))?.tanh()?.add(x)
}

fn recomputed(tape: &Tape, params: &[Param; 2], x: &Var) -> Result<Var> {
    let own = params.clone();
    recompute(tape, params, x, move |tape, x| block(tape, &own, x))
}

/// The sum of squares of two blocks on top of each other, by `block`; its gradients and that of the input.
fn run(
    block: impl Fn(&Tape, &[Param; 2], &Var) -> Result<Var>,
    params: &[[Param; 2]; 2],
) -> Result<(Vec<u64>, Vec<u64>, Gradients)> {
    let tape = Tape::new();
    let x = tape.input(random(&[7, 5], 3));
    let below = block(&tape, &params[0], &x.scale(0.5)?)?;
    let y = block(&tape, &params[1], &below)?;
    let loss = y.mul(&y)?.sum()?;
    let grads = loss.backward()?;
    let dx = bits(grads.input(&x).expect("of the input"));
    Ok((bits(loss.value()), dx, grads))
}

fn assert_equal(recomputed: impl Fn(&Tape, &[Param; 2], &Var) -> Result<Var>) {
    let params = [params(), params()];
    let frozen = &params[0][1];
    for freeze in [false, true] {
        frozen.freeze(freeze);
        let (loss, dx, grads) = run(block, &params).unwrap();
        let (loss_again, dx_again, grads_again) = run(&recomputed, &params).unwrap();
        assert_eq!((loss, dx), (loss_again, dx_again));
        for param in params.iter().flatten() {
            let [a, b] = [&grads, &grads_again].map(|g| g.param(param).as_ref().map(bits));
            assert_eq!(a, b, "{}", param.name());
            assert_eq!(a.is_none(), param.is_frozen());
        }
    }
}

#[test]
fn value_and_gradients_are_those_of_the_plain_composition() {
    assert_equal(recomputed);
}

#[test]
fn sections_may_be_nested() {
    assert_equal(|tape, params, x| {
        let own = params.clone();
        recompute(tape, params, x, move |tape, x| recomputed(tape, &own, x))
    });
}

#[test]
fn derivatives_are_slopes() {
    let params = params();
    let run = |tape: &Tape, inputs: &[Var]| recomputed(tape, &params, &inputs[0]);
    GradCheck::default().run(&params, &[random(&[3, 5], 4)], run).unwrap();
}

/// A parameter that is used twice, in a section and outside, and a table that a section reads by id.
#[test]
fn gradients_of_parameters_add_up() {
    let table = Param::new("table", random(&[6, 5], 5));
    let ids = Tensor::from_vec(vec![4u32, 1, 4], &[3]).unwrap();
    let read = {
        let (table, ids) = (table.clone(), ids.clone());
        move |tape: &Tape, x: &Var| ops::lookup(tape, &table, &ids)?.mul(x)
    };
    let of = |section: bool| {
        let (tape, x) = (Tape::new(), Var::constant(Tensor::full(3.0, &[3, 5])));
        let y = match section {
            true => recompute(&tape, std::slice::from_ref(&table), &x, read.clone()),
            false => read(&tape, &x),
        };
        let whole = tape.param(&table).sum().unwrap();
        let grads = y.unwrap().sum().unwrap().add(&whole).unwrap().backward().unwrap();
        grads.param(&table).unwrap().to_f64_vec().unwrap()
    };
    let want = [1.0, 4.0, 1.0, 1.0, 7.0, 1.0].map(|value| [value; 5]).concat();
    assert_eq!((of(true), of(false)), (want.clone(), want));
}

/// How often the function runs with and without a tape that records; the rules of its tapes that are alive.
#[derive(Clone, Default)]
struct Probe {
    calls: Rc<RefCell<Vec<bool>>>,
    held: Rc<()>,
    most: Rc<Cell<usize>>,
}

impl Probe {
    fn section(&self, tape: &Tape, params: &[Param], x: &Var) -> Result<Var> {
        let (probe, own) = (self.clone(), params.to_vec());
        recompute(tape, params, x, move |tape, x| probe.apply(tape, &own, x))
    }

    fn apply(&self, tape: &Tape, params: &[Param], x: &Var) -> Result<Var> {
        self.calls.borrow_mut().push(tape.is_recording());
        let y = params.iter().try_fold(x.clone(), |y, param| y.mul(&tape.param(param)))?;
        let (probe, saved) = (self.clone(), self.held.clone());
        record("hold", [&y], y.value().clone(), move |dy, _| {
            probe.most.set(probe.most.get().max(Rc::strong_count(&saved)));
            Ok([Some(dy.clone())])
        })
    }
}

fn scalar(value: f32) -> Param {
    Param::new("s", Tensor::from_vec(vec![value], &[1]).unwrap())
}

#[test]
fn a_section_is_computed_again_when_the_walk_arrives() {
    let (probe, tape, param) = (Probe::default(), Tape::new(), scalar(2.0));
    let x = tape.input(Tensor::full(3.0, &[1]));
    let section = |x: &Var| probe.section(&tape, std::slice::from_ref(&param), x).unwrap();
    let y = (0..4).fold(x.clone(), |x, _| section(&x));
    assert_eq!(*probe.calls.borrow(), [false; 4]);
    let before = Rc::strong_count(&probe.held);
    let grads = y.backward().unwrap();
    assert_eq!(*probe.calls.borrow(), [[false; 4], [true; 4]].concat());
    // One section at a time has its saved values: the handles of its rule, its probe and theirs.
    assert!(probe.most.get() <= before + 2, "{} of {before}", probe.most.get());
    assert_eq!(Rc::strong_count(&probe.held), 1);
    assert_eq!(grads.input(&x).unwrap().to_f64_vec().unwrap(), [16.0]);
    assert_eq!(grads.param(&param).unwrap().to_f64_vec().unwrap(), [4.0 * 8.0 * 3.0]);
}

#[test]
fn where_nothing_needs_a_gradient_nothing_is_recorded() {
    let (probe, param) = (Probe::default(), scalar(2.0));
    let (constant, params) = (Var::constant(Tensor::full(3.0, &[1])), [param.clone()]);
    let inference = probe.section(&Tape::inference(), &params, &constant).unwrap();
    param.freeze(true);
    let frozen = probe.section(&Tape::new(), &params, &constant).unwrap();
    for y in [inference, frozen] {
        assert!(!y.needs_gradient());
        assert_eq!(y.value().to_f64_vec().unwrap(), [6.0]);
    }
    assert_eq!((probe.calls.borrow().len(), Rc::strong_count(&probe.held)), (2, 1));
    // A gradient of the input alone, of a parameter alone.
    let tape = Tape::new();
    let x = tape.input(constant.value().clone());
    let grads = probe.section(&tape, &params, &x).unwrap().backward().unwrap();
    assert!(grads.param(&param).is_none());
    assert_eq!(grads.input(&x).unwrap().to_f64_vec().unwrap(), [2.0]);
    param.freeze(false);
    let grads = probe.section(&Tape::new(), &params, &constant).unwrap().backward().unwrap();
    assert_eq!(grads.param(&param).unwrap().to_f64_vec().unwrap(), [3.0]);
}

#[test]
fn errors_of_both_calls_come_through() {
    let (tape, bad) = (Tape::new(), Var::constant(Tensor::zeros(&[3])));
    let x = tape.input(Tensor::full(1.0, &[2]));
    let fails = |when: fn(&Tape) -> bool| {
        let bad = bad.clone();
        recompute(&tape, &[], &x, move |tape, x| if when(tape) { x.add(&bad) } else { x.tanh() })
    };
    let message = "add: shapes [2] and [3] do not fit together";
    assert_eq!(fails(|_| true).unwrap_err().to_string(), message);
    let late = fails(Tape::is_recording).unwrap().sum().unwrap();
    assert_eq!(late.backward().unwrap_err().to_string(), message);
}

#[test]
fn variables_of_other_tapes_are_refused() {
    let (tape, other) = (Tape::new(), Tape::new());
    let (x, far) = (tape.input(Tensor::full(1.0, &[2])), other.input(Tensor::full(1.0, &[2])));
    let square = |tape: &Tape, x: &Var| recompute(tape, &[], x, |_, x| x.mul(x));
    assert!(matches!(square(&tape, &far), Err(Error::TwoTapes { op: "recompute" })));
    let outer = x.clone();
    let captured = recompute(&tape, &[], &x, move |_, x| x.mul(&outer));
    assert!(matches!(captured, Err(Error::TwoTapes { op: "recompute" })));
    square(&other, &far).unwrap().sum().unwrap().backward().unwrap();
    assert!(matches!(square(&other, &far), Err(Error::Walked)));
    // An input that is not used has no gradient, and that is an error as with any rule.
    let unused = recompute(&tape, &[], &x, |tape, _| Ok(tape.input(Tensor::scalar(1.0))));
    let message = "recompute: no gradient for input 0, which needs one";
    assert_eq!(unused.unwrap().backward().unwrap_err().to_string(), message);
}
