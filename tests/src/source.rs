//! The project's own source, as text: enough to see where functions begin and end.
//!
//! `rustfmt` ends a function or module with a brace at the indentation of its first line, so lines and
//! their indentation are all that is looked at.

use std::fs;
use std::path::Path;

/// A source file.
#[derive(Debug)]
pub struct Source {
    /// Its path from the root, with `/`.
    pub path: String,
    /// Its lines.
    pub lines: Vec<String>,
}

/// The folders of the project: what else lies at the root is its user's.
const FOLDERS: [&str; 10] = [
    "kernels",
    "tensor",
    "autograd",
    "nn",
    "optim",
    "bert",
    "finetune-cli",
    "tests",
    "docs",
    ".ci",
];

/// The paths from the root, with `/`, of all files of the project.
///
/// # Panics
/// When a folder can't be read.
pub fn repository_files() -> Vec<String> {
    fn walk(folder: &Path, deep: bool, files: &mut Vec<String>) {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let entry = entry.expect("a readable folder");
            let kind = entry.file_type().expect("a readable folder");
            if kind.is_dir() && deep {
                walk(&entry.path(), deep, files);
            } else if kind.is_file() {
                let path = entry.path();
                let inside = path.strip_prefix(crate::root()).expect("below the root");
                let parts = inside.iter().map(|part| part.to_string_lossy());
                files.push(parts.collect::<Vec<_>>().join("/"));
            }
        }
    }
    let mut files = Vec::new();
    walk(crate::root(), false, &mut files);
    FOLDERS.iter().for_each(|folder| walk(&crate::root().join(folder), true, &mut files));
    files.sort();
    files
}

/// All `.rs` files below a folder of the root, in order; none if there is no such folder.
///
/// # Panics
/// When a file can't be read.
pub fn rust_files(folder: &str) -> Vec<Source> {
    let mut files = Vec::new();
    collect(&crate::root().join(folder), &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn collect(folder: &Path, files: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.expect("a readable folder").path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(read(&path));
        }
    }
}

fn read(path: &Path) -> Source {
    let text = fs::read_to_string(path).expect("a readable source file");
    let inside = path.strip_prefix(crate::root()).expect("below the root");
    let parts = inside.iter().map(|part| part.to_string_lossy());
    Source {
        path: parts.collect::<Vec<_>>().join("/"),
        lines: text.lines().map(str::to_owned).collect(),
    }
}

impl Source {
    /// The lines outside `#[cfg(test)]` modules.
    pub fn without_tests(&self) -> Vec<&str> {
        let mut kept = Vec::new();
        let mut lines = self.lines.iter().map(String::as_str).peekable();
        while let Some(line) = lines.next() {
            let module = lines.peek().is_some_and(|next| next.trim_start().starts_with("mod "));
            if line.trim() != "#[cfg(test)]" || !module {
                kept.push(line);
                continue;
            }
            let end = format!("{}}}", indent(line));
            let _ = lines.by_ref().find(|line| *line == end);
        }
        kept
    }

    /// Name and length of every function outside tests, from its first line to its closing brace.
    pub fn functions(&self) -> Vec<(String, usize)> {
        let lines = self.without_tests();
        let starts =
            lines.iter().enumerate().filter_map(|(i, line)| Some((i, function_name(line)?)));
        starts.filter_map(|(i, name)| Some((name, length(&lines[i..])?))).collect()
    }
}

/// The name, if the line begins a function.
fn function_name(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let qualifier = |word: &str| {
        ["pub", "const", "unsafe", "async", "extern", "\"C\""].contains(&word)
            || word.starts_with("pub(")
    };
    let first = words.find(|word| !qualifier(word))?;
    let name = words.next().filter(|_| first == "fn")?;
    Some(name.split(['(', '<']).next()?.to_owned())
}

/// The lines of the function that begins at the first one; `None` if it has no body.
fn length(lines: &[&str]) -> Option<usize> {
    let head = lines.iter().position(|line| line.ends_with(['{', '}', ';']))?;
    match lines[head] {
        line if line.ends_with(';') => None,
        line if line.ends_with('}') => Some(head + 1),
        _ => {
            let end = format!("{}}}", indent(lines[0]));
            Some(lines.iter().position(|line| *line == end)? + 1)
        }
    }
}

fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
/// fn in_a_comment() {
pub fn three(x: u32) -> u32 {
    x + 1
}

impl A {
    pub(crate) const fn head(
        a: u32,
    ) -> u32
    where
        A: B,
    {
        if a > 0 {
            return 2;
        }
        a
    }
    fn declared(&self);
    fn empty() {}
}

#[cfg(test)]
mod tests {
    fn inside() {
    }
}
fn last<T>(t: T) {
    t
}";

    #[test]
    fn functions_begin_and_end_where_they_do() {
        let source =
            Source { path: String::new(), lines: TEXT.lines().map(str::to_owned).collect() };
        let want = [("three", 3), ("head", 11), ("empty", 1), ("last", 3)];
        let want: Vec<_> = want.map(|(name, n)| (name.to_owned(), n)).into();
        assert_eq!(source.functions(), want);
        assert_eq!(source.without_tests().len(), TEXT.lines().count() - 5);
    }
}
