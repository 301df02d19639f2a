"""A training step and an inference pass of a ModernBERT-base classifier with PyTorch, to compare
`finetune bench step --shape modernbert` with: random weights and tokens, sequences of one length, so that nothing is padded.

    python torch_modernbert.py --batch 16 --length 128 [--precision bf16] [--steps 5]

Attention is PyTorch's `scaled_dot_product_attention`, which transformers chooses on a CPU. Prints a JSON object with the
medians in milliseconds and the greatest memory of the process. Needs torch and transformers.
"""

import argparse
import json
import resource
import statistics
import time

import torch
from transformers import ModernBertConfig, ModernBertForSequenceClassification

parser = argparse.ArgumentParser()
parser.add_argument("--batch", type=int, default=16)
parser.add_argument("--length", type=int, default=128)
parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
parser.add_argument("--steps", type=int, default=5)
args = parser.parse_args()

torch.manual_seed(0)
model = ModernBertForSequenceClassification(ModernBertConfig(num_labels=2))
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, fused=True)
ids = torch.randint(1000, 30000, (args.batch, args.length))
inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
labels = torch.randint(0, 2, (args.batch,))
autocast = lambda: torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.precision == "bf16")


def step():
    optimizer.zero_grad()
    with autocast():
        loss = model(**inputs, labels=labels).loss
    loss.backward()
    optimizer.step()


def infer():
    with torch.inference_mode(), autocast():
        model(**inputs)


def median_ms(run):
    times = []
    for _ in range(args.steps + 2):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return round(statistics.median(times[2:]) * 1e3, 1)


model.train()
train = median_ms(step)
model.eval()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps(vars(args) | {"step_ms": train, "infer_ms": median_ms(infer), "peak_mb": peak}))
