"""The yardstick of `finetune bench train` on a GPU: an epoch of PyTorch and transformers, well tuned.

Texts are tokenized and batches made before the clock starts, padded to their longest text, at multiples of 8; bf16 by
autocast, compiled for shapes that change, fused AdamW, clipping at 1.0, losses left on the GPU until the end. One JSON
object an epoch, with the keys of `bench train`; the first epoch holds the compiling, the second is the one to compare.

    python3 torch_epoch.py --model DIR --train FILE.csv --validation FILE.csv [--batch-size 32]
"""

import argparse
import csv
import json
import random
import time

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, get_linear_schedule_with_warmup

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--train", required=True)
parser.add_argument("--validation", required=True)
parser.add_argument("--epochs", type=int, default=2)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--learning-rate", type=float, default=5e-5)
parser.add_argument("--max-length", type=int, default=128)
parser.add_argument("--device", default="cuda")
parser.add_argument("--no-compile", action="store_true")
args = parser.parse_args()
random.seed(0)
torch.manual_seed(0)


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["label"] for row in rows]


tokenizer = AutoTokenizer.from_pretrained(args.model)
(train_texts, train_labels), (eval_texts, eval_labels) = read(args.train), read(args.validation)
names = sorted(set(train_labels) | set(eval_labels))


def encode(texts, labels):
    ids = tokenizer(texts, truncation=True, max_length=args.max_length)["input_ids"]
    return list(zip(ids, (names.index(label) for label in labels)))


def batch(examples):
    ids = [torch.tensor(ids) for ids, _ in examples]
    longest = -(-max(len(x) for x in ids) // 8) * 8
    padded = torch.stack([torch.nn.functional.pad(x, (0, longest - len(x))) for x in ids])
    mask = torch.stack([(torch.arange(longest) < len(x)).long() for x in ids])
    tensors = [padded, mask, torch.tensor([label for _, label in examples])]
    if args.device == "cuda":
        tensors = [x.pin_memory() for x in tensors]
    return tensors


def there(batch):
    return [x.to(args.device, non_blocking=True) for x in batch]


train, evaluation = encode(train_texts, train_labels), encode(eval_texts, eval_labels)
model = AutoModelForSequenceClassification.from_pretrained(args.model, num_labels=len(names), dtype=torch.float32)
model.to(args.device)
plain = [p for n, p in model.named_parameters() if n.endswith("bias") or "LayerNorm" in n]
decayed = [p for n, p in model.named_parameters() if not (n.endswith("bias") or "LayerNorm" in n)]
groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
optimizer = torch.optim.AdamW(groups, lr=args.learning_rate, fused=True)
steps = args.epochs * -(-len(train) // args.batch_size)
schedule = get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
forward = model if args.no_compile else torch.compile(model, dynamic=True)


def synchronize():
    if args.device == "cuda":
        torch.cuda.synchronize()


for epoch in range(1, args.epochs + 1):
    model.train()
    random.shuffle(train)
    batches = [batch(train[i : i + args.batch_size]) for i in range(0, len(train), args.batch_size)]
    losses, start = [], time.perf_counter()
    for ids, mask, labels in map(there, batches):
        with torch.autocast(args.device, dtype=torch.bfloat16):
            loss = forward(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.detach())
    synchronize()
    seconds = time.perf_counter() - start
    model.eval()
    right = 0
    with torch.inference_mode(), torch.autocast(args.device, dtype=torch.bfloat16):
        for i in range(0, len(evaluation), 256):
            ids, mask, labels = there(batch(evaluation[i : i + 256]))
            right += (forward(input_ids=ids, attention_mask=mask).logits.argmax(-1) == labels).sum().item()
    line = {"side": "torch", "epoch": epoch, "batch_size": args.batch_size, "loss": round(torch.stack(losses).mean().item(), 4)}
    line |= {"seconds": round(seconds, 2), "examples_per_s": round(len(train) / seconds, 1)}
    line |= {"eval_accuracy": round(right / len(evaluation), 4)}
    print(json.dumps(line), flush=True)
