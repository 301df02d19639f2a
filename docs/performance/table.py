#!/usr/bin/env python3
"""Medians and ratios of the JSON lines that compare.sh has collected, as a markdown table.

    python table.py FOLDER ROW...

Reads FOLDER/ROW.finetune.jsonl and FOLDER/ROW.torch.jsonl. A ratio above 1 says that finetune does better:
less time, more examples a second, less memory.
"""
import json
import statistics
import sys
from pathlib import Path

# Key, what it is, digits, and whether more of it is better (None: no ratio).
FIGURES = [
    ("step_ms", "training step, ms", 1, False),
    ("forward_ms", "its forward, ms", 1, False),
    ("backward_ms", "its backward, ms", 1, False),
    ("optimizer_ms", "its update, ms", 1, False),
    ("infer_ms", "inference, ms", 1, False),
    ("examples_per_s", "training, examples/s", 1, True),
    ("eval_examples_per_s", "evaluation, examples/s", 1, True),
    ("eval_accuracy", "accuracy", 4, None),
    ("gflops", "matmul, GFLOP/s", 1, True),
    ("start_to_answer_ms", "start to answer, ms", 0, False),
    ("peak_mb", "peak memory, MiB", 0, False),
    ("peak_rss_mb", "peak memory, MiB", 0, False),
]
# What is asked of the last epoch of a run only.
LAST = {"eval_accuracy", "peak_rss_mb"}


def read(path):
    if not path.is_file():
        sys.exit(f"error: {path}: no such file; run compare.sh first")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return lines or sys.exit(f"error: {path}: no results in it; run compare.sh again")


def median(lines, key):
    last = max(line.get("epoch", 0) for line in lines)
    lines = [line for line in lines if key not in LAST or line.get("epoch", 0) == last]
    values = [line[key] for line in lines if line.get(key) is not None]
    return statistics.median(values) if values else None


def print_row(row, sides):
    for key, name, digits, more in FIGURES:
        ours, theirs = (median(lines, key) for lines in sides)
        if ours is None or theirs is None:
            continue
        ratio = "" if more is None else f"{ours / theirs if more else theirs / ours:.2f}"
        print(f"| {row} | {name} | {ours:,.{digits}f} | {theirs:,.{digits}f} | {ratio} |")


def size(line):
    return "x".join(str(line[key]) for key in "mkn") if "m" in line else ""


def main(folder, rows):
    print("| row | figure | finetune | PyTorch | ratio |\n|---|---|---|---|---|")
    for row in rows:
        sides = [read(Path(folder) / f"{row}.{side}.jsonl") for side in ("finetune", "torch")]
        # Lines of several sizes are told apart, in the order in which they came.
        for each in dict.fromkeys(size(line) for line in sides[0]):
            alike = [[line for line in lines if size(line) == each] for lines in sides]
            print_row(f"{row} {each}".strip(), alike)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("error: expected a folder and rows: table.py FOLDER ROW...")
    main(sys.argv[1], sys.argv[2:])
