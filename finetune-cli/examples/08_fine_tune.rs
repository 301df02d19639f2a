//! Fine-tuning written out: what `finetune train` does, without flags, files and progress bars.
//!
//! ```text
//! cargo run --release -p finetune-cli --example 08_fine_tune
//! ```
//!
//! The bundled tiny BERT learns to tell praise from complaint. The same loop, with its checks, is
//! `finetune-cli/src/trainer.rs` around `optimization/mod.rs`.

use std::path::Path;

use anyhow::Result;
use finetune::batches;
use finetune::data::{self, Dataset, Options, Schema};
use finetune::{folder::Folder, trainer};
use nn::{Module, Pass, Precision};
use optim::{
    Adam, GradScale, Optimizer, Schedule, ScheduleKind, StepSize, Warmup, clip, weight_decay_groups,
};

const EPOCHS: u32 = 3;
const BATCH: usize = 16;
/// High, for a small model; a large one takes a tenth of it or less.
const PEAK: f64 = 5e-4;
const SEED: u64 = 0;

fn main() -> Result<()> {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let read = |name| data::read_table(&assets.join("reviews").join(name), &Options::default());

    // The training file decides which columns are text and label, and what the classes are.
    let table = read("train.csv")?;
    let schema = Schema::infer(&table, &Options::default())?;

    // Texts to ids, by the vocabulary of the model folder.
    let folder = Folder::open(&assets.join("tiny"))?;
    let tokenize = |data: Dataset| folder.examples(&schema.task, &data.examples, data.labels, 128);
    let train = tokenize(Dataset::new(table, &schema)?)?;
    let validation = tokenize(Dataset::new(read("validation.csv")?, &schema)?)?;

    // The pretrained encoder; pooler and head are fresh.
    let (model, _) = folder.classifier(&schema.task, SEED)?;
    let params = model.params();

    // AdamW; weight matrices decay, biases and LayerNorm do not. The rate rises for a tenth of the steps and
    // then falls to 0.
    let mut optimizer = Adam::adamw(weight_decay_groups(&params, 0.01));
    let total = train.len().div_ceil(BATCH) as u64 * u64::from(EPOCHS);
    let warmup = Warmup::Ratio(0.1).steps(total);
    let schedule = Schedule { kind: ScheduleKind::Linear, warmup, total };

    let mut step = 0;
    for epoch in 1..=EPOCHS {
        let mut sum = 0.0;
        for rows in batches::shuffled(train.len(), BATCH, SEED, epoch) {
            let (batch, targets) = (train.batch(&rows)?, train.targets(&rows).expect("labelled"));
            // Forward: the pass records a tape, and draws dropout masks from (seed, step).
            let pass = Pass::training(SEED, step as u32);
            let loss = bert::loss(&model.forward(&pass, &batch)?, &targets)?;
            sum += loss.value().item()? * rows.len() as f64;
            // Backward: one gradient per parameter; the tape is used up.
            let grads = loss.backward()?;
            // Update, with the gradients scaled down to a global norm of at most 1.
            let norm = clip::global_norm(&params, &grads)?;
            let grad_scale = GradScale::Clip { norm, max_norm: 1.0 };
            optimizer.step(&grads, StepSize { lr: PEAK * schedule.factor(step), grad_scale })?;
            step += 1;
        }
        let result =
            trainer::evaluate(&model, &schema.task, &validation, 64, Precision::F32, &mut |_| ())?;
        let accuracy = result.report.expect("labelled").metrics[0].1;
        println!(
            "epoch {epoch}  loss {:.4}  validation accuracy {accuracy:.2}",
            sum / train.len() as f64
        );
    }
    Ok(())
}
