//! The other tests of this program once more, on an emulated card.
//!
//! `tests/emulator` holds a driver and a compiler with the interfaces of NVIDIA's, which run the same kernels on the
//! CPU: see its README. A process finds them by `LD_LIBRARY_PATH`, which is read when it starts; so each test here
//! builds them and runs this program again: on two cards like those of Ampere, and on one like those of Hopper, whose
//! blocks run their threads in a random order, so that a missing barrier shows, under the address sanitizer, with each
//! array in a memory block of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tests::card::EXPECTED;
use tests::root;

#[test]
fn emulated_ampere() {
    run("plain", &[("EMULATED_CAPABILITY", "8.0"), ("EMULATED_CARDS", "2")], &[]);
}

#[test]
fn emulated_hopper_under_the_address_sanitizer() {
    let order = ("EMULATOR_ORDER", "random");
    let environment = [("EMULATED_CAPABILITY", "9.0"), order, ("KERNELS_CUDA_POOL", "off")];
    // Whole commands launch the kernels of whole models, which is slow here.
    run("address", &environment, &["--skip", "program"]);
}

/// All tests but these, in a process of its own.
fn run(build: &str, environment: &[(&str, &str)], skipped: &[&str]) {
    let libraries = match libraries(build) {
        Ok(libraries) => libraries,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    let this = std::env::current_exe().expect("the program has a path");
    let output = Command::new("sh")
        .arg(root().join("tests/emulator/run.sh"))
        .args([&libraries, &this])
        .args(["--skip", "emulated"])
        .args(skipped)
        .env(EXPECTED, "1")
        .env("KERNELS_CUDA_CACHE", libraries.join("kernels"))
        .envs(environment.iter().copied())
        .output()
        .expect("sh runs");
    assert!(output.status.success(), "on the emulated card ({build}):\n{}", text(&output));
    println!("{}", text(&output));
}

/// Builds the libraries, or says why that cannot be.
fn libraries(build: &str) -> Result<PathBuf, String> {
    if !cfg!(all(target_os = "linux", target_pointer_width = "64")) {
        return Err("the emulated card needs 64-bit Linux".to_owned());
    }
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    if Command::new(&compiler).arg("--version").output().is_err() {
        return Err(format!("the emulated card needs a C++ compiler, and {compiler} does not run"));
    }
    if build == "address" && !has_sanitizer(&compiler) {
        return Err(format!("{compiler} has no libasan.so, GCC's address sanitizer"));
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("emulated-card-{build}"));
    let output = Command::new("sh")
        .arg(root().join("tests/emulator/build.sh"))
        .arg(&folder)
        .args((build != "plain").then_some(build))
        .output()
        .expect("sh runs");
    match output.status.success() {
        true => Ok(folder),
        false => panic!("the emulated card does not build:\n{}", text(&output)),
    }
}

/// `run.sh` loads this library first; a compiler without it repeats the name.
fn has_sanitizer(compiler: &str) -> bool {
    let output = Command::new(compiler).arg("-print-file-name=libasan.so").output();
    output
        .is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_absolute())
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).join("\n")
}
