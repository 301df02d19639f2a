#!/usr/bin/env python3
"""Opens the adapter of a run with --lora-r with peft, on the model that the run began as, and compares what both say of the
same texts.

    pip install torch transformers peft       # in a virtual environment
    python tests/golden/open_with_peft.py --finetune target/release/finetune --run runs/sst2 --base DIR --texts FILE.txt

FILE has one text a line. Both sides truncate at 128 tokens, or at what the model can take. Prints one JSON object and exits
with 1 if a label differs, or a probability differs by more than 1e-5.
"""
import argparse, json, subprocess, sys

import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

p = argparse.ArgumentParser()
p.add_argument("--finetune", required=True)
p.add_argument("--run", required=True)
p.add_argument("--base", required=True)
p.add_argument("--texts", required=True)
a = p.parse_args()

command = [a.finetune, "predict", "--model", a.run, "--file", a.texts, "--json"]
ours = [json.loads(line) for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()]

with open(f"{a.run}/config.json") as file:
    labels = json.load(file)["id2label"]
names = [labels[str(i)] for i in range(len(labels))]
tokenizer = AutoTokenizer.from_pretrained(a.run)
base = AutoModelForSequenceClassification.from_pretrained(a.base, num_labels=len(names), ignore_mismatched_sizes=True)
model = PeftModel.from_pretrained(base, f"{a.run}/adapter").eval()
worst, differ = 0.0, 0
for row in ours:
    inputs = tokenizer(row["text"], truncation=True, max_length=min(128, tokenizer.model_max_length), return_tensors="pt")
    with torch.inference_mode():
        probabilities = model(**inputs).logits.softmax(-1)[0].tolist()
    worst = max(worst, max(abs(p - row["scores"][name]) for p, name in zip(probabilities, names)))
    differ += names[max(range(len(names)), key=lambda i: probabilities[i])] != row["label"]
print(json.dumps({"texts": len(ours), "labels_that_differ": differ, "greatest_difference_of_a_probability": worst}))
sys.exit(bool(differ or worst > 1e-5))
