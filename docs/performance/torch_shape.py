"""A training step and an inference pass of a classifier of the shape of ModernBERT-base or DeBERTa-v3-base with PyTorch,
to compare `finetune bench step --shape SHAPE` with: random weights and tokens, sequences of one length, so that nothing
is padded.

    python torch_shape.py --shape modernbert --batch 16 --length 128 [--precision bf16] [--steps 5]

Attention is what transformers chooses on a CPU: of ModernBERT PyTorch's `scaled_dot_product_attention`, of DeBERTa its
own. Prints a JSON object with the medians in milliseconds and the greatest memory of the process. Needs torch and
transformers.
"""

import argparse
import json
import resource
import statistics
import time

import torch
from transformers import AutoModelForSequenceClassification, DebertaV2Config, ModernBertConfig

SHAPES = {
    "modernbert": ModernBertConfig(),
    "deberta": DebertaV2Config(
        hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072, relative_attention=True,
        position_buckets=256, norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type="p2c|c2p",
        position_biased_input=False),
}  # fmt: skip

parser = argparse.ArgumentParser()
parser.add_argument("--shape", choices=SHAPES, required=True)
parser.add_argument("--batch", type=int, default=16)
parser.add_argument("--length", type=int, default=128)
parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
parser.add_argument("--steps", type=int, default=5)
args = parser.parse_args()

torch.manual_seed(0)
model = AutoModelForSequenceClassification.from_config(SHAPES[args.shape])
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
