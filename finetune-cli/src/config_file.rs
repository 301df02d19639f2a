//! `--config FILE.toml`: flags from a file, under the same names.
//!
//! The file becomes flags in front of those that were typed, and the last of two equal flags wins. So names,
//! types, limits and messages are those of the command line, and there is one place that knows them.
//!
//! `finetune train` without a model trains the bundled one, whose recipe is such a file in front of all that.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, CommandFactory, Parser};
use toml::Value;

use crate::args::Cli;
use crate::bundled;

/// The command line, with the flags of [`expand`]. Whoever typed something wrong is told of that, and not of flags
/// from elsewhere.
///
/// # Errors
/// Those of [`expand`], and a [`clap::Error`] where the flags are wrong or ask for help.
pub fn parse_args(argv: impl IntoIterator<Item = OsString>) -> Result<Cli> {
    let typed: Vec<OsString> = argv.into_iter().collect();
    let expanded = Cli::try_parse_from(expand(typed.clone())?);
    Ok(expanded.map_err(|error| match Cli::try_parse_from(typed) {
        Err(alone) if alone.kind() == error.kind() => alone,
        _ => error,
    })?)
}

/// The arguments with those of `--config FILE`, and of the recipe of the bundled model if that is to be
/// trained, inserted behind the subcommand.
///
/// # Errors
/// When the file can't be read, is no TOML, or has a key that is no flag of the subcommand, or a value that the
/// flag does not take.
pub fn expand(argv: impl IntoIterator<Item = OsString>) -> Result<Vec<OsString>> {
    let mut argv: Vec<OsString> = argv.into_iter().collect();
    // In front of a subcommand there are only --help and --version, with which nothing else counts.
    let Some(subcommand) = argv.get(1).filter(|arg| is_subcommand(arg)).cloned() else {
        return Ok(argv);
    };
    let flags_file = value_of(&argv, "--config").filter(|_| takes_flags_file(&subcommand));
    if let Some(path) = flags_file {
        let flags = read(Path::new(&path), &subcommand)
            .with_context(|| format!("--config {}", Path::new(&path).display()))?;
        let flags: Vec<OsString> =
            flags.into_iter().filter(|flag| !is_displaced(flag, &subcommand, &argv)).collect();
        argv.splice(2..2, flags);
    }
    if subcommand == "train" && value_of(&argv, "--model").is_none() {
        let recipe = parse(bundled::RECIPE, &subcommand).context(bundled::MODEL)?;
        argv.splice(2..2, recipe);
    }
    Ok(argv)
}

/// The flags that the file stands for.
fn read(path: &Path, subcommand: &OsString) -> Result<Vec<OsString>> {
    parse(&std::fs::read_to_string(path).context("can't be read; check the path")?, subcommand)
}

fn parse(text: &str, subcommand: &OsString) -> Result<Vec<OsString>> {
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        anyhow!("not valid TOML; correct it: {}", one_line(&e.to_string()))
    })?;
    let known = long_flags(&subcommand.to_string_lossy());
    let mut flags = Vec::new();
    for (key, value) in &table {
        let name = key.replace('_', "-");
        let Some(arg) = known.iter().find(|arg| arg.get_long() == Some(&name)) else {
            let names: Vec<_> = known.iter().filter_map(Arg::get_long).collect();
            bail!("unknown key `{key}`; keys are the long flags: {}", names.join(", "));
        };
        push_flag(&mut flags, arg, value).with_context(|| format!("key `{key}`"))?;
    }
    check(subcommand, &flags)?;
    Ok(flags)
}

/// Has the command line judge the values, so that what is wrong is said of the file.
fn check(subcommand: &OsString, flags: &[OsString]) -> Result<()> {
    let argv = ["finetune".into(), subcommand.clone()].into_iter().chain(flags.iter().cloned());
    let Err(error) = Cli::try_parse_from(argv) else { return Ok(()) };
    match error.kind() {
        // What is missing may be typed.
        ErrorKind::MissingRequiredArgument => Ok(()),
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            bail!("{}", first.strip_prefix("error: ").unwrap_or(first))
        }
    }
}

/// Whether a flag of the file, `--name=value`, gives way to typed ones: a list to that of the same name, to which it
/// would be added, and any flag to those that it can't stand beside.
fn is_displaced(flag: &OsString, subcommand: &OsString, typed: &[OsString]) -> bool {
    let cli = Cli::command();
    let command = cli.find_subcommand(subcommand).expect("found by is_subcommand");
    let flag = flag.to_string_lossy();
    let name = flag.split('=').next().and_then(|name| name.strip_prefix("--"));
    let with_name = |arg: &&Arg| arg.get_long().is_some() && arg.get_long() == name;
    let arg = command.get_arguments().find(with_name).expect("a flag of the subcommand");
    let conflicts = |a: &Arg, b: &Arg| {
        command.get_arg_conflicts_with(a).iter().any(|other| other.get_id() == b.get_id())
    };
    let is_typed =
        |arg: &&Arg| arg.get_long().is_some_and(|name| last(typed, &format!("--{name}")).is_some());
    command.get_arguments().filter(is_typed).any(|other| {
        let same = other.get_id() == arg.get_id();
        let is_list = matches!(arg.get_action(), ArgAction::Append);
        if same { is_list } else { conflicts(arg, other) || conflicts(other, arg) }
    })
}

/// Where the last `--flag` or `--flag=` is.
fn last(argv: &[OsString], flag: &str) -> Option<usize> {
    let typed: Vec<_> = argv.iter().map(|arg| arg.to_string_lossy()).collect();
    let end = typed.iter().position(|arg| arg == "--").unwrap_or(typed.len());
    let is_flag = |arg: &str| {
        arg.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    typed[..end].iter().rposition(|arg| is_flag(arg))
}

/// What follows the last `--flag` or `--flag=`.
fn value_of(argv: &[OsString], flag: &str) -> Option<OsString> {
    let at = last(argv, flag)?;
    let behind = argv[at].to_string_lossy().split_once('=').map(|(_, value)| value.into());
    behind.or_else(|| argv.get(at + 1).cloned())
}

fn is_subcommand(arg: &OsString) -> bool {
    Cli::command().get_subcommands().any(|c| arg.to_str() == Some(c.get_name()))
}

/// Whether there is a `--config`; `inspect` and `bench` have none.
fn takes_flags_file(subcommand: &OsString) -> bool {
    let cli = Cli::command();
    let command = cli.find_subcommand(subcommand).expect("found by is_subcommand");
    command.get_arguments().any(|arg| arg.get_id() == "config")
}

fn long_flags(subcommand: &str) -> Vec<Arg> {
    let cli = Cli::command();
    let command = cli.find_subcommand(subcommand).expect("found by is_subcommand");
    let named = |arg: &&Arg| arg.get_long().is_some_and(|long| long != "config");
    command.get_arguments().filter(named).cloned().collect()
}

fn push_flag(flags: &mut Vec<OsString>, arg: &Arg, value: &Value) -> Result<()> {
    let name = arg.get_long().expect("a long flag");
    if let (ArgAction::Append, Value::Array(items)) = (arg.get_action(), value) {
        for item in items {
            flags.push(format!("--{name}={}", text_of(item)?).into());
        }
        return Ok(());
    }
    match (arg.get_action().takes_values(), value) {
        (true, value) => flags.push(format!("--{name}={}", text_of(value)?).into()),
        (false, Value::Boolean(true)) => flags.push(format!("--{name}").into()),
        (false, Value::Boolean(false)) => {}
        (false, value) => bail!("expected true or false, found {value}"),
    }
    Ok(())
}

fn text_of(value: &Value) -> Result<String> {
    match value {
        Value::Array(items) => Ok(items.iter().map(word_of).collect::<Result<Vec<_>>>()?.join(",")),
        word => word_of(word),
    }
}

fn word_of(value: &Value) -> Result<String> {
    Ok(match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        _ => bail!("expected strings or numbers, alone or in a list, found {}", value.type_str()),
    })
}

/// A message of several lines in one.
pub(crate) fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded_alone(argv: &[&str]) -> Vec<String> {
        let argv = expand(argv.iter().map(OsString::from)).expect("no file is read");
        argv.into_iter().map(|a| a.into_string().expect("text")).collect()
    }

    fn expanded(toml: &str, typed: &[&str]) -> Result<Vec<String>> {
        expanded_for("train", toml, typed)
    }

    fn expanded_for(subcommand: &str, toml: &str, typed: &[&str]) -> Result<Vec<String>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("run.toml");
        std::fs::write(&path, toml)?;
        let mut argv: Vec<OsString> = vec!["finetune".into(), subcommand.into()];
        argv.extend(typed.iter().map(OsString::from));
        argv.extend(["--config".into(), path.into_os_string()]);
        let argv = expand(argv)?;
        Ok(argv.into_iter().map(|a| a.into_string().expect("text")).collect())
    }

    #[test]
    fn keys_become_flags_in_front_of_the_typed_ones() {
        let argv = expanded(
            "epochs = 5\noverwrite = true\nlearning_rate = 3e-5\nquiet = false",
            &["--epochs", "2", "--model", "m"],
        );
        let argv = argv.unwrap();
        // The keys of a table come sorted.
        let want = ["--epochs=5", "--learning-rate=0.00003", "--overwrite", "--epochs", "2"];
        assert_eq!(argv[2..7], want);
    }

    #[test]
    fn lists_become_words_with_commas() {
        let flags = |toml: &str| parse(toml, &"select".into());
        let ends = flags("learning-rates = [2e-5, \"1e-4\", 1]").expect("a good file");
        assert_eq!(ends, ["--learning-rates=0.00002,1e-4,1"]);
        let error = flags("learning-rates = [[2e-5]]").expect_err("a list in a list");
        assert!(format!("{error:#}").contains("expected strings or numbers"), "{error:#}");
    }

    #[test]
    fn a_flag_that_can_not_stand_beside_a_typed_one_gives_way() {
        let kept = |toml: &str, typed: &[&str]| {
            let argv = expanded_for("select", toml, typed).expect("a good file");
            argv[2..argv.len() - 2 - typed.len()].to_vec()
        };
        assert_eq!(kept("learning-rate = 1", &["--learning-rates", "1,2"]), [""; 0]);
        assert_eq!(kept("learning-rates = [1, 2]", &["--learning-rate=1"]), [""; 0]);
        assert_eq!(kept("train-best = true", &["--json"]), [""; 0]);
        // A longer name is another flag.
        assert_eq!(kept("train-best = true", &["--json-lines"]), ["--train-best"]);
        assert_eq!(kept("models = [\"a\"]", &["--models", "b"]), [""; 0]);
        assert_eq!(kept("models = [\"a\"]", &["--train", "b"]), ["--models=a"]);
    }

    #[test]
    fn the_recipe_of_the_bundled_model_stands_in_front_of_a_file() {
        let recipe = &expanded_alone(&["finetune", "train"])[2..];
        assert!(recipe.iter().any(|flag| flag.starts_with("--learning-rate=")), "{recipe:?}");
        let argv = expanded("epochs = 7", &["--seed", "1"]).expect("a good file");
        assert_eq!(&argv[2..2 + recipe.len()], recipe);
        assert_eq!(argv[2 + recipe.len()..][..3], ["--epochs=7", "--seed", "1"]);
    }

    #[test]
    fn nothing_is_inserted_for_another_model_or_command() {
        let own = expanded("model = \"m\"", &[]).expect("a good file");
        assert_eq!(own[2..4], ["--model=m", "--config"]);
        for words in [
            &["finetune", "train", "--model", "m"][..],
            &["finetune", "train", "--model=m"],
            &["finetune", "predict", "train"],
            &["finetune", "help", "train"],
            &["train", "--help"],
        ] {
            assert_eq!(expanded_alone(words), words);
        }
    }

    #[test]
    fn unknown_keys_are_refused_with_the_known_ones() {
        let error = expanded("epoch = 5", &[]).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains("unknown key `epoch`") && error.contains("epochs"), "{error}");
    }
}
