//! Whole models on a GPU: values and gradients of transformers, a training step against the CPU's with the same
//! dropout masks, several steps of training.

use autograd::{Param, Tape};
use bert::{MaskedLm, SequenceClassifier, Targets};
use kernels::cuda::counts;
use nn::{Module, Pass, Precision, to_device};
use optim::{Adam, GradScale, Optimizer, Sgd, SgdOptions, StepSize, clip, weight_decay_groups};
use tensor::philox::Rng;
use tensor::{Device, Tensor};
use tests::golden::{Golden, assert_near, tiny_classifier, tiny_masked_lm, tiny_token_classifier};
use tests::gpu::{device, relative_distance};
use tests::small::{self, LENS, batch, targets};

/// Greatest relative distance from the CPU in f32.
const F32: f64 = 1e-5;
/// The same of logits and loss in bf16.
const BF16: f64 = 1e-2;
/// Gradients in bf16 have gone through three layers of rounding, on the GPU and on the CPU, each in its own way: by so
/// much those of one parameter may be farther from f32 on the GPU than on the CPU. It is chance, which evens out over the
/// [`DRAWS`].
const AS_FAR: f64 = 1.5;
/// Dropout masks with which a step in bf16 is taken: of four, the bias of a head was 1.54 times as far on an H200; of
/// these it is 1.0 times.
const DRAWS: u32 = 16;
/// The same of the gradients of all parameters together, where chance evens out.
const TOGETHER: f64 = 1.1;

/// Heads of 32, which tensor cores take.
fn model() -> SequenceClassifier {
    small::classifier("bert", [96, 200])
}

/// One of each kind.
fn models() -> [(&'static str, SequenceClassifier); 4] {
    small::KINDS.map(|kind| (kind, small::classifier(kind, [96, 200])))
}

/// Logits, loss and every gradient of a step with dropout, one list each, with their names.
fn step(pass: &Pass, model: &SequenceClassifier) -> Vec<(String, Vec<f64>)> {
    let logits = model.forward(pass, &batch()).unwrap();
    let loss = bert::loss(&logits, &targets()).unwrap();
    let grads = loss.backward().unwrap();
    let values = |name: &str, x: &Tensor| (name.to_owned(), x.to_f64_vec().unwrap());
    let mut all = vec![values("logits", logits.value()), values("loss", loss.value())];
    all.extend(model.params().iter().map(|p| values(p.name(), &grads.param(p).unwrap())));
    all
}

/// The gradients of all parameters behind one another.
fn gradient(step: &[(String, Vec<f64>)]) -> Vec<f64> {
    let params = step.iter().filter(|(name, _)| !["logits", "loss"].contains(&name.as_str()));
    params.flat_map(|(_, values)| values.iter().copied()).collect()
}

/// A key's bias moves all scores of a row alike, but in a DeBERTa: only rounding is left of its gradient.
fn vanishes(kind: &str, name: &str) -> bool {
    kind != "deberta-v2" && name.ends_with("key.bias")
}

/// The same step on the CPU and on the GPU.
fn compare(what: &str, gpu: &Device, pass: impl Fn() -> Pass) {
    for (kind, model) in models() {
        let host = step(&pass(), &model);
        to_device(&model.params(), gpu).unwrap();
        for ((name, want), (_, got)) in host.iter().zip(step(&pass(), &model)) {
            let distance = relative_distance(&got, want);
            println!("{kind}, {what}: {name}: {distance:.1e}");
            let small = vanishes(kind, name) && got.iter().all(|x| x.abs() < 1e-4);
            assert!(
                small || distance <= F32,
                "{kind}, {what}: {name} is {distance:e} from the CPU's"
            );
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn a_step_with_dropout_is_the_step_of_the_cpu() {
    let gpu = device();
    let pass = || Pass::on(&Tape::new()).with_dropout(7, 3);
    compare("f32", &gpu, pass);
    compare("f32, recomputed", &gpu, || pass().with_recomputation(true));
}

#[test]
#[ignore = "needs a GPU"]
fn a_step_in_bf16_is_near_that_of_the_cpu() {
    for (kind, model) in models() {
        compare_bf16(kind, &model, &device());
    }
}

/// [`step`] by step, each list behind that of the step before. The masks are the same wherever it is: a wrong one would
/// move gradients by a tenth, not by a hundredth.
fn draws(precision: Precision, model: &SequenceClassifier) -> Vec<(String, Vec<f64>)> {
    let pass = |draw| Pass::on(&Tape::new()).with_dropout(7, draw).with_precision(precision);
    let mut all = step(&pass(1), model);
    for draw in 2..=DRAWS {
        let next = step(&pass(draw), model);
        all.iter_mut().zip(next).for_each(|((_, values), (_, more))| values.extend(more));
    }
    all
}

fn compare_bf16(kind: &str, model: &SequenceClassifier, gpu: &Device) {
    let exact = draws(Precision::F32, model);
    let host = draws(Precision::Bf16, model);
    to_device(&model.params(), gpu).unwrap();
    let there = draws(Precision::Bf16, model);
    for (((name, exact), (_, host)), (_, got)) in exact.iter().zip(&host).zip(&there) {
        let [ours, usual] = [got, host].map(|x| relative_distance(x, exact));
        let distance = relative_distance(got, host);
        println!(
            "{kind}, bf16: {name}: {distance:.1e} from the CPU's, {ours:.1e} and {usual:.1e} from f32"
        );
        let near = distance <= BF16 || ours <= AS_FAR * usual;
        let value = ["logits", "loss"].contains(&name.as_str());
        let right = if value { distance <= BF16 } else { near || vanishes(kind, name) };
        assert!(right, "{kind}: {name} is {distance:e} from the CPU's, {ours:e} from f32");
    }
    let [exact, host, there] = [&exact, &host, &there].map(|step| gradient(step));
    let [ours, usual] = [there, host].map(|x| relative_distance(&x, &exact));
    println!("{kind}, bf16: all gradients: {ours:.1e} and {usual:.1e} from f32");
    assert!(
        ours <= TOGETHER * usual,
        "{kind}: all gradients are {ours:e} from f32, the CPU's {usual:e}"
    );
}

/// What the names of folders of golden models begin with.
const FAMILIES: [&str; 9] = [
    "bert",
    "roberta",
    "xlm-roberta",
    "distilbert",
    "electra",
    "mpnet",
    "deberta-v2",
    "modernbert",
    "modernbert-mean",
];

#[test]
#[ignore = "needs a GPU"]
fn values_and_gradients_are_transformers() {
    for name in FAMILIES {
        check_classifier(&format!("{name}_tiny"));
    }
}

fn check_classifier(name: &str) {
    let golden = Golden::read(&format!("{name}.safetensors"));
    let (config, model, _) = tiny_classifier(name);
    to_device(&model.params(), &device()).unwrap();
    let pass = Pass::on(&Tape::new());
    let logits = model.forward(&pass, &golden.bert_batch("")).unwrap();
    assert_near(&format!("{name} logits"), logits.value(), golden.tensor("logits"), F32);
    let loss = bert::loss(&logits, &Targets::Classes(golden.tensor("labels").clone())).unwrap();
    assert_near(&format!("{name} loss"), loss.value(), golden.tensor("loss"), F32);
    let grads = loss.backward().unwrap();
    let kind = config.family.model_type();
    for param in model.params().iter().filter(|p| !vanishes(kind, p.name())) {
        let stored = config.family.stored_name(param.name());
        let want = golden.tensor(&format!("grad.{stored}"));
        assert_near(&format!("{name} {stored}"), &grads.param(param).unwrap(), want, F32);
    }
}

/// Words of all families, whose logits are rows of the last layer.
#[test]
#[ignore = "needs a GPU"]
fn labels_of_words_are_transformers() {
    for name in FAMILIES {
        let golden = Golden::read(&format!("{name}_tokens.safetensors"));
        let (config, model) = tiny_token_classifier(name, &golden);
        to_device(&model.params(), &device()).unwrap();
        let mut batch = golden.bert_batch("");
        batch.words = golden.ids("words");
        let logits = model.forward(&Pass::on(&Tape::new()), &batch).unwrap();
        assert_near(&format!("{name} logits"), logits.value(), golden.tensor("logits"), F32);
        let targets = Targets::Classes(golden.tensor("labels").clone());
        let grads = bert::loss(&logits, &targets).unwrap().backward().unwrap();
        for param in model.params().iter().filter(|p| !vanishes(name, p.name())) {
            let stored = config.family.stored_name(param.name());
            let want = golden.tensor(&format!("grad.{stored}"));
            assert_near(&format!("{name} {stored}"), &grads.param(param).unwrap(), want, F32);
        }
    }
}

/// Targets are on the host, whatever the task.
#[test]
#[ignore = "needs a GPU"]
fn every_task_has_its_loss() {
    let gpu = device();
    let model = model();
    let numbers = || Tensor::randn(&[LENS.len(), 3], &mut Rng::new(9, 0));
    let tasks = [targets(), Targets::Labels(numbers()), Targets::Scores(numbers())];
    let losses = |model: &SequenceClassifier| {
        let logits = model.forward(&Pass::inference(), &batch()).unwrap();
        let loss = |targets| bert::loss(&logits, targets).unwrap().value().item().unwrap();
        tasks.iter().map(loss).collect::<Vec<_>>()
    };
    let want = losses(&model);
    to_device(&model.params(), &gpu).unwrap();
    let distance = relative_distance(&losses(&model), &want);
    assert!(distance <= F32, "{distance:e} from {want:?}");
}

#[test]
#[ignore = "needs a GPU"]
fn the_masked_language_model_is_transformers() {
    let gpu = device();
    let golden = Golden::read("masked_lm.safetensors");
    let model = tiny_masked_lm(&golden);
    to_device(&model.params(), &gpu).unwrap();
    let pass = Pass::on(&Tape::new());
    let (batch, positions) = (golden.bert_batch("0."), golden.ids("0.positions"));
    let logits = model.forward(&pass, &batch, &positions).unwrap();
    let loss = MaskedLm::loss(&logits, &golden.ids("0.targets")).unwrap();
    let host = tiny_masked_lm(&golden);
    let pass = Pass::on(&Tape::new());
    let on_host = host.forward(&pass, &batch, &positions).unwrap();
    assert_near("logits", logits.value(), on_host.value(), F32);
    let on_host = MaskedLm::loss(&on_host, &golden.ids("0.targets")).unwrap();
    let (grads, want) = (loss.backward().unwrap(), on_host.backward().unwrap());
    for (param, twin) in
        model.params().iter().zip(host.params()).filter(|(p, _)| !vanishes("bert", p.name()))
    {
        assert_near(param.name(), &grads.param(param).unwrap(), &want.param(&twin).unwrap(), F32);
    }
}

/// Losses of a few steps of AdamW with clipping, and the weights behind them.
fn train(params: &[Param], mut loss: impl FnMut(u32) -> autograd::Var) -> (Vec<f64>, Vec<Tensor>) {
    let mut optimizer = Adam::adamw(weight_decay_groups(params, 0.01));
    let losses = (0..5).map(|step| {
        let loss = loss(step);
        let grads = loss.backward().unwrap();
        let norm = clip::global_norm(params, &grads).unwrap();
        assert_eq!(norm.device(), params[0].device(), "the norm stays where the gradients are");
        let grad_scale = GradScale::Clip { norm, max_norm: 0.5 };
        optimizer.step(&grads, StepSize { lr: 1e-3, grad_scale }).unwrap();
        loss.value().item().unwrap()
    });
    (losses.collect(), params.iter().map(Param::value).collect())
}

#[test]
#[ignore = "needs a GPU"]
fn training_goes_as_on_the_cpu() {
    let gpu = device();
    let run = |device: &Device| {
        let model = model();
        to_device(&model.params(), device).unwrap();
        train(&model.params(), |step| {
            let pass = Pass::training(1, step);
            bert::loss(&model.forward(&pass, &batch()).unwrap(), &targets()).unwrap()
        })
    };
    let ((losses, weights), (want_losses, want)) = (run(&gpu), run(&Device::Cpu));
    let distance = relative_distance(&losses, &want_losses);
    println!("losses {losses:?}, {distance:.1e} from the CPU's");
    assert!(distance <= F32, "losses {losses:?}, on the CPU {want_losses:?}");
    for ((got, want), param) in weights.iter().zip(&want).zip(model().params()) {
        assert_eq!(got.device(), gpu, "weights stay on the GPU");
        // Adam divides by the size of gradients: those that are nothing but rounding move weights, too.
        if !vanishes("bert", param.name()) {
            assert_near(param.name(), got, want, 1e-4);
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn a_step_takes_few_launches_and_no_waiting() {
    for ((kind, model), most) in models().iter().zip([50 * 3, 54 * 3, 102 * 3, 53 * 3]) {
        count_launches(kind, model, most);
    }
}

/// AdamW may take `most` launches; SGD, which is no fused update, nine a parameter more.
fn count_launches(kind: &str, model: &SequenceClassifier, most: u64) {
    to_device(&model.params(), &device()).unwrap();
    let batch = batch();
    let step = |optimizer: &mut dyn Optimizer, precision| {
        let pass = Pass::training(1, 0).with_precision(precision);
        let logits = model.forward(&pass, &batch).unwrap();
        let loss = bert::loss(&logits, &targets()).unwrap();
        let grads = loss.backward().unwrap();
        let norm = clip::global_norm(&model.params(), &grads).unwrap();
        let later = loss.value().item_later().unwrap();
        let grad_scale = GradScale::Clip { norm, max_norm: 1.0 };
        optimizer.step(&grads, StepSize { lr: 1e-3, grad_scale }).unwrap();
        later
    };
    let groups = || weight_decay_groups(&model.params(), 0.01);
    let momentum = SgdOptions { momentum: 0.9, nesterov: false };
    let of_sgd = most + 9 * model.params().len() as u64;
    let sgd: Box<dyn Optimizer> = Box::new(Sgd::new(groups(), momentum));
    let adamw: Box<dyn Optimizer> = Box::new(Adam::adamw(groups()));
    // What SGD does is the same whatever gave the gradients.
    let sgd = (kind == "bert").then_some(("SGD", sgd, of_sgd));
    for (name, mut optimizer, most) in std::iter::once(("AdamW", adamw, most)).chain(sgd) {
        for precision in [Precision::F32, Precision::Bf16] {
            step(&mut *optimizer, precision).wait().unwrap();
            let before = counts();
            let later = step(&mut *optimizer, precision);
            let after = counts();
            later.wait().unwrap();
            let launches = after.launches - before.launches;
            println!(
                "{kind}, {name}, {precision:?}: {launches} launches in a step of three layers"
            );
            assert_eq!(after.waits, before.waits, "{kind}, {name}, {precision:?}: the host waits");
            assert!(launches < most, "{kind}, {name}, {precision:?}: {launches} launches");
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn the_same_seed_gives_the_same_bits() {
    for (kind, model) in models() {
        to_device(&model.params(), &device()).unwrap();
        for precision in [Precision::F32, Precision::Bf16] {
            let pass = || Pass::on(&Tape::new()).with_dropout(7, 3).with_precision(precision);
            assert_eq!(step(&pass(), &model), step(&pass(), &model), "{kind}, {precision:?}");
        }
    }
}
