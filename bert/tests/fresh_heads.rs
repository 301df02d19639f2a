//! The law by which heads begin that no checkpoint has: transformers' `_init_weights`.

use std::path::Path;

use bert::{Config, SequenceClassifier, TokenClassifier};
use nn::Module;
use serde_json::json;

const H: usize = 128;

fn config(model_type: &str) -> Config {
    let mut json = json!({"model_type": model_type, "vocab_size": 60, "hidden_size": H, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 200, "max_position_embeddings": 40});
    if model_type == "modernbert" {
        json["pad_token_id"] = 0.into();
    }
    Config::parse(&json.to_string(), Path::new("config.json")).unwrap()
}

/// Deviation and largest size of a weight.
fn spread(model: &impl Module, name: &str) -> [f64; 2] {
    let params = model.params();
    let param =
        params.iter().find(|param| param.name() == name).unwrap_or_else(|| panic!("{name}"));
    let x = param.value().to_f64_vec().unwrap();
    let variance = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
    [variance.sqrt(), x.iter().fold(0.0, |max, x| f64::max(max, x.abs()))]
}

fn assert_near(found: f64, want: f64) {
    // Of 16,384 values and more: four standard errors are 2.2 %.
    assert!((found / want - 1.0).abs() < 0.022, "{found}, expected {want}");
}

/// A deviation of 0.02, and no end at twice that, which the law of the encoder has.
#[test]
fn heads_are_normal_and_encoders_are_cut_off() {
    for model_type in ["bert", "electra", "mpnet"] {
        let config = config(model_type);
        let (texts, words) =
            (SequenceClassifier::new(&config, 128, 1), TokenClassifier::new(&config, 128, 1));
        let heads = [
            spread(&texts, "bert.pooler.dense.weight"),
            spread(&texts, "classifier.weight"),
            spread(&words, "token_classifier.weight"),
        ];
        for [deviation, largest] in heads {
            assert_near(deviation, 0.02);
            assert!(largest > 0.06, "{model_type}: {largest}");
        }
        let encoder = spread(&texts, "bert.encoder.layer.0.attention.self.query.weight");
        assert_near(encoder[0], 0.02 * 0.773_741f64.sqrt());
        assert!(encoder[1] <= 0.04, "{model_type}: {}", encoder[1]);
    }
}

/// There all are cut off: 0.02 / sqrt(2 L) before the last map, and 1 / sqrt(H) of that.
#[test]
fn heads_of_a_modernbert_are_cut_off() {
    let texts = SequenceClassifier::new(&config("modernbert"), 128, 1);
    let laws = [("bert.pooler.dense.weight", 0.01), ("classifier.weight", 1.0 / (H as f64).sqrt())];
    for (name, std) in laws {
        let [deviation, largest] = spread(&texts, name);
        assert_near(deviation, std * 0.773_741f64.sqrt());
        assert!(largest <= 2.0 * std, "{name}: {largest}");
    }
}
