//! `finetune inspect`: what a model folder holds.

use anyhow::Result;
use bert::{Checkpoint, Config, ProblemType};
use serde_json::{Value, json};

use crate::args::InspectArgs;
use crate::folder::Folder;
use crate::memory::{Memory, human};

/// A tensor of the checkpoint.
struct Row {
    name: String,
    shape: Vec<usize>,
    dtype: String,
}

impl Row {
    fn elements(&self) -> u64 {
        self.shape.iter().map(|&n| n as u64).product()
    }
}

/// Prints configuration, parameters, memory and task.
pub(super) fn run(args: &InspectArgs) -> Result<()> {
    let folder = Folder::open(&args.model)?;
    let checkpoint = Checkpoint::open(&args.model)?;
    let rows = rows(&checkpoint);
    let params = rows.iter().map(Row::elements).sum();
    let tokens = (args.batch_size * args.max_length) as u64;
    let memory = Memory::of_step(&folder.config, params, tokens);
    if args.json {
        println!("{}", as_json(&folder.config, &rows, params, memory));
        return Ok(());
    }
    print_config(&folder);
    print_table(&rows, params);
    println!(
        "\nTraining at batch size {} and length {} takes about {}: weights {}, gradients {}, Adam {}, \
         activations {}",
        args.batch_size,
        args.max_length,
        human(memory.total()),
        human(memory.weights),
        human(memory.gradients),
        human(memory.optimizer),
        human(memory.activations)
    );
    Ok(())
}

fn rows(checkpoint: &Checkpoint) -> Vec<Row> {
    let names = checkpoint.names().into_iter();
    let row = |name: String| {
        let shape = checkpoint.shape(&name).unwrap_or_default().to_vec();
        let dtype = checkpoint.dtype(&name).unwrap_or_default();
        Row { name, shape, dtype }
    };
    names.map(row).collect()
}

fn print_config(folder: &Folder) {
    let c = &folder.config;
    println!("{}", folder.path.display());
    println!(
        "  bert: {} layers, hidden {}, {} heads, feed-forward {}, {} positions, vocabulary {}",
        c.num_hidden_layers,
        c.hidden_size,
        c.num_attention_heads,
        c.intermediate_size,
        c.max_position_embeddings,
        c.vocab_size
    );
    println!("  tokenizer: {} tokens", folder.tokenizer.vocab_size());
    println!("  task: {}\n", task(c));
}

fn task(config: &Config) -> String {
    let labels = config.labels.join(", ");
    match (config.problem_type, config.labels.len()) {
        (_, 0) => "none; a starting point for fine-tuning".to_owned(),
        (Some(ProblemType::Regression), _) | (None, 1) => "regression".to_owned(),
        (Some(ProblemType::MultiLabel), n) => format!("any of {n} labels: {labels}"),
        (_, n) => format!("one of {n} classes: {labels}"),
    }
}

fn print_table(rows: &[Row], params: u64) {
    let width = rows.iter().map(|r| r.name.len()).max().unwrap_or(0);
    println!("{:width$}  {:>16}  {:>5}  {:>12}", "tensor", "shape", "dtype", "elements");
    for row in rows {
        let shape = format!("{:?}", row.shape);
        println!("{:width$}  {shape:>16}  {:>5}  {:>12}", row.name, row.dtype, row.elements());
    }
    println!("{:width$}  {:>16}  {:>5}  {params:>12}", "all", "", "");
}

fn as_json(config: &Config, rows: &[Row], params: u64, memory: Memory) -> Value {
    let tensors: Vec<Value> = rows
        .iter()
        .map(|r| json!({"name": r.name, "shape": r.shape, "dtype": r.dtype, "elements": r.elements()}))
        .collect();
    json!({
        "config": config.to_json(),
        "task": task(config),
        "parameters": params,
        "memory": memory,
        "memory_total": memory.total(),
        "tensors": tensors,
    })
}
