//! Tensors in files: the safetensors format.
//!
//! A file is 8 bytes of header length (little-endian), a JSON header that names every tensor with dtype,
//! shape and byte range, then the bytes. The header is checked against the length of the file before
//! anything is allocated; each tensor is then read straight into its own memory.
//!
//! Source: <https://github.com/huggingface/safetensors>.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use crate::{DType, Device, Element, Error, Result, Tensor};

/// Headers are a few hundred bytes a tensor; the format's own limit.
const LARGEST_HEADER: u64 = 100_000_000;

/// An open safetensors file.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    file: fs::File,
    header: Metadata,
    data_start: u64,
}

impl File {
    /// Opens a file and checks its header.
    ///
    /// # Errors
    /// When the file can't be read, is shorter than its header says, or the header is not valid.
    pub fn open(path: &Path) -> Result<Self> {
        // Before it is opened: to open a named pipe that nobody writes to waits for ever.
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(invalid(path, "it is not a regular file".to_owned()));
        }
        let mut file = fs::File::open(path).map_err(|e| io(path, e))?;
        let size = file.metadata().map_err(|e| io(path, e))?.len();
        let bytes = read_header(path, &mut file, size)?;
        let data_start = bytes.len() as u64;
        let header: Metadata = serde_json::from_slice(&bytes[8..])
            .map_err(|e| invalid(path, format!("the header is not valid: {e}")))?;
        let end = data_start + header.data_len() as u64;
        if size != end {
            let what = if size < end { "truncated" } else { "longer than its header says" };
            let message = format!("the file is {what}: {size} bytes, expected {end}");
            return Err(invalid(path, message));
        }
        Ok(Self { path: path.to_owned(), file, header, data_start })
    }

    /// The names of the tensors, in the order of their bytes.
    pub fn names(&self) -> Vec<String> {
        self.header.offset_keys()
    }

    /// The free-form metadata of the header, such as `format: pt`.
    pub fn metadata(&self) -> HashMap<String, String> {
        self.header.metadata().clone().unwrap_or_default()
    }

    /// The shape of a tensor, if the file has it.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.header.info(name).map(|info| info.shape.as_slice())
    }

    /// The dtype of a tensor as the file spells it (`F32`, `BF16`, ...), if the file has it.
    pub fn dtype(&self, name: &str) -> Option<String> {
        self.header.info(name).map(|info| info.dtype.to_string())
    }

    /// Reads one tensor, in the dtype it is stored in.
    ///
    /// # Errors
    /// When there is no such tensor, its dtype is not one of [`DType`], or reading fails.
    pub fn read(&mut self, name: &str) -> Result<Tensor> {
        let info = self.header.info(name).cloned();
        let info = info.ok_or_else(|| invalid(&self.path, format!("no tensor {name}")))?;
        let at = self.data_start + info.data_offsets.0 as u64;
        self.file.seek(SeekFrom::Start(at)).map_err(|e| io(&self.path, e))?;
        let dtype = match info.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F64 => DType::F64,
            Dtype::BF16 => DType::BF16,
            Dtype::F16 => DType::F16,
            Dtype::I64 => DType::I64,
            Dtype::U32 => DType::U32,
            other => {
                let expected = "F32, F64, BF16, F16, I64 or U32";
                let message = format!("tensor {name} is {other}: expected {expected}");
                return Err(invalid(&self.path, message));
            }
        };
        let read = Tensor::read_from(&mut self.file, dtype, &info.shape);
        read.map_err(|e| io(&self.path, e))
    }
}

/// Writes named tensors to a file, with `{"format": "pt"}` as every reader of the ecosystem expects.
///
/// The file appears under its name only when it is complete.
///
/// # Errors
/// When the file can't be written.
pub fn write(path: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
    let on_host = |tensor: &Tensor| tensor.to_device(&Device::Cpu)?.contiguous();
    let mut tensors = (tensors.iter())
        .map(|(name, tensor)| Ok((name, on_host(tensor)?)))
        .collect::<Result<Vec<_>>>()?;
    // In the order of the format's own library: wide elements first, so that all are aligned, then by name.
    tensors.sort_by(|(a, x), (b, y)| dtype(y).cmp(&dtype(x)).then(a.cmp(b)));
    let header = header(&tensors).map_err(|e| invalid(path, format!("can't be written: {e}")))?;
    let unfinished = path.with_extension("safetensors.partial");
    let write = || {
        let mut file = fs::File::create(&unfinished)?;
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        // Tensor by tensor: the file is never in memory as a whole.
        tensors.iter().try_for_each(|(_, tensor)| file.write_all(bytes(tensor)))?;
        // Without this, a power failure can leave the new name with no content.
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().map_err(|e| {
        // What can't be removed either is reported by the error that comes first.
        let _ = fs::remove_file(&unfinished);
        io(path, e)
    })
}

/// The header of contiguous tensors that lie one behind the other.
fn header(tensors: &[(&String, Tensor)]) -> std::result::Result<Vec<u8>, SafeTensorError> {
    let mut end = 0;
    let info = |(name, tensor): &(&String, Tensor)| {
        let start = end;
        end += bytes(tensor).len();
        let (dtype, shape) = (dtype(tensor), tensor.shape().to_vec());
        (name.to_string(), TensorInfo { dtype, shape, data_offsets: (start, end) })
    };
    let infos = tensors.iter().map(info).collect();
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let mut json = serde_json::to_vec(&Metadata::new(Some(format), infos)?)?;
    json.resize(json.len().next_multiple_of(8), b' ');
    Ok(json)
}

fn dtype(tensor: &Tensor) -> Dtype {
    match tensor.dtype() {
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
        DType::BF16 => Dtype::BF16,
        DType::F16 => Dtype::F16,
        DType::I64 => Dtype::I64,
        DType::U32 => Dtype::U32,
    }
}

/// The elements of a contiguous tensor, as they lie in the file.
fn bytes(tensor: &Tensor) -> &[u8] {
    fn cast<T: Element>(tensor: &Tensor) -> &[u8] {
        bytemuck::cast_slice(tensor.as_slice::<T>().expect("contiguous, of its own dtype"))
    }
    match tensor.dtype() {
        DType::F32 => cast::<f32>(tensor),
        DType::F64 => cast::<f64>(tensor),
        DType::BF16 => cast::<bf16>(tensor),
        DType::F16 => cast::<f16>(tensor),
        DType::I64 => cast::<i64>(tensor),
        DType::U32 => cast::<u32>(tensor),
    }
}

/// The length field and the header, together.
fn read_header(path: &Path, file: &mut fs::File, size: u64) -> Result<Vec<u8>> {
    let mut length = [0u8; 8];
    if size < 8 {
        return Err(invalid(path, format!("no safetensors file: {size} bytes")));
    }
    file.read_exact(&mut length).map_err(|e| io(path, e))?;
    let n = u64::from_le_bytes(length);
    if n > LARGEST_HEADER || n > size - 8 {
        let message = format!("the header length {n} is beyond the file of {size} bytes");
        return Err(invalid(path, message));
    }
    let mut bytes = vec![0u8; 8 + n as usize];
    bytes[..8].copy_from_slice(&length);
    file.read_exact(&mut bytes[8..]).map_err(|e| io(path, e))?;
    Ok(bytes)
}

fn io(path: &Path, source: std::io::Error) -> Error {
    Error::Io { path: path.display().to_string(), source }
}

fn invalid(path: &Path, message: String) -> Error {
    Error::Safetensors { path: path.display().to_string(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("{name}-{}.safetensors", std::process::id()))
    }

    #[test]
    fn what_is_written_is_read_again() {
        let path = file("round-trip");
        let a =
            Tensor::from_vec(vec![1.5f32, -2.0, f32::INFINITY, 0.0, 4.0, 5.0], &[2, 3]).unwrap();
        let b = Tensor::from_vec(vec![7u32, 9], &[2]).unwrap();
        let tensors = [
            ("a".to_owned(), a.transpose(0, 1).unwrap()),
            ("b".to_owned(), b.clone()),
            ("c".to_owned(), a.to_dtype(DType::BF16).unwrap()),
        ];
        write(&path, &tensors).unwrap();
        let mut read = File::open(&path).unwrap();
        assert_eq!(read.shape("a"), Some(&[3, 2][..]));
        assert_eq!(read.metadata()["format"], "pt");
        for (name, tensor) in &tensors {
            let got = read.read(name).unwrap();
            assert_eq!(got.dtype(), tensor.dtype());
            assert_eq!(got.to_f64_vec().unwrap(), tensor.to_f64_vec().unwrap());
        }
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let path = file("damaged");
        write(&path, &[("a".to_owned(), Tensor::zeros(&[4]))]).unwrap();
        let whole = fs::read(&path).unwrap();
        let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        for (cut, message) in [
            (whole.len() - 1, "truncated"),
            (header - 1, "beyond the file"),
            (5, "no safetensors file"),
        ] {
            fs::write(&path, &whole[..cut]).unwrap();
            let error = File::open(&path).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
        assert!(File::open(&path).unwrap_err().to_string().contains("longer than its header"));
        fs::remove_file(path).unwrap();
    }
}
