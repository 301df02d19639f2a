//! What an encoder makes of the sample: the pooled states of every layer, from one forward pass.
//!
//! ```text
//! h_0 = embeddings, h_l = layer l of h_(l-1)            [T, H]
//! first[l] = h_l of the first token, [CLS]              [N, H]
//! mean[l]  = mean of h_l over the tokens of a sequence  [N, H]
//! ```
//!
//! N is the size of the sample, not of the data: memory is 2 (L + 1) N H floats. Where words have labels, a word stands
//! in place of the sequence: its first token, and the mean over its tokens.

use std::ops::Range;

use anyhow::{Result, ensure};
use bert::Encoder;
use nn::{Pass, Precision};
use tensor::{CuSeqLens, DType, Pooling, Tensor};

use crate::batches::{self, Examples};

/// How the states of a sequence become one.
pub const POOLINGS: [(&str, Pooling); 2] = [("first", Pooling::First), ("mean", Pooling::Mean)];

/// The pooled states of N sequences, layer by layer from the embeddings on.
#[derive(Clone, Debug, PartialEq)]
pub struct States {
    /// H.
    pub width: usize,
    /// For each layer, `[N, H]` by each of [`POOLINGS`].
    pub layers: Vec<[Vec<f32>; 2]>,
}

impl States {
    /// Runs the encoder over all examples: a row for each, or for each of these words of each text.
    ///
    /// # Errors
    /// When it can't run on them, or a state is not finite.
    pub fn compute(
        encoder: &Encoder,
        examples: &Examples,
        words: Option<&[Vec<usize>]>,
        batch_size: usize,
        precision: Precision,
    ) -> Result<Self> {
        let chosen = words.map(|words| spans(examples, words));
        let mut states = Self { width: 0, layers: Vec::new() };
        for rows in batches::in_order(examples.len(), batch_size) {
            let batch = examples.batch(&rows)?;
            let parts = match &chosen {
                None => Parts { lens: batch.seqlens.clone(), chosen: None },
                Some(chosen) => Parts::of_words(&rows, examples, chosen)?,
            };
            let pass = Pass::inference().with_precision(precision);
            let hidden = encoder.hidden_states(&pass, &batch)?;
            states.layers.resize_with(hidden.len(), Default::default);
            for (layer, x) in states.layers.iter_mut().zip(hidden) {
                let x = x.to_dtype(DType::F32)?;
                for (pooled, (_, how)) in layer.iter_mut().zip(POOLINGS) {
                    let rows = x.pool(how, &parts.lens)?;
                    states.width = rows.value().shape()[1];
                    pooled.extend(parts.chosen_of(rows.value().to_vec::<f32>()?, states.width));
                }
            }
        }
        let finite = states.layers.iter().flatten().flatten().all(|x| x.is_finite());
        ensure!(finite, "a hidden state is not finite; the weights are damaged");
        Ok(states)
    }

    /// L, the layers without the embeddings.
    pub fn depth(&self) -> usize {
        self.layers.len() - 1
    }

    /// The mean over the layers 1 to L of the states by mean pooling, `[N, H]`; without layers, the embeddings.
    pub fn mean_of_layers(&self) -> Vec<f32> {
        let layers = self.layers.get(1..).filter(|rest| !rest.is_empty());
        let layers = layers.unwrap_or(&self.layers);
        let mut sum = vec![0.0; layers[0][1].len()];
        for [_, mean] in layers {
            sum.iter_mut().zip(mean).for_each(|(sum, x)| *sum += x);
        }
        let scale = 1.0 / layers.len() as f32;
        sum.iter_mut().for_each(|x| *x *= scale);
        sum
    }

    /// As named tensors, `LAYER.POOLING`, for a file.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let places = self.layers.iter().enumerate().flat_map(|(layer, poolings)| {
            poolings.iter().zip(POOLINGS).map(move |(x, (how, _))| (format!("{layer}.{how}"), x))
        });
        let shape = |x: &Vec<f32>| [x.len() / self.width, self.width];
        let tensor = |x: &Vec<f32>| Tensor::from_vec(x.clone(), &shape(x)).expect("rows of H");
        places.map(|(name, x)| (name, tensor(x))).collect()
    }

    /// From the tensors of a file; none if they are not those of a model of `depth` layers and `rows` rows.
    pub fn from_tensors(
        depth: usize,
        rows: usize,
        mut read: impl FnMut(&str) -> Option<Tensor>,
    ) -> Option<Self> {
        let mut states = Self { width: 0, layers: Vec::new() };
        for layer in 0..=depth {
            let mut poolings: [Vec<f32>; 2] = Default::default();
            for (x, (how, _)) in poolings.iter_mut().zip(POOLINGS) {
                let tensor = read(&format!("{layer}.{how}"))?;
                let [n, width] = *tensor.shape() else { return None };
                let fits = n == rows && (layer == 0 || states.width == width);
                states.width = width;
                *x = tensor.to_vec::<f32>().ok().filter(|_| fits)?;
            }
            states.layers.push(poolings);
        }
        Some(states)
    }
}

/// The tokens of a batch in parts, and which of these are wanted; all if none are named.
struct Parts {
    lens: CuSeqLens,
    chosen: Option<Vec<usize>>,
}

impl Parts {
    /// The words that were chosen of these rows, and what lies between them.
    fn of_words(rows: &[usize], examples: &Examples, spans: &[Vec<Range<u32>>]) -> Result<Self> {
        let (mut lens, mut chosen) = (Vec::new(), Vec::new());
        for &row in rows {
            let mut end = 0;
            for span in &spans[row] {
                lens.extend(Some((span.start - end) as usize).filter(|&gap| gap > 0));
                chosen.push(lens.len());
                lens.push(span.len());
                end = span.end;
            }
            let rest = examples.encodings[row].ids.len() - end as usize;
            lens.extend(Some(rest).filter(|&rest| rest > 0));
        }
        Ok(Self { lens: CuSeqLens::from_lens(&lens)?, chosen: Some(chosen) })
    }

    /// The rows that are wanted of one for each part.
    fn chosen_of(&self, rows: Vec<f32>, width: usize) -> Vec<f32> {
        match &self.chosen {
            None => rows,
            Some(chosen) => chosen
                .iter()
                .flat_map(|part| &rows[part * width..(part + 1) * width])
                .copied()
                .collect(),
        }
    }
}

/// The tokens of the chosen words of each row, from those of each text; both count the words that have a label.
fn spans(examples: &Examples, words: &[Vec<usize>]) -> Vec<Vec<Range<u32>>> {
    let mut rows = examples.encodings.iter();
    let mut spans = Vec::with_capacity(examples.len());
    for (&pieces, words) in examples.pieces.iter().zip(words) {
        let mut first = 0;
        for row in rows.by_ref().take(pieces) {
            let own = words.iter().filter(|word| (first..first + row.words.len()).contains(word));
            spans.push(own.map(|word| row.words[word - first].clone()).collect());
            first += row.words.len();
        }
    }
    spans
}
