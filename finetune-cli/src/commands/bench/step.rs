//! `finetune bench step`: one training step and one inference pass at full length.

use std::path::Path;

use anyhow::{Result, bail};
use bert::{Config, Encoding, SequenceClassifier};
use nn::{Module, Pass, count, to_device};
use serde_json::{Value, json};
use tensor::{Device, philox::Rng};

use super::{WARM_UP, check_memory, least, median, peak_mib, rounded, rounds, timed};
use crate::args::bench::{BenchStepArgs, ShapeName};
use crate::args::{OptimizationArgs, RecipeArgs, ScheduleName};
use crate::batches::Examples;
use crate::classifier::Classifier;
use crate::data::Labels;
use crate::flops;
use crate::memory::Memory;
use crate::optimization::StepTimes;
use crate::progress::say;
use crate::trainer::Trainer;

/// Labels of the task.
const OUTPUTS: usize = 2;

/// Seconds of one step: all of it, and its parts.
struct Lap {
    whole: f64,
    parts: StepTimes,
}

/// Measures and prints one line.
pub(super) fn run(args: &BenchStepArgs) -> Result<()> {
    let config = config(args.shape);
    check(args, &config)?;
    let model = Classifier::Sequence(SequenceClassifier::new(&config, OUTPUTS, 0));
    let device = args.hardware.device.open(false)?;
    to_device(&model.params(), &device)?;
    let params = count(&model.params()) as u64;
    let batch = [args.batch_size, args.max_length].map(|n| n as u64);
    let memory = Memory::of_step(&config, params, batch, args.checkpoint_activations).total();
    if device == Device::Cpu {
        check_memory(
            &format!("--batch-size {} of --max-length {}", args.batch_size, args.max_length),
            memory,
        )?;
    }
    let examples = examples(args, &mut Rng::new(0, 0));
    let laps = train(args, &model, &examples)?;
    let passes = infer(args, &model, &examples)?;
    Ok(say(line(args, &device, &laps, &passes))?)
}

fn config(shape: ShapeName) -> Config {
    let bert = |hidden, layers, heads| {
        json!({"model_type": "bert", "hidden_size": hidden, "num_hidden_layers": layers,
            "num_attention_heads": heads, "intermediate_size": 4 * hidden})
    };
    // All else, the dropout rate too (0.1, but none in a ModernBERT), is transformers' default.
    let json = match shape {
        ShapeName::Tiny => bert(128, 2, 2),
        ShapeName::Minilm => bert(384, 6, 12),
        ShapeName::Base => bert(768, 12, 12),
        ShapeName::Large => bert(1024, 24, 16),
        ShapeName::Modernbert => json!({"model_type": "modernbert"}),
        ShapeName::Deberta => {
            json!({"model_type": "deberta-v2", "hidden_size": 768, "num_hidden_layers": 12,
            "num_attention_heads": 12, "intermediate_size": 3072, "relative_attention": true,
            "position_buckets": 256, "norm_rel_ebd": "layer_norm", "share_att_key": true,
            "pos_att_type": "p2c|c2p", "position_biased_input": false})
        }
    };
    Config::parse(&json.to_string(), Path::new("config.json")).expect("a configuration of our own")
}

fn check(args: &BenchStepArgs, config: &Config) -> Result<()> {
    let (length, limit) = (args.max_length, config.max_length());
    match length <= limit {
        true => Ok(()),
        false => {
            bail!("--max-length {length}: the model has {limit} positions; use {limit} or less")
        }
    }
}

/// Sequences of random tokens, and random labels.
fn examples(args: &BenchStepArgs, rng: &mut Rng) -> Examples {
    // Below 1000 are special tokens and single characters.
    let mut token = || 1000 + rng.below(29_000) as u32;
    let mut ids = || (0..args.max_length).map(|_| token()).collect();
    let mut encoding = || Encoding {
        ids: ids(),
        type_ids: vec![0; args.max_length],
        truncated: false,
        words: Vec::new(),
    };
    let encodings = (0..args.batch_size).map(|_| encoding()).collect();
    let labels = (0..args.batch_size).map(|_| rng.below(OUTPUTS as u64) as u32).collect();
    Examples::new(encodings, Labels::Class(labels), OUTPUTS)
}

fn recipe(args: &BenchStepArgs) -> RecipeArgs {
    let recipe = RecipeArgs::default();
    RecipeArgs {
        epochs: WARM_UP.saturating_add(args.steps),
        batch_size: args.batch_size,
        learning_rate: 2e-5,
        optimization: OptimizationArgs {
            lr_scheduler_type: ScheduleName::Constant,
            warmup_ratio: 0.0,
            max_grad_norm: 0.0,
            precision: args.precision,
            checkpoint_activations: args.checkpoint_activations,
            seed: 0,
            ..recipe.optimization
        },
        ..recipe
    }
}

fn train(args: &BenchStepArgs, model: &Classifier, examples: &Examples) -> Result<Vec<Lap>> {
    let (recipe, rows) = (recipe(args), rows(args));
    let mut trainer = Trainer::new(model, &recipe, args.batch_size);
    let mut laps = rounds(args.steps, || {
        let (log, whole) = timed(|| trainer.step(examples, &rows))?;
        Ok(Lap { whole, parts: log.map(|log| log.times).unwrap_or_default() })
    })?;
    // What the steps have put off is part of their price.
    let ((), deferred) = timed(|| trainer.flush())?;
    let share = deferred / trainer.steps_done() as f64;
    for lap in &mut laps {
        lap.whole += share;
        lap.parts.optimizer += share;
    }
    Ok(laps)
}

fn infer(args: &BenchStepArgs, model: &Classifier, examples: &Examples) -> Result<Vec<f64>> {
    let batch = examples.batch(&rows(args))?;
    let once = || {
        let pass = Pass::inference().with_precision(args.precision.into());
        let logits = model.forward(&pass, &batch)?;
        // A GPU has only been asked for it until then.
        logits.value().device().synchronize()?;
        Ok(logits)
    };
    rounds(args.steps, || Ok(timed(once)?.1))
}

fn rows(args: &BenchStepArgs) -> Vec<usize> {
    (0..args.batch_size).collect()
}

fn line(args: &BenchStepArgs, device: &Device, laps: &[Lap], passes: &[f64]) -> Value {
    // The host knows how long it asked a GPU for each part, not how long that took.
    let ms = |part: fn(&Lap) -> f64| match device {
        Device::Cpu => rounded(median(laps.iter().map(part)) * 1e3, 2),
        Device::Cuda(_) => Value::Null,
    };
    let (step, pass) = (median(laps.iter().map(|lap| lap.whole)), median(passes.iter().copied()));
    let flops = flops::forward(&config(args.shape), vec![args.max_length; args.batch_size]);
    let shape = format!("{:?}", args.shape).to_lowercase();
    json!({
        "shape": shape, "batch": args.batch_size, "length": args.max_length,
        "precision": args.precision, "device": device.label(), "threads": rayon::current_num_threads(),
        "step_ms": rounded(step * 1e3, 2),
        "forward_ms": ms(|lap| lap.parts.forward),
        "backward_ms": ms(|lap| lap.parts.backward),
        "optimizer_ms": ms(|lap| lap.parts.optimizer),
        "best_step_ms": rounded(least(laps.iter().map(|lap| lap.whole)) * 1e3, 2),
        "train_gflops": rounded(3.0 * flops / step / 1e9, 1),
        "infer_ms": rounded(pass * 1e3, 2),
        "infer_gflops": rounded(flops / pass / 1e9, 1),
        "peak_mb": peak_mib(device),
    })
}
