//! Models that are no BERT: `train`, `evaluate`, `predict`, `inspect`, `adapt` and `select` take them,
//! and say their own names.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::*;

/// Sizes of [`base_model`], by the keys of each; the tokenizers are those of the golden tests.
fn configs() -> [(&'static str, Value); 6] {
    let sizes = |model_type: &str, vocab_size: u32, positions: u32| {
        json!({"model_type": model_type, "vocab_size": vocab_size, "hidden_size": 32,
            "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
            "max_position_embeddings": positions, "initializer_range": 0.2})
    };
    let mut electra = sizes("electra", 60, 64);
    electra["embedding_size"] = 24.into();
    let distilbert = json!({"model_type": "distilbert", "vocab_size": 60, "dim": 32, "n_layers": 2,
        "n_heads": 2, "hidden_dim": 64, "max_position_embeddings": 64, "initializer_range": 0.2});
    let mut modernbert = sizes("modernbert", 300, 64);
    modernbert["pad_token_id"] = 1.into();
    modernbert["local_attention"] = 4.into();
    let mut deberta = sizes("deberta-v2", 300, 64);
    let published = json!({"relative_attention": true, "share_att_key": true, "position_buckets": 8,
        "position_biased_input": false, "pos_att_type": "p2c|c2p", "norm_rel_ebd": "layer_norm"});
    deberta.as_object_mut().unwrap().extend(published.as_object().unwrap().clone());
    [
        ("roberta", sizes("roberta", 300, 66)),
        ("distilbert", distilbert),
        ("mpnet", sizes("mpnet", 60, 66)),
        ("modernbert", modernbert),
        ("deberta-v2", deberta),
        ("electra", electra),
    ]
}

/// A model with random weights and the head for masked words.
fn base(place: &Place, name: &str, config: &Value) -> String {
    let golden = format!("{}/../tests/golden/{name}_tiny", env!("CARGO_MANIFEST_DIR"));
    let folder = place.path(&format!("{name}-base"));
    fs::create_dir(&folder).unwrap();
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(Path::new(&golden).join(file), folder.join(file)).unwrap();
    }
    let config = place.write(&format!("{name}-base/config.json"), config.to_string());
    let config = bert::Config::load(Path::new(&config).parent().unwrap()).unwrap();
    let tokenizer = bert::Tokenizer::load(&folder).unwrap();
    let params = nn::Module::params(&bert::MaskedLm::new(&config, 1));
    let dtype = bert::SavedDType::F32;
    bert::save_pretrained(&folder, &config, &params, &tokenizer, dtype).unwrap();
    text(&folder).to_owned()
}

/// The names of transformers of the weights that start fresh.
const FRESH: [[&str; 2]; 6] = [
    ["classifier.dense.weight", "classifier.out_proj.weight"],
    ["pre_classifier.weight", "classifier.weight"],
    ["classifier.dense.weight", "classifier.out_proj.weight"],
    // The head for masked words has the rest.
    ["classifier.bias", "classifier.weight"],
    ["pooler.dense.weight", "classifier.weight"],
    ["classifier.dense.weight", "classifier.out_proj.weight"],
];

#[test]
fn each_is_trained_and_used() {
    let place = Place::new(reviews(240, 1));
    let test = place.write("test.csv", reviews(80, 2));
    for ((name, config), fresh) in configs().iter().zip(FRESH) {
        let (model, output) = (base(&place, name, config), place.path(name));
        let (model, output) = (model.as_str(), text(&output));
        let train = ["train", "--model", model, "--train", text(&place.train)];
        let more = ["--test", &test, "--output", output, "--precision", "bf16"];
        // Letters, where the vocabulary has few words, take longer to learn.
        let learn = ["--learning-rate", "2e-3", "--epochs", "12"];
        let run = succeeds(&[&train[..], &more, &learn].concat());
        for name in fresh {
            assert!(run.stderr.contains(name), "{name}: {}", run.stderr);
        }
        let result = run.stdout.lines().find(|line| line.starts_with("test ")).unwrap();
        let (_, accuracy) = result.split_once("accuracy ").unwrap();
        let accuracy: f64 = accuracy.split_whitespace().next().unwrap().parse().unwrap();
        assert!(accuracy > 0.9, "{name}: {}", run.stdout);

        let evaluate = ["evaluate", "--model", output, &test, "--precision", "bf16"];
        let evaluated = succeeds(&evaluate).stdout;
        assert!(
            evaluated.contains(&format!("accuracy                 {accuracy:.4}")),
            "{evaluated}"
        );
        let answer = succeeds(&["predict", "--model", output, "the hot act"]);
        assert!(answer.stdout.starts_with("good"), "{name}: {}", answer.stdout);
        let inspected = succeeds(&["inspect", output]).stdout;
        assert!(inspected.contains(&format!("  {name}: 2 layers")), "{inspected}");
        assert!(inspected.contains("64 positions"), "{inspected}");
        let config = read_json(&place.path(name).join("config.json"));
        let class = config["architectures"][0].as_str().unwrap().to_lowercase();
        assert_eq!(class, format!("{}forsequenceclassification", name.replace('-', "")));

        // The names of the file stand in the message.
        let headless = ["evaluate", "--model", model, &test];
        refused(&headless, &["not fine-tuned", fresh[1]]);
        let long = [&train[..], &["--max-length", "65", "--output", "none"]].concat();
        refused(&long, &["--max-length 65", "64 positions"]);
    }
}

#[test]
fn each_learns_from_text_and_is_a_candidate() {
    let place = Place::new(reviews(120, 1));
    let text_file = place.write("text.txt", crate::masked_lm::sentences(80, 1));
    let mut models = vec![base_model().to_owned()];
    for (name, config) in &configs() {
        let (model, output) = (base(&place, name, config), place.path(name));
        let adapt = ["adapt", "--model", &model, "--text", &text_file, "--output", text(&output)];
        let run = succeeds(&[&adapt[..], &["--epochs", "8", "--learning-rate", "3e-3"]].concat());
        assert!(!run.stderr.contains("starts random"), "{name}: {}", run.stderr);
        let loss = |line: &str| -> f64 {
            let line = run.stdout.lines().find(|l| l.starts_with(line)).unwrap();
            line.split_whitespace().nth(3).unwrap().parse().unwrap()
        };
        assert!(loss("after") < 0.9 * loss("before"), "{name}: {}", run.stdout);
        models.push(text(&output).to_owned());
    }
    let output = place.path("selection");
    let models: Vec<&str> = models.iter().map(String::as_str).collect();
    let fixed = ["--train", text(&place.train), "--output", text(&output), "--verify", "0"];
    succeeds(&[&["select", "--models"], &models[..], &fixed].concat());
    let summary = read_json(&output.join("select.json"));
    let rows = summary["candidates"].as_array().unwrap();
    assert_eq!(rows.len(), 7);
    for row in rows.iter().filter(|row| row["name"] != base_model()) {
        assert_eq!(
            (&row["status"], &row["evidence"]["objective"]["kind"]),
            (&json!("scored"), &json!("masked_lm"))
        );
        assert!(row["evidence"]["fit"]["pseudo_perplexity"].as_f64().unwrap() > 1.0, "{row}");
    }
}

/// ELECTRA's discriminator, as it is published, says how it was trained, even without its head.
#[test]
fn replaced_tokens_are_an_objective() {
    let place = Place::new("");
    let [.., (name, config)] = configs();
    let model = base(&place, name, &config);
    let model = Path::new(&model);
    let mut config = bert::Config::load(model).unwrap();
    config.architectures = vec!["ElectraForPreTraining".into()];
    let mut weights = bert::Checkpoint::open(model, &config.family).unwrap();
    weights.leave_out("cls.predictions");
    let objective = finetune::select::objective::read(model, &config, &weights);
    assert_eq!((objective.kind.as_str(), objective.heads.len()), ("replaced_token", 0));
}

/// A DeBERTa-v3, as it is published, has a head for masked words beside that of its task: it is not asked.
#[test]
fn a_head_beside_that_for_replaced_tokens_is_not_asked() {
    let place = Place::new(reviews(60, 1));
    let configs = configs();
    let (name, config) = configs.iter().find(|(name, _)| *name == "deberta-v2").unwrap();
    let folder = base(&place, name, config);
    let folder = Path::new(&folder);
    let config = bert::Config::load(folder).unwrap();
    let mut params = nn::Module::params(&bert::MaskedLm::new(&config, 1));
    let head = tensor::Tensor::zeros(&[32, 32]);
    params.push(autograd::Param::new("mask_predictions.dense.weight", head));
    let tokenizer = bert::Tokenizer::load(folder).unwrap();
    bert::save_pretrained(folder, &config, &params, &tokenizer, bert::SavedDType::F32).unwrap();
    let output = place.path("selection");
    let models = ["select", "--models", text(folder), "--verify", "0"];
    let files = ["--train", text(&place.train), "--output", text(&output)];
    succeeds(&[&models[..], &files].concat());
    let evidence = &read_json(&output.join("select.json"))["candidates"][0]["evidence"];
    assert_eq!(evidence["objective"]["kind"], "replaced_token");
    assert_eq!(evidence["objective"]["heads"], json!(["replaced_token", "masked_lm"]));
    assert_eq!(evidence["fit"]["pseudo_perplexity"], Value::Null);
}
