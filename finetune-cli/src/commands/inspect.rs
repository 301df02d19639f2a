//! `finetune inspect`: what a model folder holds.

use std::fmt::Write;

use anyhow::Result;
use bert::{Config, ProblemType, StoredTensor};
use serde_json::{Value, json};

use crate::args::InspectArgs;
use crate::data::{LabelSet, Task};
use crate::folder::Folder;
use crate::memory::{Memory, human};
use crate::progress::say;

fn elements(tensor: &StoredTensor) -> u64 {
    tensor.shape.iter().map(|&n| n as u64).product()
}

/// Prints configuration, parameters, memory and task.
pub(super) fn run(args: &InspectArgs) -> Result<()> {
    let folder = Folder::open(&args.model)?;
    let checkpoint = folder.checkpoint()?;
    let rows = checkpoint.tensors();
    let params = rows.iter().map(elements).sum();
    let batch = [args.batch_size as u64, args.max_length as u64];
    let memory = Memory::of_step(&folder.config, params, batch, false);
    let task = folder.task(&checkpoint).ok();
    if args.json {
        return Ok(say(as_json(&folder.config, task.as_ref(), &rows, memory))?);
    }
    say(config_text(&folder, &describe(task)))?;
    say(table_text(&rows, params))?;
    Ok(say(format_args!(
        "Training at batch size {} and length {} takes about {}: weights {}, gradients {}, Adam {}, \
         activations {}",
        args.batch_size,
        args.max_length,
        human(memory.total()),
        human(memory.weights),
        human(memory.gradients),
        human(memory.optimizer),
        human(memory.activations)
    ))?)
}

fn config_text(folder: &Folder, task: &str) -> String {
    let c = &folder.config;
    format!(
        "{}\n  {}: {} layers, hidden {}, {} heads, feed-forward {}, {} positions, vocabulary {}\n  \
         tokenizer: {} tokens\n  task: {task}\n",
        folder.path.display(),
        c.family.model_type(),
        c.num_hidden_layers,
        c.hidden_size,
        c.num_attention_heads,
        c.intermediate_size,
        c.max_length(),
        c.vocab_size,
        folder.tokenizer.vocab_size()
    )
}

fn describe(task: Option<Task>) -> String {
    task.map_or("none; a starting point for fine-tuning".to_owned(), |task| format!("{task:#}"))
}

fn table_text(rows: &[StoredTensor], params: u64) -> String {
    let width = rows.iter().map(|r| r.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    let mut line = |name: &str, shape: &str, dtype: &str, elements: &str| {
        writeln!(text, "{name:width$}  {shape:>16}  {dtype:>5}  {elements:>12}")
            .expect("writing to a string");
    };
    line("tensor", "shape", "dtype", "elements");
    for row in rows {
        line(&row.name, &format!("{:?}", row.shape), &row.dtype, &elements(row).to_string());
    }
    line("all", "", "", &params.to_string());
    text
}

/// The task by its name, its `problem_type` in a `config.json`, which labels of words have none of, and its labels.
fn as_json(config: &Config, task: Option<&Task>, rows: &[StoredTensor], memory: Memory) -> Value {
    let tensors: Vec<Value> = rows
        .iter()
        .map(|r| json!({"name": r.name, "shape": r.shape, "dtype": r.dtype, "elements": elements(r)}))
        .collect();
    json!({
        "config": config.to_json(),
        "task": task.map(Task::name),
        "problem_type": task.and_then(Task::problem_type).map(ProblemType::as_str),
        "labels": task.and_then(Task::label_set).map(LabelSet::names),
        "parameters": rows.iter().map(elements).sum::<u64>(),
        "memory": memory,
        "memory_total": memory.total(),
        "tensors": tensors,
    })
}
