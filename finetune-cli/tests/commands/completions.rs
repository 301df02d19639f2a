//! `finetune completions`: scripts for shells.

use std::process::Command;

use crate::support::*;

#[test]
fn each_shell_has_a_script_that_knows_commands_and_flags() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = succeeds(&["completions", shell]).stdout;
        for word in ["finetune", "train", "pretrain", "completions", "learning-rate", "lora-r"] {
            assert!(script.contains(word), "{shell}: no {word}");
        }
    }
    let output = finetune(&["completions", "tcsh"]);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("'tcsh'") && output.stderr.contains("zsh"), "{}", output.stderr);
}

/// What bash itself offers behind these words.
#[cfg(unix)]
#[test]
fn bash_completes_by_its_script() {
    let script = succeeds(&["completions", "bash"]).stdout;
    let offered = |words: &[&str]| -> Option<Vec<String>> {
        let line = format!(
            "{script}\nCOMP_WORDS=({}); COMP_CWORD={}; _finetune finetune {:?} {:?}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words.join(" "),
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2],
        );
        let output = Command::new("bash").args(["--norc", "-c", &line]).output().ok()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
    };
    for (words, first) in [
        (&["finetune", "pre"][..], "predict"),
        (&["finetune", "train", "--learning"], "--learning-rate"),
        (&["finetune", "select", "--learning-rates"], "--learning-rates"),
        (&["finetune", "train", "--precision", ""], "f32"),
        (&["finetune", "bench", "m"], "matmul"),
    ] {
        let Some(offered) = offered(words) else { return println!("skipped: no bash here") };
        assert!(offered.iter().any(|word| word == first), "{words:?}: {offered:?}");
    }
}
