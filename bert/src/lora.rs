//! Which linear maps of an encoder LoRA adapts ([`nn::Lora`]), by the names that the Python package `peft` takes.
//!
//! A target is the end of the name that a map has in its file, as `peft` matches it: `query` is
//! `bert.encoder.layer.0.attention.self.query` and those of all other layers; `dense` three maps of each layer;
//! `output.dense` two of them, and `attention.output.dense` one. DistilBERT calls its maps `q_lin`, `lin1`, ...,
//! MPNet
//! `q`, `k`, `v`, `o`, DeBERTa three of them `query_proj`, ..., ModernBERT `Wqkv`, `Wo` (two of them) and `Wi`. The
//! maps of the head are no targets: they are trained as they are.
//!
//! Source: Hu et al., 2021, <https://arxiv.org/abs/2106.09685>, section 4.2: queries and values; `peft`,
//! <https://huggingface.co/docs/peft/package_reference/lora>.

use std::collections::BTreeSet;

use nn::{LoraConfig, Module, freeze};

use crate::{Config, Encoder, Error, Family, Result, shapes};

/// The target that stands for every map of the layers.
const ALL: &str = "all-linear";

/// The maps of a layer here, in the order of their parameters.
const MAPS: &[&str] = &[
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
];
/// Those of a ModernBERT.
const MODERN_MAPS: &[&str] = &["attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo"];

/// The maps of a layer of this family, and of them those with queries and values.
fn maps_of(family: &Family) -> (&'static [&'static str], &'static [&'static str]) {
    match family {
        Family::ModernBert(_) => (MODERN_MAPS, &["attn.Wqkv"]),
        _ => (MAPS, &["attention.self.query", "attention.self.value"]),
    }
}

/// How an encoder is adapted.
#[derive(Clone, Debug)]
pub struct Adaptation {
    family: Family,
    lora: LoraConfig,
    targets: Vec<String>,
}

impl Adaptation {
    /// Of a model with this configuration. Without `targets`, the maps of queries and values are adapted.
    ///
    /// # Errors
    /// When a target is no map of its layers, or the rank is 0 or more than H, the smaller side of every map.
    pub fn new(config: &Config, lora: LoraConfig, targets: &[String]) -> Result<Self> {
        let (family, h) = (&config.family, config.hidden_size);
        if !(1..=h).contains(&lora.rank) {
            return Err(Error::Rank { rank: lora.rank, limit: h });
        }
        let (parts, usual) = maps_of(family);
        let layer = |i| parts.iter().map(move |part| map(family, i, part));
        let maps: Vec<String> = (0..config.num_hidden_layers).flat_map(layer).collect();
        let is_known = |target: &String| maps.iter().any(|map| is_end(target, map));
        if let Some(target) = targets.iter().find(|target| *target != ALL && !is_known(target)) {
            let known = [&last_parts(family, parts)[..], &[ALL.to_owned()]].concat().join(", ");
            return Err(Error::Target { target: target.clone(), known });
        }
        let targets = match targets {
            [] => last_parts(family, usual),
            targets if targets.iter().any(|target| target == ALL) => last_parts(family, parts),
            targets => targets.to_vec(),
        };
        Ok(Self { family: family.clone(), lora, targets })
    }

    /// Rank, alpha and dropout.
    pub fn lora(&self) -> LoraConfig {
        self.lora
    }

    /// The targets, `all-linear` spelt out.
    pub fn targets(&self) -> &[String] {
        &self.targets
    }

    pub(crate) fn family(&self) -> &Family {
        &self.family
    }

    /// How many parameters the adapters of a model with this configuration have: r (in + out) for each map.
    pub fn parameters(&self, config: &Config) -> u64 {
        let (parts, _) = maps_of(&self.family);
        let layer = |i| parts.iter().map(move |part| map(&self.family, i, part));
        let of_layer = |i| {
            let maps = layer(i).zip(shapes::maps(config)).filter(|(name, _)| self.adapts(name));
            maps.map(|(_, (_, shape))| shape.iter().sum::<usize>() as u64).sum::<u64>()
        };
        self.lora.rank as u64 * (0..config.num_hidden_layers).map(of_layer).sum::<u64>()
    }

    /// Whether the map of this name is adapted.
    fn adapts(&self, name: &str) -> bool {
        self.targets.iter().any(|target| is_end(target, name))
    }

    /// Freezes an encoder and gives it fresh adapters, by `seed`; says how many.
    ///
    /// # Errors
    /// When a GPU is full.
    pub fn begin(&self, encoder: &mut Encoder, seed: u64) -> Result<usize> {
        freeze(&encoder.params(), true);
        let mut adapted = 0;
        for linear in encoder.linears_mut() {
            let name = module_of(&self.family.stored_name(linear.weight.name()));
            if self.adapts(&name) {
                linear.adapt(&self.lora, seed)?;
                adapted += 1;
            }
        }
        Ok(adapted)
    }
}

/// The name in a file of a map of a layer.
fn map(family: &Family, layer: usize, part: &str) -> String {
    module_of(&family.stored_name(&format!("bert.encoder.layer.{layer}.{part}.weight")))
}

/// The name of a weight without the last part.
pub(crate) fn module_of(weight: &str) -> String {
    weight.rsplit_once('.').map_or(weight, |(module, _)| module).to_owned()
}

/// Whether a target is the name of a map, or what that ends with, in whole parts.
fn is_end(target: &str, map: &str) -> bool {
    map.strip_suffix(target).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The last parts of the names in a file of these maps, each once, in their order.
fn last_parts(family: &Family, maps: &[&str]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let last = maps.iter().map(|part| {
        let name = map(family, 0, part);
        name.rsplit('.').next().unwrap_or(&name).to_owned()
    });
    last.filter(|name| seen.insert(name.clone())).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{Modern, SequenceClassifier};

    const LORA: LoraConfig = LoraConfig { rank: 2, alpha: 4.0, dropout: 0.0 };

    fn config(family: &Family) -> Config {
        let json = match family {
            Family::DistilBert => serde_json::json!({"dim": 8, "n_heads": 2, "hidden_dim": 12,
                "n_layers": 2, "vocab_size": 9}),
            _ => serde_json::json!({"hidden_size": 8, "num_attention_heads": 2,
                "intermediate_size": 12, "num_hidden_layers": 2, "vocab_size": 9, "pad_token_id": 0}),
        };
        let mut json = json;
        json["model_type"] = family.model_type().into();
        json.as_object_mut().expect("an object").extend(crate::config::switches());
        Config::parse(&json.to_string(), Path::new("config.json")).expect("a configuration")
    }

    /// Of the first layer, which maps these targets adapt.
    fn adapted(family: &Family, targets: &[&str]) -> Result<Vec<String>> {
        let targets: Vec<String> = targets.iter().map(|t| t.to_string()).collect();
        let config = config(family);
        let mut model = SequenceClassifier::new(&config, 2, 0);
        let adaptation = Adaptation::new(&config, LORA, &targets)?;
        let count = adaptation.begin(model.encoder_mut(), 0)?;
        let params = model.params();
        let names: Vec<&str> =
            params.iter().filter_map(|p| p.name().strip_suffix(".lora_A.weight")).collect();
        assert_eq!(names.len(), count);
        let thin = params.iter().filter(|p| p.name().contains(".lora_")).cloned();
        assert_eq!(nn::count(&thin.collect::<Vec<_>>()) as u64, adaptation.parameters(&config));
        for param in &params {
            let of_encoder = ["bert.enc", "bert.embed", "bert.final_norm"];
            let trains = !of_encoder.iter().any(|part| param.name().starts_with(part));
            let is_lora = param.name().contains("lora_");
            assert_eq!(param.is_frozen(), !trains && !is_lora, "{}", param.name());
        }
        let first = names.iter().filter_map(|name| name.strip_prefix("bert.encoder.layer.0."));
        Ok(first.map(str::to_owned).collect())
    }

    #[test]
    fn targets_are_ends_of_names() {
        let bert = |targets: &[&str]| adapted(&Family::Bert, targets).expect("known");
        let usual = ["attention.self.query", "attention.self.value"];
        assert_eq!(bert(&[]), usual);
        assert_eq!(bert(&["query", "value"]), usual);
        assert_eq!(bert(&["attention.self.key"]), ["attention.self.key"]);
        assert_eq!(bert(&["dense"]), MAPS[3..]);
        assert_eq!(bert(&["output.dense"]), [MAPS[3], MAPS[5]]);
        assert_eq!(bert(&["layer.1.output.dense"]), [""; 0]);
        assert_eq!(bert(&["bert.encoder.layer.0.output.dense"]), [MAPS[5]]);
        for family in &Family::ALL {
            let (all, usual) = maps_of(family);
            assert_eq!(adapted(family, &[]).expect("known"), usual, "{family:?}");
            assert_eq!(adapted(family, &[ALL]).expect("known"), all, "{family:?}");
        }
        let modernbert = Family::ModernBert(Modern::USUAL);
        let modernbert = |targets: &[&str]| adapted(&modernbert, targets).expect("known");
        assert_eq!(modernbert(&["Wqkv", "mlp.Wo"]), ["attn.Wqkv", "mlp.Wo"]);
        assert_eq!(modernbert(&["Wo"]), ["attn.Wo", "mlp.Wo"]);
        let distilbert = |targets: &[&str]| adapted(&Family::DistilBert, targets).expect("known");
        assert_eq!(distilbert(&["q_lin", "ffn.lin2"]), [MAPS[0], MAPS[5]]);
    }

    #[test]
    fn what_is_no_map_is_refused_with_those_that_are() {
        let refused = |family, target: &str| adapted(&family, &[target]).unwrap_err().to_string();
        let line = refused(Family::Bert, "q_lin");
        assert!(line.contains("q_lin") && line.contains("query, key, value, dense, all-linear"));
        let line = refused(Family::DistilBert, "query");
        assert!(line.contains("q_lin, k_lin, v_lin, out_lin, lin1, lin2, all-linear"), "{line}");
        for other in ["", "ery", "pooler.dense", "classifier", "LayerNorm", "layer.2.output.dense"]
        {
            refused(Family::Bert, other);
        }
        for rank in [0, 9] {
            let lora = LoraConfig { rank, ..LORA };
            let error = Adaptation::new(&config(&Family::Bert), lora, &[]).unwrap_err().to_string();
            assert!(error.contains(&format!("rank {rank}")) && error.contains("8"), "{error}");
        }
    }
}
