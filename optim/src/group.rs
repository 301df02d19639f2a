//! Groups of parameters that are updated alike.

use autograd::Param;

/// Parameters with one weight decay.
#[derive(Clone, Debug)]
pub struct ParamGroup {
    /// The parameters.
    pub params: Vec<Param>,
    /// The weight decay of the group.
    pub weight_decay: f64,
}

/// The usual two groups: weights decay, biases and LayerNorm parameters do not.
///
/// A decay pulls towards zero, which is a natural prior for a weight matrix but not for an offset or a
/// scale. The names decide, as in transformers: a parameter is exempt if `bias` is in its name (the table
/// `relative_attention_bias.weight` of an MPNet is), or that of its layer ends in `norm`, in whatever letters
/// (`LayerNorm`, `attn_norm`).
pub fn weight_decay_groups(params: &[Param], weight_decay: f64) -> Vec<ParamGroup> {
    let exempt = |p: &&Param| p.name().contains("bias") || is_of_norm(p.name());
    let (without, with) = params.iter().partition::<Vec<_>, _>(exempt);
    let group = |params: Vec<&Param>, weight_decay| ParamGroup {
        params: params.into_iter().cloned().collect(),
        weight_decay,
    };
    vec![group(with, weight_decay), group(without, 0.0)]
}

/// Whether the layer with a parameter of this name normalizes.
fn is_of_norm(name: &str) -> bool {
    let layer = name.rsplit_once('.').map_or("", |(layer, _)| layer);
    layer.to_ascii_lowercase().ends_with("norm")
}

#[cfg(test)]
mod tests {
    use tensor::Tensor;

    use super::*;

    #[test]
    fn biases_and_norms_do_not_decay() {
        let decays = ["a.dense.weight", "layers.1.attn.Wqkv.weight", "norms.weight", "table"];
        let exempt = [
            "a.dense.bias",
            "a.output.LayerNorm.weight",
            "layers.1.attn_norm.weight",
            "bert.final_norm.weight",
            "bert.pooler.norm.weight",
            "bert.encoder.relative_attention_bias.weight",
        ];
        let param = |name: &&str| Param::new(*name, Tensor::zeros(&[1]));
        let params: Vec<Param> = decays.iter().chain(&exempt).map(param).collect();
        let groups = weight_decay_groups(&params, 0.1);
        let names = |group: &ParamGroup| -> Vec<String> {
            group.params.iter().map(|p| p.name().to_owned()).collect()
        };
        assert_eq!(
            (names(&groups[0]), groups[0].weight_decay),
            (decays.map(str::to_owned).into(), 0.1)
        );
        assert_eq!(
            (names(&groups[1]), groups[1].weight_decay),
            (exempt.map(str::to_owned).into(), 0.0)
        );
    }
}
