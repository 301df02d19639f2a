//! The tape: who is asked for gradients, what is added up, and which misuse is refused.

use std::cell::Cell;
use std::rc::Rc;

use autograd::{Error, Gradient, Param, Result, Tape, Tensor, Var, ops, record};
use tensor::DType;

fn vector(values: &[f32]) -> Tensor {
    Tensor::from_vec(values.to_vec(), &[values.len()]).unwrap()
}

fn values(t: Option<&Tensor>) -> Vec<f64> {
    t.expect("a gradient").to_f64_vec().unwrap()
}

/// a + b, which notes for which operands it is asked.
fn probe(a: &Var, b: &Var, asked: &Rc<Cell<Option<[bool; 2]>>>) -> Result<Var> {
    let asked = asked.clone();
    record("probe", [a, b], a.value().add(b.value())?, move |dy, wanted| {
        asked.set(Some(wanted));
        Ok(wanted.map(|wanted| wanted.then(|| dy.clone())))
    })
}

#[test]
fn a_value_used_twice_receives_the_sum() {
    let (tape, w) = (Tape::new(), Param::new("w", vector(&[2.0, 3.0])));
    let x = tape.input(vector(&[5.0, 7.0]));
    // w x + w + w, with w taken from its parameter twice: tied weights.
    let (a, b) = (tape.param(&w), tape.param(&w));
    let loss = a.mul(&x).unwrap().add(&b).unwrap().add(&b).unwrap().sum().unwrap();
    let grads = loss.backward().unwrap();
    assert_eq!(values(grads.param(&w).as_ref()), [7.0, 9.0]);
    assert_eq!(values(grads.input(&x)), [2.0, 3.0]);
}

/// The dx of a linear layer is multiplied when it is added. Here what it is added to is dy itself, in the same memory,
/// of which dw and db are made, too; or nothing, as the layer comes first; or rows of a table.
#[test]
fn the_product_of_a_layer_is_added_to_the_sum_and_overwrites_nothing() {
    for dtype in [DType::F32, DType::F64, DType::BF16] {
        let matrix = |values: &[f32], shape: &[usize], dtype| {
            Tensor::from_vec(values.to_vec(), shape).unwrap().to_dtype(dtype).unwrap()
        };
        let param = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
        let w = Param::new("w", matrix(&[1.0, 2.0, 3.0, 4.0], &[2, 2], param));
        let b = Param::new("b", matrix(&[0.0, 0.0], &[2], param));
        for layer_last in [true, false] {
            let tape = Tape::new();
            let x = tape.input(matrix(&[1.0, -1.0, 2.0, 0.5], &[2, 2], dtype));
            let layer = || ops::linear(&x, &tape.param(&w), Some(&tape.param(&b))).unwrap();
            // The walk meets what was recorded last first.
            let y = match layer_last {
                true => plus(&x.reshape(&[2, 2]).unwrap(), &layer()),
                false => {
                    let y = layer();
                    plus(&y, &x.reshape(&[2, 2]).unwrap())
                }
            };
            let c = matrix(&[1.0, 2.0, -1.0, 3.0], &[2, 2], dtype);
            let grads = weigh(&y, c).backward().unwrap();
            // c + c w
            assert_eq!(values(grads.input(&x)), [1.0 + 7.0, 2.0 + 10.0, -1.0 + 8.0, 3.0 + 10.0]);
            // c^T x, and the columns of c
            assert_eq!(values(grads.param(&w).as_ref()), [-1.0, -1.5, 8.0, -0.5]);
            assert_eq!(values(grads.param(&b).as_ref()), [0.0, 5.0]);
        }
    }
    let table = Param::new("table", Tensor::full(1.0, &[3, 2]));
    let tape = Tape::new();
    let (t, w) = (tape.param(&table), Var::constant(Tensor::full(2.0, &[1, 2])));
    let y = ops::linear(&t, &w, Some(&Var::constant(Tensor::zeros(&[1])))).unwrap().sum().unwrap();
    let rows = weighted(&t, &[1], 1.0);
    let grads = y.add(&rows).unwrap().backward().unwrap();
    assert_eq!(values(grads.param(&table).as_ref()), [2.0, 2.0, 2.0 - 2.5, 2.0 - 1.5, 2.0, 2.0]);
}

/// a + b, whose gradients are dy itself.
fn plus(a: &Var, b: &Var) -> Var {
    let mut sum = a.value().clone();
    tensor::ops::elementwise::add_assign(&mut sum, b.value()).unwrap();
    record("add", [a, b], sum, |dy, _| Ok([Some(dy.clone()), Some(dy.clone())])).unwrap()
}

/// A loss whose gradient by `y` is `c`.
fn weigh(y: &Var, c: Tensor) -> Var {
    record("weigh", [y], Tensor::scalar(0.0), move |_, _| Ok([Some(c)])).unwrap()
}

#[test]
fn what_the_loss_does_not_depend_on_has_no_gradient() {
    let tape = Tape::new();
    let (used, unused) = (Param::new("used", vector(&[1.0])), Param::new("unused", vector(&[1.0])));
    let dead = tape.param(&unused).scale(2.0).unwrap();
    let grads = tape.param(&used).sum().unwrap().backward().unwrap();
    assert_eq!(values(grads.param(&used).as_ref()), [1.0]);
    assert!(grads.param(&unused).is_none());
    assert!(dead.needs_gradient());
}

#[test]
fn frozen_parameters_and_constants_are_not_asked_for() {
    let (tape, asked) = (Tape::new(), Rc::new(Cell::new(None)));
    let (frozen, trained) = (Param::new("f", vector(&[1.0])), Param::new("t", vector(&[2.0])));
    frozen.freeze(true);
    let below = tape.param(&frozen).tanh().unwrap();
    assert!(!below.needs_gradient(), "nothing below is recorded");
    let loss = probe(&below, &tape.param(&trained), &asked).unwrap();
    let grads = loss.backward().unwrap();
    assert_eq!(asked.get(), Some([false, true]));
    assert!(grads.param(&frozen).is_none());
    assert_eq!(values(grads.param(&trained).as_ref()), [1.0]);

    frozen.freeze(false);
    probe(&tape.param(&frozen), &tape.param(&trained).detach(), &asked)
        .unwrap()
        .backward()
        .unwrap();
    assert_eq!(asked.get(), Some([true, false]));
}

#[test]
fn inference_records_nothing() {
    let tape = Tape::inference();
    let w = tape.param(&Param::new("w", vector(&[2.0])));
    let y = w.mul(&w).unwrap();
    assert!(!tape.is_recording() && !y.needs_gradient());
    assert_eq!(y.value().item().unwrap(), 4.0);
    let message = y.backward().unwrap_err().to_string();
    assert_eq!(
        message,
        "backward: the loss depends on no parameter and no input of a recording tape"
    );
}

#[test]
fn saved_tensors_are_freed_by_the_walk() {
    let (tape, saved) = (Tape::new(), Rc::new(()));
    let x = tape.input(vector(&[1.0]));
    let held = saved.clone();
    let y = record("hold", [&x], x.value().clone(), move |dy, _| {
        let _held = held;
        Ok([Some(dy.clone())])
    });
    assert_eq!(Rc::strong_count(&saved), 2);
    y.unwrap().backward().unwrap();
    assert_eq!(Rc::strong_count(&saved), 1);
}

#[test]
fn a_tape_is_walked_once() {
    let (tape, w) = (Tape::new(), Param::new("w", vector(&[2.0])));
    let old = tape.param(&w);
    let loss = old.mul(&old).unwrap();
    loss.backward().unwrap();
    let message = "backward: this tape was walked already; record a new one";
    assert_eq!(loss.backward().unwrap_err().to_string(), message);
    assert!(matches!(old.tanh(), Err(Error::Walked)));
    // The tape can be used again, and what was recorded before is still not mistaken for what is now.
    let x = tape.input(vector(&[3.0]));
    assert!(matches!(old.mul(&x), Err(Error::Walked)));
    assert!(matches!(loss.backward(), Err(Error::Walked)));
    let grads = x.mul(&x).unwrap().backward().unwrap();
    assert_eq!(values(grads.input(&x)), [6.0]);
    assert!(grads.input(&old).is_none(), "of another recording");
}

#[test]
fn gradients_belong_to_their_own_tape_and_parameters() {
    let (one, two) = (Tape::new(), Tape::new());
    let (x, other) = (one.input(vector(&[1.0])), two.input(vector(&[1.0])));
    assert!(matches!(x.add(&other), Err(Error::TwoTapes { op: "add" })));
    let grads = x.sum().unwrap().backward().unwrap();
    assert!(grads.input(&x).is_some() && grads.input(&other).is_none());

    let grads =
        Tape::new().param(&Param::new("w", vector(&[1.0]))).sum().unwrap().backward().unwrap();
    // The parameter is gone; a new one, perhaps in the same memory, is another.
    let fresh: Vec<Param> = (0..10).map(|_| Param::new("w", vector(&[1.0]))).collect();
    assert!(fresh.iter().all(|p| grads.param(p).is_none()));
}

#[test]
fn rules_are_held_to_the_shapes_of_their_inputs() {
    let x = Tape::new().input(vector(&[1.0, 2.0]));
    let y =
        record("wrong", [&x], x.value().clone(), |_, _| Ok([Some(Tensor::scalar(1.0))])).unwrap();
    let message = y.sum().unwrap().backward().unwrap_err().to_string();
    assert_eq!(message, "wrong: gradient 0 has shape [], its input has [2]");
    let x = Tape::new().input(vector(&[1.0, 2.0]));
    let message = x.backward().unwrap_err().to_string();
    assert_eq!(message, "backward: expected a loss of one element, got shape [2]");
}

#[test]
fn errors_of_tensors_come_through() {
    let x = Tape::new().input(vector(&[1.0, 2.0]));
    let message = x.add(&Var::constant(vector(&[1.0; 3]))).unwrap_err().to_string();
    assert_eq!(message, "add: shapes [2] and [3] do not fit together");
    let empty = Var::constant(Tensor::zeros(&[2, 0]));
    assert_eq!(
        empty.mean().unwrap_err().to_string(),
        "mean: expected shape with at least one element, got [2, 0]"
    );
    assert!(empty.mean_axis(1).is_err());
}

#[test]
fn parameters_keep_their_shape_and_share_their_value() {
    let w = Param::new("w", vector(&[1.0, 2.0]));
    let (handle, before) = (w.clone(), w.value());
    handle.update(|t| t.make_mut().unwrap()[0] = 5.0);
    assert_eq!(w.value().to_f64_vec().unwrap(), [5.0, 2.0]);
    assert_eq!(before.to_f64_vec().unwrap(), [1.0, 2.0]);
    let refused = std::panic::catch_unwind(|| w.set(vector(&[1.0])));
    assert!(refused.is_err());
}

#[test]
fn a_rule_that_leaves_out_a_gradient_is_refused() {
    let x = Tape::new().input(Tensor::full(1.0, &[2]));
    let y = record("lost", [&x], Tensor::scalar(2.0), |_, _| Ok([None])).unwrap();
    let message = y.backward().unwrap_err().to_string();
    assert_eq!(message, "lost: no gradient for input 0, which needs one");
}

fn ids(ids: &[u32]) -> Tensor {
    Tensor::from_vec(ids.to_vec(), &[ids.len()]).unwrap()
}

/// sum of c_t . table[id_t]
fn weighted(table: &Var, rows: &[u32], scale: f32) -> Var {
    let c = (0..2 * rows.len()).map(|i| scale * (i as f32 - 2.5)).collect();
    let c = Tensor::from_vec(c, &[rows.len(), 2]).unwrap();
    let c = Var::constant(c.to_dtype(table.value().dtype()).unwrap());
    ops::embedding(table, &ids(rows)).unwrap().mul(&c).unwrap().sum().unwrap()
}

/// The gradients of tables that are read by id, by id twice, and by id and as a matrix.
#[test]
fn the_gradient_of_a_table_is_its_rows_until_it_is_used_whole() {
    let table = Param::new("table", Tensor::full(1.0, &[5, 2]));
    let (a, b) = ([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], [-5.0, -3.0, -1.0, 1.0]);
    let read = |tape: &Tape| weighted(&tape.param(&table), &[3, 0, 3], 1.0);
    let again = |tape: &Tape| weighted(&tape.param(&table), &[4, 0], 2.0);

    let grads = read(&Tape::new()).backward().unwrap();
    let Some(Gradient::Rows(rows)) = grads.of(&table) else { panic!("rows") };
    assert_eq!((rows.ids(), rows.shape()), (&[0, 3][..], &[5, 2][..]));
    assert_eq!(rows.values().to_f64_vec().unwrap(), [a[2], a[3], a[0] + a[4], a[1] + a[5]]);
    let once = [a[2], a[3], 0.0, 0.0, 0.0, 0.0, a[0] + a[4], a[1] + a[5], 0.0, 0.0];
    assert_eq!(values(grads.param(&table).as_ref()), once);

    let tape = Tape::new();
    let grads = read(&tape).add(&again(&tape)).unwrap().backward().unwrap();
    let Some(Gradient::Rows(rows)) = grads.of(&table) else { panic!("rows of both") };
    assert_eq!(rows.ids(), [0, 3, 4]);
    let second = [b[2], b[3], 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, b[0], b[1]];
    let twice: Vec<f64> = once.iter().zip(second).map(|(x, y)| x + y).collect();
    assert_eq!(values(grads.param(&table).as_ref()), twice);

    // Tied: in either order.
    for rows_first in [true, false] {
        let tape = Tape::new();
        let whole = || tape.param(&table).scale(0.25).unwrap().sum().unwrap();
        let loss = match rows_first {
            true => read(&tape).add(&whole()),
            false => whole().add(&read(&tape)),
        };
        let grads = loss.unwrap().backward().unwrap();
        assert!(matches!(grads.of(&table), Some(Gradient::Dense(_))));
        assert_eq!(values(grads.param(&table).as_ref()), once.map(|x| x + 0.25));
    }

    // In f64 as well.
    let wide = Param::new("wide", table.value().to_dtype(DType::F64).unwrap());
    let tape = Tape::new();
    let w = tape.param(&wide);
    let loss = weighted(&w, &[3, 0, 3], 1.0).add(&w.scale(0.25).unwrap().sum().unwrap()).unwrap();
    assert_eq!(values(loss.backward().unwrap().param(&wide).as_ref()), once.map(|x| x + 0.25));

    // Below another op, and of an input, the rows arrive as a whole.
    let tape = Tape::new();
    let x = tape.input(table.value());
    let grads = weighted(&x.scale(2.0).unwrap(), &[3, 0, 3], 1.0).backward().unwrap();
    assert_eq!(values(grads.input(&x)), once.map(|x| 2.0 * x));
}

#[test]
fn deferred_rows_are_not_read() {
    let table = Param::new("table", Tensor::full(1.0, &[3, 2]));
    let lookup = |rows: &[u32]| ops::lookup(&Tape::inference(), &table, &ids(rows));
    assert!(lookup(&[0, 1, 2]).is_ok());
    table.update_rows(|_| Ok::<_, Error>(Some(vec![0, 2]))).unwrap();
    assert!(lookup(&[2, 0, 2]).is_ok());
    assert_eq!(
        lookup(&[2, 1]).unwrap_err().to_string(),
        "table: updates of its rows are deferred; let the optimizer catch up with the rows of this batch, \
         or flush, before the forward"
    );
    let refused = |f: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_err();
    assert!(refused(&|| drop(table.value())));
    assert!(refused(&|| drop(Tape::new().param(&table))));
    assert!(refused(&|| table.set(Tensor::zeros(&[3, 2]))));
    assert!(refused(&|| table.update(|_| ())));
    assert_eq!(table.shape(), [3, 2]);
    table.update_rows(|_| Ok::<_, Error>(None)).unwrap();
    assert!(lookup(&[1]).is_ok());
}

/// Rows of hidden states keep the dtype; the gradients of a row that occurs twice are added in f32.
#[test]
fn selected_rows_keep_their_dtype() {
    for dtype in [DType::F32, DType::BF16, DType::F64] {
        let tape = Tape::new();
        let x: Vec<f32> = (0..8).map(|i| i as f32).collect();
        let x = tape.input(Tensor::from_vec(x, &[4, 2]).unwrap().to_dtype(dtype).unwrap());
        let y = x.select(&ids(&[2, 0, 2])).unwrap();
        assert_eq!(
            (y.value().dtype(), y.value().to_f64_vec().unwrap()),
            (dtype, vec![4.0, 5.0, 0.0, 1.0, 4.0, 5.0])
        );
        let grads = y.to_dtype(DType::F32).unwrap().sum().unwrap().backward().unwrap();
        let dx = grads.input(&x).unwrap();
        assert_eq!(
            (dx.dtype(), dx.to_f64_vec().unwrap()),
            (dtype, vec![1.0, 1.0, 0.0, 0.0, 2.0, 2.0, 0.0, 0.0])
        );
        assert!(x.select(&ids(&[4])).is_err());
    }
}

/// b^2 is not a number of f32 here, the derivatives are.
#[test]
fn the_derivatives_of_a_quotient_reach_as_far_as_f32() {
    for (a, b, want) in [(1e38, 1e20, [1e-20, -1e-2]), (1e-25, 1e-25, [1e25, -1e25])] {
        let tape = Tape::new();
        let [a, b] = [a, b].map(|x| tape.input(vector(&[x])));
        let grads = a.div(&b).unwrap().sum().unwrap().backward().unwrap();
        for (x, want) in [&a, &b].into_iter().zip(want) {
            let got: f64 = values(grads.input(x))[0];
            assert!((got - want).abs() <= 1e-6 * f64::abs(want), "got {got}, expected {want}");
        }
    }
}

/// Hidden states in bf16 are cut and repeated too. Their gradients are bf16; a sum of them is rounded once.
#[test]
fn views_of_bf16_have_gradients() {
    let tape = Tape::new();
    let x = tape.input(vector(&[1.0, 2.0, 3.0, 4.0]).to_dtype(DType::BF16).unwrap());
    let part = x.narrow(0, 1, 2).unwrap();
    let wide = part.broadcast_to(&[300, 1, 2]).unwrap();
    let dy: Vec<f32> = (0..600).map(|i| if i == 0 { 256.0 } else { 1.0 }).collect();
    let dy = Var::constant(Tensor::from_vec(dy, &[300, 1, 2]).unwrap());
    let loss = wide.to_dtype(DType::F32).unwrap().mul(&dy).unwrap().sum().unwrap();
    let grads = loss.backward().unwrap();
    let dx = grads.input(&x).unwrap();
    assert_eq!(dx.dtype(), DType::BF16);
    // 256 + 299 = 555, between 552 and 556. In bf16 all the way, 256 + 1 is 256 again.
    assert_eq!(values(Some(dx)), [0.0, 556.0, 300.0, 0.0]);
}

/// Of two batches that read rows of one table and of one that uses the whole of it, and a weight that only one uses.
#[test]
fn the_gradients_of_batches_add_up() {
    let table = Param::new("table", Tensor::full(1.0, &[4, 2]));
    let (w, v) = (Param::new("w", vector(&[2.0, 3.0])), Param::new("v", vector(&[1.0])));
    let batch = |rows: &[u32], scale: f32| {
        let tape = Tape::new();
        let read = weighted(&tape.param(&table), rows, scale);
        let used = tape.param(&w).sum().unwrap().scale(f64::from(scale)).unwrap();
        let loss = read.add(&used).unwrap();
        let v = tape.param(&v).sum().unwrap();
        if rows.len() > 2 { loss.add(&v).unwrap() } else { loss }
    };
    let alone = |rows, scale| batch(rows, scale).backward().unwrap();
    let (first, second) = (alone(&[3, 1], 1.0), alone(&[1, 0, 1], 2.0));
    let mut both = batch(&[3, 1], 1.0).backward().unwrap();
    let given_out = both.param(&w);
    batch(&[1, 0, 1], 2.0).backward_onto(&mut both).unwrap();
    let Some(Gradient::Rows(rows)) = both.of(&table) else { panic!("the table is whole") };
    assert_eq!(rows.ids(), [0, 1, 3]);
    for param in [&table, &w] {
        let [a, b] = [&first, &second].map(|grads| values(grads.param(param).as_ref()));
        let sum: Vec<f64> = a.iter().zip(b).map(|(a, b)| a + b).collect();
        assert_eq!(values(both.param(param).as_ref()), sum, "{}", param.name());
    }
    assert_eq!(values(given_out.as_ref()), [1.0, 1.0], "overwritten");
    assert_eq!(values(both.param(&v).as_ref()), [1.0]);
    let of_rows = values(both.param(&table).as_ref());
    Tape::new().param(&table).sum().unwrap().backward_onto(&mut both).unwrap();
    let of_all: Vec<f64> = of_rows.iter().map(|x| x + 1.0).collect();
    assert_eq!(values(both.param(&table).as_ref()), of_all);
    // A tape that was walked adds nothing.
    let walked = batch(&[3, 1], 1.0);
    walked.backward().unwrap();
    assert!(matches!(walked.backward_onto(&mut both), Err(Error::Walked)));
    assert_eq!(values(both.param(&v).as_ref()), [1.0]);
}
