//! `config.json`: defaults, what is refused, and what is written back.

use std::path::Path;

use bert::{Config, Deberta, Family, ProblemType};
use serde_json::{Value, json};
use tensor::{Activation, Pooling};

fn parse(json: &Value) -> bert::Result<Config> {
    Config::parse(&json.to_string(), Path::new("config.json"))
}

/// Parses `{"model_type": "bert"}` with one more key.
fn with(key: &str, value: Value) -> bert::Result<Config> {
    let mut json = json!({"model_type": "bert"});
    json[key] = value;
    parse(&json)
}

/// Asserts that a file is refused with a message of one line that holds every part.
fn assert_refused(result: bert::Result<Config>, parts: &[&str]) {
    let message = result.expect_err("refused").to_string();
    for part in parts.iter().chain(&["config.json"]) {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
    assert!(!message.contains('\n') && message.len() < 400, "{message}");
}

#[test]
fn defaults_are_those_of_bert_config() {
    let config = with("vocab_size", Value::Null).unwrap();
    let sizes = [config.vocab_size, config.hidden_size, config.intermediate_size];
    assert_eq!(sizes, [30522, 768, 3072]);
    assert_eq!((config.num_hidden_layers, config.num_attention_heads), (12, 12));
    assert_eq!((config.max_position_embeddings, config.type_vocab_size), (512, 2));
    assert_eq!((config.hidden_dropout_prob, config.attention_probs_dropout_prob), (0.1, 0.1));
    assert_eq!((config.initializer_range, config.layer_norm_eps), (0.02, 1e-12));
    assert_eq!((config.hidden_act, config.pad_token_id), (Activation::Gelu, 0));
    assert_eq!((config.classifier_dropout, config.problem_type), (None, None));
    assert!(config.labels.is_empty() && config.architectures.is_empty());
    assert_eq!(config.head_dim(), 64);
}

/// `RobertaConfig().to_dict()`, ... of transformers 5.24.
#[test]
fn defaults_are_those_of_each_family() {
    for (name, sizes, layers_and_heads, pad, types) in [
        ("roberta", [50265, 768, 768, 3072], [12, 12], 1, 2),
        ("xlm-roberta", [30522, 768, 768, 3072], [12, 12], 1, 2),
        ("camembert", [30522, 768, 768, 3072], [12, 12], 1, 2),
        ("distilbert", [30522, 768, 768, 3072], [6, 12], 0, 0),
        ("electra", [30522, 256, 128, 1024], [12, 4], 0, 2),
        ("mpnet", [30527, 768, 768, 3072], [12, 12], 1, 0),
    ] {
        let c = parse(&json!({"model_type": name})).unwrap();
        assert_eq!(c.family.model_type(), name);
        let got = [c.vocab_size, c.hidden_size, c.embedding_size, c.intermediate_size];
        assert_eq!(got, sizes, "{name}");
        assert_eq!([c.num_hidden_layers, c.num_attention_heads], layers_and_heads, "{name}");
        assert_eq!((c.pad_token_id, c.type_vocab_size), (pad, types), "{name}");
        assert_eq!((c.hidden_dropout_prob, c.layer_norm_eps), (0.1, 1e-12), "{name}");
        let own = (c.family == Family::DistilBert).then_some(0.2);
        assert_eq!(c.classifier_dropout, own, "{name}");
        assert_eq!(c.max_length(), 512 - if pad == 1 { 2 } else { 0 }, "{name}");
    }
}

#[test]
fn distilbert_has_keys_of_its_own() {
    let json = json!({"model_type": "distilbert", "dim": 24, "n_layers": 3, "n_heads": 4,
        "hidden_dim": 50, "activation": "relu", "dropout": 0.3, "attention_dropout": 0.4,
        "seq_classif_dropout": 0.5, "sinusoidal_pos_embds": false, "qa_dropout": 0.1});
    let c = parse(&json).unwrap();
    assert_eq!([c.hidden_size, c.num_hidden_layers, c.num_attention_heads], [24, 3, 4]);
    assert_eq!((c.intermediate_size, c.hidden_act), (50, Activation::Relu));
    assert_eq!((c.hidden_dropout_prob, c.attention_probs_dropout_prob), (0.3, 0.4));
    assert_eq!(c.classifier_dropout, Some(0.5));
    assert!(c.unknown_keys().is_empty());
    let written = c.to_json();
    for key in json.as_object().unwrap().keys() {
        assert_eq!(written[key], json[key], "{key}");
    }
    for key in ["hidden_size", "type_vocab_size", "layer_norm_eps", "hidden_act", "embedding_size"]
    {
        assert!(written.get(key).is_none(), "{key}");
    }
    let with = |key: &str, value: Value| {
        let mut json = json!({"model_type": "distilbert"});
        json[key] = value;
        parse(&json)
    };
    assert_refused(with("dim", json!(770)), &["dim: expected a multiple of n_heads"]);
    assert_refused(with("n_layers", json!(0)), &["n_layers", "from 1 to"]);
    assert_refused(with("activation", json!("mish")), &["activation", "mish"]);
    // It says how the stored table began, not what it is.
    assert!(with("sinusoidal_pos_embds", json!(true)).unwrap().unknown_keys().is_empty());
    assert_eq!(
        with("hidden_dropout_prob", json!(0.2)).unwrap().unknown_keys(),
        ["hidden_dropout_prob"]
    );
}

/// Three keys have BERT's names, too, in transformers' `DistilBertConfig.attribute_map`; other keys of BERT it ignores.
#[test]
fn distilbert_takes_three_names_of_bert() {
    let config = |more: Value| {
        let mut json = json!({"model_type": "distilbert", "hidden_dim": 50});
        json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        parse(&json)
    };
    let json = json!({"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
        "intermediate_size": 7, "hidden_dropout_prob": 0.4, "n_heads": 4});
    let mut c = config(json).unwrap();
    assert_eq!([c.hidden_size, c.num_hidden_layers, c.num_attention_heads], [24, 3, 4]);
    assert_eq!((c.intermediate_size, c.hidden_dropout_prob), (50, 0.1));
    assert_eq!(c.unknown_keys(), ["intermediate_size", "hidden_dropout_prob"]);
    // Written under one name: fewer layers are not contradicted by the other.
    c.num_hidden_layers = 2;
    let written = c.to_json();
    assert_eq!((&written["dim"], &written["n_layers"]), (&json!(24), &json!(2)));
    assert!(written.get("num_hidden_layers").is_none() && written.get("hidden_size").is_none());
    assert_eq!(parse(&written).unwrap().num_hidden_layers, 2);
    let two = config(json!({"dim": 24, "hidden_size": 48, "n_heads": 4}));
    assert_refused(two, &["hidden_size: expected 24, as dim says, found 48"]);
    assert_refused(config(json!({"num_hidden_layers": 0})), &["num_hidden_layers", "from 1 to"]);
    // In a BERT the names of DistilBERT say nothing.
    assert_eq!(with("dim", json!(24)).unwrap().hidden_size, 768);
}

/// `ModernBertConfig().to_dict()` of transformers 5.24.
#[test]
fn modernbert_has_defaults_and_keys_of_its_own() {
    let c = parse(&json!({"model_type": "modernbert"})).unwrap();
    assert_eq!([c.vocab_size, c.hidden_size, c.intermediate_size], [50368, 768, 1152]);
    assert_eq!([c.num_hidden_layers, c.num_attention_heads, c.max_length()], [22, 12, 8192]);
    assert_eq!((c.pad_token_id, c.type_vocab_size, c.layer_norm_eps), (50283, 0, 1e-5));
    let rates = [c.hidden_dropout_prob, c.attention_probs_dropout_prob];
    assert_eq!((rates, c.classifier_dropout), ([0.0; 2], Some(0.0)));
    let windows: Vec<_> = (0..22).map(|i| c.window_of(i)).collect();
    let want: Vec<_> = (0..22).map(|i| (i % 3 != 0).then_some(64)).collect();
    assert_eq!(windows, want);
    let Family::ModernBert(modern) = c.family else { panic!("{:?}", c.family) };
    assert_eq!((modern.thetas, modern.classifier_pooling), ([160_000.0, 10_000.0], Pooling::First));
    assert!(!modern.norm_bias && !modern.attention_bias && !modern.mlp_bias);
    assert!(!modern.classifier_bias && modern.classifier_activation == Activation::Gelu);

    let json = json!({"model_type": "modernbert", "hidden_activation": "relu", "mlp_dropout": 0.3,
        "attention_dropout": 0.4, "norm_eps": 1e-6, "classifier_pooling": "mean",
        "num_hidden_layers": 2, "layer_types": ["sliding_attention", "full_attention"],
        "local_attention": 9, "rope_parameters": {"full_attention": {"rope_theta": 70.0}},
        "local_rope_theta": 30.0, "initializer_cutoff_factor": 2.0, "sparse_prediction": false});
    let mut c = parse(&json).unwrap();
    assert_eq!((c.hidden_dropout_prob, c.attention_probs_dropout_prob), (0.3, 0.4));
    assert_eq!((c.hidden_act, c.layer_norm_eps), (Activation::Relu, 1e-6));
    assert_eq!([c.window_of(0), c.window_of(1)], [Some(4), None]);
    assert!(c.unknown_keys().is_empty());
    let written = c.to_json();
    for key in json.as_object().unwrap().keys() {
        assert_eq!(written[key], json[key], "{key}");
    }
    for key in ["hidden_act", "type_vocab_size", "layer_norm_eps", "hidden_dropout_prob"] {
        assert!(written.get(key).is_none(), "{key}");
    }
    c.num_hidden_layers = 1;
    assert_eq!(c.to_json()["layer_types"], json!(["sliding_attention"]));
    let Family::ModernBert(modern) = c.family else { panic!("{:?}", c.family) };
    assert_eq!(modern.thetas, [70.0, 30.0]);
}

/// The keys of the published models.
#[test]
fn a_published_modernbert_has_no_unknown_key() {
    let c = parse(&json!({"architectures": ["ModernBertForMaskedLM"], "attention_bias": false,
        "attention_dropout": 0.0, "bos_token_id": 50281, "classifier_activation": "gelu", "classifier_bias": false,
        "classifier_dropout": 0.0, "classifier_pooling": "mean", "cls_token_id": 50281, "decoder_bias": true,
        "deterministic_flash_attn": false, "embedding_dropout": 0.0, "eos_token_id": 50282,
        "global_attn_every_n_layers": 3, "global_rope_theta": 160000.0, "gradient_checkpointing": false,
        "hidden_activation": "gelu", "hidden_size": 768, "initializer_cutoff_factor": 2.0, "initializer_range": 0.02,
        "intermediate_size": 1152, "layer_norm_eps": 1e-5, "local_attention": 128, "local_rope_theta": 10000.0,
        "max_position_embeddings": 8192, "mlp_bias": false, "mlp_dropout": 0.0, "model_type": "modernbert",
        "norm_bias": false, "norm_eps": 1e-5, "num_attention_heads": 12, "num_hidden_layers": 22,
        "pad_token_id": 50283, "position_embedding_type": "absolute", "sep_token_id": 50282,
        "tie_word_embeddings": true, "torch_dtype": "float32", "transformers_version": "4.47.0", "vocab_size": 50368}));
    let c = c.unwrap();
    assert!(c.unknown_keys().is_empty(), "{:?}", c.unknown_keys());
    // As transformers counts the base model: 149,014,272 without its head.
    assert_eq!(c.encoder_parameters(), 149_014_272);
}

#[test]
fn modernberts_that_are_computed_otherwise_are_refused() {
    let with = |key: &str, value: Value| {
        let mut json = json!({"model_type": "modernbert", "num_hidden_layers": 2});
        json[key] = value;
        parse(&json)
    };
    for (key, value, part) in [
        ("layer_types", json!(["full_attention"]), "one for each of 2 layers"),
        (
            "layer_types",
            json!(["full_attention", "chunked"]),
            "full_attention or sliding_attention",
        ),
        ("rope_scaling", json!({"factor": 2.0}), "null"),
        ("classifier_pooling", json!("max"), "cls or mean"),
        ("decoder_bias", json!(false), "true"),
        ("norm_bias", json!("no"), "true or false"),
        ("global_attn_every_n_layers", json!(0), "from 1 to"),
        ("local_attention", json!(0), "from 1 to"),
        ("global_rope_theta", json!(0.5), "a number in"),
        ("embedding_dropout", json!(1.0), "[0, 1)"),
        ("num_attention_heads", json!(256), "even width"),
    ] {
        assert_refused(with(key, value), &[key, part]);
    }
    let yarn = json!({"sliding_attention": {"rope_type": "yarn", "rope_theta": 1e4}});
    assert_refused(with("rope_parameters", yarn), &["rope_type", "yarn", "default"]);
}

/// The configuration of microsoft/deberta-v3-base.
fn deberta() -> Value {
    json!({"model_type": "deberta-v2", "attention_probs_dropout_prob": 0.1, "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1, "hidden_size": 768, "initializer_range": 0.02,
        "intermediate_size": 3072, "max_position_embeddings": 512, "relative_attention": true,
        "position_buckets": 256, "norm_rel_ebd": "layer_norm", "share_att_key": true,
        "pos_att_type": "p2c|c2p", "layer_norm_eps": 1e-7, "max_relative_positions": -1,
        "position_biased_input": false, "num_attention_heads": 12, "num_hidden_layers": 12,
        "type_vocab_size": 0, "vocab_size": 128100})
}

#[test]
fn a_published_deberta_is_read_and_written() {
    let c = parse(&deberta()).unwrap();
    assert_eq!(c.family, Family::DebertaV2(Deberta::USUAL));
    assert_eq!((c.classifier_dropout, c.max_length()), (None, 512));
    assert!(c.unknown_keys().is_empty());
    // As transformers 5.24 counts them.
    assert_eq!(c.encoder_parameters(), 183_831_552);
    let mut written = deberta();
    written["legacy"] = false.into();
    written["pad_token_id"] = 0.into();
    written["cls_dropout"] = Value::Null;
    assert_eq!(c.to_json(), written);
    let mut spelt_out = deberta();
    for (key, value) in
        [("conv_kernel_size", 0), ("embedding_size", 768), ("attention_head_size", 64)]
    {
        spelt_out[key] = value.into();
    }
    assert!(parse(&spelt_out).unwrap().unknown_keys().is_empty());
    let mut listed = deberta();
    listed["pos_att_type"] = json!(["p2c", "c2p"]);
    listed["max_relative_positions"] = 300.into();
    let own = Deberta { max_relative_positions: 300, ..Deberta::USUAL };
    assert_eq!(parse(&listed).unwrap().family, Family::DebertaV2(own));
}

#[test]
fn debertas_of_other_kinds_are_refused() {
    for (key, value, part) in [
        ("relative_attention", json!(false), "expected true"),
        ("share_att_key", json!(false), "expected true"),
        ("position_biased_input", json!(true), "expected false"),
        ("pos_att_type", json!("c2p"), "c2p and p2c"),
        ("pos_att_type", json!(["p2c"]), "c2p and p2c"),
        ("norm_rel_ebd", json!("none"), "layer_norm"),
        ("conv_kernel_size", json!(3), "convolution"),
        ("type_vocab_size", json!(2), "expected 0"),
        ("embedding_size", json!(128), "768"),
        ("pooler_hidden_size", json!(128), "768"),
        ("position_buckets", json!(1), "at least 2"),
        ("position_buckets", json!(-1), "found -1"),
        ("position_buckets", json!(65537), "1 to 65536"),
        ("position_buckets", json!("256"), "1 to 65536"),
        ("attention_head_size", json!(2), "num_attention_heads, 64"),
        ("max_relative_positions", json!(129), "position_buckets"),
        ("pooler_dropout", json!(1.0), "[0, 1)"),
        ("pooler_hidden_act", json!("swish"), "gelu"),
    ] {
        let mut json = deberta();
        json[key] = value;
        assert_refused(parse(&json), &[key, part]);
    }
    for key in [
        "relative_attention",
        "share_att_key",
        "position_biased_input",
        "pos_att_type",
        "position_buckets",
    ] {
        let mut json = deberta();
        json.as_object_mut().unwrap().remove(key);
        assert_refused(parse(&json), &[key]);
    }
}

#[test]
fn mpnet_counts_positions_from_two_and_has_32_buckets() {
    let with = |key: &str, value: Value| {
        let mut json = json!({"model_type": "mpnet", "classifier_dropout": 0.5});
        json[key] = value;
        parse(&json)
    };
    let c = with("pad_token_id", json!(0)).unwrap();
    assert_eq!((c.max_length(), c.classifier_dropout, c.type_vocab_size), (510, None, 0));
    assert_eq!(c.unknown_keys(), ["classifier_dropout"]);
    assert!(c.to_json().get("type_vocab_size").is_none());
    assert!(with("relative_attention_num_buckets", json!(32)).unwrap().unknown_keys().len() == 1);
    let refused = with("relative_attention_num_buckets", json!(64));
    assert_refused(refused, &["relative_attention_num_buckets", "expected 32, found 64"]);
}

#[test]
fn positions_of_roberta_begin_behind_the_padding_token() {
    let with = |positions: u32, pad: u32| {
        parse(&json!({"model_type": "roberta", "max_position_embeddings": positions,
            "pad_token_id": pad}))
    };
    assert_eq!(with(514, 1).unwrap().max_length(), 512);
    assert_eq!(with(2, 0).unwrap().max_length(), 1);
    assert_refused(with(2, 1), &["max_position_embeddings", "more than 2, pad_token_id + 1"]);
}

#[test]
fn other_models_are_refused() {
    for other in ["deberta", "gpt2", "BERT", ""] {
        let known = "expected one of bert, roberta, xlm-roberta, camembert, distilbert, mpnet, deberta-v2, electra, modernbert";
        assert_refused(with("model_type", json!(other)), &["model_type", known, other]);
    }
    assert_refused(parse(&json!({})), &["model_type"]);
    assert_refused(parse(&json!({"hidden_size": 8, "vocab_size": 9})), &["num_hidden_layers"]);
    let telling = json!({"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2});
    assert_eq!(parse(&telling).unwrap().hidden_size, 8);
    assert_refused(
        with("position_embedding_type", json!("relative_key")),
        &["relative_key", "absolute"],
    );
    assert_refused(with("is_decoder", json!(true)), &["is_decoder", "encoders"]);
    assert_refused(with("add_cross_attention", json!(true)), &["add_cross_attention"]);
    assert!(with("is_decoder", json!(false)).is_ok());
}

#[test]
fn values_out_of_range_are_refused() {
    let sizes = [
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
        "type_vocab_size",
    ];
    for key in sizes {
        for value in [json!(0), json!(-1), json!(1.5), json!("12"), json!(u64::MAX), json!([])] {
            assert_refused(with(key, value.clone()), &[key, "from 1 to", &value.to_string()]);
        }
    }
    for key in ["hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"] {
        for value in [json!(1.0), json!(-0.1), json!("0.1")] {
            assert_refused(with(key, value), &[key, "[0, 1)"]);
        }
        let nearly_one = with(key, json!(0.999_999_999_999)).unwrap();
        assert!(nearly_one.hidden_dropout_prob < 1.0);
        assert!(nearly_one.classifier_dropout.is_none_or(|rate| rate < 1.0));
    }
    assert_refused(with("layer_norm_eps", json!(0)), &["layer_norm_eps"]);
    assert_refused(with("initializer_range", json!(-0.02)), &["initializer_range"]);
    assert_refused(with("hidden_size", json!(770)), &["hidden_size", "multiple", "770 and 12"]);
    assert_refused(with("pad_token_id", json!(30522)), &["pad_token_id", "30522"]);
    assert_refused(with("hidden_act", json!("mish")), &["hidden_act", "mish", "gelu_new", "relu"]);
    assert_refused(with("architectures", json!("BertModel")), &["architectures"]);
    assert_refused(
        with("architectures", json!(vec!["x"; 5000]).to_string().into()),
        &["architectures"],
    );
}

#[test]
fn sizes_that_are_fine_alone_but_not_together_are_refused() {
    let json = json!({"model_type": "bert", "vocab_size": 1 << 24, "hidden_size": 1 << 16,
        "num_hidden_layers": 1024, "num_attention_heads": 16, "intermediate_size": 1 << 18});
    assert_refused(parse(&json), &["8e9 weights"]);
}

#[test]
fn what_is_not_json_is_refused() {
    for text in ["", "[]", "{", "\u{0}", "null", "{\"a\":1}}", &"[".repeat(100_000)] {
        assert_refused(Config::parse(text, Path::new("config.json")), &["JSON"]);
    }
}

#[test]
fn labels_are_those_of_id2label_in_order() {
    let labels = |id2label: Value, label2id: Value| {
        parse(&json!({"model_type": "bert", "id2label": id2label, "label2id": label2id}))
    };
    let good = labels(json!({"1": "b", "0": "a", "2": "c"}), json!({"c": 2, "a": 0, "b": 1}));
    assert_eq!(good.unwrap().labels, ["a", "b", "c"]);
    assert_eq!(labels(json!({"0": "a"}), Value::Null).unwrap().labels, ["a"]);
    let eleven: serde_json::Map<_, _> =
        (0..11).map(|i| (i.to_string(), json!(format!("l{i}")))).collect();
    assert_eq!(labels(eleven.into(), Value::Null).unwrap().labels[10], "l10");
    for (id2label, part) in [
        (json!({"0": "a", "2": "b"}), "keys 0 to 1"),
        (json!({"1": "a", "2": "b"}), "keys 0 to 1"),
        (json!({"zero": "a"}), "zero"),
        (json!({"0": 1}), "id2label.0"),
        (json!({"0": "a", "1": "a"}), "a twice"),
        (json!({"0": "a", "1": "p\nq\u{1b}[31m"}), r#"id2label.1: expected a name without"#),
        (json!({"0": "a", "1": "p\nq\u{1b}[31m"}), r#""p\nq\u{1b}[31m""#),
        (json!(["a"]), "an object"),
    ] {
        assert_refused(labels(id2label, Value::Null), &["id2label", part]);
    }
    for label2id in [
        json!({"a": 0}),
        json!({"a": 1, "b": 0}),
        json!({"a": 0, "x": 1}),
        json!({"a": 0, "b": "1"}),
    ] {
        let config = labels(json!({"0": "a", "1": "b"}), label2id).unwrap();
        assert_eq!(config.labels, ["a", "b"]);
        assert_eq!(config.to_json()["label2id"], json!({"a": 0, "b": 1}));
    }
}

#[test]
fn a_number_of_labels_stands_for_numbered_ones() {
    assert_eq!(with("num_labels", json!(2)).unwrap().labels, ["LABEL_0", "LABEL_1"]);
    assert_refused(with("num_labels", json!(1_000_000_000_000_u64)), &["num_labels"]);
    assert_refused(with("num_labels", json!(0)), &["num_labels"]);
}

#[test]
fn problem_types() {
    for kind in [ProblemType::SingleLabel, ProblemType::MultiLabel, ProblemType::Regression] {
        assert_eq!(kind.as_str().parse(), Ok(kind));
        assert_eq!(with("problem_type", json!(kind.as_str())).unwrap().problem_type, Some(kind));
    }
    assert_refused(
        with("problem_type", json!("ranking")),
        &["ranking", "multi_label_classification"],
    );
}

#[test]
fn unknown_keys_come_back_in_their_places() {
    let text = r#"{"_name_or_path": "x", "hidden_act": "gelu_new", "model_type": "bert", "zebra": [1, {"y": null}],
        "hidden_size": 24, "aardvark": 1e-7, "layer_norm_eps": 1e-05, "hidden_dropout_prob": 0.3}"#;
    let config = Config::parse(text, Path::new("config.json")).unwrap();
    let (got, want) = (config.to_json(), serde_json::from_str::<Value>(text).unwrap());
    let (got, want) = (got.as_object().unwrap(), want.as_object().unwrap());
    assert_eq!(got.keys().take(want.len()).collect::<Vec<_>>(), want.keys().collect::<Vec<_>>());
    for (key, value) in want {
        assert_eq!(&got[key], value, "{key}");
    }
    assert_eq!(got["attention_probs_dropout_prob"].to_string(), "0.1");
}

#[test]
fn changed_fields_are_written() {
    let mut config = with("num_labels", json!(7)).unwrap();
    config.labels = vec!["no".into(), "yes".into()];
    config.problem_type = Some(ProblemType::MultiLabel);
    config.classifier_dropout = Some(0.2);
    config.hidden_act = Activation::Relu;
    let json = config.to_json();
    assert_eq!(json["id2label"], json!({"0": "no", "1": "yes"}));
    assert_eq!(json["label2id"], json!({"no": 0, "yes": 1}));
    assert_eq!(json["problem_type"], "multi_label_classification");
    assert_eq!(json["classifier_dropout"].to_string(), "0.2");
    assert_eq!(json["hidden_act"], "relu");
    assert!(json.get("num_labels").is_none());
    let again = parse(&json).unwrap();
    assert_eq!(again.to_json(), json);
    assert_eq!(again.labels, config.labels);
    config.labels.clear();
    assert!(config.to_json().get("label2id").is_none());
}

#[test]
fn a_folder_without_a_config_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let message = Config::load(dir.path()).unwrap_err().to_string();
    assert!(message.contains("config.json") && message.contains("looked for"), "{message}");
}

#[test]
fn keys_that_nobody_knows_are_named_and_those_of_transformers_are_not() {
    let unknown =
        |json: &str| Config::parse(json, Path::new("config.json")).unwrap().unknown_keys();
    // What transformers writes for a BertForMaskedLM, and what older versions and Google's files hold.
    let usual = r#"{"architectures": ["BertForMaskedLM"], "attention_probs_dropout_prob": 0.1,
        "classifier_dropout": null, "dtype": "float32", "gradient_checkpointing": false, "hidden_act": "gelu",
        "hidden_size": 128, "initializer_range": 0.02, "intermediate_size": 512, "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512, "model_type": "bert", "num_attention_heads": 2, "num_hidden_layers": 2,
        "pad_token_id": 0, "position_embedding_type": "absolute", "transformers_version": "5.0.0",
        "type_vocab_size": 2, "use_cache": true, "vocab_size": 30522, "_name_or_path": "x", "pruned_heads": {},
        "output_past": true, "torchscript": false, "num_beams": 1, "tokenizer_class": "BertTokenizer",
        "directionality": "bidi", "pooler_fc_size": 768, "id2label": {"0": "a", "1": "b"},
        "label2id": {"a": 0, "b": 1}, "problem_type": "single_label_classification"}"#;
    assert_eq!(unknown(usual), [""; 0]);
    let odd = r#"{"model_type": "bert", "hidden_sizes": 32, "num_layers": 3, "embedding_size": 8}"#;
    assert_eq!(unknown(odd), ["hidden_sizes", "num_layers", "embedding_size"]);
}
