//! The pseudo-perplexity of a masked-language model, against its definition one masked copy at a time.

use std::fs;
use std::path::{Path, PathBuf};

use bert::{
    Batch, Config, Encoding, MaskedLm, SavedDType, SequenceClassifier, Tokenizer, save_pretrained,
};
use finetune::args::RecipeArgs;
use finetune::batches::Examples;
use finetune::data::Labels;
use finetune::folder::Folder;
use finetune::masked_lm::perplexity::STRIDE;
use finetune::select::objective;
use finetune::select::perplexity::measure;
use nn::{Module, Pass};

fn config() -> Config {
    let json = r#"{"model_type": "bert", "vocab_size": 500, "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64,
        "initializer_range": 0.5}"#;
    Config::parse(json, Path::new("config.json")).expect("a configuration")
}

/// A folder with the parameters of a model.
fn folder(path: &Path, model: &dyn Module) -> Folder {
    let vocab = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../bert/tests/fixtures/tokenizer/vocab.txt");
    fs::create_dir_all(path).expect("a folder");
    fs::copy(vocab, path.join("vocab.txt")).expect("a vocabulary");
    let tokenizer = Tokenizer::load(path).expect("a tokenizer");
    save_pretrained(path, &config(), &model.params(), &tokenizer, SavedDType::F32).expect("saved");
    Folder::open(path).expect("a model")
}

fn examples(folder: &Folder) -> Examples {
    let texts = ["the and for was all act came the for all and was", "fin act", "hot dam for all"];
    let texts = texts.map(|text| (text, None));
    let encodings = folder.tokenizer.encode_batch(&texts, 64).expect("encoded");
    Examples::new(encodings, Labels::Absent, 1)
}

/// ln p of the token at `at`, with every `STRIDE`th token from `at % STRIDE` on masked, from all logits, in f64.
fn ln_p(model: &MaskedLm, encoding: &Encoding, at: usize, mask: u32, special: &[u32]) -> f64 {
    let mut ids = encoding.ids.clone();
    for (i, id) in ids.iter_mut().enumerate() {
        if i % STRIDE == at % STRIDE && !special.contains(id) {
            *id = mask;
        }
    }
    let batch = Batch::new([(ids.as_slice(), encoding.type_ids.as_slice())]).expect("a batch");
    let all: Vec<u32> = (0..ids.len() as u32).collect();
    let logits = model.forward(&Pass::inference(), &batch, &all).expect("logits");
    let logits = logits.value().to_vec::<f32>().expect("f32");
    let row = &logits[at * 500..(at + 1) * 500];
    let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
    f64::from(row[encoding.ids[at] as usize]) - sum.ln()
}

#[test]
fn it_is_what_its_definition_says() {
    let place = tempfile::tempdir().expect("a folder");
    let model = MaskedLm::new(&config(), 3);
    let folder = folder(&place.path().join("mlm"), &model);
    let sample = examples(&folder);
    let found =
        measure(&folder, &sample, &RecipeArgs::default()).expect("measured").expect("a value");
    let (mask, special) =
        (folder.tokenizer.mask_id().expect("a mask"), folder.tokenizer.special_ids());
    let mut all = Vec::new();
    for encoding in &sample.encodings {
        let tokens = (0..encoding.ids.len()).filter(|&at| !special.contains(&encoding.ids[at]));
        all.extend(tokens.map(|at| ln_p(&model, encoding, at, mask, &special)));
    }
    let want = (-all.iter().sum::<f64>() / all.len() as f64).exp();
    assert!(all.len() >= 15 && (found / want - 1.0).abs() < 1e-4, "{found} {want}");
    let checkpoint = folder.checkpoint().expect("weights");
    let objective = objective::read(&folder.path, &folder.config, &checkpoint);
    assert_eq!(
        (objective.kind.as_str(), objective.heads),
        ("masked_lm", vec!["masked_lm".to_owned()])
    );
}

#[test]
fn without_the_head_or_its_layers_there_is_none() {
    let place = tempfile::tempdir().expect("a folder");
    let bare = folder(&place.path().join("bare"), &SequenceClassifier::new(&config(), 2, 1));
    let value = measure(&bare, &examples(&bare), &RecipeArgs::default()).expect("measured");
    assert_eq!(value, None);
    let mut cut = folder(&place.path().join("cut"), &MaskedLm::new(&config(), 3));
    cut.truncate(1).expect("a layer");
    let value = measure(&cut, &examples(&cut), &RecipeArgs::default()).expect("measured");
    assert_eq!(value, None);
}
