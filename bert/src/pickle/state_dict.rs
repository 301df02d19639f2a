//! The tensors of a state dict: a dict from names to tensors.
//!
//! Some programs write `{"state_dict": {...}, "epoch": 3, ...}`, and a model that was trained on several GPUs has
//! `module.` before every name. What is no tensor is passed over, as an optimizer's state is in a folder.

use std::collections::BTreeMap;

use super::fault::{Fault, Result};
use super::globals::Strided;
use super::machine::{Machine, Value, quoted};

/// Under which a state dict lies in a dict of other things.
const NESTED: &str = "state_dict";

/// What `DataParallel` puts before every name.
const WRAPPED: &str = "module.";

/// The tensors by their names.
pub(super) fn tensors(machine: &Machine, value: Value) -> Result<Vec<(String, Strided)>> {
    let entries = entries(machine, value)?;
    let nested =
        entries.iter().find(|(name, value)| **name == NESTED && matches!(value, Value::Dict(_)));
    let entries = match nested {
        Some((_, &inner)) => self::entries(machine, inner)?,
        None => entries,
    };
    let tensors = || {
        entries.iter().filter_map(|(name, value)| match value {
            Value::Tensor(i) => Some((*name, &machine.tensors[*i])),
            _ => None,
        })
    };
    if tensors().next().is_none() {
        return Fault::unsupported("a dict without tensors");
    }
    let wrapped = tensors().all(|(name, _)| name.starts_with(WRAPPED));
    let name = |name: &str| match wrapped {
        true => name[WRAPPED.len()..].to_owned(),
        false => name.to_owned(),
    };
    Ok(tensors().map(|(full, tensor)| (name(full), tensor.clone())).collect())
}

/// The entries of a dict whose keys are texts.
fn entries<'a>(machine: &Machine<'a>, value: Value) -> Result<BTreeMap<&'a str, Value<'a>>> {
    let Value::Dict(place) = value else {
        return Fault::unsupported(format!("{}, not a dict of tensors", value.kind()));
    };
    let mut entries = BTreeMap::new();
    for pair in machine.heap[place].chunks_exact(2) {
        let Value::Text(name) = pair[0] else { continue };
        if entries.insert(name, pair[1]).is_some() {
            return Fault::damaged(format!("two tensors are called {}", quoted(name)));
        }
    }
    Ok(entries)
}
