//! What `finetune bench` prints and refuses. How fast it is, is no test.

use finetune::memory::Memory;
use serde_json::Value;

use crate::support::*;

/// Whether the line has these keys in this order, with numbers where no text is meant.
fn assert_keys(line: &Value, keys: &[&str]) {
    let object = line.as_object().unwrap();
    assert_eq!(object.keys().collect::<Vec<_>>(), keys);
    for (key, value) in object {
        let text = ["shape", "precision", "device"].contains(&key.as_str());
        // The system may not tell how much memory was used.
        let memory = key.starts_with("peak") && value.is_null() && cfg!(not(target_os = "linux"));
        assert!(
            memory || if text { value.is_string() } else { value.is_number() },
            "{key}: {value}"
        );
    }
}

#[test]
fn step_prints_what_the_peer_prints() {
    let size = ["--shape", "tiny", "--batch-size", "2", "--max-length", "8", "--steps", "1"];
    let output = succeeds(&[&["bench", "step", "--threads", "1"], &size[..]].concat());
    let lines = json_lines(&output.stdout);
    let keys = [
        "shape",
        "batch",
        "length",
        "precision",
        "device",
        "threads",
        "step_ms",
        "forward_ms",
        "backward_ms",
        "optimizer_ms",
        "best_step_ms",
        "train_gflops",
        "infer_ms",
        "infer_gflops",
        "peak_mb",
    ];
    assert_eq!((lines.len(), output.stderr.as_str()), (1, ""));
    assert_keys(&lines[0], &keys);
    assert_eq!((&lines[0]["shape"], &lines[0]["precision"]), (&"tiny".into(), &"f32".into()));
    assert_eq!((&lines[0]["batch"], &lines[0]["length"]), (&2.into(), &8.into()));
    assert_eq!((&lines[0]["threads"], &lines[0]["device"]), (&1.into(), &"cpu".into()));
    let ms = |key: &str| lines[0][key].as_f64().unwrap();
    // One step is its own median; its parts make it up, to the roundings.
    let parts = ms("forward_ms") + ms("backward_ms") + ms("optimizer_ms");
    assert!(ms("step_ms") == ms("best_step_ms") && parts <= ms("step_ms") + 0.02);
    succeeds(&[&["bench", "step", "--checkpoint-activations"], &size[..]].concat());
}

/// What a process holds more for more tokens is what the estimate of activations says, by which large steps are refused
/// and candidates passed over.
#[test]
#[cfg(target_os = "linux")]
fn memory_grows_with_the_tokens_as_estimated() {
    let shape = r#"{"model_type": "bert", "hidden_size": 384, "num_hidden_layers": 6,
        "num_attention_heads": 12, "intermediate_size": 1536}"#;
    let config = bert::Config::parse(shape, std::path::Path::new("config.json")).unwrap();
    let estimated = |batch| Memory::of_step(&config, 0, [batch, 128], false).activations as f64;
    let measured = |batch: &str| {
        let size = ["--shape", "minilm", "--batch-size", batch, "--max-length", "128"];
        let output = succeeds(&[&["bench", "step", "--steps", "1"], &size[..]].concat());
        json_lines(&output.stdout)[0]["peak_mb"].as_f64().unwrap() * f64::from(1 << 20)
    };
    let ratio = (measured("16") - measured("4")) / (estimated(16) - estimated(4));
    assert!((0.85..1.15).contains(&ratio), "{ratio}");
}

#[test]
fn train_prints_a_line_an_epoch() {
    let place = Place::new(reviews(40, 1));
    let eval = place.write("eval.csv", reviews(20, 2));
    let files = ["--model", base_model(), "--train", text(&place.train), "--validation", &eval];
    let more = [
        "--epochs",
        "2",
        "--max-train-samples",
        "33",
        "--batch-size",
        "8",
        "--learning-rate",
        "1e-3",
    ];
    let run = || succeeds(&[&["bench", "train"], &files[..], &more].concat());
    let output = run();
    let lines = json_lines(&output.stdout);
    let keys = [
        "epoch",
        "precision",
        "loss",
        "seconds",
        "examples_per_s",
        "eval_accuracy",
        "eval_examples_per_s",
        "peak_rss_mb",
    ];
    assert_eq!((lines.len(), output.stderr.as_str()), (2, ""));
    lines.iter().for_each(|line| assert_keys(line, &keys));
    assert_eq!((&lines[0]["epoch"], &lines[1]["epoch"]), (&1.into(), &2.into()));
    let again = json_lines(&run().stdout);
    for key in ["loss", "eval_accuracy"] {
        assert_eq!(lines[1][key], again[1][key], "{key}");
    }
    assert_eq!(names(place.folder.path()), ["eval.csv", "train.csv"]);
}

#[test]
fn train_is_the_training_of_train() {
    let place = Place::new(reviews(40, 1));
    let eval = place.write("eval.csv", reviews(20, 2));
    let train = text(&place.train);
    let files = ["--model", base_model(), "--train", train, "--validation", &eval];
    let recipe = ["--batch-size", "32", "--learning-rate", "5e-5", "--seed", "0"];
    let lora = ["--lora-r", "2", "--lora-alpha", "64", "--lora-target-modules", "query,key"];
    for lora in [&[][..], &lora] {
        let bench = succeeds(&[&["bench", "train"], &files[..], lora].concat());
        let line = &json_lines(&bench.stdout)[2];
        place.train(&[&recipe[..], &["--validation", &eval, "--overwrite"], lora].concat());
        for (key, name) in [("loss", "train_loss"), ("eval_accuracy", "eval_accuracy")] {
            let (here, there) = (line[key].as_f64().unwrap(), metric(&place.output, name));
            assert!((here - there).abs() <= 5e-5, "{key} {lora:?}: {here} and {there}");
        }
    }
}

#[test]
fn matmul_prints_a_line_a_size() {
    let args = ["bench", "matmul", "--sizes", "4x3x5,16x8x8", "--repeats", "2"];
    let lines = json_lines(&succeeds(&args).stdout);
    let keys =
        ["m", "k", "n", "precision", "device", "threads", "ms", "gflops", "best_ms", "best_gflops"];
    lines.iter().for_each(|line| assert_keys(line, &keys));
    let sizes: Vec<_> = lines.iter().map(|l| [&l["m"], &l["k"], &l["n"]]).collect();
    assert_eq!(
        sizes,
        [[4, 3, 5].map(Value::from).each_ref(), [16, 8, 8].map(Value::from).each_ref()]
    );
}

#[test]
fn what_can_not_be_measured_is_refused() {
    refused(&["bench", "step", "--max-length", "513"], &["--max-length 513", "512 or less"]);
    if cfg!(target_os = "linux") {
        refused(
            &["bench", "step", "--batch-size", "4294967295"],
            &["--batch-size 4294967295", "use less"],
        );
        let sizes = "4294967295x4294967295x4294967295";
        refused(&["bench", "matmul", "--sizes", sizes], &[sizes, "use less"]);
    }
    let place = Place::new(reviews(8, 1));
    let (model, train, none) =
        (base_model(), text(&place.train), text(&place.path("none.csv")).to_owned());
    let bench = |model, train, eval, parts: &[&str]| {
        refused(
            &["bench", "train", "--model", model, "--train", train, "--validation", eval],
            parts,
        );
    };
    bench(model, train, &none, &["none.csv", "no such file"]);
    bench(model, &none, train, &["none.csv", "no such file"]);
    bench("no-model", train, train, &["no-model", "no such folder"]);
    let scores = place.write("scores.csv", "text,label\na,0.5\nb,1.25\nc,2.5\n");
    bench(model, &scores, &scores, &["scores.csv", "one class an example"]);
    let control = place.write("control.csv", "text,label\na,\"p\nq\u{1b}[31m\"\nb,r\n");
    bench(model, &control, train, &["control.csv", r#""p\nq\u{1b}[31m""#, "control characters"]);
}
