//! A tiny masked language model against transformers' `BertForMaskedLM`: logits, loss, the gradient of every
//! parameter, and ten steps of AdamW. The table of the words is tied: it has a gradient from both its uses.
//!
//! As in `golden_bert.rs`, the expected values were computed in f64, and the model made f64 must agree to the last
//! digits that an f32 file holds.

use std::collections::BTreeSet;

use approx::assert_relative_eq;
use autograd::{Gradient, Param, Tape};
use bert::MaskedLm;
use kernels::testing::each_isa;
use nn::{Module, Pass};
use optim::{Adam, Optimizer, StepSize, clip, weight_decay_groups};
use tests::golden::{Golden, assert_near, tiny_masked_lm, widen};

/// Largest relative errors of values and gradients in f32: those of `golden_bert.rs`.
const NARROW: [f64; 2] = [1e-6, 5e-6];
/// The same in f64.
const WIDE: [f64; 2] = [1e-7, 1e-7];

/// Largest relative error of losses and norms in training, and of the final logits: those of `golden_training.rs`.
const TRAINED: [f64; 2] = [3e-6, 3e-5];
/// The same in f64.
const TRAINED_WIDE: [f64; 2] = [3e-7, 3e-7];

fn golden() -> Golden {
    Golden::read("masked_lm.safetensors")
}

#[test]
fn values_and_every_gradient_are_transformers() {
    let golden = golden();
    let model = tiny_masked_lm(&golden);
    let names: BTreeSet<String> = model.params().iter().map(|p| p.name().to_owned()).collect();
    assert_eq!(golden.names("grad.").map(str::to_owned).collect::<BTreeSet<_>>(), names);
    each_isa(|isa| check_step(&format!("{isa:?}"), &golden, &model, NARROW));
    widen(&model.params());
    check_step("f64", &golden, &model, WIDE);
}

fn check_step(what: &str, golden: &Golden, model: &MaskedLm, [values, gradients]: [f64; 2]) {
    let (pass, batch) = (Pass::on(&Tape::new()), golden.bert_batch(""));
    let logits = model.forward(&pass, &batch, &golden.ids("positions")).unwrap();
    assert_near(&format!("{what}: logits"), logits.value(), golden.tensor("logits"), values);
    let loss = MaskedLm::loss(&logits, &golden.ids("targets")).unwrap();
    assert_near(&format!("{what}: loss"), loss.value(), golden.tensor("loss"), values);
    let grads = loss.backward().unwrap();
    assert!(matches!(grads.of(model.encoder().word_embeddings()), Some(Gradient::Dense(_))));
    for param in model.params() {
        let got = grads.param(&param).unwrap_or_else(|| panic!("{}: no gradient", param.name()));
        let want = golden.tensor(&format!("grad.{}", param.name()));
        match param.name().ends_with("key.bias") {
            // Softmax does not see what all scores of a row share: only rounding is left.
            true => assert!(
                got.to_f64_vec().unwrap().iter().all(|g| g.abs() < 1e-7),
                "{}",
                param.name()
            ),
            false => assert_near(&format!("{what}: {}", param.name()), &got, want, gradients),
        }
    }
}

#[test]
fn training_goes_as_in_pytorch() {
    let golden = golden();
    // Catching up before each step, or not at all: gradients of the whole table defer nothing.
    for catches_up in [false, true] {
        train(&golden, &tiny_masked_lm(&golden), catches_up, TRAINED);
        let model = tiny_masked_lm(&golden);
        widen(&model.params());
        train(&golden, &model, catches_up, TRAINED_WIDE);
    }
}

fn train(golden: &Golden, model: &MaskedLm, catches_up: bool, [exact, after]: [f64; 2]) {
    let params: Vec<Param> = model.params();
    let mut optimizer = Adam::adamw(weight_decay_groups(&params, 0.01));
    let [losses, norms] = ["losses", "norms"].map(|name| golden.tensor(name).to_f64_vec().unwrap());
    for (step, (want_loss, want_norm)) in losses.into_iter().zip(norms).enumerate() {
        let prefix = format!("{}.", step % 3);
        let batch = golden.bert_batch(&prefix);
        if catches_up {
            let ids = batch.ids.to_vec::<u32>().unwrap();
            optimizer.catch_up(model.encoder().word_embeddings(), &ids).unwrap();
        }
        let [positions, targets] =
            ["positions", "targets"].map(|name| golden.ids(&format!("{prefix}{name}")));
        let logits = model.forward(&Pass::on(&Tape::new()), &batch, &positions).unwrap();
        let loss = MaskedLm::loss(&logits, &targets).unwrap();
        let value = loss.value().item().unwrap();
        println!("step {step}: loss {value}, off by {:.1e}", (value - want_loss).abs() / want_loss);
        assert_relative_eq!(value, want_loss, max_relative = exact);
        let grads = loss.backward().unwrap();
        let norm = clip::global_norm(&params, &grads).unwrap().item().unwrap();
        assert_relative_eq!(norm, want_norm, max_relative = 10.0 * exact);
        let size = StepSize { lr: 1e-3, grad_scale: clip::factor(norm, 1.0).into() };
        optimizer.step(&grads, size).unwrap();
    }
    optimizer.flush().unwrap();
    let positions = golden.ids("0.positions");
    let logits = model.forward(&Pass::inference(), &golden.bert_batch("0."), &positions).unwrap();
    assert_near("final logits", logits.value(), golden.tensor("final_logits"), after);
}
