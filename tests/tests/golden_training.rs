//! Several steps of training against PyTorch: losses, learning rates, gradient norms and what the model
//! says at the end. Schedules against transformers.

use approx::assert_relative_eq;
use autograd::{Param, Tape};
use bert::{SequenceClassifier, Targets, loss};
use nn::{Module, Pass};
use optim::{
    Adam, Optimizer, ParamGroup, Schedule, ScheduleKind, Sgd, SgdOptions, StepSize, clip,
    weight_decay_groups,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tensor::Tensor;
use tests::golden::{Golden, assert_near, path, tiny_bert, widen};

/// Largest relative error of losses and norms, and of the final logits, in f32.
const NARROW: [f64; 2] = [3e-6, 3e-5];
/// The same in f64, where settings such as the learning rate are f32: 6e-8 a step.
const WIDE: [f64; 2] = [3e-7, 3e-7];

/// What `make_golden.py` recorded of a run.
#[derive(Deserialize)]
struct Run {
    losses: Vec<f64>,
    learning_rates: Vec<f64>,
    gradient_norms: Vec<f64>,
    final_logits: Vec<[f64; 3]>,
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    let text = std::fs::read_to_string(path(name)).expect("a golden file");
    serde_json::from_str(&text).expect("the fields that make_golden.py writes")
}

/// How to train: the recorded run of that name, and the same in Rust.
struct Recipe {
    name: &'static str,
    optimizer: fn(&[Param]) -> Box<dyn Optimizer>,
    rate: fn(u64) -> f64,
    max_norm: f64,
}

const RECIPES: [Recipe; 5] = [
    Recipe {
        name: "adamw",
        optimizer: |params| Box::new(Adam::adamw(weight_decay_groups(params, 0.01))),
        rate: |step| {
            1e-3 * Schedule { kind: ScheduleKind::Linear, warmup: 2, total: 10 }.factor(step)
        },
        max_norm: 1.0,
    },
    Recipe {
        name: "adam",
        optimizer: |params| Box::new(Adam::new(params)),
        rate: |_| 1e-3,
        max_norm: f64::INFINITY,
    },
    Recipe { name: "sgd", optimizer: |p| sgd(p, 0.0, false, 0.0), ..SGD },
    // Adam divides by the size of the gradients: only here does clipping show.
    Recipe { name: "sgd_momentum", optimizer: |p| sgd(p, 0.9, false, 0.0), max_norm: 1.0, ..SGD },
    Recipe { name: "sgd_nesterov", optimizer: |p| sgd(p, 0.9, true, 0.01), ..SGD },
];

const SGD: Recipe = Recipe {
    name: "",
    optimizer: |params| sgd(params, 0.0, false, 0.0),
    rate: |_| 0.1,
    max_norm: f64::INFINITY,
};

fn sgd(params: &[Param], momentum: f64, nesterov: bool, weight_decay: f64) -> Box<dyn Optimizer> {
    let group = ParamGroup { params: params.to_vec(), weight_decay };
    Box::new(Sgd::new(vec![group], SgdOptions { momentum, nesterov }))
}

#[test]
fn training_goes_as_in_pytorch() {
    let runs: std::collections::BTreeMap<String, Run> = read("training.json");
    assert_eq!(runs.len(), RECIPES.len());
    for recipe in &RECIPES {
        train(recipe, &runs[recipe.name], &tiny_bert(), NARROW);
        let model = tiny_bert();
        widen(&model.params());
        train(recipe, &runs[recipe.name], &model, WIDE);
    }
}

fn train(recipe: &Recipe, run: &Run, model: &SequenceClassifier, [exact, after]: [f64; 2]) {
    let data = Golden::read("training.safetensors");
    let params = model.params();
    let mut optimizer = (recipe.optimizer)(&params);
    for (step, want) in run.losses.iter().enumerate() {
        let prefix = format!("{}.", step % 3);
        let labels = Targets::Classes(data.tensor(&format!("{prefix}labels")).clone());
        let logits = model.forward(&Pass::on(&Tape::new()), &data.bert_batch(&prefix)).unwrap();
        let loss = loss(&logits, &labels).unwrap();
        assert_relative_eq!(loss.value().item().unwrap(), *want, max_relative = exact);
        let grads = loss.backward().unwrap();
        let norm = clip::global_norm(&params, &grads).unwrap().item().unwrap();
        assert_relative_eq!(norm, run.gradient_norms[step], max_relative = 10.0 * exact);
        let lr = (recipe.rate)(step as u64);
        assert_relative_eq!(lr, run.learning_rates[step], max_relative = 1e-12);
        let grad_scale = clip::factor(norm, recipe.max_norm);
        optimizer.step(&grads, StepSize { lr, grad_scale: grad_scale.into() }).unwrap();
    }
    let logits = model.forward(&Pass::inference(), &data.bert_batch("0.")).unwrap();
    let want = Tensor::from_vec(run.final_logits.concat(), logits.shape()).unwrap();
    assert_near(&format!("{} logits", recipe.name), logits.value(), &want, after);
}

#[derive(Deserialize)]
struct Row {
    kind: String,
    warmup: u64,
    total: u64,
    factors: Vec<f64>,
}

fn kind(name: &str) -> ScheduleKind {
    match name.split(' ').collect::<Vec<_>>()[..] {
        ["constant"] => ScheduleKind::Constant,
        ["linear"] => ScheduleKind::Linear,
        ["cosine"] => ScheduleKind::Cosine,
        ["polynomial", power, end] => {
            let number = |text: &str| text.parse().expect("a number");
            ScheduleKind::Polynomial { power: number(power), end: number(end) }
        }
        _ => panic!("unknown schedule {name}"),
    }
}

#[test]
fn a_schedule_that_is_all_warm_up_ends_at_zero() {
    let schedule = Schedule { kind: ScheduleKind::Cosine, warmup: 5, total: 5 };
    assert_eq!([4, 5, 6].map(|step| schedule.factor(step)), [0.8, 0.0, 0.0]);
}

#[test]
fn schedules_are_transformers() {
    let rows: Vec<Row> = read("schedules.json");
    assert_eq!(rows.len(), 36);
    for Row { kind: name, warmup, total, factors } in rows {
        let schedule = Schedule { kind: kind(&name), warmup, total };
        let got: Vec<f64> = (0..factors.len() as u64).map(|step| schedule.factor(step)).collect();
        // Beyond the end ours stays where it is; transformers lets the cosine rise again.
        for (step, (got, want)) in got.iter().zip(&factors).enumerate().take(total as usize + 1) {
            let message = format!("{name}, {warmup} of {total}, step {step}: {got}, not {want}");
            assert!((got - want).abs() <= 1e-12, "{message}");
        }
    }
}
