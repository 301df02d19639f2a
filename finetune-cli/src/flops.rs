//! How many floating-point operations an encoder does.

use bert::{Config, Family};

use crate::data::Task;

/// Those of a forward pass over sequences of `lens` tokens, by the usual count: two for each weight of a layer's maps
/// and token, and the two products of attention. Embeddings, pooler, head, norms and activations are not counted.
///
/// ```text
/// sum over sequences and layers of  2 W len  +  4 H pairs          W = 4 H^2 + 2 H F in a BERT
/// ```
///
/// A token meets all of its sequence, len^2 pairs, or those within the window of the layer. In a DeBERTa it also meets
/// two vectors of each of the 2 len - 1 distances, 4 H len (2 len - 1) more; to map the vectors is not counted.
pub fn forward(config: &Config, lens: impl IntoIterator<Item = usize>) -> f64 {
    let (w, h) = (config.map_parameters() as f64, config.hidden_size as f64);
    let windows: Vec<_> = (0..config.num_hidden_layers).map(|i| config.window_of(i)).collect();
    let meets_distances = matches!(config.family, Family::DebertaV2(_));
    let of_layer = |len: usize, window| {
        let met = if meets_distances { 4.0 * h * (2 * len - 1) as f64 } else { 0.0 };
        (2.0 * w + met) * len as f64 + 4.0 * h * pairs(len, window)
    };
    let of = |len: usize| windows.iter().map(|&window| of_layer(len, window)).sum::<f64>();
    lens.into_iter().map(of).sum()
}

/// Queries and keys of a sequence that meet: all, or those at most `window` apart.
fn pairs(len: usize, window: Option<usize>) -> f64 {
    let (len, window) = (len as f64, window.map_or(f64::INFINITY, |window| window as f64));
    match window + 1.0 >= len {
        true => len * len,
        // Of 2 w + 1 keys, those at the ends lack 1, 2, .. w.
        false => len * (2.0 * window + 1.0) - window * (window + 1.0),
    }
}

/// Those of a training step on the same: the backward does each product twice, once for either operand.
pub fn training(config: &Config, lens: impl IntoIterator<Item = usize>) -> f64 {
    3.0 * forward(config, lens)
}

/// Those of a training step of adapters, which are thin themselves: of each frozen map the backward does the product
/// for its input alone.
pub fn adapting(config: &Config, lens: impl IntoIterator<Item = usize>) -> f64 {
    2.0 * forward(config, lens)
}

/// The parameters of an encoder with the head for a task.
pub fn parameters(config: &Config, task: &Task) -> u64 {
    config.encoder_parameters() + head_parameters(config, task)
}

/// The parameters of the head alone, a pooler before it included: those that train on a frozen encoder.
pub fn head_parameters(config: &Config, task: &Task) -> u64 {
    let of_words = matches!(task, Task::Tags(_));
    let last = task.outputs() as u64 * (config.hidden_size as u64 + 1);
    config.transform_parameters(of_words) + last
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use nn::{Module, count};

    use super::*;
    use crate::classifier::Classifier;
    use crate::data::LabelSet;

    fn config(json: &str) -> Config {
        Config::parse(json, Path::new("config.json")).expect("a configuration")
    }

    #[test]
    fn operations_are_counted_as_the_peer_counts_them() {
        let minilm = r#"{"model_type": "bert", "hidden_size": 384, "num_hidden_layers": 6,
            "num_attention_heads": 12, "intermediate_size": 1536}"#;
        // 2 x 6 x (4 x 384^2 + 2 x 384 x 1536) x 2048 + 4 x 6 x 16 x 128^2 x 384
        assert_eq!(forward(&config(minilm), [128; 16]), 45_902_462_976.0);
    }

    #[test]
    fn pairs_are_those_that_a_window_lets_meet() {
        for (len, window) in [(1, 0), (5, 0), (5, 3), (5, 4), (5, 9), (40, 7), (129, 64)] {
            let meet = |i: usize| (0..len).filter(|&j| i.abs_diff(j) <= window).count();
            let want = (0..len).map(meet).sum::<usize>() as f64;
            assert_eq!(pairs(len, Some(window)), want, "{len} {window}");
        }
        assert_eq!(pairs(7, None), 49.0);
        let modern = config(
            r#"{"model_type": "modernbert", "hidden_size": 8, "num_hidden_layers": 4, "pad_token_id": 0,
            "num_attention_heads": 2, "intermediate_size": 10, "local_attention": 6}"#,
        );
        // Four layers of 4 x 8^2 + 3 x 8 x 10 weights; 20^2 pairs in two of them, 20 x 7 - 3 x 4 in the others.
        assert_eq!(forward(&modern, [20]), f64::from(4 * 2 * 496 * 20 + 2 * 4 * 8 * (400 + 128)));
    }

    const DEBERTA: &str = r#""relative_attention": true, "share_att_key": true, "norm_rel_ebd": "layer_norm",
        "position_biased_input": false, "pos_att_type": "p2c|c2p""#;

    #[test]
    fn a_deberta_meets_distances() {
        let deberta = config(&format!(
            r#"{{"model_type": "deberta-v2", "hidden_size": 8, "num_hidden_layers": 2,
            "num_attention_heads": 2, "intermediate_size": 10, "position_buckets": 256, {DEBERTA}}}"#
        ));
        // Two layers of 4 x 8^2 + 2 x 8 x 10 weights, 20^2 pairs, and 2 x 39 vectors for each token.
        assert_eq!(
            forward(&deberta, [20]),
            f64::from(2 * (2 * 416 * 20 + 4 * 8 * 400 + 2 * 8 * 2 * 39 * 20))
        );
    }

    #[test]
    fn parameters_are_those_of_the_model() {
        let tiny = |model_type: &str| {
            config(&format!(
                r#"{{"model_type": "{model_type}", "vocab_size": 50, "hidden_size": 12, "num_hidden_layers": 3,
                "pad_token_id": 0, "num_attention_heads": 2, "intermediate_size": 20, "max_position_embeddings": 9,
                "position_buckets": 4, {DEBERTA}}}"#,
            ))
        };
        let set = || LabelSet::from_training(["a", "b", "c", "d", "e"].into_iter());
        let tasks = || [Task::SingleLabel(set()), Task::Regression, Task::Tags(set())];
        let types = ["bert", "modernbert", "deberta-v2"].into_iter();
        let cases = types.flat_map(|t| tasks().map(|task| (t, task)));
        for (model_type, task) in cases {
            let tiny = tiny(model_type);
            let model = Classifier::new(&tiny, &task, 0);
            assert_eq!(parameters(&tiny, &task), count(&model.params()) as u64);
            let encoder = count(&model.encoder().params()) as u64;
            assert_eq!(head_parameters(&tiny, &task), count(&model.params()) as u64 - encoder);
        }
    }
}
