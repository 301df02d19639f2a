//! What LoRA trained, in the layout of the Python package `peft`: without the model that it was trained on.
//!
//! | file | what it holds |
//! |---|---|
//! | `adapter_config.json` | rank, alpha, targets, the name of the model below, the modules of the head |
//! | `adapter_model.safetensors` | A and B of each adapted map, and the weights of the head |
//!
//! Names are those of the model's file behind `base_model.model.`, where `peft` keeps it:
//! `base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight`. The head was trained as it is, so its
//! weights are stored whole, as `modules_to_save`.
//!
//! Source: <https://huggingface.co/docs/peft/developer_guides/checkpoint>.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use autograd::Param;
use serde_json::{Value, json};
use tensor::{Device, Tensor, safetensors};

use crate::lora::module_of;
use crate::save::write_whole;
use crate::tokenizer::pretty;
use crate::{Adaptation, Error, Result};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";

/// The trained part of an adapted model.
#[derive(Clone, Debug)]
pub struct Adapter {
    adaptation: Adaptation,
    base: Option<String>,
    params: Vec<Param>,
}

impl Adapter {
    /// Of a model with these parameters, which `adaptation` froze but for what trains; `base` is the folder or the name
    /// of the model that it began as, if it has one that others know.
    pub fn new(adaptation: Adaptation, base: Option<String>, params: &[Param]) -> Self {
        let params = params.iter().filter(|param| !param.is_frozen()).cloned().collect();
        Self { adaptation, base, params }
    }

    /// Writes the folder; it is made if it is not there.
    ///
    /// # Errors
    /// When it can't be made or written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let stored =
            |param: &Param| Ok((self.stored_name(param), param.value().to_device(&Device::Cpu)?));
        let weights = self.params.iter().map(stored).collect::<Result<Vec<(String, Tensor)>>>()?;
        fs::create_dir_all(dir).map_err(|e| Error::write(dir, e))?;
        write_whole(&dir.join(CONFIG), &pretty(self.config()))?;
        Ok(safetensors::write(&dir.join(WEIGHTS), &weights)?)
    }

    /// Gives the parameters the values that were saved, to the last bit.
    ///
    /// # Errors
    /// When the folder can't be read, or a weight is missing, of another shape or dtype, or not finite.
    pub fn load(&self, dir: &Path) -> Result<()> {
        let path = dir.join(WEIGHTS);
        let mut file = safetensors::File::open(&path)?;
        for param in &self.params {
            let (name, shape) = (self.stored_name(param), param.shape());
            let fits = file.shape(&name) == Some(&shape);
            if !fits || file.dtype(&name).as_deref() != Some("F32") {
                let message = format!("expected a tensor {name} of shape {shape:?} in F32");
                return Err(Error::checkpoint(&path, message));
            }
            let value = file.read(&name)?;
            if !value.as_slice::<f32>()?.iter().all(|x| x.is_finite()) {
                let message = format!("tensor {name} has NaN or infinite weights");
                return Err(Error::checkpoint(&path, message));
            }
            param.set(value.to_device(&param.device())?);
        }
        Ok(())
    }

    fn stored_name(&self, param: &Param) -> String {
        format!("base_model.model.{}", self.adaptation.family().stored_name(param.name()))
    }

    fn config(&self) -> Value {
        let lora = self.adaptation.lora();
        let is_of_words = self.params.iter().any(|p| p.name().starts_with("token_classifier."));
        json!({
            "base_model_name_or_path": self.base,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "lora_alpha": number(lora.alpha),
            // Of the shortest f64 for it, not of the f32 that is nearest to it.
            "lora_dropout": lora.dropout.to_string().parse::<f64>().unwrap_or_default(),
            "modules_to_save": self.modules_to_save(),
            "peft_type": "LORA",
            "r": lora.rank,
            "target_modules": self.adaptation.targets(),
            "task_type": if is_of_words { "TOKEN_CLS" } else { "SEQ_CLS" },
            "use_dora": false,
            "use_rslora": false,
        })
    }

    /// The modules of the head, by their names below the model or below its encoder.
    fn modules_to_save(&self) -> BTreeSet<String> {
        let of_head = self.params.iter().filter(|param| !param.name().contains(".lora_"));
        let module = |param: &Param| {
            let module = module_of(&self.adaptation.family().stored_name(param.name()));
            let module = module.strip_prefix("bert.").unwrap_or(&module);
            module.split('.').next().unwrap_or_default().to_owned()
        };
        of_head.map(module).collect()
    }
}

/// `peft` declares alpha as a whole number.
fn number(alpha: f64) -> Value {
    match alpha.fract() == 0.0 && alpha < u32::MAX.into() {
        true => json!(alpha as u32),
        false => json!(alpha),
    }
}
