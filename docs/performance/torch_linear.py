#!/usr/bin/env python3
"""y = x w^T + b alone in PyTorch: the peer of `finetune bench matmul`, with its keys.

    python torch_linear.py [--precision fp32|bf16] [--repeats 50] [--threads N]
"""
import argparse
import json
import statistics
import time

import torch

SIZES = [(2048, 384, 384), (2048, 384, 1536), (2048, 1536, 384), (2048, 768, 768), (2048, 768, 3072), (2048, 3072, 768)]

p = argparse.ArgumentParser()
p.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
p.add_argument("--repeats", type=int, default=50)
p.add_argument("--threads", type=int, default=0)
a = p.parse_args()
if a.threads:
    torch.set_num_threads(a.threads)
dtype = torch.bfloat16 if a.precision == "bf16" else torch.float32
for m, k, n in SIZES:
    x, w, b = (torch.randn(*shape).to(dtype) for shape in ((m, k), (n, k), (n,)))
    seconds = []
    with torch.inference_mode():
        for _ in range(a.repeats + 3):
            start = time.perf_counter()
            torch.nn.functional.linear(x, w, b)
            seconds.append(time.perf_counter() - start)
    middle = statistics.median(seconds[3:])
    print(json.dumps({
        "m": m, "k": k, "n": n, "precision": a.precision, "device": "cpu", "threads": torch.get_num_threads(),
        "ms": round(middle * 1e3, 4), "gflops": round(2 * m * k * n / middle / 1e9, 1),
    }))  # fmt: skip
