//! A tiny BERT against transformers: hidden states, logits, loss and the gradient of every parameter.
//!
//! The expected values were computed in f64. In f32 the model may differ by its own rounding; made f64, it
//! runs the plain definitions and must agree to the last digits that an f32 file holds.

use std::collections::BTreeSet;

use autograd::{Gradients, Tape, Var};
use bert::{Batch, SequenceClassifier, Targets, loss};
use kernels::testing::each_isa;
use nn::{Module, Pass};
use tensor::Tensor;
use tests::golden::{Golden, assert_near, tiny_bert, widen};

/// Largest relative error of values in f32: two layers of some twenty roundings each.
const VALUES: f64 = 1e-6;
/// The same of a gradient, relative to its parameter's.
const GRADIENTS: f64 = 5e-6;
/// Largest relative error in f64: the file's rounding, 6e-8, and that of 1/sqrt(D), which is f32.
const WIDE: f64 = 1e-7;

#[test]
fn values_are_transformers() {
    let golden = Golden::read("bert_tiny.safetensors");
    let model = tiny_bert();
    each_isa(|isa| check_values(&format!("{isa:?}"), &golden, &model, VALUES));
    widen(&model.params());
    check_values("f64", &golden, &model, WIDE);
}

fn check_values(what: &str, golden: &Golden, model: &SequenceClassifier, tolerance: f64) {
    let (pass, batch) = (Pass::inference(), golden.bert_batch(""));
    for (name, got) in [
        ("last_hidden_state", model.encoder().forward(&pass, &batch)),
        ("pooler_output", model.pooled(&pass, &batch)),
        ("logits", model.forward(&pass, &batch)),
    ] {
        let want = golden.tensor(name);
        assert_near(&format!("{what}: {name}"), got.unwrap().value(), want, tolerance);
    }
}

/// The loss and the gradients of one step.
fn step(model: &SequenceClassifier, batch: &Batch, targets: &Targets) -> (Var, Gradients) {
    let logits = model.forward(&Pass::on(&Tape::new()), batch).unwrap();
    let loss = loss(&logits, targets).unwrap();
    let grads = loss.backward().unwrap();
    (loss, grads)
}

#[test]
fn every_parameter_gradient_is_transformers() {
    let golden = Golden::read("bert_tiny.safetensors");
    let model = tiny_bert();
    let names: BTreeSet<String> = model.params().iter().map(|p| p.name().to_owned()).collect();
    assert_eq!(golden.names("grad.").map(str::to_owned).collect::<BTreeSet<_>>(), names);
    each_isa(|isa| check_gradients(&format!("{isa:?}"), &golden, &model, GRADIENTS));
    widen(&model.params());
    check_gradients("f64", &golden, &model, WIDE);
}

fn check_gradients(what: &str, golden: &Golden, model: &SequenceClassifier, tolerance: f64) {
    let targets = Targets::Classes(golden.tensor("labels").clone());
    let (loss, grads) = step(model, &golden.bert_batch(""), &targets);
    assert_near(&format!("{what}: loss"), loss.value(), golden.tensor("loss"), tolerance);
    for param in model.params() {
        let got = grads.param(&param).unwrap_or_else(|| panic!("{}: no gradient", param.name()));
        let name = format!("{what}: {}", param.name());
        match param.name().ends_with("key.bias") {
            true => assert_vanishes(&name, &got),
            false => {
                let want = golden.tensor(&format!("grad.{}", param.name()));
                assert_near(&name, &got, want, tolerance);
            }
        }
    }
}

/// A key bias adds the same to all scores of a row, which softmax does not see: only rounding is left of
/// its gradient. Those of the other parameters are some 0.1.
fn assert_vanishes(name: &str, grad: &Tensor) {
    let largest = grad.to_f64_vec().unwrap().into_iter().map(f64::abs).fold(0.0, f64::max);
    assert!(largest < 1e-7, "{name}: {largest:e}");
}

#[test]
fn other_problems_have_their_losses() {
    let golden = Golden::read("bert_tiny.safetensors");
    let model = tiny_bert();
    let batch = golden.bert_batch("");
    for (problem, targets) in [
        ("multi_label_classification", Targets::Labels as fn(Tensor) -> Targets),
        ("regression", Targets::Scores),
    ] {
        let of = |name: &str| golden.tensor(&format!("{problem}.{name}")).clone();
        let (loss, grads) = step(&model, &batch, &targets(of("targets")));
        assert_near(&format!("{problem} loss"), loss.value(), &of("loss"), VALUES);
        let head = model.params().into_iter().find(|p| p.name() == "classifier.weight").unwrap();
        let (got, want) = (grads.param(&head).unwrap(), of("grad.classifier.weight"));
        assert_near(&format!("{problem} classifier.weight"), &got, &want, GRADIENTS);
    }
}

#[test]
fn a_frozen_encoder_has_no_gradients() {
    let golden = Golden::read("bert_tiny.safetensors");
    let model = tiny_bert();
    nn::freeze(&model.encoder().params(), true);
    let targets = Targets::Classes(golden.tensor("labels").clone());
    let (_, grads) = step(&model, &golden.bert_batch(""), &targets);
    for param in model.params() {
        match (grads.param(&param), param.is_frozen()) {
            (None, true) => {}
            (Some(got), false) => {
                let want = golden.tensor(&format!("grad.{}", param.name()));
                assert_near(param.name(), &got, want, GRADIENTS);
            }
            (got, _) => panic!("{}: gradient {got:?}", param.name()),
        }
    }
}
