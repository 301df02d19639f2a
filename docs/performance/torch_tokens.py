"""The usual fine-tuning of a token classifier with PyTorch and transformers, to compare `finetune train` with.

    python torch_tokens.py --model FOLDER --train FILE --validation FILE --test FILE [--precision bf16]

Files are JSONL with `tokens` and `tags`. As in the examples of transformers: the first token of each word has its label,
sequences are truncated and padded to the longest of their batch, fused AdamW, the learning rate rises for a tenth of the
steps and falls linearly, gradients are clipped at norm 1. Prints a JSON object for each epoch and one for the test, whose
figures are seqeval's. Needs torch, transformers and seqeval.
"""

import argparse
import json
import random
import resource
import time

import torch
from seqeval.metrics import accuracy_score, f1_score
from transformers import AutoModelForTokenClassification, AutoTokenizer, get_linear_schedule_with_warmup

parser = argparse.ArgumentParser()
for name in ["model", "train", "validation", "test"]:
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--learning-rate", type=float, default=5e-5)
parser.add_argument("--max-length", type=int, default=128)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()


def read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


torch.manual_seed(args.seed)
random.seed(args.seed)
train, validation, test = (read(path) for path in [args.train, args.validation, args.test])
names = sorted({tag for row in train for tag in row["tags"]})
tokenizer = AutoTokenizer.from_pretrained(args.model, add_prefix_space=True)
model = AutoModelForTokenClassification.from_pretrained(args.model, num_labels=len(names))
plain = lambda name: "bias" in name or "LayerNorm" in name
groups = [
    {"params": [p for n, p in model.named_parameters() if not plain(n)], "weight_decay": 0.01},
    {"params": [p for n, p in model.named_parameters() if plain(n)], "weight_decay": 0.0},
]
optimizer = torch.optim.AdamW(groups, lr=args.learning_rate, fused=True)
steps = args.epochs * -(-len(train) // args.batch_size)
schedule = get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
autocast = lambda: torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.precision == "bf16")


def batch(rows):
    """Inputs, and the label of each token: -100, which the loss passes over, but for the first of each word."""
    words = [row["tokens"] for row in rows]
    inputs = tokenizer(words, is_split_into_words=True, truncation=True, max_length=args.max_length, padding=True,
                       return_tensors="pt")  # fmt: skip
    labels = torch.full_like(inputs["input_ids"], -100)
    for i, row in enumerate(rows):
        ids = inputs.word_ids(i)
        for place, word in enumerate(ids):
            if word is not None and word != ids[place - 1]:
                labels[i, place] = names.index(row["tags"][word])
    return inputs, labels


def measure(rows):
    """Figures of the words that were not cut off."""
    model.eval()
    truth, guess = [], []
    for i in range(0, len(rows), 64):
        inputs, labels = batch(rows[i : i + 64])
        with torch.inference_mode(), autocast():
            best = model(**inputs).logits.argmax(-1)
        for row, label in zip(best, labels):
            truth.append([names[k] for k in label[label >= 0]])
            guess.append([names[k] for k in row[label >= 0]])
    return {"f1": f1_score(truth, guess), "accuracy": accuracy_score(truth, guess)}


def say(entry, rows, seconds):
    entry["examples_per_s"] = round(rows / seconds, 1)
    entry["peak_rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(entry), flush=True)


for epoch in range(1, args.epochs + 1):
    model.train()
    order = random.sample(range(len(train)), len(train))
    total, words, start = 0.0, 0, time.perf_counter()
    for i in range(0, len(order), args.batch_size):
        inputs, labels = batch([train[row] for row in order[i : i + args.batch_size]])
        with autocast():
            loss = model(**inputs, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        total += loss.item() * (labels >= 0).sum().item()
        words += (labels >= 0).sum().item()
    seconds = time.perf_counter() - start
    say({"epoch": epoch, "loss": round(total / words, 4), **measure(validation)}, len(train), seconds)
start = time.perf_counter()
figures = measure(test)
say({"test": True, **figures}, len(test), time.perf_counter() - start)
