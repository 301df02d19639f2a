//! Hidden states in bf16: near what f32 computes, the same bits on any number of threads, and no more memory than
//! they should take.

use autograd::{Param, Tape};
use bert::SequenceClassifier;
use kernels::testing::each_isa;
use nn::{Module, Pass, Precision};
use tensor::{DType, Pooling};
use tests::compare::relative_distance;
use tests::small::{self, batch, targets};

fn models() -> [(&'static str, SequenceClassifier); 4] {
    small::KINDS.map(|kind| (kind, small::classifier(kind, [48, 100])))
}

fn pass(precision: Precision) -> Pass {
    Pass::on(&Tape::new()).with_dropout(7, 3).with_precision(precision)
}

/// Logits, loss and the gradient of each parameter.
fn step(model: &SequenceClassifier, precision: Precision) -> (Vec<f64>, f64, Vec<Vec<f64>>) {
    let logits = model.forward(&pass(precision), &batch()).expect("a valid batch");
    let loss = bert::loss(&logits, &targets()).expect("classes fit");
    let (logits, value) =
        (logits.value().to_f64_vec().unwrap(), loss.value().item().expect("a scalar"));
    let grads = loss.backward().expect("a recorded loss");
    let flat = |p: &Param| {
        let grad = grads.param(p).expect("every parameter is used");
        assert_eq!(grad.dtype(), DType::F32, "{}: gradients of parameters stay f32", p.name());
        grad.to_f64_vec().unwrap()
    };
    (logits, value, model.params().iter().map(flat).collect())
}

#[test]
fn a_step_is_near_that_of_f32() {
    each_isa(|isa| {
        models().iter().for_each(|(kind, model)| check_step(&format!("{isa:?}"), kind, model))
    });
}

fn check_step(isa: &str, kind: &str, model: &SequenceClassifier) {
    let isa = &format!("{isa} {kind}");
    let (want_logits, want_loss, want) = step(model, Precision::F32);
    let (logits, loss, got) = step(model, Precision::Bf16);
    // A bf16 is within 2^-9 of its value; some twenty roundings follow one another.
    let near = relative_distance(&logits, &want_logits);
    assert!(near < 0.02 && near > 0.0, "{isa} logits: {near}");
    assert!((loss - want_loss).abs() < 0.01 * want_loss, "{isa} loss {loss}, {want_loss}");
    // But in a DeBERTa, keys' biases have no gradient but roundings: softmax does not see what all scores share.
    let with_gradient = |p: &Param| kind == "deberta-v2" || !p.name().ends_with("key.bias");
    let params = model.params();
    for ((p, got), want) in params.iter().zip(&got).zip(&want).filter(|g| with_gradient(g.0.0)) {
        let near = relative_distance(got, want);
        assert!(near < 0.06, "{isa} {}: {near}", p.name());
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    each_isa(|_| {
        for (kind, model) in models() {
            let [one, two, five] = [1, 2, 5].map(|n| {
                let pool = rayon_pool(n);
                pool.install(|| step(&model, Precision::Bf16))
            });
            assert_eq!(one, two, "{kind}");
            assert_eq!(one, five, "{kind}");
        }
    });
}

#[test]
fn hidden_states_are_bf16_and_half_as_large() {
    let batch = batch();
    let dtypes = [(Precision::F32, DType::F32), (Precision::Bf16, DType::BF16)];
    for ((_, model), (precision, dtype)) in
        models().iter().flat_map(|model| dtypes.map(|dtype| (model, dtype)))
    {
        let pass = Pass::inference().with_precision(precision);
        let states = model.encoder().hidden_states(&pass, &batch).expect("a valid batch");
        assert!(states.iter().all(|h| h.value().dtype() == dtype), "{precision:?}");
        let logits = model.forward(&pass, &batch).expect("a valid batch");
        assert_eq!(logits.value().dtype(), DType::F32, "{precision:?}: the head stays f32");
    }
}

/// The first rows alone have the bits of the first rows among all others.
#[test]
fn first_states_are_the_first_rows() {
    each_isa(|isa| {
        let batch = batch();
        let precisions = [Precision::F32, Precision::Bf16];
        for ((kind, model), precision) in
            models().iter().flat_map(|model| precisions.map(|precision| (model, precision)))
        {
            let pass = || Pass::inference().with_precision(precision);
            let all = model.encoder().forward(&pass(), &batch).expect("a valid batch");
            let want = all.pool(Pooling::First, &batch.seqlens).expect("rows of the batch");
            let got = model.encoder().first_states(&pass(), &batch).expect("a valid batch");
            let [got, want] = [got, want].map(|v| v.value().to_f64_vec().unwrap());
            assert_eq!(got, want, "{isa:?} {kind} {precision:?}");
        }
    });
}

fn rayon_pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads")
}
