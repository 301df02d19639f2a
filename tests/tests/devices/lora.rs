//! Adapters on a GPU: a training step against the CPU's with the same dropout masks, and merged weights.

use autograd::{Tape, Var};
use bert::SequenceClassifier;
use nn::{LoraConfig, Module, Pass, Precision, freeze, to_device};
use tensor::philox::Rng;
use tensor::{Device, Tensor};
use tests::gpu::{device, relative_distance};
use tests::small::{self, batch, targets};

/// Greatest relative distance from the CPU: in f32, and in bf16 of all gradients together, which a wrong mask would
/// move by a tenth.
const F32: f64 = 1e-5;
const BF16: f64 = 5e-2;
/// A rank that no tile of a product divides.
const LORA: LoraConfig = LoraConfig { rank: 3, alpha: 5.0, dropout: 0.2 };

/// A model on `device` with adapters on all maps but those of the keys, which have learned something.
fn adapted(device: &Device) -> SequenceClassifier {
    let mut model = small::classifier("bert", [96, 200]);
    to_device(&model.params(), device).unwrap();
    freeze(&model.encoder().params(), true);
    let maps = model.encoder_mut().linears_mut();
    let maps = maps.filter(|map| !map.name().ends_with("key"));
    maps.for_each(|map| map.adapt(&LORA, 4).unwrap());
    for (i, param) in model.params().iter().enumerate() {
        if param.name().ends_with("lora_B.weight") {
            let value = Tensor::randn(&param.shape(), &mut Rng::new(8, i as u64));
            param.set(value.scale(0.2).unwrap().to_device(device).unwrap());
        }
    }
    model
}

/// Logits and the gradients of what trains, with their names.
fn step(model: &SequenceClassifier, precision: Precision) -> Vec<(String, Vec<f64>)> {
    let pass = Pass::on(&Tape::new()).with_dropout(7, 3).with_precision(precision);
    let logits: Var = model.forward(&pass, &batch()).unwrap();
    let grads = bert::loss(&logits, &targets()).unwrap().backward().unwrap();
    let mut all = vec![("logits".to_owned(), logits.value().to_f64_vec().unwrap())];
    for param in model.params() {
        let Some(grad) = grads.param(&param) else {
            assert!(param.is_frozen(), "{}", param.name());
            continue;
        };
        all.push((param.name().to_owned(), grad.to_f64_vec().unwrap()));
    }
    all
}

#[test]
#[ignore = "needs a GPU"]
fn a_step_with_adapters_is_the_step_of_the_cpu() {
    let [host, there] = [Device::Cpu, device()].map(|device| adapted(&device));
    assert!(there.params().iter().all(|param| param.device() != Device::Cpu));
    let steps = [&host, &there].map(|model| step(model, Precision::F32));
    assert_eq!(steps[0].len(), steps[1].len());
    for ((name, want), (_, got)) in steps[0].iter().zip(&steps[1]) {
        let distance = relative_distance(got, want);
        println!("adapted: {name}: {distance:.1e}");
        assert!(distance <= F32, "{name} is {distance:e} from the CPU's");
    }
    let all = |model| -> Vec<f64> {
        let steps = step(model, Precision::Bf16);
        steps.into_iter().flat_map(|(_, values)| values).collect()
    };
    let distance = relative_distance(&all(&there), &all(&host));
    println!("adapted, bf16: {distance:.1e}");
    assert!(distance <= BF16, "in bf16 {distance:e} from the CPU's");
}

#[test]
#[ignore = "needs a GPU"]
fn merged_weights_are_those_of_the_cpu() {
    let merged = [Device::Cpu, device()].map(|device| {
        let mut model = adapted(&device);
        model.encoder_mut().merge().unwrap();
        assert!(model.params().iter().all(|param| param.device() == device));
        model.params()
    });
    for (host, there) in merged[0].iter().zip(&merged[1]) {
        let bits = |x: Tensor| x.to_device(&Device::Cpu).unwrap().to_vec::<f32>().unwrap();
        assert_eq!(bits(there.value()), bits(host.value()), "{}", host.name());
    }
}
