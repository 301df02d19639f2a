//! The bundled default: a tiny pretrained BERT and a set of reviews that are part of the program.
//!
//! Everything else takes paths, so what is needed is unpacked into a temporary folder, which is removed when
//! it is dropped. Its path is nobody's business: messages say the name of the bundle.

use std::path::Path;

use anyhow::{Context, Error, Result, anyhow};
use tempfile::TempDir;

/// What the model is called in messages.
pub const MODEL: &str = "the bundled tiny model";
/// What the data is called in messages.
pub const REVIEWS: &str = "the bundled reviews";
/// Hyperparameters that suit the model, in the form of a `--config` file.
pub const RECIPE: &str = include_str!("../assets/tiny/train.toml");

type File = (&'static str, &'static [u8]);

const MODEL_FILES: [File; 6] = [
    ("config.json", include_bytes!("../assets/tiny/config.json")),
    ("model.safetensors", include_bytes!("../assets/tiny/model.safetensors")),
    ("special_tokens_map.json", include_bytes!("../assets/tiny/special_tokens_map.json")),
    ("tokenizer.json", include_bytes!("../assets/tiny/tokenizer.json")),
    ("tokenizer_config.json", include_bytes!("../assets/tiny/tokenizer_config.json")),
    ("vocab.txt", include_bytes!("../assets/tiny/vocab.txt")),
];

const REVIEWS_FILES: [File; 3] = [
    ("train.csv", include_bytes!("../assets/reviews/train.csv")),
    ("validation.csv", include_bytes!("../assets/reviews/validation.csv")),
    ("test.csv", include_bytes!("../assets/reviews/test.csv")),
];

/// A part of the bundle as files, until it is dropped.
pub struct Unpacked {
    name: &'static str,
    folder: TempDir,
}

impl Unpacked {
    /// The folder of the model.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn model() -> Result<Self> {
        Self::new(MODEL, &MODEL_FILES)
    }

    /// A folder with `train.csv`, `validation.csv` and `test.csv`.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn reviews() -> Result<Self> {
        Self::new(REVIEWS, &REVIEWS_FILES)
    }

    fn new(name: &'static str, files: &[File]) -> Result<Self> {
        let unpack = || {
            let folder = tempfile::Builder::new().prefix("finetune-").tempdir()?;
            for (file, bytes) in files {
                std::fs::write(folder.path().join(file), bytes)?;
            }
            std::io::Result::Ok(folder)
        };
        let folder = unpack().with_context(|| {
            let place = std::env::temp_dir();
            format!(
                "{name} can't be unpacked in {}; make room there or set TMPDIR",
                place.display()
            )
        })?;
        Ok(Self { name, folder })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// An error that may name the temporary folder, with the name of the bundle in its place.
    pub fn renamed(&self, error: Error) -> Error {
        let (text, path) = (format!("{error:#}"), self.path().display().to_string());
        match text.contains(&path) {
            true => anyhow!("{}", text.replace(&path, self.name)),
            false => error,
        }
    }
}

/// The help of `finetune train --model`, with the recipe that comes with leaving it out.
pub fn model_help() -> String {
    let lines = RECIPE.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let settings = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(", ");
    format!(
        "The folder of the pretrained model, or its name in the Hugging Face cache [default: {MODEL}, and with \
         it, where neither typed nor in --config: {settings}]"
    )
}
