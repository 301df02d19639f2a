"""Writes the golden values that `tests/tests/golden_lora.rs` compares with: models adapted by the package peft.

Made with Python 3.11, torch 2.15.0, transformers 5.24.0, peft 0.21.2, safetensors; to make them again, in the environment
of `make_golden.py` with peft, behind it and `make_family.py`:

    venv/bin/python tests/golden/make_lora.py [NAME ...]

Each of their folders is opened and adapted, with random B (peft begins with zeros) and a random head. `NAME_lora` is the
adapter as peft saves it, in f32; logits, loss and the gradient of everything that trains are computed in f64, sequence by
sequence, so that nothing is padded.
"""

import json
import sys

import peft
import torch
import transformers

from make_golden import HERE, LABELS, LENS, batch_tensors, make_batch, write
from make_family import attention_of, inputs, turn_in_f64

# Model, task, targets, head. The first has adapters on all maps but the keys, the last three on all.
CASES = [
    ("bert", "SEQ_CLS", ["query", "value", "dense"], ["classifier", "pooler"]),
    ("distilbert", "SEQ_CLS", ["q_lin", "v_lin"], ["classifier", "pre_classifier"]),
    ("electra", "TOKEN_CLS", ["query", "key", "value", "dense"], ["classifier"]),
    ("deberta-v2", "SEQ_CLS", ["query_proj", "key_proj", "value_proj", "dense"], ["classifier", "pooler"]),
    ("modernbert", "SEQ_CLS", ["Wqkv", "Wo", "Wi"], ["classifier", "head"]),
]  # fmt: skip
POSITIONS = [1, 4, 5, 13, 29, 35]
WORD_LABELS = [0, 3, 1, 4, 2, 0]


def adapted(name, task, targets, head):
    sequence = task == "SEQ_CLS"
    auto = transformers.AutoModelForSequenceClassification if sequence else transformers.AutoModelForTokenClassification
    base = auto.from_pretrained(
        HERE / f"{name}_tiny", num_labels=3 if sequence else 5, ignore_mismatched_sizes=True,
        attn_implementation=attention_of(transformers.AutoConfig.from_pretrained(HERE / f"{name}_tiny")),
    )
    config = peft.LoraConfig(task_type=task, r=3, lora_alpha=5, target_modules=targets, modules_to_save=head)
    torch.manual_seed(5)
    model = peft.get_peft_model(base, config)
    g = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for n, p in model.named_parameters():
            if p.requires_grad and "lora_A" not in n:
                p.copy_(torch.randn(p.shape, generator=g) * 0.2)
    return model


def save(model, folder):
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    # No path of this machine; sets in a fixed order.
    config["base_model_name_or_path"] = folder.name.replace("lora", "tiny")
    for key in ["target_modules", "modules_to_save"]:
        config[key] = sorted(set(config[key]))
    path.write_text(json.dumps(config, indent=1) + "\n")


def make(name, task, targets, head):
    model = adapted(name, task, targets, head)
    save(model, HERE / f"{name}_lora")
    model = model.double().train()
    ids, types = make_batch(LENS, 7)
    given = [inputs(x, t if name in ["bert", "electra"] else None) for x, t in zip(ids, types)]
    logits = torch.cat([model(**x).logits.reshape(-1, model.config.num_labels) for x in given])
    labels = torch.tensor(LABELS)
    if task == "TOKEN_CLS":
        logits, labels = logits[POSITIONS], torch.tensor(WORD_LABELS)
    loss = torch.nn.functional.cross_entropy(logits, labels)
    loss.backward()
    saved = lambda n: n.replace(".modules_to_save.default", "").replace(".default", "")
    tensors = batch_tensors("", ids, types) | {"labels": labels, "logits": logits, "loss": loss}
    tensors |= {"words": torch.tensor(POSITIONS)}
    tensors |= {f"grad.{saved(n)}": p.grad for n, p in model.named_parameters() if p.requires_grad}
    write(f"{name}_lora.safetensors", tensors)


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    turn_in_f64()
    for case in CASES:
        if not sys.argv[1:] or case[0] in sys.argv[1:]:
            make(*case)


if __name__ == "__main__":
    main()
