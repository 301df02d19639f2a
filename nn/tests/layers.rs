//! What layers promise beyond their gradients: raggedness, freezing, dropout, names.

use autograd::{Error, Tape, Var};
use nn::{
    Dropout, Initializer, LayerConfig, Linear, LoraConfig, Module, Param, Pass, Precision,
    TransformerLayer, count, freeze,
};
use tensor::{Activation, CuSeqLens, Tensor, ops, philox::Rng};

const CONFIG: LayerConfig = LayerConfig {
    hidden: 24,
    heads: 4,
    intermediate: 40,
    activation: Activation::Gelu,
    layer_norm_eps: 1e-12,
    attention_output_dropout: 0.1,
    output_dropout: 0.1,
    attention_dropout: 0.1,
};

fn layer() -> TransformerLayer {
    TransformerLayer::new("encoder.layer.0", &CONFIG, &Initializer::bert(0.2, 1))
}

fn random(shape: &[usize], seed: u64) -> Tensor {
    Tensor::randn(shape, &mut Rng::new(seed, 1))
}

fn batch(lens: &[usize]) -> CuSeqLens {
    CuSeqLens::from_lens(lens).unwrap()
}

fn bits(t: &Tensor) -> Vec<u32> {
    t.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

#[test]
fn a_ragged_batch_equals_its_members_alone() {
    let (layer, lens) = (layer(), [5, 1, 17, 70, 2]);
    let all = batch(&lens);
    let x = random(&[all.total(), 24], 2);
    let run = |x: Tensor, batch: &CuSeqLens| {
        let y = layer.forward(&Pass::inference(), &Var::constant(x), batch).unwrap();
        y.value().clone()
    };
    let together = run(x.clone(), &all);
    for (i, &len) in lens.iter().enumerate() {
        let rows = |t: &Tensor| t.narrow(0, all.range(i).start, len).unwrap();
        let alone = run(rows(&x), &batch(&[len]));
        assert_eq!(bits(&alone), bits(&rows(&together)), "sequence {i}");
    }
}

#[test]
fn so_do_its_gradients() {
    let (layer, lens) = (layer(), [3, 6]);
    let all = batch(&lens);
    let x = random(&[9, 24], 3);
    let gradients = |x: Tensor, batch: &CuSeqLens| {
        let tape = Tape::new();
        let x = tape.input(x);
        let y = layer.forward(&Pass::on(&tape), &x, batch).unwrap();
        let grads = y.mul(&y).unwrap().sum().unwrap().backward().unwrap();
        let of_params: Vec<Tensor> =
            layer.params().iter().map(|p| grads.param(p).unwrap()).collect();
        (grads.input(&x).unwrap().clone(), of_params)
    };
    let (dx, dparams) = gradients(x.clone(), &all);
    let parts: Vec<_> = lens
        .iter()
        .enumerate()
        .map(|(i, &n)| gradients(x.narrow(0, all.range(i).start, n).unwrap(), &batch(&[n])))
        .collect();
    let dx_parts = ops::concat::forward(&[&parts[0].0, &parts[1].0], 0).unwrap();
    assert_close(&dx, &dx_parts);
    for (i, whole) in dparams.iter().enumerate() {
        assert_close(whole, &parts[0].1[i].add(&parts[1].1[i]).unwrap());
    }
}

/// Equal but for the order of additions.
fn assert_close(a: &Tensor, b: &Tensor) {
    let (a, b) = (a.to_f64_vec().unwrap(), b.to_f64_vec().unwrap());
    let scale = a.iter().fold(1e-3, |m, x| f64::max(m, x.abs()));
    assert_eq!(a.len(), b.len());
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5 * scale));
}

#[test]
fn a_pass_made_again_drops_the_same_units() {
    let (layer, batch, x) = (layer(), batch(&[4, 3]), random(&[7, 24], 4));
    let run =
        |pass: Pass| bits(layer.forward(&pass, &Var::constant(x.clone()), &batch).unwrap().value());
    let first = run(Pass::training(1, 5));
    assert_eq!(run(Pass::training(1, 5)), first);
    assert_eq!(
        run(Pass::on(&Tape::inference()).with_dropout(1, 5)),
        first,
        "with or without a tape"
    );
    assert_ne!(run(Pass::training(1, 6)), first, "another step");
    assert_ne!(run(Pass::training(2, 5)), first, "another seed");
    assert_eq!(run(Pass::on(&Tape::new())), run(Pass::inference()), "no dropout");
}

#[test]
fn every_dropout_of_a_pass_has_its_own_mask() {
    let (dropout, ones) = (Dropout::new(0.5), Var::constant(Tensor::full(1.0, &[40, 25])));
    let pass = Pass::training(3, 0);
    let masks: Vec<Vec<f32>> =
        (0..3).map(|_| dropout.forward(&pass, &ones).unwrap().value().to_vec().unwrap()).collect();
    assert!(masks[0] != masks[1] && masks[1] != masks[2] && masks[0] != masks[2]);
    for mask in &masks {
        // Half of 1000, give or take four standard deviations; kept units are doubled.
        let dropped = mask.iter().filter(|&&x| x == 0.0).count();
        assert!((437..=563).contains(&dropped), "{dropped}");
        assert!(mask.iter().all(|&x| x == 0.0 || x == 2.0));
    }
    // A layer that drops nothing still takes a number: removing one elsewhere changes no mask here.
    let (first, second) = (Pass::training(3, 0), Pass::training(3, 0));
    Dropout::new(0.0).forward(&first, &ones).unwrap();
    dropout.forward(&second, &ones).unwrap();
    let after = |pass| bits(dropout.forward(pass, &ones).unwrap().value());
    assert_eq!(after(&first), after(&second));
}

#[test]
fn a_frozen_parameter_gets_no_gradient() {
    let (layer, batch) = (layer(), batch(&[4]));
    let frozen = layer.params().remove(0);
    frozen.freeze(true);
    let pass = Pass::training(1, 1);
    let y = layer.forward(&pass, &Var::constant(random(&[4, 24], 5)), &batch).unwrap();
    let grads = y.sum().unwrap().backward().unwrap();
    for param in layer.params() {
        assert_eq!(grads.param(&param).is_none(), param.is_frozen(), "{}", param.name());
    }
}

#[test]
fn frozen_layers_record_nothing() {
    let (layer, head, batch) =
        (layer(), Linear::new("head", 24, 2, &Initializer::bert(0.2, 2)), batch(&[4]));
    freeze(&layer.params(), true);
    let pass = Pass::training(1, 1);
    let y = layer.forward(&pass, &Var::constant(random(&[4, 24], 5)), &batch).unwrap();
    assert!(!y.needs_gradient());
    let logits = head.forward(&pass, &y).unwrap();
    assert!(logits.needs_gradient());
    let grads = logits.sum().unwrap().backward().unwrap();
    assert!(layer.params().iter().all(|p| grads.param(p).is_none()));
    assert!(head.params().iter().all(|p| grads.param(p).is_some()));
    freeze(&head.params(), true);
    let nothing = head.forward(&Pass::training(1, 2), &y).unwrap().sum().unwrap().backward();
    assert!(matches!(nothing, Err(Error::NotRecorded)));
    freeze(&head.params(), false);
    assert!(head.params().iter().all(|p| !p.is_frozen()));
}

/// As `BertModel(...).encoder.layer[0].named_parameters()` lists them in transformers 5.23.
#[test]
fn parameters_are_named_as_in_bert_checkpoints() {
    let expected = [
        ("attention.self.query.weight", vec![24, 24]),
        ("attention.self.query.bias", vec![24]),
        ("attention.self.key.weight", vec![24, 24]),
        ("attention.self.key.bias", vec![24]),
        ("attention.self.value.weight", vec![24, 24]),
        ("attention.self.value.bias", vec![24]),
        ("attention.output.dense.weight", vec![24, 24]),
        ("attention.output.dense.bias", vec![24]),
        ("attention.output.LayerNorm.weight", vec![24]),
        ("attention.output.LayerNorm.bias", vec![24]),
        ("intermediate.dense.weight", vec![40, 24]),
        ("intermediate.dense.bias", vec![40]),
        ("output.dense.weight", vec![24, 40]),
        ("output.dense.bias", vec![24]),
        ("output.LayerNorm.weight", vec![24]),
        ("output.LayerNorm.bias", vec![24]),
    ];
    let expected = expected.map(|(name, shape)| (format!("encoder.layer.0.{name}"), shape));
    let params = layer().params();
    let got: Vec<_> = params.iter().map(|p: &Param| (p.name().to_owned(), p.shape())).collect();
    assert_eq!(got, expected);
    assert_eq!(count(&params), 4 * (24 * 24 + 24) + 2 * 24 * 40 + 40 + 24 + 4 * 24);
}

#[test]
fn misfits_are_named() {
    let (layer, pass) = (layer(), Pass::inference());
    let narrow = Var::constant(random(&[4, 20], 5));
    let message = layer.forward(&pass, &narrow, &batch(&[4])).unwrap_err().to_string();
    assert_eq!(message, "linear: expected shape [.., 24], got [4, 20]");
    let short = Var::constant(random(&[3, 24], 5));
    let message = layer.forward(&pass, &short, &batch(&[4])).unwrap_err().to_string();
    assert_eq!(message, "attention: expected shape [4, 24], got [3, 24]");
    let config = LayerConfig { attention_dropout: 1.0, ..CONFIG };
    let make = || TransformerLayer::new("x", &config, &Initializer::zeros());
    assert!(std::panic::catch_unwind(make).is_err(), "dropout of everything");
}

/// Two sections and a dropout after them: the bits of a run without recomputation.
#[test]
fn sections_computed_again_change_no_bit() {
    let (lower, upper, batch) = (layer(), layer(), batch(&[4, 3]));
    let run = |recomputes| {
        let pass = Pass::training(1, 5).with_recomputation(recomputes);
        let mut x = pass.tape().input(random(&[7, 24], 4));
        let input = x.clone();
        for layer in [&lower, &upper] {
            let (own, batch) = (layer.clone(), batch.clone());
            let forward = move |pass: &Pass, x: &Var| own.forward(pass, x, &batch);
            x = pass.section(&layer.params(), &x, forward).unwrap();
        }
        // Its mask is that of the site after the sections.
        let y = Dropout::new(0.5).forward(&pass, &x).unwrap();
        let grads = y.mul(&y).unwrap().sum().unwrap().backward().unwrap();
        let params = [lower.params(), upper.params()].concat();
        let of_params: Vec<_> = params.iter().map(|p| bits(&grads.param(p).unwrap())).collect();
        (bits(y.value()), bits(grads.input(&input).unwrap()), of_params)
    };
    assert_eq!(run(true), run(false));
}

const LORA: LoraConfig = LoraConfig { rank: 3, alpha: 5.0, dropout: 0.0 };

/// A layer whose maps all have adapters that have learned something, and the layer that it was.
fn adapted(config: LoraConfig) -> [TransformerLayer; 2] {
    let plain = layer();
    let mut adapted = plain.clone();
    adapted.linears_mut().into_iter().for_each(|map| map.adapt(&config, 7).unwrap());
    for param in adapted.params().iter().filter(|p| p.name().ends_with("lora_B.weight")) {
        param.set(random(&param.shape(), param.shape()[0] as u64).scale(0.1).unwrap());
    }
    [adapted, plain]
}

fn run(layer: &TransformerLayer, pass: &Pass) -> Tensor {
    let x = pass.hidden(&Var::constant(random(&[7, 24], 4))).unwrap();
    let y = layer.forward(pass, &x, &batch(&[4, 3])).unwrap();
    y.value().to_dtype(tensor::DType::F32).unwrap()
}

#[test]
fn a_fresh_adapter_changes_no_bit() {
    let (mut adapted, plain) = (layer(), layer());
    adapted.linears_mut().into_iter().for_each(|map| map.adapt(&LORA, 7).unwrap());
    let pass = Pass::inference;
    // Not fused, the block makes the same sums; only those of a GPU differ.
    assert_eq!(bits(&run(&adapted, &pass())), bits(&run(&plain, &pass())));
    let names: Vec<String> =
        adapted.linears_mut()[4].params().iter().map(|p| p.name().into()).collect();
    let parts = ["weight", "bias", "lora_A.weight", "lora_B.weight"];
    assert_eq!(names, parts.map(|part| format!("encoder.layer.0.intermediate.dense.{part}")));
    // Two layers have two beginnings, and another seed has others.
    let first = |seed, i: usize| {
        let mut layer = layer();
        layer.linears_mut().into_iter().for_each(|map| map.adapt(&LORA, seed).unwrap());
        bits(&layer.linears_mut()[i].params()[2].value())
    };
    assert_eq!(first(7, 0), first(7, 0));
    assert!(first(7, 0) != first(7, 1) && first(7, 0) != first(8, 0));
}

#[test]
fn a_merged_layer_does_what_the_adapters_did() {
    let [adapted, plain] = adapted(LORA);
    let mut merged = adapted.clone();
    merged.linears_mut().into_iter().for_each(|map| map.merge().unwrap());
    assert!(merged.linears_mut().iter().all(|map| !map.is_adapted()));
    for (precision, limit) in [(Precision::F32, 1e-5), (Precision::Bf16, 0.03)] {
        let of = |layer| run(layer, &Pass::inference().with_precision(precision));
        let [one, other, before] = [&adapted, &merged, &plain].map(of);
        let distance = |a: &Tensor, b: &Tensor| {
            let (a, b) = (a.to_f64_vec().unwrap(), b.to_f64_vec().unwrap());
            a.iter().zip(&b).fold(0.0, |m, (a, b)| f64::max(m, (a - b).abs()))
        };
        assert!(distance(&one, &other) < limit, "{precision:?}: {}", distance(&one, &other));
        assert!(distance(&one, &before) > 0.1, "they do something");
    }
    // The layer that shared the weights has them still, and the other parameters are shared.
    let names = |layer: &TransformerLayer| -> Vec<String> {
        layer.params().iter().map(|p| p.name().into()).collect()
    };
    assert_eq!(names(&merged), names(&plain));
    for (a, b) in merged.params().iter().zip(plain.params()) {
        let is_map = a.name().ends_with("weight") && !a.name().contains("LayerNorm");
        assert_eq!(a == &b, !is_map, "{}", a.name());
    }
}

/// The dropout of adapters and layers, the precisions and recomputation: frozen or not, and kept or computed again, the
/// gradients of what is trained have the same bits, and nothing else has one.
#[test]
fn frozen_weights_cost_adapters_nothing() {
    let layers = [0, 1].map(|_| adapted(LoraConfig { dropout: 0.2, ..LORA })[0].clone());
    let params = layers.each_ref().map(Module::params).concat();
    let is_adapter = |p: &Param| p.name().contains(".lora_");
    let gradients = |precision, recomputes| {
        let pass = Pass::training(1, 5).with_precision(precision).with_recomputation(recomputes);
        let mut x = pass.hidden(&pass.tape().input(random(&[7, 24], 4))).unwrap();
        for layer in &layers {
            let (own, batch) = (layer.clone(), batch(&[4, 3]));
            let forward = move |pass: &Pass, x: &Var| own.forward(pass, x, &batch);
            x = pass.section(&layer.params(), &x, forward).unwrap();
        }
        let y = x.to_dtype(tensor::DType::F32).unwrap();
        let grads = y.mul(&y).unwrap().sum().unwrap().backward().unwrap();
        params.iter().map(|p| grads.param(p).map(|g| bits(&g))).collect::<Vec<_>>()
    };
    for precision in [Precision::F32, Precision::Bf16] {
        freeze(&params, false);
        let all = gradients(precision, false);
        assert!(
            all.iter().all(|grad| grad.as_ref().is_some_and(|g| g.iter().any(|&b| b << 1 != 0)))
        );
        for param in &params {
            param.freeze(!is_adapter(param));
        }
        for recomputes in [false, true] {
            let some = gradients(precision, recomputes);
            for (param, (all, some)) in params.iter().zip(all.iter().zip(&some)) {
                match is_adapter(param) {
                    true => assert_eq!(some, all, "{}", param.name()),
                    false => assert!(some.is_none(), "{}", param.name()),
                }
            }
        }
    }
}
