//! The commands of `finetune` with `--device cuda` against themselves on the CPU, on the bundled model and reviews.

use std::path::Path;

use clap::Parser;
use finetune::args::Cli;
use finetune::{commands, config_file};
use tensor::safetensors::File;
use tests::gpu::relative_distance;
use tests::root;

/// Runs `finetune ARGUMENTS`, in this process and on its GPU.
fn finetune(arguments: &[&str]) -> anyhow::Result<()> {
    let typed = [&["finetune"], arguments].concat().into_iter().map(Into::into);
    commands::run(Cli::parse_from(config_file::expand(typed)?))
}

/// The weights in the folder of a run, behind one another.
fn weights(folder: &Path) -> Vec<f64> {
    let mut file = File::open(&folder.join("model.safetensors")).unwrap();
    let names = file.names();
    names.iter().flat_map(|name| file.read(name).unwrap().to_f64_vec().unwrap()).collect()
}

/// One command on both devices; `{}` in an argument is the folder of the run. Weights that follow the same masks and the
/// same batches differ by rounding, and by what Adam makes of gradients that are nothing else.
fn on_both(what: &str, arguments: &[&str], limit: f64) {
    let folder = tempfile::tempdir().unwrap();
    let [host, gpu] = ["cpu", "cuda"].map(|device| {
        let output = folder.path().join(device);
        let arguments: Vec<String> =
            arguments.iter().map(|a| a.replace("{}", output.to_str().unwrap())).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let machine = ["--device", device, "--quiet"];
        finetune(&[&arguments[..], &machine].concat()).unwrap_or_else(|e| panic!("{what}: {e:#}"));
        weights(&output)
    });
    let distance = relative_distance(&gpu, &host);
    println!("{what}: weights {distance:.1e} from the CPU's");
    assert!(distance <= limit, "{what}: weights {distance:e} from the CPU's");
}

/// Few and short: an emulated GPU takes its time.
const SMALL: [&str; 8] =
    ["--max-train-samples", "24", "--batch-size", "8", "--max-length", "16", "--epochs", "1"];

#[test]
#[ignore = "needs a GPU"]
fn training_ends_in_the_weights_of_the_cpu() {
    // A checkpoint waits for the figures of a step, and changes nothing.
    let train = ["train", "--output", "{}", "--save-steps", "1", "--load-best-model-at-end"];
    on_both("train", &[&train, &SMALL[..]].concat(), 1e-4);
}

/// Labels and scores go up with each batch; classes are checked on the host.
#[test]
#[ignore = "needs a GPU"]
fn every_task_trains_to_the_weights_of_the_cpu() {
    let folder = tempfile::tempdir().unwrap();
    for (task, cells) in [("regression", ["0.5", "-1.25"]), ("multi-label", ["a|b", "b"])] {
        let file = folder.path().join(format!("{task}.csv"));
        let rows = (0..16).map(|i| format!("sentence number {i},{}\n", cells[i % 2]));
        std::fs::write(&file, format!("text,label\n{}", rows.collect::<String>())).unwrap();
        let train = ["train", "--train", file.to_str().unwrap(), "--output", "{}"];
        let delimiter = ["--label-delimiter", "|"];
        // Rows of the word embeddings are added up batch by batch, too.
        let parts = ["--batch-size", "3", "--gradient-accumulation-steps", "2"];
        let flags = if task == "regression" { &parts[..] } else { &delimiter[..] };
        on_both(task, &[&train, &SMALL[..], flags].concat(), 1e-4);
    }
}

#[test]
#[ignore = "needs a GPU"]
fn adapting_ends_in_the_weights_of_the_cpu() {
    let folder = tempfile::tempdir().unwrap();
    let (text, model) = (folder.path().join("text.txt"), root().join("finetune-cli/assets/tiny"));
    let lines: Vec<String> =
        (0..60).map(|i| format!("The cat number {i} sat on the mat.")).collect();
    std::fs::write(&text, lines.join("\n")).unwrap();
    let (text, model) = (text.to_str().unwrap(), model.to_str().unwrap());
    let steps = ["--max-steps", "3", "--batch-size", "4", "--max-length", "16", "--line-by-line"];
    let arguments = ["adapt", "--model", model, "--text", text, "--output", "{}"];
    on_both("adapt", &[&arguments, &steps[..]].concat(), 1e-4);
}

#[test]
#[ignore = "needs a GPU"]
fn a_run_of_the_gpu_evaluates_and_predicts_there() {
    let folder = tempfile::tempdir().unwrap();
    let (output, file) = (folder.path().join("run"), folder.path().join("data.csv"));
    let (output, file) = (output.to_str().unwrap(), file.to_str().unwrap());
    std::fs::write(file, "text,label\nfine,positive\nbad,negative\n").unwrap();
    let machine = ["--device", "cuda", "--quiet"];
    finetune(&[&["train", "--output", output], &SMALL[..], &machine].concat()).unwrap();
    finetune(&[&["evaluate", "--model", output, file], &machine[..]].concat()).unwrap();
    finetune(&[&["predict", "--model", output, "good", "bad"], &machine[..]].concat()).unwrap();
}

#[test]
#[ignore = "needs a GPU"]
fn a_gpu_that_is_not_there_is_named() {
    let error = finetune(&["predict", "--device", "cuda:99", "--quiet", "--model", "x", "fine"]);
    let message = format!("{:#}", error.unwrap_err());
    assert!(message.contains("no CUDA device 99") && message.contains("cuda:0"), "{message}");
}

#[test]
#[ignore = "needs a GPU"]
fn training_in_bf16_ends_near_the_weights_of_the_cpu() {
    let bf16 = ["train", "--output", "{}", "--precision", "bf16", "--checkpoint-activations"];
    on_both("train, bf16", &[&bf16, &SMALL[..]].concat(), 1e-2);
}
