//! The gradients of every layer, as it is used, against slopes measured in f64.

use autograd::gradcheck::{GradCheck, Report};
use autograd::{Result, Tape, Var};
use nn::{
    Dropout, Embedding, Init, Initializer, LayerConfig, LayerNorm, Linear, LoraConfig, Module,
    Pass, PreNormConfig, PreNormLayer, SelfAttention, TransformerLayer, loss,
};
use tensor::{Activation, CuSeqLens, RotaryTable, Tensor, philox::Rng};

const INIT: Initializer = Initializer { init: Init::XavierNormal, seed: 11 };

fn random(shape: &[usize], seed: u64) -> Tensor {
    Tensor::randn(shape, &mut Rng::new(seed, 1))
}

fn ids(values: &[u32]) -> Tensor {
    Tensor::from_vec(values.to_vec(), &[values.len()]).unwrap()
}

fn config(activation: Activation, dropout: f32) -> LayerConfig {
    LayerConfig {
        hidden: 12,
        heads: 3,
        intermediate: 20,
        activation,
        layer_norm_eps: 1e-12,
        attention_output_dropout: dropout,
        output_dropout: dropout,
        attention_dropout: dropout,
    }
}

/// Moves the parameters away from zeros and ones, where mistakes can hide.
fn unsettle(module: &dyn Module) {
    for (i, param) in module.params().iter().enumerate() {
        let noise = random(&param.shape(), 100 + i as u64).scale(0.2).unwrap();
        param.set(param.value().add(&noise).unwrap());
    }
}

fn check(
    module: &dyn Module,
    inputs: &[Tensor],
    f: impl Fn(&Tape, &[Var]) -> Result<Var>,
) -> Report {
    unsettle(module);
    let report = GradCheck::default().run(&module.params(), inputs, f).unwrap();
    assert!(report.compared > 0);
    report
}

#[test]
fn linear() {
    for rows in [1, 5] {
        let layer = Linear::new("dense", 7, 4, &INIT);
        check(&layer, &[random(&[rows, 7], 1)], |tape, x| layer.forward(&Pass::on(tape), &x[0]));
    }
    let layer = Linear::new("dense", 7, 4, &INIT);
    check(&layer, &[random(&[2, 3, 7], 1)], |tape, x| layer.forward(&Pass::on(tape), &x[0]));
    let layer = Linear::new("dense", 7, 4, &INIT).with_bias(false);
    assert_eq!(layer.params().len(), 1);
    check(&layer, &[random(&[5, 7], 1)], |tape, x| layer.forward(&Pass::on(tape), &x[0]));
}

const LORA: LoraConfig = LoraConfig { rank: 2, alpha: 3.0, dropout: 0.3 };

#[test]
fn adapted_linear() {
    for dropout in [0.0, 0.3] {
        let mut layer = Linear::new("dense", 7, 4, &INIT);
        layer.adapt(&LoraConfig { dropout, ..LORA }, 1).unwrap();
        let run = |tape: &Tape, x: &[Var]| layer.forward(&Pass::on(tape).with_dropout(7, 3), &x[0]);
        check(&layer, &[random(&[5, 7], 1)], run);
    }
}

#[test]
fn embedding_with_repeated_ids() {
    let layer = Embedding::new("word", 6, 5, &INIT);
    let ids = ids(&[2, 0, 2, 5, 2]);
    check(&layer, &[], |tape, _| layer.forward(&Pass::on(tape), &ids));
}

#[test]
fn layer_norm() {
    for bias in [true, false] {
        let layer = LayerNorm::new("norm", 9, 1e-5, &INIT).with_bias(bias);
        assert_eq!(layer.params().len(), 1 + usize::from(bias));
        check(&layer, &[random(&[4, 9], 2)], |tape, x| layer.forward(&Pass::on(tape), &x[0]));
    }
}

#[test]
fn dropout() {
    let layer = Dropout::new(0.4);
    let x = random(&[6, 11], 3);
    let run = |tape: &Tape, x: &[Var]| layer.forward(&Pass::on(tape).with_dropout(5, 2), &x[0]);
    GradCheck::default().run(&[], &[x], run).unwrap();
}

#[test]
fn self_attention() {
    let batch = CuSeqLens::from_lens(&[3, 1, 4]).unwrap();
    for p in [0.0, 0.3] {
        let layer = SelfAttention::new("self", &config(Activation::Gelu, p), &INIT);
        check(&layer, &[random(&[8, 12], 4)], |tape, x| {
            layer.forward(&Pass::on(tape).with_dropout(7, 3), &x[0], &batch)
        });
    }
}

#[test]
fn transformer_layer() {
    let batch = CuSeqLens::from_lens(&[2, 5, 1]).unwrap();
    // ReLU is left out: inputs near its kink have no slope.
    for (activation, p) in
        [(Activation::Gelu, 0.0), (Activation::GeluTanh, 0.2), (Activation::Tanh, 0.1)]
    {
        let layer = TransformerLayer::new("layer.0", &config(activation, p), &INIT);
        check(&layer, &[random(&[8, 12], 5)], |tape, x| {
            layer.forward(&Pass::on(tape).with_dropout(7, 3), &x[0], &batch)
        });
    }
}

/// With adapters on one map, on all, and on each half of the feed-forward block.
#[test]
fn adapted_transformer_layer() {
    let batch = CuSeqLens::from_lens(&[2, 5, 1]).unwrap();
    for adapted in [&[0][..], &[4], &[5], &[0, 1, 2, 3, 4, 5]] {
        let mut layer = TransformerLayer::new("layer.0", &config(Activation::Gelu, 0.1), &INIT);
        let maps = layer.linears_mut().into_iter().enumerate();
        maps.filter(|(i, _)| adapted.contains(i)).for_each(|(_, map)| map.adapt(&LORA, 1).unwrap());
        check(&layer, &[random(&[8, 12], 5)], |tape, x| {
            layer.forward(&Pass::on(tape).with_dropout(7, 3), &x[0], &batch)
        });
    }
}

fn pre_norm_config(biases: bool, dropout: f32) -> PreNormConfig {
    PreNormConfig {
        hidden: 12,
        heads: 3,
        intermediate: 10,
        activation: Activation::Gelu,
        norm_eps: 1e-5,
        norm_bias: biases,
        attention_bias: biases,
        mlp_bias: biases,
        attention_dropout: dropout,
        mlp_dropout: dropout,
        window: biases.then_some(2),
        rotary: RotaryTable::new(4, 100.0).unwrap(),
        norms_attention: biases,
        depth: 3,
    }
}

#[test]
fn pre_norm_layer() {
    let batch = CuSeqLens::from_lens(&[2, 5, 1]).unwrap();
    for (biases, p) in [(false, 0.0), (true, 0.0), (true, 0.2)] {
        let layer = PreNormLayer::new("layer.0", &pre_norm_config(biases, p), &INIT);
        check(&layer, &[random(&[8, 12], 5)], |tape, x| {
            layer.forward(&Pass::on(tape).with_dropout(7, 3), &x[0], &batch)
        });
    }
    for adapted in 0..4 {
        let mut layer = PreNormLayer::new("layer.0", &pre_norm_config(false, 0.0), &INIT);
        layer.linears_mut()[adapted].adapt(&LORA, 1).unwrap();
        check(&layer, &[random(&[8, 12], 5)], |tape, x| {
            layer.forward(&Pass::on(tape).with_dropout(7, 3), &x[0], &batch)
        });
    }
}

#[test]
fn losses_of_a_layer() {
    let layer = Linear::new("classifier", 6, 3, &INIT);
    let (labels, x) = (ids(&[2, 0, 1, 1]), random(&[4, 6], 6));
    check(&layer, std::slice::from_ref(&x), |tape, x| {
        loss::cross_entropy(&layer.forward(&Pass::on(tape), &x[0])?, &labels)
    });
    let weighting = loss::Weighting { weights: vec![0.3, 2.0, 1.1], label_smoothing: 0.2 };
    check(&layer, std::slice::from_ref(&x), |tape, x| {
        let y = layer.forward(&Pass::on(tape), &x[0])?;
        loss::weighted_cross_entropy(&y, &labels, &weighting)
    });
    let targets =
        Tensor::from_vec((0..12u32).map(|i| f64::from(i % 2)).collect(), &[4, 3]).unwrap();
    check(&layer, std::slice::from_ref(&x), |tape, x| {
        let y = layer.forward(&Pass::on(tape), &x[0])?;
        loss::bce_with_logits(&y, &targets.to_dtype(y.value().dtype()).unwrap())
    });
    check(&layer, &[x], |tape, x| {
        let y = layer.forward(&Pass::on(tape), &x[0])?;
        loss::mse(&y, &targets.to_dtype(y.value().dtype()).unwrap())
    });
}
