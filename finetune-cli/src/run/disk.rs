//! What a run asks of the file system.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folder that a link leads to: the run is built beside it, on its disk, and takes its name, not that of the link.
pub(super) fn resolved(destination: &Path) -> PathBuf {
    match destination.is_symlink() {
        true => fs::canonicalize(destination).unwrap_or_else(|_| destination.to_owned()),
        false => destination.to_owned(),
    }
}

/// Whether this folder is where another file system begins: nothing can take its place.
#[cfg(unix)]
pub(super) fn is_mount_point(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| Some(fs::metadata(path).ok()?.dev());
    let absolute = std::path::absolute(folder).unwrap_or_default();
    let parent = absolute.parent().and_then(device);
    parent.is_some() && device(&absolute).is_some_and(|device| Some(device) != parent)
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
