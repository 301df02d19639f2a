//! A whole two-layer encoder with its head: derivatives against slopes, and a ragged batch against its
//! members alone.

use std::path::Path;

use autograd::gradcheck::GradCheck;
use autograd::{Result, Tensor};
use bert::{Batch, Config, SequenceClassifier, Targets};
use nn::{Module, Pass};
use proptest::prelude::*;
use tensor::philox::Rng;

const VOCAB: u32 = 23;

/// Kinds of layers.
const KINDS: [&str; 4] = ["bert", "mpnet", "deberta-v2", "modernbert"];

/// A configuration with `hidden` a multiple of `heads`. Each kind has keys of its own; it passes over the others'.
fn config(kind: &str, hidden: usize, heads: usize, activation: &str) -> Config {
    let json = format!(
        r#"{{"model_type": "{kind}", "vocab_size": {VOCAB}, "hidden_size": {hidden}, "num_hidden_layers": 2,
            "num_attention_heads": {heads}, "intermediate_size": {}, "max_position_embeddings": 14,
            "hidden_act": "{activation}", "initializer_range": 0.3, "layer_norm_eps": 1e-6, "pad_token_id": 0,
            "hidden_activation": "{activation}", "norm_eps": 1e-6, "local_attention": 4, "mlp_dropout": 0.1,
            "attention_dropout": 0.1, "norm_bias": true, "relative_attention": true, "share_att_key": true,
            "position_biased_input": false, "pos_att_type": "p2c|c2p", "norm_rel_ebd": "layer_norm",
            "position_buckets": 6}}"#,
        2 * hidden + 1
    );
    Config::parse(&json, Path::new("config.json")).expect("a valid configuration")
}

/// Ids and type ids of each sequence.
fn sequences(lens: &[usize], seed: u64) -> Vec<(Vec<u32>, Vec<u32>)> {
    let mut rng = Rng::new(seed, 1);
    let mut draw = |len: usize, n: u64| (0..len).map(|_| rng.below(n) as u32).collect();
    lens.iter().map(|&len| (draw(len, u64::from(VOCAB)), draw(len, 2))).collect()
}

fn batch(sequences: &[(Vec<u32>, Vec<u32>)]) -> Batch {
    Batch::new(sequences.iter().map(|(ids, types)| (&ids[..], &types[..]))).expect("not empty")
}

fn autograd_error(error: bert::Error) -> autograd::Error {
    match error {
        bert::Error::Autograd(error) => error,
        other => panic!("{other}"),
    }
}

fn targets(kind: usize, rows: usize, outputs: usize, wide: bool) -> Targets {
    let dtype = if wide { tensor::DType::F64 } else { tensor::DType::F32 };
    let numbers = |f: fn(usize) -> f32| {
        let values = (0..rows * outputs).map(f).collect();
        Tensor::from_vec(values, &[rows, outputs]).expect("rows x outputs").to_dtype(dtype).unwrap()
    };
    match kind {
        0 => {
            let classes = (0..rows).map(|i| (i % outputs) as u32).collect();
            Targets::Classes(Tensor::from_vec::<u32>(classes, &[rows]).expect("one a row"))
        }
        1 => Targets::Labels(numbers(|i| (i % 2) as f32)),
        _ => Targets::Scores(numbers(|i| i as f32 * 0.7 - 1.0)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Every parameter, through attention, LayerNorm, dropout, pooling and each loss.
    #[test]
    fn derivatives_are_slopes(
        // LayerNorm of two or three states is all but a sign: too curved for differences.
        heads in 1usize..3, head_dim in prop::sample::select(vec![4usize, 6]), kind in 0usize..3, dropout: bool,
        lens in prop::collection::vec(1usize..7, 1..4), seed in 0u64..1000,
        activation in prop::sample::select(vec!["gelu", "gelu_new", "tanh"]),
        layers in prop::sample::select(KINDS.to_vec()),
    ) {
        let outputs = if kind == 2 { 1 } else { 3 };
        let model = SequenceClassifier::new(&config(layers, heads * head_dim, heads, activation), outputs, seed);
        let batch = batch(&sequences(&lens, seed));
        let run = |tape: &autograd::Tape, _: &[autograd::Var]| -> Result<autograd::Var> {
            let pass = Pass::on(tape);
            let pass = if dropout { pass.with_dropout(seed, 3) } else { pass };
            let logits = model.forward(&pass, &batch).map_err(autograd_error)?;
            let wide = logits.value().dtype() == tensor::DType::F64;
            let targets = targets(kind, lens.len(), outputs, wide);
            bert::loss(&logits, &targets).map_err(autograd_error)
        };
        let check = GradCheck { elements: 6, ..GradCheck::default() };
        let report = check.run(&model.params(), &[], run);
        prop_assert!(report.is_ok(), "{}", report.unwrap_err());
        prop_assert!(report.unwrap().compared > 100);
    }
}

/// Logits of a batch are those of each sequence alone, and its gradients their mean.
#[test]
fn a_ragged_batch_equals_its_members() {
    KINDS.into_iter().for_each(check_members);
}

fn check_members(kind: &str) {
    let model = SequenceClassifier::new(&config(kind, 24, 3, "gelu"), 3, 5);
    let members = sequences(&[5, 1, 12, 7], 9);
    let (logits, gradients) = step(&model, &members, 0);
    let mut sums = vec![Vec::new(); gradients.len()];
    for (i, member) in members.iter().enumerate() {
        let (alone, grads) = step(&model, std::slice::from_ref(member), i);
        for (a, b) in alone.iter().zip(&logits[i * 3..]) {
            assert!((a - b).abs() < 1e-5, "{kind}, sequence {i}: alone {a}, in the batch {b}");
        }
        for (sum, grad) in sums.iter_mut().zip(grads) {
            sum.resize(grad.len(), 0.0);
            sum.iter_mut().zip(grad).for_each(|(s, g)| *s += g / members.len() as f64);
        }
    }
    for ((param, got), want) in model.params().iter().zip(&gradients).zip(&sums) {
        let scale = want.iter().map(|w| w.abs()).fold(1e-3, f64::max);
        for (g, w) in got.iter().zip(want) {
            assert!(
                (g - w).abs() <= 1e-4 * scale,
                "{kind}, {}: batch {g}, members {w}",
                param.name()
            );
        }
    }
}

/// Logits, and the gradient of each parameter; sequence i has class (i + first) mod 3.
fn step(
    model: &SequenceClassifier,
    sequences: &[(Vec<u32>, Vec<u32>)],
    first: usize,
) -> (Vec<f64>, Vec<Vec<f64>>) {
    let pass = Pass::on(&autograd::Tape::new());
    let logits = model.forward(&pass, &batch(sequences)).expect("a valid batch");
    let classes = (0..sequences.len()).map(|i| ((i + first) % 3) as u32).collect();
    let classes = Tensor::from_vec::<u32>(classes, &[sequences.len()]).expect("one a sequence");
    let loss = bert::loss(&logits, &Targets::Classes(classes)).expect("classes fit");
    let grads = loss.backward().expect("a recorded loss");
    let flat = |p: &autograd::Param| {
        grads.param(p).expect("every parameter is used").to_f64_vec().unwrap()
    };
    (logits.value().to_f64_vec().unwrap(), model.params().iter().map(flat).collect())
}
