//! A model whose layers are computed again in the backward: no bit differs.

use std::path::Path;

use autograd::Gradient;
use bert::{Batch, Config, SequenceClassifier, Targets};
use nn::{Module, Pass, Precision, freeze};
use tensor::{Tensor, philox::Rng};

const LENS: [usize; 3] = [5, 17, 9];

const KINDS: [&str; 4] = ["bert", "mpnet", "deberta-v2", "modernbert"];

/// Each kind of layers, with dropout by the keys of each.
fn model(kind: &str, layers: usize) -> SequenceClassifier {
    let json = format!(
        r#"{{"model_type": "{kind}", "vocab_size": 50, "hidden_size": 32, "num_hidden_layers": {layers},
            "num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 22,
            "hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.3, "initializer_range": 0.2,
            "pad_token_id": 0, "mlp_dropout": 0.2, "attention_dropout": 0.3, "local_attention": 6,
            "relative_attention": true, "share_att_key": true, "position_biased_input": false,
            "pos_att_type": "p2c|c2p", "norm_rel_ebd": "layer_norm", "position_buckets": 8}}"#
    );
    let config = Config::parse(&json, Path::new("config.json")).unwrap();
    SequenceClassifier::new(&config, 3, 1)
}

fn batch() -> Batch {
    let mut rng = Rng::new(3, 0);
    let mut ids = |len: &usize| (0..*len).map(|_| rng.below(50) as u32).collect::<Vec<_>>();
    let sequences: Vec<_> = LENS.iter().map(|len| (ids(len), vec![0; *len])).collect();
    Batch::new(sequences.iter().map(|(ids, types)| (&ids[..], &types[..]))).unwrap()
}

fn bits(t: &Tensor) -> Vec<u64> {
    t.to_f64_vec().unwrap().into_iter().map(f64::to_bits).collect()
}

/// The loss, and of each parameter the shape of its gradient and what is in it.
type Outcome = (Vec<u64>, Vec<Option<(Vec<usize>, Vec<u64>)>>);

fn run(model: &SequenceClassifier, precision: Precision, recomputes: bool) -> Outcome {
    let pass = Pass::training(7, 2).with_precision(precision).with_recomputation(recomputes);
    let classes = Targets::Classes(Tensor::from_vec(vec![0u32, 2, 1], &[LENS.len()]).unwrap());
    let loss = bert::loss(&model.forward(&pass, &batch()).unwrap(), &classes).unwrap();
    let grads = loss.backward().unwrap();
    let of = |gradient: &Gradient| (gradient.shape().to_vec(), bits(gradient.values()));
    (bits(loss.value()), model.params().iter().map(|p| grads.of(p).map(of)).collect())
}

#[test]
fn loss_and_gradients_are_the_same_bits() {
    let depths = [(Precision::F32, 3), (Precision::Bf16, 3), (Precision::F32, 1)];
    for (kind, (precision, layers)) in KINDS.into_iter().flat_map(|k| depths.map(|d| (k, d))) {
        let model = model(kind, layers);
        let want = run(&model, precision, false);
        assert!(want.1.iter().all(Option::is_some));
        assert!(run(&model, precision, true) == want, "{kind}, {precision:?}, {layers} layers");
    }
}

/// With the embeddings frozen the first section has a constant input; with the encoder frozen there is nothing
/// to compute again.
#[test]
fn so_they_are_with_frozen_parameters() {
    for kind in KINDS {
        let model = model(kind, 3);
        for name in ["bert.embeddings.", "bert.encoder.layer.1.", "bert.encoder."] {
            let params = model.params();
            let part: Vec<_> = params.into_iter().filter(|p| p.name().starts_with(name)).collect();
            freeze(&part, true);
            let want = run(&model, Precision::F32, false);
            assert!(run(&model, Precision::F32, true) == want, "{kind}: {name}");
        }
    }
}

/// Of all tokens, as a caller of the encoder gets them.
#[test]
fn so_are_the_last_hidden_states() {
    for kind in KINDS {
        check_last_states(kind);
    }
}

fn check_last_states(kind: &str) {
    let model = model(kind, 3);
    let states = |recomputes| {
        let pass = Pass::training(7, 2).with_recomputation(recomputes);
        let y = model.encoder().forward(&pass, &batch()).unwrap();
        let grads = y.mul(&y).unwrap().sum().unwrap().backward().unwrap();
        let params = model.encoder().params();
        let of_params: Vec<_> = params.iter().map(|p| bits(&grads.param(p).unwrap())).collect();
        (bits(y.value()), of_params)
    };
    assert!(states(true) == states(false), "{kind}");
}
