//! Writing a model folder in the layout of transformers.

use std::fs;
use std::io::Write;
use std::path::Path;

use autograd::Param;
use serde_json::Value;
use tensor::{DType, Device, Tensor};

use crate::config::TOKEN_CLASSIFICATION;
use crate::tokenizer::pretty;
use crate::weight_files::WEIGHTS;
use crate::{Config, Error, Result, Tokenizer};

/// How the names of the classes of transformers end whose decoder shares the table of the words.
const MASKED_LM: &str = "ForMaskedLM";

/// What weights are stored in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SavedDType {
    /// Every bit.
    #[default]
    F32,
    /// Half precision: 11 significant bits, up to 65504.
    F16,
    /// The upper half of an f32: 8 significant bits, its whole range.
    BF16,
}

impl SavedDType {
    fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::BF16 => DType::BF16,
        }
    }

    /// The name in a `config.json`.
    fn torch_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
        }
    }
}

/// Writes a model folder as transformers expects it: `config.json`, `tokenizer.json`,
/// `tokenizer_config.json`, `special_tokens_map.json`, `vocab.txt` (for a WordPiece vocabulary without
/// gaps) and last `model.safetensors`, with the weights rounded to `dtype`. The folder is made if it is not there;
/// files of the same names are replaced. Each file appears under its name only when it is complete.
///
/// # Errors
/// When a weight is too large for the dtype, the folder can't be made or a file can't be written.
pub fn save_pretrained(
    dir: &Path,
    config: &Config,
    params: &[Param],
    tokenizer: &Tokenizer,
    dtype: SavedDType,
) -> Result<()> {
    let stored = |param: &Param| {
        let name = config.family.stored_name(param.name());
        let value = rounded(&name, param, dtype)?;
        Ok((name, value))
    };
    let weights = params.iter().map(stored).collect::<Result<Vec<_>>>()?;
    let tokenizer_files = tokenizer.files(config)?;
    fs::create_dir_all(dir).map_err(|e| Error::write(dir, e))?;
    for (name, text) in &tokenizer_files {
        write_whole(&dir.join(name), text)?;
    }
    if !tokenizer_files.iter().any(|(name, _)| *name == "vocab.txt") {
        remove_stale(&dir.join("vocab.txt"))?;
    }
    write_whole(&dir.join("config.json"), &pretty(config_json(config, params, dtype)))?;
    Ok(tensor::safetensors::write(&dir.join(WEIGHTS), &weights)?)
}

/// The configuration with the class and the dtype of what is saved beside it.
fn config_json(config: &Config, params: &[Param], dtype: SavedDType) -> Value {
    let mut json = config.to_json();
    let purpose = purpose(params);
    json["architectures"] = vec![format!("{}{purpose}", config.family.class())].into();
    if purpose == MASKED_LM {
        // The table is saved once, whatever the configuration said of the model that this one began as.
        json["tie_word_embeddings"] = true.into();
    }
    // transformers reads either key from 4.56 on, and only the first before.
    json["torch_dtype"] = dtype.torch_name().into();
    if json.get("dtype").is_some() {
        json["dtype"] = dtype.torch_name().into();
    }
    json
}

/// A weight as it is stored, under `name`.
fn rounded(name: &str, param: &Param, dtype: SavedDType) -> Result<Tensor> {
    let dtype = dtype.dtype();
    let value = param.value().to_device(&Device::Cpu)?;
    let stored = value.to_dtype(dtype)?;
    let finite = |tensor: &Tensor| -> Result<bool> {
        Ok(tensor.to_f64_vec()?.iter().all(|x| x.is_finite()))
    };
    match dtype == DType::F32 || finite(&stored)? || !finite(&value)? {
        true => Ok(stored),
        false => Err(Error::OutOfRange { name: name.to_owned(), dtype: dtype.name() }),
    }
}

/// How the name of the class of transformers with these weights ends.
fn purpose(params: &[Param]) -> &'static str {
    let has = |part: &str| params.iter().any(|p| p.name().starts_with(part));
    if has("token_classifier.") {
        TOKEN_CLASSIFICATION
    } else if has("classifier.") {
        "ForSequenceClassification"
    } else if has("cls.predictions.") {
        MASKED_LM
    } else {
        "Model"
    }
}

/// Writes to a temporary name, then renames.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".partial");
    let write = || {
        let mut file = fs::File::create(&unfinished)?;
        file.write_all(text.as_bytes())?;
        // Without this, a power failure can leave the new name with no content.
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().map_err(|e| {
        // What can't be removed either is reported by the error that comes first.
        let _ = fs::remove_file(&unfinished);
        Error::write(path, e)
    })
}

fn remove_stale(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::write(path, e)),
        _ => Ok(()),
    }
}
