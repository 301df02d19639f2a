"""The yardsticks of `kernels`, the benchmark of our kernels: the same sizes in PyTorch, JSON lines of the same form.

Matrix products of bf16 are cuBLASLt's there, attention is FlashAttention's. Medians of 20 timings of 50 launches each.
"""

import json
import statistics

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

PRODUCTS = [(16384, 768, 768), (16384, 768, 3072), (16384, 3072, 768), (32768, 384, 384), (32768, 384, 1536),
            (32768, 1536, 384), (614, 768, 30522), (8192, 8192, 8192)]
ATTENTION = [(32, 512, 12, 64), (256, 128, 12, 64), (256, 128, 12, 32)]


def seconds(once):
    for _ in range(3):
        once()
    times = []
    for _ in range(20):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(50):
            once()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 50e3)
    return statistics.median(times)


def say(op, size, time, amount, unit):
    rate = round(amount / time / 1e9, 1)
    print(json.dumps({"side": "torch", "op": op, "size": size, "us": round(time * 1e6, 2), unit: rate}), flush=True)


def random(*shape):
    return torch.randn(*shape, device="cuda", dtype=torch.bfloat16)


x = torch.randn(1 << 28, device="cuda")
y = torch.empty_like(x)
say("copy", [x.numel()], seconds(lambda: y.copy_(x)), 8 * x.numel(), "gb_per_s")
del x, y

for m, k, n in PRODUCTS:
    a, w, b = random(m, k), random(n, k), random(n)
    dy = random(m, n)
    flops = 2 * m * k * n
    say("linear", [m, k, n], seconds(lambda: torch.nn.functional.linear(a, w, b)), flops, "gflops")
    say("linear_input", [m, k, n], seconds(lambda: dy @ w), flops, "gflops")
    say("linear_weight", [m, k, n], seconds(lambda: dy.t() @ a), flops, "gflops")

for batch, length, heads, dim in ATTENTION:
    q, k, v = (random(batch, heads, length, dim).requires_grad_() for _ in range(3))
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        for suffix, p in ("", 0.0), ("_dropout", 0.1):
            attend = lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v, dropout_p=p)
            o = attend()
            do = torch.randn_like(o)
            flops = 4 * batch * heads * length * length * dim
            size = [batch, length, heads, dim]
            say("attention" + suffix, size, seconds(attend), flops, "gflops")
            backward = lambda: torch.autograd.grad(o, (q, k, v), do, retain_graph=True)
            say("attention_backward" + suffix, size, seconds(backward), 2.5 * flops, "gflops")
