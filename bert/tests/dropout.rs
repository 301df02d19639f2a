//! Which units each model of the family drops in training, seen in gradients: what the gradient of a map's bias lacks
//! was dropped behind it, what columns of its weight lack was dropped before it.

use autograd::{Gradients, Tape};
use bert::{Batch, Config, Deberta, Family, SequenceClassifier, Targets, TokenClassifier, loss};
use nn::{Module, Pass};
use serde_json::{Value, json};
use tensor::Tensor;

const H: usize = 200;

/// A configuration with these rates of hidden states and of the head, and none in attention.
fn config(family: &Family, [hidden, head]: [f64; 2]) -> Config {
    let json = match family {
        Family::DistilBert => json!({"dim": H, "n_layers": 2, "n_heads": 2, "hidden_dim": 30,
            "dropout": hidden, "attention_dropout": 0.0, "seq_classif_dropout": head}),
        Family::ModernBert(_) => {
            modernbert(json!({"mlp_dropout": hidden, "classifier_dropout": head}))
        }
        _ => json!({"hidden_size": H, "embedding_size": H, "num_hidden_layers": 2,
            "num_attention_heads": 2, "intermediate_size": 30, "hidden_dropout_prob": hidden,
            "attention_probs_dropout_prob": 0.0, "classifier_dropout": head, "cls_dropout": head,
            "pooler_dropout": head, "relative_attention": true, "share_att_key": true,
            "position_biased_input": false, "pos_att_type": "p2c|c2p", "norm_rel_ebd": "layer_norm",
            "position_buckets": 256}),
    };
    let mut json = json;
    json["model_type"] = family.model_type().into();
    json["vocab_size"] = 50.into();
    json["initializer_range"] = 0.2.into();
    Config::parse(&json.to_string(), "config.json".as_ref()).unwrap()
}

fn modernbert(rates: Value) -> Value {
    let mut json = json!({"hidden_size": H, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 30, "pad_token_id": 0, "attention_bias": true});
    json.as_object_mut().unwrap().extend(rates.as_object().unwrap().clone());
    json
}

/// One step on one sequence.
fn step(config: &Config) -> (SequenceClassifier, Gradients) {
    step_on(config, &[5, 6, 7])
}

fn step_on(config: &Config, ids: &[u32]) -> (SequenceClassifier, Gradients) {
    let model = SequenceClassifier::new(config, 3, 0);
    let batch = Batch::new([(ids, &vec![0; ids.len()][..])]).unwrap();
    let logits = model.forward(&Pass::on(&Tape::new()).with_dropout(1, 2), &batch).unwrap();
    let targets = Targets::Classes(Tensor::from_vec(vec![1u32], &[1]).unwrap());
    let grads = loss(&logits, &targets).unwrap().backward().unwrap();
    (model, grads)
}

/// The share of the columns (of a bias: elements) of a gradient that are zero.
fn zeros((model, grads): &(impl Module, Gradients), name: &str) -> f64 {
    let param = model.params().into_iter().find(|p| p.name() == name).expect("a parameter");
    let grad = grads.param(&param).expect("a gradient").to_vec::<f32>().unwrap();
    let columns = *param.shape().last().unwrap();
    let zero = |column: &usize| grad.iter().skip(*column).step_by(columns).all(|g| *g == 0.0);
    (0..columns).filter(zero).count() as f64 / columns as f64
}

/// Of 200 units with rate 0.5 some 100 are dropped, give or take 7.
fn is_half(share: f64) -> bool {
    is_near(share, 0.5)
}

fn is_near(share: f64, want: f64) -> bool {
    (share - want).abs() < 0.12
}

#[test]
fn heads_drop_what_those_of_transformers_drop() {
    for family in &Family::ALL {
        // MPNet has no rate for the head alone.
        let rates = if *family == Family::Mpnet { [0.5, 0.0] } else { [0.0, 0.5] };
        let made = step(&config(family, rates));
        // A ReLU makes half of the units zero before.
        let want = if *family == Family::DistilBert { 0.75 } else { 0.5 };
        let behind = zeros(&made, "classifier.weight");
        assert!(is_near(behind, want), "{family:?}: {behind} behind the pooler");
        let before = zeros(&made, "bert.pooler.dense.weight");
        match family {
            Family::Bert | Family::DistilBert | Family::ModernBert(_) => {
                assert_eq!(before, 0.0, "{family:?}");
            }
            _ => assert!(is_half(before), "{family:?}: {before}"),
        }
    }
}

/// The rate is that of the head, but in DistilBERT and DeBERTa, whose key for it is for sequences, and in MPNet, which
/// has none.
#[test]
fn heads_for_words_drop_what_those_of_transformers_drop() {
    for family in &Family::ALL {
        for rates in [[0.5, 0.0], [0.0, 0.5]] {
            let words: Vec<_> = std::iter::once(1..2).collect();
            let model = TokenClassifier::new(&config(family, rates), 3, 0);
            let batch =
                Batch::new([(&[5, 6, 7][..], &[0; 3][..])]).unwrap().with_words([&words[..]]);
            let pass = Pass::on(&Tape::new()).with_dropout(1, 2);
            let targets = Targets::Classes(Tensor::from_vec(vec![1u32], &[1]).unwrap());
            let logits = model.forward(&pass, &batch).unwrap();
            let grads = loss(&logits, &targets).unwrap().backward().unwrap();
            let share = zeros(&(model, grads), "token_classifier.weight");
            let hidden =
                matches!(family, Family::DistilBert | Family::DebertaV2(_) | Family::Mpnet);
            match (rates[0] > 0.0) == hidden {
                true => assert!(is_half(share), "{family:?} {rates:?}: {share}"),
                false => assert_eq!(share, 0.0, "{family:?} {rates:?}"),
            }
        }
    }
}

#[test]
fn layers_drop_what_those_of_transformers_drop() {
    let post_norm = |family: &&Family| !matches!(family, Family::ModernBert(_));
    for family in Family::ALL.iter().filter(post_norm) {
        // Its own rate keeps the head out of it.
        let made = step(&config(family, [0.5, 0.0]));
        let last = |part: &str| zeros(&made, &format!("bert.encoder.layer.1.{part}.bias"));
        assert!(is_half(last("output.dense")), "{family:?}: behind the feed-forward block");
        match family {
            Family::DistilBert => assert_eq!(last("attention.output.dense"), 0.0),
            _ => assert!(is_half(last("attention.output.dense")), "{family:?}: behind attention"),
        }
    }
}

/// Units of the vectors of distances. The first of two tokens, which the head reads, has two distances: a unit that both
/// lack has no gradient.
#[test]
fn vectors_of_distances_are_dropped() {
    for (rate, want) in [(0.5, 0.25), (0.0, 0.0)] {
        let mut config = config(&Family::DebertaV2(Deberta::USUAL), [rate, 0.0]);
        config.num_hidden_layers = 1;
        let share = zeros(&step_on(&config, &[5, 6]), "bert.encoder.LayerNorm.bias");
        let fits = if want == 0.0 { share == 0.0 } else { (share - want).abs() < 0.09 };
        assert!(fits, "rate {rate}: {share}");
    }
}

/// Each rate of a ModernBERT, alone: behind the embeddings, behind attention, within the feed-forward block.
#[test]
fn layers_of_modernbert_drop_what_those_of_transformers_drop() {
    let with = |key: &str| {
        let mut json = modernbert(json!({key: 0.5, "model_type": "modernbert", "vocab_size": 50}));
        json["initializer_range"] = 0.2.into();
        step(&Config::parse(&json.to_string(), "config.json".as_ref()).unwrap())
    };
    let first = "bert.encoder.layer.0.attn.Wqkv.weight";
    let [attention, feed_forward] =
        ["attn.Wo.bias", "mlp.Wo.weight"].map(|part| format!("bert.encoder.layer.1.{part}"));
    for (key, want) in [
        // A unit that all three tokens lack.
        ("embedding_dropout", [0.125, 0.0, 0.0]),
        ("attention_dropout", [0.0, 0.5, 0.0]),
        ("mlp_dropout", [0.0, 0.0, 0.5]),
    ] {
        let made = with(key);
        for (name, want) in [first, &attention, &feed_forward].into_iter().zip(want) {
            let share = zeros(&made, name);
            let fits = if want == 0.0 { share == 0.0 } else { (share - want).abs() < 0.09 };
            assert!(fits, "{key}: {share} in {name}");
        }
    }
}
