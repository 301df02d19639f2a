//! The `finetune` binary: flags in, exit code out. Everything else is the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use finetune::{commands, config_file, progress::warn};

fn main() -> ExitCode {
    let result = config_file::parse_args(std::env::args_os()).and_then(commands::run);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(error) = error.downcast_ref::<clap::Error>() {
                error.exit();
            }
            if let Some(stopped) = error.downcast_ref::<commands::Interrupted>() {
                warn(stopped);
                return ExitCode::from(stopped.code);
            }
            // One line that leaves the terminal alone, whatever a file name or a library's message holds.
            warn(format!("error: {error:#}").replace(char::is_control, " "));
            ExitCode::FAILURE
        }
    }
}

/// `finetune predict ... | head` is no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}
