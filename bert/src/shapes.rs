//! The names and shapes of the parameters that a configuration asks for, without their memory: what a checkpoint is
//! compared with before anything is allocated.

use nn::RelativeBias;

use crate::{Config, Family, Modern};

/// The name of a parameter and its shape.
pub(crate) type Expected = (String, Vec<usize>);

/// Those of the encoder, in no special order.
pub(crate) fn encoder(config: &Config) -> Vec<Expected> {
    let (h, e) = (config.hidden_size, config.embedding_size);
    let [_, norm_bias] = config.head_biases();
    let tables = [
        ("word", config.vocab_size),
        ("position", if config.has_position_table() { config.max_position_embeddings } else { 0 }),
        ("token_type", config.type_vocab_size),
    ];
    let mut all: Vec<Expected> = tables
        .into_iter()
        .filter(|(_, rows)| *rows > 0)
        .map(|(part, rows)| table(part, [rows, e]))
        .collect();
    all.extend(norm("bert.embeddings.LayerNorm", e, norm_bias));
    if e != h {
        all.extend(linear("bert.embeddings_project", [h, e], true));
    }
    match &config.family {
        Family::Mpnet => {
            let shape = vec![RelativeBias::BUCKETS, config.num_attention_heads];
            all.push(("bert.encoder.relative_attention_bias.weight".to_owned(), shape));
        }
        Family::DebertaV2(deberta) => {
            let shape = vec![2 * deberta.position_buckets, h];
            all.push(("bert.encoder.rel_embeddings.weight".to_owned(), shape));
            all.extend(norm("bert.encoder.LayerNorm", h, true));
        }
        Family::ModernBert(_) => all.extend(norm("bert.final_norm", h, norm_bias)),
        _ => {}
    }
    (0..config.num_hidden_layers).for_each(|i| all.extend(layer(config, i)));
    all
}

/// The maps of one layer.
pub(crate) fn maps(config: &Config) -> impl Iterator<Item = Expected> {
    layer(config, 0).into_iter().filter(|(_, shape)| shape.len() == 2)
}

/// How many weights there are. The bounds of the sizes of a configuration keep it far from overflow.
pub(crate) fn elements(all: impl IntoIterator<Item = Expected>) -> u64 {
    let of = |shape: Vec<usize>| shape.iter().map(|&n| n as u64).product::<u64>();
    all.into_iter().map(|(_, shape)| of(shape)).sum()
}

/// Those of the pooler: in a ModernBERT, of what every head begins with.
pub(crate) fn pooler(config: &Config) -> Vec<Expected> {
    let (h, [dense_bias, norm_bias]) = (config.hidden_size, config.head_biases());
    let mut all = linear("bert.pooler.dense", [h, h], dense_bias);
    if config.is_modern() {
        all.extend(norm("bert.pooler.norm", h, norm_bias));
    }
    all
}

/// Those of a token classifier's head, but for the last map.
pub(crate) fn token_classifier(config: &Config) -> Vec<Expected> {
    if config.is_modern() { pooler(config) } else { Vec::new() }
}

/// Those of the head for masked words, whose names begin with `head`.
pub(crate) fn masked_lm(config: &Config, head: &str) -> Vec<Expected> {
    let (h, e) = (config.hidden_size, config.embedding_size);
    let [dense_bias, norm_bias] = config.head_biases();
    let mut all = vec![(format!("{head}.bias"), vec![config.vocab_size])];
    all.extend(linear(&format!("{head}.transform.dense"), [e, h], dense_bias));
    all.extend(norm(&format!("{head}.transform.LayerNorm"), e, norm_bias));
    all
}

fn layer(config: &Config, i: usize) -> Vec<Expected> {
    match &config.family {
        Family::ModernBert(modern) => pre_norm_layer(config, modern, i),
        _ => post_norm_layer(config, i),
    }
}

fn post_norm_layer(config: &Config, i: usize) -> Vec<Expected> {
    let (h, f) = (config.hidden_size, config.intermediate_size);
    let name = |part: &str| format!("bert.encoder.layer.{i}.{part}");
    let maps = [
        ("attention.self.query", [h, h]),
        ("attention.self.key", [h, h]),
        ("attention.self.value", [h, h]),
        ("attention.output.dense", [h, h]),
        ("intermediate.dense", [f, h]),
        ("output.dense", [h, f]),
    ];
    let mut all: Vec<Expected> =
        maps.iter().flat_map(|&(part, shape)| linear(&name(part), shape, true)).collect();
    for part in ["attention.output.LayerNorm", "output.LayerNorm"] {
        all.extend(norm(&name(part), h, true));
    }
    all
}

fn pre_norm_layer(config: &Config, modern: &Modern, i: usize) -> Vec<Expected> {
    let (h, f) = (config.hidden_size, config.intermediate_size);
    let name = |part: &str| format!("bert.encoder.layer.{i}.{part}");
    let maps = [
        ("attn.Wqkv", [3 * h, h], modern.attention_bias),
        ("attn.Wo", [h, h], modern.attention_bias),
        ("mlp.Wi", [2 * f, h], modern.mlp_bias),
        ("mlp.Wo", [h, f], modern.mlp_bias),
    ];
    let mut all: Vec<Expected> =
        maps.iter().flat_map(|&(part, shape, bias)| linear(&name(part), shape, bias)).collect();
    if i > 0 {
        all.extend(norm(&name("attn_norm"), h, modern.norm_bias));
    }
    all.extend(norm(&name("mlp_norm"), h, modern.norm_bias));
    all
}

fn table(part: &str, shape: [usize; 2]) -> Expected {
    (format!("bert.embeddings.{part}_embeddings.weight"), shape.into())
}

fn linear(name: &str, shape: [usize; 2], bias: bool) -> Vec<Expected> {
    let mut all = vec![(format!("{name}.weight"), shape.into())];
    all.extend(bias.then(|| (format!("{name}.bias"), vec![shape[0]])));
    all
}

fn norm(name: &str, size: usize, bias: bool) -> Vec<Expected> {
    let parts = ["weight", "bias"].into_iter().take(1 + usize::from(bias));
    parts.map(|part| (format!("{name}.{part}"), vec![size])).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use nn::Module;

    use super::*;
    use crate::{MaskedLm, SequenceClassifier, TokenClassifier};

    #[test]
    fn they_are_those_of_the_models() {
        Family::ALL.iter().for_each(check);
    }

    /// Whether it is of the size of a task.
    fn is_last_map(name: &str) -> bool {
        ["classifier.", "token_classifier."].iter().any(|head| name.starts_with(head))
    }

    fn check(family: &Family) {
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
        let mut json = serde_json::json!({"model_type": family.model_type(), "pad_token_id": 1});
        for (key, size) in sizes {
            if let Some(key) = family.key(key) {
                json[key] = size.into();
            }
        }
        json.as_object_mut().expect("an object").extend(crate::config::switches());
        json["position_buckets"] = 5.into();
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
        assert_eq!(
            built(&TokenClassifier::new(&config, 3, 0)),
            expected(token_classifier(&config))
        );
        let masked = MaskedLm::new(&config, 0);
        assert_eq!(built(&masked), expected(masked_lm(&config, "cls.predictions")));
        let count = nn::count(&classifier.encoder().params()) as u64;
        assert_eq!(config.encoder_parameters(), count, "{family:?}");
    }
}
