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
/// scale. The names decide, as in transformers: a parameter whose name ends in `bias` or contains
/// `LayerNorm` is exempt.
pub fn weight_decay_groups(params: &[Param], weight_decay: f64) -> Vec<ParamGroup> {
    let exempt = |p: &&Param| p.name().ends_with("bias") || p.name().contains("LayerNorm");
    let (without, with) = params.iter().partition::<Vec<_>, _>(exempt);
    let group = |params: Vec<&Param>, weight_decay| ParamGroup {
        params: params.into_iter().cloned().collect(),
        weight_decay,
    };
    vec![group(with, weight_decay), group(without, 0.0)]
}
