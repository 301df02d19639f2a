//! LoRA against the package `peft`: a BERT with adapters on all maps but the keys, a DistilBERT with the usual ones, an
//! ELECTRA for words, a DeBERTa and a ModernBERT with adapters on all. Folders that `peft` saved, logits, loss, the
//! gradient of everything that trains, and folders that are saved here.
//!
//! As in `golden_bert.rs`, the expected values were computed in f64, and the model made f64 must agree to the last
//! digits that an f32 file holds.

use std::collections::BTreeSet;
use std::path::Path;

use autograd::{Param, Tape, Var};
use bert::{
    Adaptation, Adapter, Batch, Checkpoint, Config, SequenceClassifier, Targets, TokenClassifier,
    loss,
};
use nn::{LoraConfig, Module, Pass};
use serde_json::{Value, json};
use tests::golden::{Golden, assert_near, path, widen};

/// Largest relative errors of values and gradients in f32 and in f64: those of `golden_bert.rs`.
const NARROW: [f64; 2] = [1e-6, 5e-6];
const WIDE: [f64; 2] = [1e-7, 1e-7];
/// What `make_lora.py` says.
const LORA: LoraConfig = LoraConfig { rank: 3, alpha: 5.0, dropout: 0.0 };

enum Model {
    Sequence(SequenceClassifier),
    Token(TokenClassifier),
}

impl Model {
    fn params(&self) -> Vec<Param> {
        match self {
            Self::Sequence(model) => model.params(),
            Self::Token(model) => model.params(),
        }
    }

    fn forward(&self, pass: &Pass, batch: &Batch) -> Var {
        match self {
            Self::Sequence(model) => model.forward(pass, batch).unwrap(),
            Self::Token(model) => model.forward(pass, batch).unwrap(),
        }
    }

    fn merged(&self) -> Self {
        match self {
            Self::Sequence(model) => {
                let mut model = model.clone();
                model.encoder_mut().merge().unwrap();
                Self::Sequence(model)
            }
            Self::Token(model) => {
                let mut model = model.clone();
                model.encoder_mut().merge().unwrap();
                Self::Token(model)
            }
        }
    }
}

struct Case {
    name: &'static str,
    golden: Golden,
    config: Config,
    model: Model,
    adapter: Adapter,
}

impl Case {
    /// With the values of the folder that `peft` saved.
    fn all() -> [Self; 5] {
        [
            Self::new("bert", &["query", "value", "dense"], false),
            Self::new("distilbert", &[], false),
            Self::new("electra", &["all-linear"], true),
            Self::new("deberta-v2", &["all-linear"], false),
            Self::new("modernbert", &["all-linear"], false),
        ]
    }

    fn new(name: &'static str, targets: &[&str], is_of_words: bool) -> Self {
        let folder = path(&format!("{name}_tiny"));
        let config = Config::load(&folder).unwrap();
        let mut weights = Checkpoint::open(&folder, &config.family).unwrap();
        let targets: Vec<String> = targets.iter().map(|target| target.to_string()).collect();
        let adaptation = Adaptation::new(&config, LORA, &targets).unwrap();
        let model = if is_of_words {
            let mut model = TokenClassifier::load(&mut weights, &config, 5, 0).unwrap().0;
            adaptation.begin(model.encoder_mut(), 0).unwrap();
            Model::Token(model)
        } else {
            let mut model = SequenceClassifier::load(&mut weights, &config, 3, 0).unwrap().0;
            adaptation.begin(model.encoder_mut(), 0).unwrap();
            Model::Sequence(model)
        };
        let adapter = Adapter::new(adaptation, Some(format!("{name}_tiny")), &model.params());
        adapter.load(&path(&format!("{name}_lora"))).unwrap();
        let golden = Golden::read(&format!("{name}_lora.safetensors"));
        Self { name, golden, config, model, adapter }
    }

    fn near(&self, got: &tensor::Tensor, name: &str, tolerance: f64) {
        assert_near(&format!("{} {name}", self.name), got, self.golden.tensor(name), tolerance);
    }

    fn logits(&self, model: &Model, pass: &Pass) -> Var {
        let mut batch = self.golden.bert_batch("");
        batch.words = self.golden.ids("words");
        model.forward(pass, &batch)
    }

    fn check(&self, [values, gradients]: [f64; 2]) {
        let logits = self.logits(&self.model, &Pass::on(&Tape::new()));
        self.near(logits.value(), "logits", values);
        let targets = Targets::Classes(self.golden.tensor("labels").clone());
        let loss = loss(&logits, &targets).unwrap();
        self.near(loss.value(), "loss", values);
        let grads = loss.backward().unwrap();
        let mut names = BTreeSet::new();
        for param in self.model.params() {
            let Some(grad) = grads.param(&param) else {
                assert!(param.is_frozen(), "{}: no gradient", param.name());
                continue;
            };
            let stored = self.config.family.stored_name(param.name());
            let name = format!("base_model.model.{stored}");
            self.near(&grad, &format!("grad.{name}"), gradients);
            names.insert(name);
        }
        let golden = self.golden.names("grad.").map(str::to_owned).collect();
        assert_eq!(names, golden, "{}: exactly what peft trains", self.name);
    }
}

#[test]
fn values_and_every_gradient_are_pefts() {
    for case in Case::all() {
        case.check(NARROW);
        widen(&case.model.params());
        case.check(WIDE);
    }
}

#[test]
fn merged_models_have_the_logits_of_peft() {
    for case in Case::all() {
        let merged = case.model.merged();
        assert!(merged.params().iter().all(|param| !param.name().contains("lora")));
        let logits = case.logits(&merged, &Pass::inference());
        case.near(logits.value(), "logits", NARROW[0]);
    }
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The values of a key, in order, where it is a list: `peft` treats them as a set.
fn sorted(value: &Value) -> Value {
    let Some(items) = value.as_array() else { return value.clone() };
    let names: BTreeSet<&str> = items.iter().filter_map(Value::as_str).collect();
    json!(names)
}

#[test]
fn folders_are_those_of_peft() {
    for case in Case::all() {
        let (theirs, ours) = (path(&format!("{}_lora", case.name)), tempfile::tempdir().unwrap());
        case.adapter.save(ours.path()).unwrap();
        let open = |folder: &Path| {
            tensor::safetensors::File::open(&folder.join("adapter_model.safetensors")).unwrap()
        };
        let (mut ours_file, mut theirs_file) = (open(ours.path()), open(&theirs));
        let names = |file: &tensor::safetensors::File| -> BTreeSet<String> {
            file.names().into_iter().collect()
        };
        assert_eq!(names(&ours_file), names(&theirs_file), "{}", case.name);
        for name in ours_file.names() {
            let [ours, theirs] = [&mut ours_file, &mut theirs_file]
                .map(|file| file.read(&name).unwrap().to_vec::<f32>().unwrap());
            assert_eq!(ours, theirs, "{}: {name}", case.name);
        }
        let [ours, theirs] =
            [ours.path(), &theirs].map(|f| read_json(&f.join("adapter_config.json")));
        for (key, value) in ours.as_object().unwrap() {
            // That of a sequence classifier has a name that no model here has: `peft` adds it to its list.
            let mut expected = sorted(&theirs[key]);
            if key == "modules_to_save" {
                expected.as_array_mut().unwrap().retain(|name| name != "score");
            }
            assert_eq!(sorted(value), expected, "{}: {key}", case.name);
        }
    }
}

#[test]
fn other_folders_are_refused() {
    let [bert, distilbert, ..] = Case::all();
    let error = bert.adapter.load(&path("distilbert_lora")).unwrap_err().to_string();
    assert!(error.contains("expected a tensor base_model.model.bert."), "{error}");
    assert!(distilbert.adapter.load(&path("nowhere")).is_err());
}
