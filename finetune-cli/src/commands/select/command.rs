//! The `finetune train` that a selection leads to: its flags, and the line to type.

use std::path::Path;

use anyhow::{Context, Result};
use clap::Parser;
use toml::Value;

use crate::args::hardware::DeviceName;
use crate::args::select::SelectArgs;
use crate::args::{CheckpointArgs, Cli, Command, TrainArgs};
use crate::select::candidates::Request;
use crate::select::summary::Candidate;

/// The flags of a training on the data of the selection; model and output are still to be said.
pub(super) fn base(args: &SelectArgs, model: &Path) -> TrainArgs {
    TrainArgs {
        model: Some(model.to_owned()),
        train: Some(args.train.clone()),
        validation: args.validation.clone(),
        test: None,
        output: Some(args.output.join("best")),
        overwrite: false,
        from_scratch: false,
        truncate: None,
        validation_fraction: args.validation_fraction,
        max_train_samples: args.max_train_samples,
        checkpoints: CheckpointArgs::default(),
        recipe: args.recipe.clone(),
        max_steps: None,
        eval_steps: None,
        lora: args.lora.clone(),
        data: args.data.clone(),
        machine: args.machine.clone(),
        flags_file: args.flags_file.clone(),
    }
}

/// The training of the first candidate, at its best learning rate; none if none was scored.
pub(super) fn train_args(
    args: &SelectArgs,
    candidates: &[(Request, Candidate)],
) -> Result<Option<TrainArgs>> {
    let Some((request, candidate)) = candidates.first().filter(|(_, c)| c.is_ranked()) else {
        return Ok(None);
    };
    let mut next = base(args, &request.folder()?);
    next.truncate = request.truncate;
    let measured = candidate.verified.as_ref().map(|verified| verified.learning_rate);
    next.recipe.learning_rate = measured.unwrap_or(args.rates()[0]);
    Ok(Some(next))
}

/// The command as typed in a shell: every flag that is not the default.
pub(super) fn line(args: &TrainArgs) -> Result<String> {
    let flags = toml::Table::try_from(args).context("the flags can't be written")?;
    let defaults = defaults()?;
    // The order of a help text: what, on what, where to; then the rest.
    let first = ["model", "truncate", "train", "validation", "output"];
    let rest = flags.keys().map(String::as_str).filter(|key| !first.contains(key));
    let mut words = vec!["finetune".to_owned(), "train".to_owned()];
    for key in first.into_iter().chain(rest) {
        let Some(value) = flags.get(key).filter(|value| defaults.get(key) != Some(value)) else {
            continue;
        };
        words.push(format!("--{key}"));
        match value {
            Value::Boolean(_) => {}
            Value::Array(items) => {
                let items = items.iter().map(|item| item.as_str().unwrap_or_default());
                words.push(quoted(&items.collect::<Vec<_>>().join(",")));
            }
            Value::String(text) => words.push(quoted(text)),
            other => words.push(quoted(&other.to_string())),
        }
    }
    // Where it runs is no setting of a training, but who types the line wants it to run there again.
    if args.machine.hardware.device != DeviceName::Cpu {
        words.extend(["--device".to_owned(), args.machine.hardware.device.to_string()]);
    }
    Ok(words.join(" "))
}

/// What holds without flags.
pub(in crate::commands) fn defaults() -> Result<toml::Table> {
    let Command::Train(plain) = Cli::parse_from(["finetune", "train"]).command else {
        unreachable!("the subcommand is train")
    };
    toml::Table::try_from(&*plain).context("the defaults can't be written")
}

/// The word for a POSIX shell.
pub(in crate::commands) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> TrainArgs {
        let Command::Train(args) = Cli::parse_from(words).command else { panic!("not train") };
        *args
    }

    #[test]
    fn the_line_says_what_differs_from_the_defaults() {
        let words = ["finetune", "train", "--model", "a b", "--train", "x.csv", "--output", "out"];
        let more = ["--epochs", "5", "--truncate", "3", "--text-column", "s1,s2", "--seed", "7"];
        let machine = ["--device", "cuda:1", "--threads", "2", "--lora-r", "4"];
        let machine = [&machine[..], &["--lora-target-modules", "query,key"]].concat();
        let args = parsed(&[&words[..], &more[..], &machine[..]].concat());
        let line = line(&args).expect("a line");
        assert_eq!(
            line,
            "finetune train --model 'a b' --truncate 3 --train x.csv --output out --epochs 5 \
             --lora-r 4 --lora-target-modules query,key --seed 7 --text-column s1,s2 --device cuda:1"
        );
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(quoted("models/a-b_1.0"), "models/a-b_1.0");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("$(rm)"), "'$(rm)'");
        assert_eq!(quoted(""), "''");
    }
}
