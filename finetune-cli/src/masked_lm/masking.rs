//! Which tokens are hidden, and what stands in their place.
//!
//! ```text
//! of the n tokens of a sequence that are not special, k = max(1, round(p n)) are chosen, at random;
//! of each that is chosen  80 % become [MASK], 10 % a random token, 10 % stay;  all k are to be guessed
//! ```
//!
//! For whole words (`--whole-word`) words are drawn instead, with all their pieces, as long as they fit into k; one is
//! always taken. Source: Devlin et al., 2018, <https://arxiv.org/abs/1810.04805>, section 3.1; whole words:
//! <https://github.com/google-research/bert>, 2019.

use anyhow::{Context, Result};
use bert::{Batch, Tokenizer};
use tensor::philox::Rng;

/// The rule by which tokens are hidden.
#[derive(Clone, Debug)]
pub struct Masking {
    probability: f64,
    mask: u32,
    /// The ids that are never hidden, ascending.
    special: Vec<u32>,
    /// What may stand in a random place: all other ids.
    ordinary: Vec<u32>,
    /// For whole words: whether a token continues the word before it, by id.
    continuing: Option<Vec<bool>>,
}

/// Sequences with hidden tokens, as the model takes them.
#[derive(Clone, Debug)]
pub struct Masked {
    /// The tokens that are shown.
    pub batch: Batch,
    /// Rows of the batch that are to be guessed, `[M]`, ascending.
    pub positions: Vec<u32>,
    /// What was there, `[M]`.
    pub targets: Vec<u32>,
}

impl Masking {
    /// Hides a share of the tokens of a tokenizer's sequences.
    ///
    /// # Errors
    /// When its vocabulary has no `[MASK]`, no other token, or, for whole words, no word pieces.
    pub fn new(tokenizer: &Tokenizer, probability: f64, whole_word: bool) -> Result<Self> {
        let mask = tokenizer.mask_id();
        let mask = mask.context("the vocabulary of the model has no [MASK]; use another model")?;
        let special = tokenizer.special_ids();
        let all = 0..tokenizer.vocab_size() as u32;
        let ordinary: Vec<u32> = all.filter(|id| special.binary_search(id).is_err()).collect();
        anyhow::ensure!(
            !ordinary.is_empty(),
            "the vocabulary of the model has special tokens only"
        );
        let pieces = || {
            tokenizer.continuing().context(
                "--whole-word: the vocabulary is not one of word pieces; leave the flag out",
            )
        };
        let continuing = whole_word.then(pieces).transpose()?;
        Ok(Self { probability, mask, special, ordinary, continuing })
    }

    /// Hides tokens of these sequences, each of which has at least one that is not special.
    ///
    /// # Errors
    /// When there are no sequences.
    pub fn hide(&self, mut sequences: Vec<Vec<u32>>, rng: &mut Rng) -> Result<Masked> {
        let (mut positions, mut targets, mut start) = (Vec::new(), Vec::new(), 0);
        for ids in &mut sequences {
            for at in self.choose(ids, rng) {
                positions.push((start + at) as u32);
                targets.push(ids[at]);
                ids[at] = self.replacement(ids[at], rng);
            }
            start += ids.len();
        }
        let types = vec![0; sequences.iter().map(Vec::len).max().unwrap_or(0)];
        let batch = Batch::new(sequences.iter().map(|ids| (ids.as_slice(), &types[..ids.len()])))?;
        Ok(Masked { batch, positions, targets })
    }

    /// The places that are to be guessed, ascending.
    fn choose(&self, ids: &[u32], rng: &mut Rng) -> Vec<usize> {
        let mut units = self.units(ids);
        let tokens: usize = units.iter().map(Vec::len).sum();
        let wanted = ((self.probability * tokens as f64).round() as usize).max(1);
        rng.shuffle(&mut units);
        let mut chosen: Vec<usize> = Vec::new();
        for unit in units {
            if chosen.is_empty() || chosen.len() + unit.len() <= wanted {
                chosen.extend(unit);
            }
        }
        chosen.sort_unstable();
        chosen
    }

    /// What is hidden together: tokens, or words.
    fn units(&self, ids: &[u32]) -> Vec<Vec<usize>> {
        let mut units: Vec<Vec<usize>> = Vec::new();
        for (at, id) in ids.iter().enumerate() {
            if self.special.binary_search(id).is_ok() {
                continue;
            }
            let continues =
                self.continuing.as_ref().is_some_and(|all| all.get(*id as usize) == Some(&true));
            match units.last_mut() {
                Some(word) if continues && word.last() == Some(&(at - 1)) => word.push(at),
                _ => units.push(vec![at]),
            }
        }
        units
    }

    fn replacement(&self, id: u32, rng: &mut Rng) -> u32 {
        match rng.below(10) {
            0..8 => self.mask,
            8 => self.ordinary[rng.below(self.ordinary.len() as u64) as usize],
            _ => id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids 0 to 4 are special, odd ones of the others continue words.
    fn masking(whole_word: bool) -> Masking {
        Masking {
            probability: 0.15,
            mask: 4,
            special: vec![0, 1, 2, 3, 4],
            ordinary: (5..1000).collect(),
            continuing: whole_word.then(|| (0..1000).map(|id| id >= 5 && id % 2 == 1).collect()),
        }
    }

    /// Words of one to four pieces between `[CLS]` and `[SEP]`.
    fn sequence(words: u32) -> Vec<u32> {
        let word = |n: u32| {
            let first = 6 + 8 * (n % 100);
            [first].into_iter().chain((0..n % 4).map(move |piece| first + 1 + 2 * piece))
        };
        [2].into_iter().chain((0..words).flat_map(word)).chain([3]).collect()
    }

    #[test]
    fn shares_are_those_of_the_paper() {
        let (masking, original) = (masking(false), sequence(200));
        let n = original.len() - 2;
        let (mut masked, mut random, mut kept, rounds) = (0, 0, 0, 400);
        for step in 0..rounds {
            let hidden = masking.hide(vec![original.clone()], &mut Rng::new(7, step)).unwrap();
            assert_eq!(hidden.positions.len(), (0.15 * n as f64).round() as usize);
            let shown = hidden.batch.ids.to_vec::<u32>().unwrap();
            for (&at, &target) in hidden.positions.iter().zip(&hidden.targets) {
                assert_eq!(original[at as usize], target);
                match shown[at as usize] {
                    4 => masked += 1,
                    id if id == target => kept += 1,
                    _ => random += 1,
                }
            }
            let untouched = |at: &usize| !hidden.positions.contains(&(*at as u32));
            assert!((0..original.len()).filter(untouched).all(|at| shown[at] == original[at]));
        }
        let all = f64::from(masked + random + kept);
        // Standard errors are below 0.3 %.
        for (count, share) in [(masked, 0.8), (random, 0.1), (kept, 0.1)] {
            assert!((f64::from(count) / all - share).abs() < 0.012, "{count} of {all}");
        }
    }

    #[test]
    fn every_place_is_as_likely_and_special_ones_never() {
        let (masking, original) = (masking(false), sequence(20));
        let mut counts = vec![0u32; original.len()];
        for step in 0..4000 {
            let hidden = masking.hide(vec![original.clone()], &mut Rng::new(1, step)).unwrap();
            hidden.positions.iter().for_each(|&at| counts[at as usize] += 1);
        }
        assert_eq!((counts[0], counts[original.len() - 1]), (0, 0));
        let inner = &counts[1..original.len() - 1];
        let mean = f64::from(inner.iter().sum::<u32>()) / inner.len() as f64;
        assert!(
            inner.iter().all(|&c| (f64::from(c) - mean).abs() < 6.0 * mean.sqrt()),
            "{inner:?}"
        );
    }

    #[test]
    fn whole_words_are_hidden_with_all_their_pieces() {
        let (masking, original) = (masking(true), sequence(100));
        let n = original.len() - 2;
        for step in 0..200 {
            let hidden = masking.hide(vec![original.clone()], &mut Rng::new(3, step)).unwrap();
            let chosen = |at: usize| hidden.positions.contains(&(at as u32));
            assert!(hidden.positions.len() <= (0.15 * n as f64).round() as usize);
            let pieces = (1..=n).filter(|&at| original[at] % 2 == 1);
            pieces.for_each(|at| assert_eq!(chosen(at), chosen(at - 1), "piece {at}"));
        }
    }

    #[test]
    fn rows_count_through_all_sequences_of_a_batch() {
        let sequences = vec![sequence(9), sequence(1), sequence(30)];
        let flat = sequences.concat();
        let hidden = masking(false).hide(sequences, &mut Rng::new(0, 0)).unwrap();
        assert!(hidden.positions.windows(2).all(|pair| pair[0] < pair[1]));
        let there = hidden.positions.iter().map(|&at| flat[at as usize]).collect::<Vec<_>>();
        assert_eq!(there, hidden.targets);
        // The word of the second sequence alone: one is always hidden.
        assert!(hidden.positions.iter().any(|&at| flat[at as usize] == 6));
    }
}
