//! The design, as far as text can show it: arrows point down, `unsafe` stays in `kernels`, an op has its file
//! in every layer, and functions and files are short.

use std::collections::BTreeSet;
use std::fs;

use tests::root;
use tests::source::{Source, repository_files, rust_files};

/// Each package and the packages below it that it may name: the picture in `docs/architecture.md`.
const LAYERS: [(&str, &[&str]); 8] = [
    ("kernels", &[]),
    ("tensor", &["kernels"]),
    ("autograd", &["tensor"]),
    ("nn", &["autograd", "tensor"]),
    ("optim", &["autograd", "tensor"]),
    ("bert", &["nn", "autograd", "tensor"]),
    ("finetune-cli", &["bert", "optim", "nn", "autograd", "tensor"]),
    ("tests", &["finetune-cli", "bert", "optim", "nn", "autograd", "tensor", "kernels"]),
];

/// Longest file, in lines without tests.
const FILE: usize = 400;

/// Longest documentation of a module, in lines.
const DOC: usize = 25;

fn manifest(folder: &str) -> toml::Table {
    let text = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
    text.parse().unwrap_or_else(|e| panic!("{folder}/Cargo.toml: {e}"))
}

/// The packages of this workspace that a manifest names in a section.
fn arrows(manifest: &toml::Table, section: &str) -> BTreeSet<String> {
    let entries = manifest.get(section).and_then(toml::Value::as_table);
    let names = entries.into_iter().flatten().map(|(name, _)| name.clone());
    names.filter(|name| LAYERS.iter().any(|layer| layer.0 == name)).collect()
}

#[test]
fn every_package_has_its_layer() {
    let members = manifest(".")["workspace"]["members"].clone();
    let members: Vec<String> = members.try_into().expect("names");
    assert_eq!(members, LAYERS.map(|layer| layer.0));
}

#[test]
fn arrows_point_down() {
    for (i, (package, below)) in LAYERS.iter().enumerate() {
        let manifest = manifest(package);
        for to in arrows(&manifest, "dependencies") {
            assert!(below.contains(&to.as_str()), "{package} depends on {to}");
        }
        // Tests may look further down, but not up or aside.
        let lower: Vec<&str> = LAYERS[..i].iter().map(|layer| layer.0).collect();
        for section in ["dev-dependencies", "build-dependencies"] {
            for to in arrows(&manifest, section) {
                let aside = *package == "optim" && to == "nn";
                assert!(lower.contains(&to.as_str()) && !aside, "{package} {section}: {to}");
            }
        }
        assert!(!manifest.contains_key("target"), "{package}: dependencies of a target");
    }
}

/// All Rust files of a package: `src`, `tests`, `benches`, `examples`.
fn all_files(package: &str) -> Vec<Source> {
    let folders = ["src", "tests", "benches", "examples"];
    folders.iter().flat_map(|folder| rust_files(&format!("{package}/{folder}"))).collect()
}

/// The shipped files of the workspace.
fn shipped() -> impl Iterator<Item = Source> {
    LAYERS.iter().flat_map(|layer| rust_files(&format!("{}/src", layer.0)))
}

#[test]
fn unsafe_lives_in_kernels_alone() {
    // A block, function, impl or attribute; the lint's name goes on with an underscore.
    let forms = [' ', '('].map(|next| format!("unsafe{next}"));
    for package in LAYERS.iter().map(|layer| layer.0).filter(|&p| p != "kernels") {
        let files = all_files(package);
        for (file, line) in files.iter().flat_map(|f| f.lines.iter().map(move |l| (f, l))) {
            let code = line.split("//").next().unwrap_or_default();
            let found = forms.iter().any(|form| code.contains(form));
            assert!(!found, "{}: {line}", file.path);
        }
        let roots = ["lib.rs", "main.rs"].map(|name| format!("{package}/src/{name}"));
        for crate_root in files.iter().filter(|file| roots.contains(&file.path)) {
            let forbids = crate_root.lines.iter().any(|line| line == "#![forbid(unsafe_code)]");
            assert!(forbids, "{}: expected #![forbid(unsafe_code)]", crate_root.path);
        }
    }
}

/// Folders of `kernels/src` that are no ops: what ops share on the CPU and on a GPU, and copies, in which there is no
/// arithmetic to define.
const NO_OPS: [&str; 3] = ["copy", "cuda", "simd"];

/// What an op lacks, and why.
const EXCEPTIONS: [(&str, &str); 7] = [
    // The kernel is a ladder of files (views, packing, blocking, one micro-kernel an instruction set).
    ("matmul", "kernels/src/matmul/cpu.rs"),
    // A generator, used through dropout; `tensor` passes it on as it is. On a GPU it is part of `common.cuh`.
    ("philox", "kernels/src/philox/cuda.rs"),
    ("philox", "tests/tests/devices/philox.rs"),
    ("philox", "tensor/src/ops/philox.rs"),
    ("philox", "autograd/src/ops/philox.rs"),
    // One entry on the tape with attention, `rotary_attention`.
    ("rotary", "autograd/src/ops/rotary.rs"),
    // An update is not differentiated.
    ("adamw", "autograd/src/ops/adamw.rs"),
];

fn exists(path: &str) -> bool {
    root().join(path).exists()
}

fn has_test(path: &str) -> bool {
    let text = fs::read_to_string(root().join(path)).unwrap_or_default();
    text.contains("#[test]")
}

#[test]
fn every_op_has_its_file_in_every_layer() {
    let mut lacking = BTreeSet::new();
    for op in ops() {
        for file in ["mod", "reference", "cpu", "cuda"] {
            let path = format!("kernels/src/{op}/{file}.rs");
            if !exists(&path) && !exists(&format!("kernels/src/{op}/{file}/mod.rs")) {
                lacking.insert((op.clone(), path));
            }
        }
        let above = ["tensor/src/ops", "autograd/src/ops"];
        let files = above.map(|folder| format!("{folder}/{op}.rs")).into_iter();
        lacking.extend(files.filter(|f| !exists(f)).map(|f| (op.clone(), f)));
        let tests = ["kernels/tests", "tests/tests/devices"];
        let files = tests.map(|folder| format!("{folder}/{op}.rs")).into_iter();
        lacking.extend(files.filter(|f| !has_test(f)).map(|f| (op.clone(), f)));
    }
    let known = EXCEPTIONS.iter().map(|(op, file)| (op.to_string(), file.to_string())).collect();
    assert_eq!(lacking, known);
}

/// The op folders of `kernels`.
fn ops() -> Vec<String> {
    let entries = fs::read_dir(root().join("kernels/src")).expect("the kernels");
    let folders = entries.map(|e| e.expect("an entry").path()).filter(|path| path.is_dir());
    let names =
        folders.map(|path| path.file_name().expect("a name").to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| !NO_OPS.contains(&name.as_str())).collect();
    names.sort();
    names
}

/// What is written in backticks and looks like a file of source, such as `softmax.cu`; `NAME.cu` stands for one.
fn named_files(text: &str) -> impl Iterator<Item = &str> {
    let is_source = |word: &str| {
        let extension = word.rsplit_once('.').map_or("", |(_, extension)| extension);
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-./".contains(c);
        ["rs", "cu", "cuh", "sh", "py", "cpp"].contains(&extension)
            && !word.starts_with(".")
            && word.chars().all(plain)
    };
    text.split('`').skip(1).step_by(2).filter(move |word| is_source(word))
}

/// Docs and comments go stale silently; a name that has gone does not.
#[test]
fn files_that_are_named_exist() {
    let files = repository_files();
    let exists = |name: &str| {
        let ending = format!("/{}", name.trim_start_matches("../"));
        files.iter().any(|file| format!("/{file}").ends_with(&ending))
    };
    for file in files.iter().filter(|file| file.ends_with(".md") || file.ends_with(".rs")) {
        let text = fs::read_to_string(root().join(file)).expect("a readable file");
        let comments = text
            .lines()
            .filter(|line| file.ends_with(".md") || line.trim_start().starts_with("//"));
        let gone: Vec<&str> = comments.flat_map(named_files).filter(|name| !exists(name)).collect();
        assert_eq!(gone, [""; 0], "{file} names files that are not there");
    }
}

#[test]
fn files_are_short() {
    let long = shipped().map(|file| (file.without_tests().len(), file.path));
    let long: Vec<_> = long.filter(|(lines, _)| *lines >= FILE).collect();
    assert_eq!(long, []);
}

#[test]
fn module_docs_are_short() {
    let lines = |file: &Source| file.lines.iter().take_while(|l| l.starts_with("//!")).count();
    let long: Vec<_> = shipped().filter(|file| lines(file) > DOC).map(|file| file.path).collect();
    assert_eq!(long, [""; 0]);
}

#[test]
fn functions_are_short() {
    let functions = shipped().flat_map(|file| {
        let named = |(name, lines)| (lines, format!("{}: {name}", file.path));
        file.functions().into_iter().map(named).collect::<Vec<_>>()
    });
    let mut functions: Vec<(usize, String)> = functions.collect();
    functions.sort();
    let at = |share: f64| functions[(functions.len() as f64 * share) as usize].0;
    let (median, ninetieth) = (at(0.5), at(0.9));
    println!("{} functions: median {median} lines, 90 % up to {ninetieth}", functions.len());
    functions.iter().rev().take(10).for_each(|(lines, name)| println!("{lines:5} {name}"));
    assert!((3..=9).contains(&median), "median {median}");
    assert!(ninetieth <= 30, "90th percentile {ninetieth}");
}

#[test]
fn clippy_guards_the_parameters() {
    let clippy = fs::read_to_string(root().join("clippy.toml")).expect("clippy.toml");
    assert!(clippy.contains("too-many-arguments-threshold = 6"), "{clippy}");
    let lints = manifest(".")["workspace"]["lints"].clone();
    for (tool, lint) in [
        ("rust", "missing_docs"),
        ("clippy", "too_many_arguments"),
        ("clippy", "undocumented_unsafe_blocks"),
    ] {
        assert_eq!(lints[tool][lint].as_str(), Some("deny"), "{lint}");
    }
    for (package, _) in LAYERS {
        let inherits = manifest(package)["lints"]["workspace"].as_bool();
        assert_eq!(inherits, Some(true), "{package}: [lints] workspace = true");
        for file in all_files(package) {
            let allowed = file.lines.iter().find(|line| {
                line.trim_start().starts_with("#") && line.contains("too_many_arguments")
            });
            assert_eq!(allowed, None, "{}", file.path);
        }
    }
}
