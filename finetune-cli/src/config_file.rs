//! `--config FILE.toml`: flags from a file, under the same names.
//!
//! The file becomes flags in front of those that were typed, and the last of two equal flags wins. So names,
//! types, limits and messages are those of the command line, and there is one place that knows them.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::CommandFactory;
use toml::Value;

use crate::args::Cli;

/// The arguments with those of `--config FILE` inserted behind the subcommand.
///
/// # Errors
/// When the file can't be read, is no TOML, or has a key that is no flag of the subcommand.
pub fn expand(argv: impl IntoIterator<Item = OsString>) -> Result<Vec<OsString>> {
    let mut argv: Vec<OsString> = argv.into_iter().collect();
    let Some(path) = config_path(&argv) else { return Ok(argv) };
    let Some(at) = argv.iter().position(|arg| is_subcommand(arg)) else { return Ok(argv) };
    let path = Path::new(&path);
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{}: the configuration can't be read", path.display()))?;
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        anyhow::anyhow!("{}: not valid TOML: {}", path.display(), one_line(&e.to_string()))
    })?;
    let known = long_flags(&argv[at].to_string_lossy());
    let mut flags = Vec::new();
    for (key, value) in &table {
        let name = key.replace('_', "-");
        if !known.contains(&name) {
            bail!(
                "{}: unknown key `{key}`; keys are the long flags: {}",
                path.display(),
                known.join(", ")
            );
        }
        push_flag(&mut flags, &name, value)
            .with_context(|| format!("{}: key `{key}`", path.display()))?;
    }
    argv.splice(at + 1..at + 1, flags);
    Ok(argv)
}

fn config_path(argv: &[OsString]) -> Option<OsString> {
    let typed: Vec<_> = argv.iter().map(|arg| arg.to_string_lossy()).collect();
    let end = typed.iter().position(|arg| arg == "--").unwrap_or(typed.len());
    let at =
        typed[..end].iter().rposition(|arg| arg == "--config" || arg.starts_with("--config="))?;
    match typed[at].strip_prefix("--config=") {
        Some(path) => Some(path.to_owned().into()),
        None => argv.get(at + 1).cloned(),
    }
}

fn is_subcommand(arg: &OsString) -> bool {
    Cli::command().get_subcommands().any(|c| arg.to_str() == Some(c.get_name()))
}

fn long_flags(subcommand: &str) -> Vec<String> {
    let cli = Cli::command();
    let command = cli.find_subcommand(subcommand).expect("found by is_subcommand");
    let flags = command.get_arguments().filter_map(|a| a.get_long()).filter(|f| *f != "config");
    flags.map(str::to_owned).collect()
}

fn push_flag(flags: &mut Vec<OsString>, name: &str, value: &Value) -> Result<()> {
    let text = match value {
        Value::Boolean(true) => return Ok(flags.push(format!("--{name}").into())),
        Value::Boolean(false) => return Ok(()),
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned).context("expected a list of strings"))
            .collect::<Result<Vec<_>>>()?
            .join(","),
        Value::Datetime(_) | Value::Table(_) => bail!("expected a string, number, boolean or list"),
    };
    flags.push(format!("--{name}={text}").into());
    Ok(())
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(toml: &str, typed: &[&str]) -> Result<Vec<String>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("run.toml");
        std::fs::write(&path, toml)?;
        let mut argv: Vec<OsString> = vec!["finetune".into(), "train".into()];
        argv.extend(typed.iter().map(OsString::from));
        argv.extend(["--config".into(), path.into_os_string()]);
        let argv = expand(argv)?;
        Ok(argv.into_iter().map(|a| a.into_string().expect("text")).collect())
    }

    #[test]
    fn keys_become_flags_in_front_of_the_typed_ones() {
        let argv = expanded(
            "epochs = 5\noverwrite = true\nlearning_rate = 3e-5\nquiet = false",
            &["--epochs", "2"],
        );
        let argv = argv.unwrap();
        // The keys of a table come sorted.
        let want = ["--epochs=5", "--learning-rate=0.00003", "--overwrite", "--epochs", "2"];
        assert_eq!(argv[2..7], want);
    }

    #[test]
    fn unknown_keys_are_refused_with_the_known_ones() {
        let error = expanded("epoch = 5", &[]).unwrap_err().to_string();
        assert!(error.contains("unknown key `epoch`") && error.contains("epochs"), "{error}");
    }
}
