//! Flags and configuration files that are wrong.

use crate::support::*;

/// Exit code 2 and one error line that holds `part`.
fn wrong(args: &[&str], part: &str) {
    let output = finetune(args);
    assert_eq!(output.code, Some(2), "{args:?}\n{}", output.stderr);
    let errors: Vec<_> = output.stderr.lines().filter(|l| l.starts_with("error:")).collect();
    assert!(errors.len() == 1 && errors[0].contains(part), "{args:?}\n{}", output.stderr);
}

#[test]
fn numbers_out_of_range() {
    let cases = [
        ("--epochs", "0", "whole number from 1"),
        ("--epochs", "2.5", "whole number from 1"),
        ("--epochs", "many", "whole number from 1"),
        ("--batch-size", "0", "whole number from 1"),
        ("--eval-batch-size", "0", "whole number from 1"),
        ("--logging-steps", "0", "whole number from 1"),
        ("--max-train-samples", "0", "whole number from 1"),
        ("--early-stopping-patience", "0", "whole number from 1"),
        ("--max-length", "2", "whole number from 3"),
        ("--warmup-steps", "-1", "whole number from 0"),
        ("--learning-rate", "0", "finite number above 0"),
        ("--learning-rate", "-1e-5", "finite number above 0"),
        ("--learning-rate", "inf", "finite number above 0"),
        ("--learning-rate", "NaN", "finite number above 0"),
        ("--learning-rate", "1e-300", "1.2e-38 to 3.4e38"),
        ("--learning-rate", "1e300", "1.2e-38 to 3.4e38"),
        ("--learning-rate", "3.5e38", "1.2e-38 to 3.4e38"),
        ("--adam-epsilon", "0", "finite number above 0"),
        // 0 as f32, and what is divided by it is no number.
        ("--adam-epsilon", "1e-308", "1.2e-38 to 3.4e38"),
        ("--weight-decay", "-0.1", "0 or more"),
        ("--weight-decay", "1e39", "0 or more (to 3.4e38)"),
        ("--max-grad-norm", "-1", "0 or more"),
        ("--max-grad-norm", "inf", "0 or more"),
        ("--validation-fraction", "1", "from 0 to below 1"),
        ("--warmup-ratio", "1.5", "from 0 to below 1"),
        ("--label-smoothing-factor", "1", "from 0 to below 1"),
        ("--label-smoothing-factor", "-0.1", "from 0 to below 1"),
        ("--class-weight", "heavy", "possible values: none, balanced"),
        ("--momentum", "1", "from 0 to below 1"),
        ("--adam-beta1", "1", "from 0 to below 1"),
        ("--adam-beta2", "-0.1", "from 0 to below 1"),
        ("--seed", "-1", "invalid digit"),
        ("--threads", "0", "0 is not in"),
        ("--lr-scheduler-type", "wavy", "possible values: constant, linear"),
        ("--optimizer", "lion", "invalid value"),
        ("--precision", "f16", "possible values: f32, bf16"),
        ("--problem-type", "ranking", "single_label_classification"),
        ("--format", "xml", "csv, tsv, jsonl, json, parquet, conll or conllu"),
    ];
    for (flag, value, part) in cases {
        let output = finetune(&["train", &format!("{flag}={value}")]);
        assert_eq!(output.code, Some(2), "{flag} {value}");
        let errors = output.stderr.lines().filter(|l| l.starts_with("error:")).count();
        let says = output.stderr.contains(part) && output.stderr.contains(flag);
        assert!(errors == 1 && says, "{flag} {value}: {}", output.stderr);
    }
    wrong(&["predict", "--model", "m", "--threshold=1.1", "text"], "from 0 to 1");
    for size in ["16777217", "4294967295"] {
        wrong(&["pretrain", "--vocab-size", size], "whole number from 1 to 16777216");
    }
    wrong(&["inspect", "m", "--batch-size", "0"], "whole number from 1");
    wrong(&["bench", "step", "--batch-size", "0"], "whole number from 1");
    wrong(&["bench", "step", "--shape", "huge"], "invalid value 'huge'");
    wrong(&["bench", "matmul", "--sizes", "2x3"], "three whole numbers from 1");
    wrong(&["bench", "matmul", "--sizes", "2x0x3"], "three whole numbers from 1");
}

#[test]
fn flags_that_do_not_go_together() {
    wrong(&["predict", "--model", "m", "a", "b", "--pair", "c"], "1 times for 2 texts");
    wrong(&["predict", "--model", "m", "a", "--file", "f.csv"], "cannot be used with");
    wrong(&["predict", "--model", "m", "--pair", "a"], "required arguments");
    for flag in [&["--text-column", "a"][..], &["--literal-quotes"]] {
        let asked = |more: &[&'static str]| [&["predict", "--model", "m"], flag, more].concat();
        wrong(&asked(&[]), "standard input has a text a line; give --format");
        wrong(&asked(&["a text"]), "typed have no columns");
        wrong(&asked(&["--file", "lines.txt"]), "a .txt has a text a line; give --format");
    }
    // Flags of a training, and of other files, have no effect on an answer.
    wrong(&["evaluate", "--model", "m", "f.csv", "--problem-type", "regression"], "--problem-type");
    for flag in ["--problem-type", "--label-column", "--label-delimiter"] {
        wrong(&["predict", "--model", "m", flag, "regression", "a text"], flag);
    }
    let run = trained();
    wrong(&["predict", "--model", &run.folder, "--threshold", "0.5", "a"], "one of 2 classes");
    let more = ["evaluate", "--model", &run.folder, &run.test, "--threshold", "0.5"];
    wrong(&more, "--threshold is for models that give any of several labels");
    wrong(&["train", "--momentum", "0.5"], "--momentum is for --optimizer sgd");
    for flag in ["--adam-beta1=0.5", "--adam-beta2=0.99", "--adam-epsilon=1e-6"] {
        wrong(&["train", "--optimizer", "sgd", flag], "are for --optimizer adamw");
        let select = ["select", "--models", "m", "--train", "t.csv", "--optimizer", "sgd", flag];
        wrong(&select, "are for --optimizer adamw");
    }
    wrong(&["predict", "--model", "m", "--format", "csv", "a text"], "typed have no columns");
    let place = Place::new(reviews(8, 1));
    let more = ["--load-best-model-at-end", "--validation-fraction", "0"];
    wrong(&train_args(text(&place.output), text(&place.train), &more), "need validation data");
    wrong(&["train", "--validation", "v.csv"], "required arguments");
    wrong(&["train", "--test", "t.csv", "--model", "m"], "required arguments");
    wrong(&["train", "--overwrite"], "required arguments");
    wrong(&["evaluate"], "required arguments");
}

#[test]
fn help_stands_in_for_nothing_and_names_every_default() {
    let output = finetune(&[]);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("train") && output.stderr.contains("inspect"));
    let benches = ["bench step", "bench train", "bench matmul"];
    for command in ["train", "evaluate", "predict", "inspect"].into_iter().chain(benches) {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = succeeds(&words).stdout;
        let blocks: Vec<&str> = help.split("\n      --").skip(1).collect();
        for block in blocks {
            let name = block.split_whitespace().next().unwrap();
            // Switches are off, these must be given, and help is no setting.
            let takes_value = block.lines().next().unwrap().contains('<');
            let required = ["model", "train", "validation"].contains(&name);
            let described = block.contains("[default:") || name == "file";
            assert!(!takes_value || required || described, "{command} --{block}");
        }
    }
    let help = succeeds(&["train", "--help"]).stdout;
    for default in ["3", "16", "64", "2e-5", "1e-8", "0.01", "linear", "0.1", "1", "adamw", "42"] {
        assert!(help.contains(&format!("[default: {default}]")), "no default {default}");
    }
}

#[test]
fn configuration_files_that_are_wrong() {
    let place = Place::new(reviews(8, 1));
    let cases = [
        ("epoch = 3", &["unknown key `epoch`", "epochs, "][..]),
        ("config = \"a.toml\"", &["unknown key `config`"]),
        ("epochs = [", &["not valid TOML", "line 1"]),
        ("epochs = \"many\"", &["'many'", "--epochs", "whole number from 1"]),
        ("epochs = true", &["`epochs`", "found boolean"]),
        ("epochs = 0", &["--epochs", "whole number from 1"]),
        ("learning-rate = -1.0", &["--learning-rate", "finite number above 0"]),
        ("overwrite = \"yes\"", &["`overwrite`", "expected true or false"]),
        ("optimizer = \"lion\"", &["'lion'", "--optimizer"]),
        ("[recipe]\nepochs = 3", &["unknown key `recipe`"]),
        ("text-column = [true]", &["`text-column`", "strings or numbers"]),
        ("seed = 2020-01-01", &["`seed`", "found datetime"]),
    ];
    for (toml, parts) in cases {
        let config = place.write("bad.toml", toml);
        let parts: Vec<&str> = [&["bad.toml"], parts].concat();
        place.refuses(&["--config", &config], &parts);
    }
    place.refuses(&["--config", text(&place.path("none.toml"))], &["none.toml", "can't be read"]);
}

#[test]
fn an_instruction_set_that_nobody_knows() {
    let with = |value: &str, args: &[&str]| {
        output_of(command(args).env("KERNELS_ISA", value).spawn().unwrap())
    };
    let ask = ["predict", "--model", &trained().folder, "the hot act"];
    let out = with("foo", &ask);
    let names = match cfg!(target_arch = "x86_64") {
        true => "portable, avx2, avx512, avx512bf16, amx",
        false => "portable, neon",
    };
    let line =
        format!("error: KERNELS_ISA=foo: expected one of {names}; correct it, or unset it\n");
    assert_eq!((out.code, out.stderr.as_str()), (Some(1), line.as_str()));
    // Empty is as good as unset.
    let out = with("", &ask);
    assert_eq!((out.code, out.stdout), (Some(0), succeeds(&ask).stdout), "{}", out.stderr);
}

/// The recipe of the bundled model, or of a file, is not what was typed.
#[test]
fn usage_is_that_of_the_typed_flags() {
    let output = finetune(&["train", "--epoch", "3"]);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("unexpected argument '--epoch'"), "{}", output.stderr);
    assert!(!output.stderr.contains("--learning-rate"), "{}", output.stderr);
    let typed = finetune(&["train", "--model", "m", "--epoch", "3"]);
    let shown = |out: &Output| out.stderr.lines().next().unwrap().to_owned();
    assert_eq!(shown(&output), shown(&typed));
}

/// Of flags that do not go together as of one that is wrong by itself.
#[test]
fn the_usage_is_that_of_the_subcommand() {
    let test = &trained().test;
    let threshold = ["evaluate", "--model", &trained().folder, test, "--threshold", "0.5"];
    for (args, usage) in [
        (&threshold[..], "Usage: finetune evaluate [OPTIONS] <FILE>"),
        (&["predict", "--pair", "a", "--pair", "b", "c"], "Usage: finetune predict [OPTIONS]"),
        (&["train", "--lora-r", "2", "--freeze-encoder"], "Usage: finetune train [OPTIONS]"),
    ] {
        let out = finetune(args);
        assert!(out.code == Some(2) && out.stderr.contains(usage), "{args:?}\n{}", out.stderr);
    }
}
