//! How many floating-point operations an encoder does.

use bert::Config;

use crate::data::Task;

/// Those of a forward pass over sequences of `lens` tokens, by the usual count: two for each weight of a layer
/// and token, and the two products of attention. Embeddings, pooler, head, norms and activations are not counted.
///
/// ```text
/// sum over sequences of  2 L (4 H^2 + 2 H F) len  +  4 L H len^2
/// ```
pub fn forward(config: &Config, lens: impl IntoIterator<Item = usize>) -> f64 {
    let [l, h, f] = [config.num_hidden_layers, config.hidden_size, config.intermediate_size]
        .map(|size| size as f64);
    let weights = l * (4.0 * h * h + 2.0 * h * f);
    let of = |len: usize| 2.0 * weights * len as f64 + 4.0 * l * h * (len as f64).powi(2);
    lens.into_iter().map(of).sum()
}

/// Those of a training step on the same: the backward does each product twice, once for either operand.
pub fn training(config: &Config, lens: impl IntoIterator<Item = usize>) -> f64 {
    3.0 * forward(config, lens)
}

/// The parameters of an encoder with the head for a task.
pub fn parameters(config: &Config, task: &Task) -> u64 {
    config.encoder_parameters() + head_parameters(config, task)
}

/// The parameters of the head alone, a pooler before it included: those that train on a frozen encoder.
pub fn head_parameters(config: &Config, task: &Task) -> u64 {
    let h = config.hidden_size as u64;
    let pooler = if let Task::Tags(_) = task { 0 } else { h * h + h };
    pooler + task.outputs() as u64 * (h + 1)
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
    fn parameters_are_those_of_the_model() {
        let tiny = config(
            r#"{"model_type": "bert", "vocab_size": 50, "hidden_size": 12, "num_hidden_layers": 3,
            "num_attention_heads": 2, "intermediate_size": 20, "max_position_embeddings": 9}"#,
        );
        let set = || LabelSet::from_training(["a", "b", "c", "d", "e"].into_iter());
        for task in [Task::SingleLabel(set()), Task::Regression, Task::Tags(set())] {
            let model = Classifier::new(&tiny, &task, 0);
            assert_eq!(parameters(&tiny, &task), count(&model.params()) as u64);
            let encoder = count(&model.encoder().params()) as u64;
            assert_eq!(head_parameters(&tiny, &task), count(&model.params()) as u64 - encoder);
        }
    }
}
