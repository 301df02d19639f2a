//! Reading the small files of a model folder: all but the weights.
//!
//! A folder comes from anywhere. A named pipe would be waited for, a device such as `/dev/zero` read without end; and a
//! link to nothing, as in a cache of Hugging Face of which a part is gone, is no file that may be left out.

use std::fs::{self, File};
use std::io::{Error as IoError, ErrorKind, Read};
use std::path::Path;

use crate::{Error, Result};

/// Bytes of a file that is read whole: three times the largest tokenizer of an encoder.
const LARGEST: u64 = 100 << 20;

/// Whether there is a file, or a folder, of that name.
///
/// # Errors
/// When it can't be told, or the name is a link to nothing.
pub(crate) fn is_there(path: &Path) -> Result<bool> {
    match (fs::metadata(path), fs::read_link(path)) {
        (Ok(_), _) => Ok(true),
        (Err(e), Ok(target)) if e.kind() == ErrorKind::NotFound => {
            let target = target.display();
            let message = format!("it is a link to {target}, which is not there; fetch it again");
            Err(Error::read(path, IoError::new(ErrorKind::NotFound, message)))
        }
        (Err(e), _) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(false)
        }
        (Err(e), _) => Err(Error::read(path, e)),
    }
}

/// Reads a file that has to be there.
///
/// # Errors
/// When it is no regular file, has more than 100 MiB, or can't be read.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    regular(path).map_err(|e| Error::read(path, e))
}

/// Reads a text of a model folder, such as `config.json`; `None` where there is none.
///
/// # Errors
/// When it is no regular file, has more than 100 MiB, is not UTF-8, can't be read, or is a link to nothing.
pub fn read_text(path: &Path) -> Result<Option<String>> {
    if !is_there(path)? {
        return Ok(None);
    }
    let text = String::from_utf8(read(path)?);
    text.map(Some)
        .map_err(|e| Error::read(path, IoError::new(ErrorKind::InvalidData, e.utf8_error())))
}

fn regular(path: &Path) -> std::io::Result<Vec<u8>> {
    // Before it is opened: to open a named pipe that nobody writes to waits for ever.
    if !fs::metadata(path)?.is_file() {
        return Err(IoError::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    if file.metadata()?.len() <= LARGEST {
        file.take(LARGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 <= LARGEST {
            return Ok(bytes);
        }
    }
    Err(IoError::other("it has more than 100 MiB: it is no file of a model"))
}
