//! Token classifiers of all families against transformers: BERT, RoBERTa, XLM-R, DistilBERT, ELECTRA, MPNet,
//! DeBERTa and ModernBERT. The ids of texts that are split into words, logits, loss, the gradient of every
//! parameter, and saved folders.
//!
//! As in `golden_bert.rs`, the expected values were computed in f64, and the model made f64 must agree to the last
//! digits that an f32 file holds.

use std::collections::BTreeSet;
use std::path::Path;

use autograd::Tape;
use bert::{
    Checkpoint, Config, Family, SavedDType, SequenceClassifier, Targets, TokenClassifier,
    Tokenizer, loss, save_pretrained,
};
use nn::{Module, Pass};
use serde_json::{Value, json};
use tests::golden::{Golden, assert_near, path, tiny_token_classifier, widen};

/// Largest relative errors of values and gradients in f32 and in f64: those of `golden_bert.rs`.
const NARROW: [f64; 2] = [1e-6, 5e-6];
const WIDE: [f64; 2] = [1e-7, 1e-7];
/// The number of labels.
const C: usize = 5;

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

struct Tiny {
    name: &'static str,
    config: Config,
    golden: Golden,
}

impl Tiny {
    fn all() -> [Self; 9] {
        [
            "bert",
            "roberta",
            "xlm-roberta",
            "distilbert",
            "electra",
            "mpnet",
            "deberta-v2",
            "modernbert",
            "modernbert-mean",
        ]
        .map(|name| Self {
            name,
            config: Config::load(&path(&format!("{name}_tiny"))).expect("a configuration"),
            golden: Golden::read(&format!("{name}_tokens.safetensors")),
        })
    }

    fn folder(&self) -> std::path::PathBuf {
        path(&format!("{}_tiny", self.name))
    }

    fn model(&self) -> TokenClassifier {
        tiny_token_classifier(self.name, &self.golden).1
    }

    fn words(&self) -> (Vec<Vec<String>>, Value) {
        let json = read_json(&self.folder().join("words.json"));
        (serde_json::from_value(json["words"].clone()).unwrap(), json)
    }

    fn tokenizer(&self) -> Tokenizer {
        Tokenizer::load(&self.folder()).unwrap().of_words()
    }

    fn check(&self, model: &TokenClassifier, [values, gradients]: [f64; 2]) {
        let check = |got: &tensor::Tensor, name: &str, tolerance| {
            assert_near(&format!("{} {name}", self.name), got, self.golden.tensor(name), tolerance);
        };
        let mut batch = self.golden.bert_batch("");
        batch.words = self.golden.ids("words");
        let logits = model.forward(&Pass::on(&Tape::new()), &batch).unwrap();
        check(logits.value(), "logits", values);
        let targets = Targets::Classes(self.golden.tensor("labels").clone());
        let loss = loss(&logits, &targets).unwrap();
        check(loss.value(), "loss", values);
        let grads = loss.backward().unwrap();
        let stored = |name: &str| self.config.family.stored_name(name);
        let names: BTreeSet<String> = model.params().iter().map(|p| stored(p.name())).collect();
        let golden: BTreeSet<String> = self.golden.names("grad.").map(str::to_owned).collect();
        assert_eq!(names, golden, "{}", self.name);
        for param in model.params() {
            let got = grads.param(&param).unwrap_or_else(|| panic!("{}: none", param.name()));
            let of_key = param.name().ends_with("key.bias");
            match of_key && self.name != "deberta-v2" {
                // Softmax does not see what all scores of a row share: only rounding is left. In a DeBERTa keys also
                // meet distances.
                true => assert!(got.to_f64_vec().unwrap().iter().all(|g| g.abs() < 1e-7)),
                false => check(&got, &format!("grad.{}", stored(param.name())), gradients),
            }
        }
    }
}

#[test]
fn values_and_every_gradient_are_transformers() {
    for tiny in Tiny::all() {
        let model = tiny.model();
        tiny.check(&model, NARROW);
        widen(&model.params());
        tiny.check(&model, WIDE);
    }
}

#[test]
fn ids_and_places_of_words_are_transformers() {
    for tiny in Tiny::all() {
        let (words, golden) = tiny.words();
        let texts: Vec<&[String]> = words.iter().map(Vec::as_slice).collect();
        let pieces = tiny.tokenizer().encode_words(&texts, 24).unwrap();
        for (i, pieces) in pieces.iter().enumerate() {
            let [piece] = &pieces[..] else { panic!("{}: {} pieces", tiny.name, pieces.len()) };
            assert_eq!(json!(piece.ids), golden["ids"][i], "{} {:?}", tiny.name, words[i]);
            let places: Vec<u32> = piece.words.iter().map(|tokens| tokens.start).collect();
            assert_eq!(json!(places), golden["places"][i], "{} {:?}", tiny.name, words[i]);
            assert!(!piece.truncated && piece.type_ids.len() == piece.ids.len());
        }
    }
}

/// Pieces hold the tokens of the whole, but for those that go on with a word that is longer than a piece; each word has
/// its place in one of them.
#[test]
fn long_texts_become_pieces() {
    for tiny in Tiny::all() {
        let text = tiny.words().0.concat();
        let tokenizer = tiny.tokenizer();
        let whole = tokenizer.encode_words(&[&text], 1000).unwrap().remove(0).remove(0);
        let tokens = |ids: &[u32]| ids[1..ids.len() - 1].to_vec();
        let longest = whole.words.iter().map(std::ops::Range::len).max().unwrap();
        for max_length in [3, 4, 7, 20] {
            let pieces = tokenizer.encode_words(&[&text], max_length).unwrap().remove(0);
            assert!(pieces.iter().all(|p| p.ids.len() <= max_length && !p.words.is_empty()));
            let joined: Vec<u32> = pieces.iter().flat_map(|piece| tokens(&piece.ids)).collect();
            if longest <= max_length - 2 {
                assert_eq!(joined, tokens(&whole.ids), "{}", tiny.name);
            }
            let first = |piece: &bert::Encoding| -> Vec<u32> {
                piece.words.iter().map(|tokens| piece.ids[tokens.start as usize]).collect()
            };
            let firsts: Vec<u32> = pieces.iter().flat_map(first).collect();
            assert_eq!(firsts, first(&whole), "{}", tiny.name);
        }
        let too_short = tokenizer.encode_words(&[&text], 2).unwrap_err().to_string();
        assert!(too_short.contains("max_length: expected at least 3"), "{too_short}");
    }
}

/// A word of which nothing is left becomes the unknown token; a text without words has no piece.
#[test]
fn every_word_has_a_place() {
    for tiny in Tiny::all() {
        let words = ["cat", "", "\u{200d}", "sat"].map(str::to_owned);
        let tokenizer = tiny.tokenizer();
        let pieces = tokenizer.encode_words(&[&words, &[]], 24).unwrap();
        assert_eq!(pieces[0][0].words.len(), 4, "{}", tiny.name);
        assert!(pieces[1].is_empty());
        let second = pieces[0][0].ids[pieces[0][0].words[1].start as usize];
        assert_eq!(Some(second), tokenizer.unknown_id(), "{}", tiny.name);
    }
}

/// A folder is that of transformers' class, comes back as it was, and its head is not taken for another task's.
#[test]
fn saved_folders_come_back() {
    for tiny in Tiny::all() {
        let class = match tiny.name {
            "bert" => "Bert",
            "roberta" => "Roberta",
            "xlm-roberta" => "XLMRoberta",
            "distilbert" => "DistilBert",
            "electra" => "Electra",
            "mpnet" => "MPNet",
            "deberta-v2" => "DebertaV2",
            _ => "ModernBert",
        }
        .to_owned()
            + "ForTokenClassification";
        let (model, dir) = (tiny.model(), tempfile::tempdir().unwrap());
        let mut config = tiny.config.clone();
        config.labels = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
        save_pretrained(dir.path(), &config, &model.params(), &tiny.tokenizer(), SavedDType::F32)
            .unwrap();
        assert_eq!(read_json(&dir.path().join("config.json"))["architectures"], json!([class]));
        let config = Config::load(dir.path()).unwrap();
        assert!(config.is_token_classifier() && !tiny.config.is_token_classifier());
        let open = || Checkpoint::open(dir.path(), &config.family).unwrap();
        let names: BTreeSet<String> =
            open().tensors().into_iter().map(|tensor| tensor.name).collect();
        assert_eq!(names, tiny.golden.names("grad.").map(str::to_owned).collect(), "{}", tiny.name);
        let (again, report) = TokenClassifier::load(&mut open(), &config, C, 1).unwrap();
        assert_eq!(report, Default::default(), "{}", tiny.name);
        for (a, b) in model.params().iter().zip(again.params()) {
            assert_eq!(
                a.value().to_f64_vec().unwrap(),
                b.value().to_f64_vec().unwrap(),
                "{}",
                a.name()
            );
        }
        let (_, report) = SequenceClassifier::load(&mut open(), &config, 3, 1).unwrap();
        // ModernBERT has one beginning for all heads.
        let missing = match config.family {
            Family::ModernBert(_) => 2,
            _ => 4,
        };
        assert!(
            report.missing.len() == missing && report.unused_encoder.is_empty(),
            "{}: {report:?}",
            tiny.name
        );
    }
    // Words in front of which a RoBERTa has a blank, for the reader of the folder, too.
    let dir = tempfile::tempdir().unwrap();
    let roberta = &Tiny::all()[1];
    save_pretrained(dir.path(), &roberta.config, &[], &roberta.tokenizer(), SavedDType::F32)
        .unwrap();
    assert_eq!(read_json(&dir.path().join("tokenizer_config.json"))["add_prefix_space"], true);
    assert_eq!(
        read_json(&dir.path().join("tokenizer.json"))["pre_tokenizer"]["add_prefix_space"],
        true
    );
}
