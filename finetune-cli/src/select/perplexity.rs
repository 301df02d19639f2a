//! How well a masked-language model knows the text: its pseudo-perplexity.
//!
//! ```text
//! exp( - mean over tokens t of  ln p(t | text with t and every 7th token from there masked) )
//! ```
//!
//! Each text is run [`STRIDE`] times, with every seventh token masked, each time others: so every token is masked once,
//! with as many masked beside it as in pretraining (15 %), at a seventh of the price of masking one at a time.
//! Source: Salazar et al., 2020, <https://arxiv.org/abs/1910.14659>, who mask one at a time.

use anyhow::Result;
use bert::{Batch, Checkpoint, Encoding, MaskedLm};
use nn::Pass;

use crate::args::RecipeArgs;
use crate::batches::Examples;
use crate::folder::Folder;

/// One of so many tokens is masked.
pub const STRIDE: usize = 7;
/// Texts that are read: some hundred tokens tell 20 from 40.
const TEXTS: usize = 32;

/// Measures the first texts of the sample; none if there is no masked-LM head, or its layers are left out.
///
/// # Errors
/// When the weights are damaged.
pub fn measure(folder: &Folder, sample: &Examples, recipe: &RecipeArgs) -> Result<Option<f64>> {
    let mut checkpoint = Checkpoint::open(&folder.path)?;
    let next_layer =
        format!("bert.encoder.layer.{}.output.dense.weight", folder.config.num_hidden_layers);
    let Some(mask) = folder.tokenizer.mask_id() else { return Ok(None) };
    if !MaskedLm::has_head(&checkpoint) || checkpoint.contains(&next_layer) {
        return Ok(None);
    }
    let (model, _) = MaskedLm::load(&mut checkpoint, &folder.config, recipe.optimization.seed)?;
    let special = folder.tokenizer.special_ids();
    let (mut total, mut count) = (0.0, 0);
    for encoding in sample.encodings.iter().take(TEXTS) {
        let masked = Masked::new(encoding, mask, &special);
        if masked.positions.is_empty() {
            continue;
        }
        let pass = Pass::inference().with_precision(recipe.optimization.precision.into());
        let batch = masked.batch()?;
        let logs = model.log_likelihoods(&pass, &batch, &masked.positions, &masked.targets)?;
        total -= logs.iter().sum::<f64>();
        count += masked.positions.len();
    }
    Ok((count > 0).then(|| (total / count as f64).exp()).filter(|p| p.is_finite()))
}

/// The copies of one text.
struct Masked {
    copies: Vec<(Vec<u32>, Vec<u32>)>,
    /// Rows of the batch that are masked.
    positions: Vec<u32>,
    /// What was there.
    targets: Vec<u32>,
}

impl Masked {
    fn new(encoding: &Encoding, mask: u32, special: &[u32]) -> Self {
        let mut masked = Self { copies: vec![], positions: vec![], targets: vec![] };
        let len = encoding.ids.len();
        for first in 0..STRIDE.min(len) {
            let mut ids = encoding.ids.clone();
            for at in
                (first..len).step_by(STRIDE).filter(|&at| !special.contains(&encoding.ids[at]))
            {
                masked.positions.push((masked.copies.len() * len + at) as u32);
                masked.targets.push(ids[at]);
                ids[at] = mask;
            }
            masked.copies.push((ids, encoding.type_ids.clone()));
        }
        masked
    }

    fn batch(&self) -> Result<Batch> {
        Ok(Batch::new(self.copies.iter().map(|(ids, types)| (ids.as_slice(), types.as_slice())))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_masked_once_and_special_ones_never() {
        let ids: Vec<u32> = [101].into_iter().chain(200..217).chain([102]).collect();
        let encoding = Encoding { type_ids: vec![0; ids.len()], ids, truncated: false };
        let masked = Masked::new(&encoding, 103, &[101, 102, 103]);
        let mut targets = masked.targets.clone();
        targets.sort_unstable();
        assert_eq!(targets, (200..217).collect::<Vec<_>>());
        let all: Vec<u32> = masked.copies.iter().flat_map(|(ids, _)| ids.clone()).collect();
        assert!(masked.positions.iter().all(|&row| all[row as usize] == 103));
        assert_eq!(all.iter().filter(|&&id| id == 103).count(), masked.positions.len());
    }
}
