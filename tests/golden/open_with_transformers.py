#!/usr/bin/env python3
"""Opens a folder that `finetune train` saved with transformers and compares what both say of the same texts.

    pip install torch transformers            # in a virtual environment
    python tests/golden/open_with_transformers.py --finetune target/release/finetune --model runs/sst2 --texts FILE.txt

FILE has one text a line. Both sides truncate at 128 tokens, or at what the model can take. Prints one JSON object and exits with 1 if a label differs,
a probability differs by more than 1e-5, or transformers misses a weight or finds one too many.
"""
import argparse, json, subprocess, sys

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

p = argparse.ArgumentParser()
p.add_argument("--finetune", required=True)
p.add_argument("--model", required=True)
p.add_argument("--texts", required=True)
a = p.parse_args()

command = [a.finetune, "predict", "--model", a.model, "--file", a.texts, "--json"]
ours = [json.loads(line) for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()]

tokenizer = AutoTokenizer.from_pretrained(a.model)
model, loading = AutoModelForSequenceClassification.from_pretrained(a.model, output_loading_info=True)
model.eval()
names = [model.config.id2label[i] for i in range(model.config.num_labels)]
worst, labels = 0.0, 0
for row in ours:
    inputs = tokenizer(row["text"], truncation=True, max_length=min(128, tokenizer.model_max_length), return_tensors="pt")
    with torch.inference_mode():
        probabilities = model(**inputs).logits.softmax(-1)[0].tolist()
    worst = max(worst, max(abs(p - row["scores"][name]) for p, name in zip(probabilities, names)))
    labels += names[max(range(len(names)), key=lambda i: probabilities[i])] != row["label"]
report = {
    "texts": len(ours), "labels_that_differ": labels, "greatest_difference_of_a_probability": worst,
    "missing": sorted(loading["missing_keys"]), "unexpected": sorted(loading["unexpected_keys"]),
}
print(json.dumps(report))
sys.exit(bool(labels or worst > 1e-5 or report["missing"] or report["unexpected"]))
