//! What a run asks of the file system.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folder that a link leads to, whether it is there or not: the run is built beside it, on its disk, and takes its
/// name, not that of the link.
pub(super) fn resolved(destination: &Path) -> PathBuf {
    // Without a slash at the end, behind which no link is seen.
    let mut path: PathBuf = destination.components().collect();
    // As many links in a row as the system follows.
    for _ in 0..40 {
        let Ok(target) = fs::read_link(&path) else { break };
        path = path.parent().map_or(target.clone(), |folder| folder.join(&target));
    }
    path
}

/// Whether something is mounted on this folder: nothing can take its place.
#[cfg(unix)]
pub(super) fn is_mount_point(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| Some(fs::metadata(path).ok()?.dev());
    let Ok(folder) = fs::canonicalize(folder) else { return false };
    let parent = folder.parent().and_then(device);
    let another_disk = parent.is_some() && device(&folder) != parent;
    another_disk || mounts().contains(&folder)
}

/// Where something is mounted, as Linux tells: a folder of the same disk, too. Spaces and the like are octal there.
///
/// Source: proc_pid_mountinfo(5), the fifth field.
#[cfg(unix)]
fn mounts() -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let field = |line: &str| line.split(' ').nth(4).map(str::to_owned);
    let plain = |field: String| {
        [("\\040", " "), ("\\011", "\t"), ("\\134", "\\")]
            .iter()
            .fold(field, |field, (code, sign)| field.replace(code, sign))
    };
    text.lines().filter_map(field).map(plain).map(PathBuf::from).collect()
}

#[cfg(not(unix))]
pub(super) fn is_mount_point(_: &Path) -> bool {
    false
}

/// Has the names in a folder written to the disk, where the system has a way to ask for that.
pub(super) fn sync(folder: &Path) {
    let _ = fs::File::open(folder).and_then(|folder| folder.sync_all());
}

/// A file that is on the disk when this returns.
pub(super) fn write_through(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Whether there is nothing, or an empty folder.
pub(super) fn is_free(path: &Path) -> bool {
    !path.exists() || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

/// `runs/sst2` -> `runs/sst2.partial`
pub(super) fn sibling(destination: &Path, suffix: &str) -> Result<PathBuf> {
    let name = destination.file_name().with_context(|| {
        format!("{}: no name for a folder; choose another --output", destination.display())
    })?;
    let mut name = name.to_owned();
    name.push(format!(".{suffix}"));
    Ok(destination.with_file_name(name))
}
