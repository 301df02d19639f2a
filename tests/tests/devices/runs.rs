//! The runs of the other tests of this program, which are ignored but for these: on the GPU of this machine, if it has
//! one, and on emulated GPUs.
//!
//! `tests/emulator` holds a driver and a compiler with the interfaces of NVIDIA's, which run the same kernels on the
//! CPU: see its README. A process finds them by `LD_LIBRARY_PATH`, which is read when it starts; so each test here
//! starts this program again: on two GPUs like those of Ampere; on one like those of Hopper, whose blocks run their
//! threads in a random order, under the address sanitizer, with each array in a memory block of its own, and with fused
//! multiply-adds where the CPU has them; and on one that detects races, with the tests of a few ops alone, as that is
//! slow.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use tensor::Device;
use tests::{root, skip_without_tools};

/// What has this program run the tests that need a GPU, and no others.
const IGNORED: &str = "--ignored";
/// What the emulated GPU is to look for, in kernels that are compiled for it: `address` or `thread`.
const SANITIZE: &str = "EMULATOR_SANITIZE";
const CAPABILITY: &str = "EMULATED_CAPABILITY";
const CACHE: &str = "KERNELS_CUDA_CACHE";
const COMPILATION: [&str; 2] = ["--exact", "runs::compile_every_kernel"];
/// A test that counts launches, for which kernels need not run.
const COUNTING: &str = "model::a_step_takes_few_launches_and_no_waiting";
const WITHOUT_WORK: (&str, &str) = ("EMULATOR_KERNELS", "skip");

#[test]
fn on_the_gpu_of_this_machine() {
    if let Err(error) = Device::cuda(0) {
        return eprintln!("skipped: {error}");
    }
    check("on the GPU", Command::new(this_program()).arg(IGNORED));
}

#[test]
fn on_an_emulated_ampere() {
    let environment = [(CAPABILITY, "8.0"), ("EMULATED_GPUS", "2")];
    emulated("plain", &environment, &COMPILATION);
    emulated("plain", &environment, &["--skip", COUNTING]);
    emulated("plain", &[(CAPABILITY, "8.0"), WITHOUT_WORK], &[COUNTING]);
}

#[test]
fn on_an_emulated_hopper_under_the_address_sanitizer() {
    let order = ("EMULATOR_ORDER", "random");
    let fused = ("EMULATOR_CONTRACT", "fast");
    let environment = [(CAPABILITY, "9.0"), order, fused, ("KERNELS_CUDA_POOL", "off")];
    emulated("address", &environment, &COMPILATION);
    // An emulated GPU runs one kernel at a time: two processes, of as much work each, keep two cores busy. Whole commands
    // launch the kernels of whole models, which is slow here.
    let some = ["model::", "attention", "--skip", COUNTING];
    let others = ["--skip", "model::", "--skip", "attention", "--skip", "program"];
    std::thread::scope(|scope| {
        scope.spawn(|| emulated("address", &environment, &some));
        emulated("address", &environment, &others);
    });
    emulated("address", &[(CAPABILITY, "9.0"), WITHOUT_WORK], &[COUNTING]);
}

/// Barriers of blocks and warps, copies in the background, and blocks that wait for each other. All others take a
/// quarter of an hour: see `tests/emulator/README.md`.
#[test]
fn on_an_emulated_hopper_that_detects_races() {
    let few = ["bf16_products_equal", "add_norm::views", "pooling::nan", "reduce::columns"];
    emulated("plain", &[(CAPABILITY, "9.0"), (SANITIZE, "thread")], &few);
}

/// Compiles the kernels on all cores: a test compiles what it needs by itself, behind a lock.
#[test]
#[ignore = "the first step of a run on an emulated GPU"]
fn compile_every_kernel() {
    let (Ok(capability), Ok(folder)) = (std::env::var(CAPABILITY), std::env::var(CACHE)) else {
        return;
    };
    let (major, minor) = capability.split_once('.').expect("two numbers");
    let capability = (major.parse().expect("a number"), minor.parse().expect("a number"));
    kernels::cuda::precompile(capability, Path::new(&folder)).expect("kernels compile");
}

/// That it runs correct kernels correctly, and reports each kind of mistake.
#[test]
fn the_emulator_passes_its_own_test() {
    let Some(built) = built("plain").and_then(|_| built("address")) else { return };
    let script = root().join("tests/emulator/self_test.sh");
    check("the emulator", Command::new("sh").arg(script).arg(built.parent().expect("a folder")));
}

/// The ignored tests that these arguments choose, on a GPU of this build of the emulator.
fn emulated(build: &str, environment: &[(&str, &str)], chosen: &[&str]) {
    let Some(libraries) = built(build) else { return };
    let detects_races = environment.contains(&(SANITIZE, "thread"));
    let cache = libraries.join(if detects_races { "kernels-thread" } else { "kernels" });
    let mut run = Command::new("sh");
    run.arg(root().join("tests/emulator/run.sh")).args([&libraries, &this_program()]);
    run.env(CACHE, cache).envs(environment.iter().copied());
    check(build, run.arg(IGNORED).args(chosen));
}

fn this_program() -> PathBuf {
    std::env::current_exe().expect("the program has a path")
}

/// Runs it to its end, which must be a good one.
fn check(what: &str, run: &mut Command) {
    let output = run.output().expect("the program starts");
    assert!(output.status.success(), "{what}:\n{}", text(&output));
    println!("{}", text(&output));
}

/// The folder of the emulator's libraries, which are built once a process; none where that cannot be, which is said.
fn built(build: &str) -> Option<PathBuf> {
    static BUILT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if let Some(reason) = hindrance(build) {
        skip_without_tools(&reason);
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("emulator").join(build);
    let mut built = BUILT.lock().expect("no build has failed");
    if built.insert(build.to_owned()) {
        let mut script = Command::new("sh");
        script.arg(root().join("tests/emulator/build.sh")).arg(&folder);
        check("building the emulated GPU", script.args((build != "plain").then_some(build)));
    }
    Some(folder)
}

/// What the emulated GPU lacks here.
fn hindrance(build: &str) -> Option<String> {
    if !cfg!(all(target_os = "linux", target_pointer_width = "64")) {
        return Some("the emulated GPU needs 64-bit Linux".to_owned());
    }
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    if Command::new(&compiler).arg("--version").output().is_err() {
        return Some(format!("the emulated GPU needs a C++ compiler, and {compiler} does not run"));
    }
    let lacks_sanitizer = build == "address" && !has_sanitizer(&compiler);
    lacks_sanitizer.then(|| format!("{compiler} has no libasan.so, GCC's address sanitizer"))
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
