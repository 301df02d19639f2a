//! The names and shapes of the parameters that a configuration asks for, without their memory: what a checkpoint is
//! compared with before anything is allocated.

use crate::Config;

/// The name of a parameter and its shape.
pub(crate) type Expected = (String, Vec<usize>);

/// Those of the encoder, in no special order.
pub(crate) fn encoder(config: &Config) -> Vec<Expected> {
    let (h, e) = (config.hidden_size, config.embedding_size);
    let tables = [
        ("word", config.vocab_size),
        ("position", config.max_position_embeddings),
        ("token_type", config.type_vocab_size),
    ];
    let table = |(part, rows)| (format!("bert.embeddings.{part}_embeddings.weight"), vec![rows, e]);
    let mut all: Vec<Expected> =
        tables.into_iter().filter(|(_, rows)| *rows > 0).map(table).collect();
    all.extend(norm("bert.embeddings.LayerNorm", e));
    if e != h {
        all.extend(linear("bert.embeddings_project", h, e));
    }
    (0..config.num_hidden_layers).for_each(|i| all.extend(layer(config, i)));
    all
}

/// Those of the pooler.
pub(crate) fn pooler(config: &Config) -> Vec<Expected> {
    linear("bert.pooler.dense", config.hidden_size, config.hidden_size).into()
}

/// Those of the head for masked words, whose names begin with `head`.
pub(crate) fn masked_lm(config: &Config, head: &str) -> Vec<Expected> {
    let (h, e) = (config.hidden_size, config.embedding_size);
    let mut all = vec![(format!("{head}.bias"), vec![config.vocab_size])];
    all.extend(linear(&format!("{head}.transform.dense"), e, h));
    all.extend(norm(&format!("{head}.transform.LayerNorm"), e));
    all
}

fn layer(config: &Config, i: usize) -> Vec<Expected> {
    let (h, f) = (config.hidden_size, config.intermediate_size);
    let name = |part: &str| format!("bert.encoder.layer.{i}.{part}");
    let maps = [
        ("attention.self.query", h, h),
        ("attention.self.key", h, h),
        ("attention.self.value", h, h),
        ("attention.output.dense", h, h),
        ("intermediate.dense", f, h),
        ("output.dense", h, f),
    ];
    let mut all: Vec<Expected> =
        maps.iter().flat_map(|&(part, rows, columns)| linear(&name(part), rows, columns)).collect();
    for part in ["attention.output.LayerNorm", "output.LayerNorm"] {
        all.extend(norm(&name(part), h));
    }
    all
}

fn linear(name: &str, rows: usize, columns: usize) -> [Expected; 2] {
    [(format!("{name}.weight"), vec![rows, columns]), (format!("{name}.bias"), vec![rows])]
}

fn norm(name: &str, size: usize) -> [Expected; 2] {
    ["weight", "bias"].map(|part| (format!("{name}.{part}"), vec![size]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use nn::Module;

    use super::*;
    use crate::{Family, MaskedLm, SequenceClassifier, TokenClassifier};

    #[test]
    fn they_are_those_of_the_models() {
        Family::ALL.into_iter().for_each(check);
    }

    /// Whether it is of the size of a task.
    fn is_last_map(name: &str) -> bool {
        ["classifier.", "token_classifier."].iter().any(|head| name.starts_with(head))
    }

    fn check(family: Family) {
        // Sizes with which every weight has a shape of its own.
        let sizes = [
            ("vocab_size", 50),
            ("hidden_size", 8),
            ("num_hidden_layers", 2),
            ("num_attention_heads", 2),
            ("intermediate_size", 12),
            ("max_position_embeddings", 40),
            ("embedding_size", 6),
        ];
        let mut json = serde_json::json!({"model_type": family.model_type()});
        for (key, size) in sizes {
            if let Some(key) = family.key(key) {
                json[key] = size.into();
            }
        }
        let json = json.to_string();
        let config = Config::parse(&json, Path::new("config.json")).expect("a configuration");
        let built = |module: &dyn Module| -> BTreeMap<String, Vec<usize>> {
            let params = module.params().into_iter();
            let shapes = params.map(|p| (p.name().to_owned(), p.shape()));
            shapes.filter(|(name, _)| !is_last_map(name)).collect()
        };
        let expected = |head: Vec<Expected>| encoder(&config).into_iter().chain(head).collect();
        let classifier = SequenceClassifier::new(&config, 3, 0);
        assert_eq!(built(&classifier), expected(pooler(&config)));
        assert_eq!(built(&TokenClassifier::new(&config, 3, 0)), expected(vec![]));
        let masked = MaskedLm::new(&config, 0);
        assert_eq!(built(&masked), expected(masked_lm(&config, "cls.predictions")));
        let count = nn::count(&classifier.encoder().params()) as u64;
        assert_eq!(config.encoder_parameters(), count, "{family:?}");
    }
}
