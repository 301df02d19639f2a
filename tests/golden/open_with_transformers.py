#!/usr/bin/env python3
"""Opens a folder that `finetune train` saved with transformers and compares what both say of the same texts.

    pip install torch transformers            # in a virtual environment
    python tests/golden/open_with_transformers.py --finetune target/release/finetune --model runs/sst2 --texts FILE.txt

FILE has one text a line; for a model that labels words it is a `.conll` or `.jsonl` of words. Both sides truncate at 128
tokens, or at what the model can take; sentences of words that are longer are left out. Prints one JSON object and exits
with 1 if a label differs, a probability differs by more than 1e-5, or transformers misses a weight or finds one too many.
"""
import argparse, json, subprocess, sys

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer

p = argparse.ArgumentParser()
p.add_argument("--finetune", required=True)
p.add_argument("--model", required=True)
p.add_argument("--texts", required=True)
a = p.parse_args()

command = [a.finetune, "predict", "--model", a.model, "--file", a.texts, "--json"]
ours = [json.loads(line) for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()]

tokenizer = AutoTokenizer.from_pretrained(a.model)
longest = min(128, tokenizer.model_max_length)
of_words = "ForTokenClassification" in AutoConfig.from_pretrained(a.model).architectures[0]
cls = AutoModelForTokenClassification if of_words else AutoModelForSequenceClassification
model, loading = cls.from_pretrained(a.model, output_loading_info=True)
model.eval()
names = [model.config.id2label[i] for i in range(model.config.num_labels)]


def probabilities(inputs):
    with torch.inference_mode():
        return model(**inputs).logits.softmax(-1)[0].tolist()


def compare_words(row):
    """The greatest difference and the labels that differ, of words of which transformers has a token."""
    inputs = tokenizer(row["tokens"], is_split_into_words=True, return_tensors="pt")
    ids = inputs.word_ids()
    if len(ids) > longest or len({i for i in ids if i is not None}) < len(row["tokens"]):
        return None
    theirs = probabilities(inputs)
    first = [i for i, word in enumerate(ids) if word is not None and word != ids[i - 1]]
    best = [max(range(len(names)), key=lambda k: theirs[i][k]) for i in first]
    differ = sum(names[k] != tag for k, tag in zip(best, row["tags"]))
    return max(abs(theirs[i][k] - score) for i, k, score in zip(first, best, row["scores"])), differ


def compare_text(row):
    theirs = probabilities(tokenizer(row["text"], truncation=True, max_length=longest, return_tensors="pt"))
    best = names[max(range(len(names)), key=lambda i: theirs[i])]
    return max(abs(p - row["scores"][name]) for p, name in zip(theirs, names)), int(best != row["label"])


compared = [result for row in ours if (result := (compare_words if of_words else compare_text)(row)) is not None]
report = {
    "texts": len(compared), "left_out": len(ours) - len(compared), "labels_that_differ": sum(n for _, n in compared),
    "greatest_difference_of_a_probability": max(worst for worst, _ in compared),
    "missing": sorted(loading["missing_keys"]), "unexpected": sorted(loading["unexpected_keys"]),
}
print(json.dumps(report))
wrong = report["labels_that_differ"] or report["greatest_difference_of_a_probability"] > 1e-5
sys.exit(bool(wrong or report["missing"] or report["unexpected"]))
