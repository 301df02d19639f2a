//! `finetune completions`: the script is made from the command line's own definition.

use anyhow::Result;
use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs};
use crate::progress::say;

/// Prints the script.
pub(super) fn run(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "finetune", &mut script);
    Ok(say(String::from_utf8(script)?)?)
}
