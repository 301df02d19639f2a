//! A tiny model, small data that can be learned, and the binary.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use bert::{Config, SavedDType, SequenceClassifier, Tokenizer, save_pretrained};
use nn::Module;
use serde_json::{Value, json};
use tensor::safetensors::File;

pub struct Output {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_finetune"));
    command.args(args).env("RUST_BACKTRACE", "0");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn finetune(args: &[&str]) -> Output {
    output_of(command(args).spawn().unwrap())
}

pub fn finetune_with_input(args: &[&str], input: &[u8]) -> Output {
    let mut child = command(args).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    output_of(child)
}

pub fn output_of(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs, and insists on success.
pub fn succeeds(args: &[&str]) -> Output {
    let output = finetune(args);
    assert_eq!(output.code, Some(0), "{args:?}\n{}", output.stderr);
    output
}

/// Runs, and insists on exit code 1 and one error line, the last, that holds all of `parts`.
pub fn refused(args: &[&str], parts: &[&str]) {
    let output = finetune(args);
    assert_eq!(output.code, Some(1), "{args:?}\n{}\n{}", output.stdout, output.stderr);
    let errors = output.stderr.lines().filter(|line| line.starts_with("error:")).count();
    let last = output.stderr.lines().last().unwrap_or_default();
    assert!(errors == 1 && last.starts_with("error: "), "{args:?}\n{}", output.stderr);
    for part in parts {
        assert!(last.contains(part), "{args:?}: no `{part}` in\n{last}");
    }
}

/// Of `finetune train`: model and data, then further flags, into `output`.
pub fn train_args<'a>(output: &'a str, train: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let model = base_model();
    let fixed = ["train", "--model", model, "--train", train, "--output", output];
    fixed.into_iter().chain(more.iter().copied()).collect()
}

/// Trains, and insists on success.
pub fn train(output: &Path, train: &Path, more: &[&str]) -> Output {
    succeeds(&train_args(text(output), text(train), more))
}

/// Quick, and enough to learn what [`reviews`] holds.
pub const LEARN: [&str; 4] = ["--learning-rate", "2e-3", "--epochs", "4"];

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder that stays for the time of the tests, filled once.
fn made_once(name: &str, make: impl FnOnce(&Path)) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("commands").join(name);
    let _ = fs::remove_dir_all(&folder);
    make(&folder);
    text(&folder).to_owned()
}

/// A BERT with random weights and no head: hidden 32, 2 layers, 64 positions. The usual deviation of 0.02 is
/// made for wider models; in this one almost no signal would pass.
pub fn base_model() -> &'static str {
    static MODEL: OnceLock<String> = OnceLock::new();
    MODEL.get_or_init(|| made_once("base", write_model))
}

fn write_model(folder: &Path) {
    let json = json!({"model_type": "bert", "vocab_size": 500, "hidden_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
        "max_position_embeddings": 64, "initializer_range": 0.2});
    let config = Config::parse(&json.to_string(), Path::new("config.json")).unwrap();
    let tokens =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../bert/tests/fixtures/tokenizer/vocab.txt");
    fs::create_dir_all(folder).unwrap();
    fs::copy(tokens, folder.join("vocab.txt")).unwrap();
    let tokenizer = Tokenizer::load(folder).unwrap();
    let model = SequenceClassifier::new(&config, 2, 1);
    save_pretrained(folder, &config, &model.encoder().params(), &tokenizer, SavedDType::F32)
        .unwrap();
}

/// The run that most tests look at: [`reviews`], no validation file, a test file.
pub struct Trained {
    pub folder: String,
    pub test: String,
    pub stdout: String,
    pub stderr: String,
}

impl Trained {
    pub fn file(&self, name: &str) -> PathBuf {
        Path::new(&self.folder).join(name)
    }
}

pub fn trained() -> &'static Trained {
    static RUN: OnceLock<Trained> = OnceLock::new();
    RUN.get_or_init(|| {
        let data = made_once("reviews", |folder| fs::create_dir_all(folder).unwrap());
        let (train_file, test_file) = (format!("{data}/train.csv"), format!("{data}/test.csv"));
        fs::write(&train_file, reviews(240, 1)).unwrap();
        fs::write(&test_file, reviews(80, 2)).unwrap();
        let folder = made_once("trained", |_| {});
        let more = [&LEARN[..], &["--test", &test_file, "--logging-steps", "5"]].concat();
        let output = train(Path::new(&folder), Path::new(&train_file), &more);
        Trained { folder, test: test_file, stdout: output.stdout, stderr: output.stderr }
    })
}

/// Random numbers, the same every time.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn below(&mut self, n: usize) -> usize {
        // Knuth's MMIX constants; the high bits are the random ones.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    /// Some words without meaning, with `word` among them.
    pub fn sentence(&mut self, word: &str) -> String {
        let mut words: Vec<&str> = (0..2 + self.below(5))
            .map(|_| ["the", "and", "for", "was", "all", "act", "came"][self.below(7)])
            .collect();
        words.insert(self.below(words.len() + 1), word);
        words.join(" ")
    }
}

/// `text,label` rows: one word of the sentence tells whether it is `good` or `poor`.
pub fn reviews(rows: usize, seed: u64) -> String {
    let mut numbers = Numbers::new(seed);
    let mut csv = String::from("text,label\n");
    for row in 0..rows {
        let (word, label) =
            [("hot", "good"), ("dam", "poor"), ("fin", "good"), ("bra", "poor")][row % 4];
        writeln!(csv, "{},{label}", numbers.sentence(word)).unwrap();
    }
    csv
}

/// Data in a folder of its own, and where a run may go.
pub struct Place {
    pub folder: tempfile::TempDir,
    pub train: PathBuf,
    pub output: PathBuf,
}

impl Place {
    /// With these rows as `train.csv`.
    pub fn new(rows: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (train, output) = (folder.path().join("train.csv"), folder.path().join("run"));
        fs::write(&train, rows).unwrap();
        Self { folder, train, output }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), content).unwrap();
        text(&self.path(name)).to_owned()
    }

    pub fn train(&self, more: &[&str]) -> Output {
        train(&self.output, &self.train, more)
    }

    /// The training is refused as by [`refused`] and leaves nothing behind.
    pub fn refuses(&self, more: &[&str], parts: &[&str]) {
        refused(&train_args(text(&self.output), text(&self.train), more), parts);
        self.assert_nothing_left();
    }

    pub fn assert_nothing_left(&self) {
        let left: Vec<_> =
            names(self.folder.path()).into_iter().filter(|name| name.starts_with("run")).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }

    /// A copy of the base model, to be damaged.
    pub fn copy_of(&self, model: &str) -> PathBuf {
        let copy = self.path("model");
        fs::create_dir(&copy).unwrap();
        for name in names(Path::new(model)) {
            fs::copy(Path::new(model).join(&name), copy.join(&name)).unwrap();
        }
        copy
    }
}

/// Sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// One JSON object a line.
pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn metrics(run: &Path) -> Vec<Value> {
    json_lines(&fs::read_to_string(run.join("metrics.jsonl")).unwrap())
}

/// The last value of this name in `metrics.jsonl`.
pub fn metric(run: &Path, name: &str) -> f64 {
    let entries = metrics(run);
    let value = entries.iter().rev().find_map(|entry| entry.get(name));
    value.and_then(Value::as_f64).unwrap_or_else(|| panic!("no {name} in {entries:?}"))
}

pub fn weights(run: &Path) -> Vec<u8> {
    fs::read(run.join("model.safetensors")).unwrap()
}

pub fn tensor(model: &Path, name: &str) -> Vec<f32> {
    let mut file = File::open(&model.join("model.safetensors")).unwrap();
    file.read(name).unwrap().to_vec::<f32>().unwrap()
}
