//! How well a candidate that was pretrained by masked-language modelling knows the text of the data.

use anyhow::Result;
use bert::MaskedLm;

use crate::args::RecipeArgs;
use crate::batches::Examples;
use crate::folder::Folder;
use crate::masked_lm::perplexity::pseudo_perplexity;
use nn::{Module, to_device};

/// Texts that are read: some hundred tokens tell 20 from 40.
const TEXTS: usize = 32;

/// The [pseudo-perplexity](pseudo_perplexity) of the first texts of the sample; none if there is no masked-LM head, or
/// its layers are left out.
///
/// # Errors
/// When the weights are damaged.
pub fn measure(folder: &Folder, sample: &Examples, recipe: &RecipeArgs) -> Result<Option<f64>> {
    let mut checkpoint = folder.checkpoint()?;
    if folder.tokenizer.mask_id().is_none()
        || !MaskedLm::has_head(&checkpoint, &folder.config)
        || checkpoint.has_layer(folder.config.num_hidden_layers)
    {
        return Ok(None);
    }
    let (model, _) = MaskedLm::load(&mut checkpoint, &folder.config, recipe.optimization.seed)?;
    to_device(&model.params(), &folder.device)?;
    let texts = sample.encodings.iter().take(TEXTS);
    let texts = texts.map(|text| Ok((text.ids.clone(), text.type_ids.clone())));
    pseudo_perplexity(&model, &folder.tokenizer, texts, recipe.optimization.precision.into())
}
