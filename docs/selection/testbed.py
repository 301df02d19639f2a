"""The test bed of docs/selection.md: starting points, data sets, and what fine-tuning really makes of each.

    python testbed.py data        DATA_DIR  BED      subsets of the public corpora, once
    python testbed.py candidates  MODEL_DIR BED      18 starting points made of one checkpoint
    python testbed.py truth       BED                fine-tunes every candidate on every set, two seeds
    python testbed.py select      BED                `finetune select` on every set
    python testbed.py many        RUN       BED      200 candidates out of one fine-tuned model, in BED/many
    python testbed.py rivals      BED                TransformerRanker and `finetune select` in turns

Needs numpy, safetensors and a built `finetune` (environment variable FINETUNE, else on the PATH); `rivals` also
transformer-ranker. DATA is DATA_DIR for `candidates`, which trains some of them. Each step goes on where it was broken
off. What it makes lies in the folder BED: truth.jsonl, select/SET/select.json, rivals.jsonl. table.py reads them.
"""

import csv
import json
import os
import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FINETUNE = os.environ.get("FINETUNE", "finetune")
TRAIN, VALIDATION, TEST, SAMPLE = 1000, 500, 2000, 500
SETS = os.environ.get("SETS", "sst2,cr,trec,ag_news,sts15").split(",")
RECIPE = ["--epochs", "3", "--batch-size", "16", "--learning-rate", "1e-4", "--precision", "bf16",
          "--max-length", "64"]
BUDGET = os.environ.get("BUDGET", "2m")
SEEDS = [0, 1]
METRIC = {"sts15": "pearson"}  # all others: accuracy


def rows_of(path):
    """The rows of a CSV, TSV or JSONL file as dictionaries."""
    with open(path, newline="", encoding="utf-8") as file:
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in file]
        return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))


def write_rows(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def split(source, name):
    """Shuffled training, validation and test rows; a set without a test file is divided."""
    rng = random.Random(name)
    files = {path.stem: path for path in sorted((source / name).iterdir())}
    train = rows_of(files.get("train", files.get("reviews")))
    rng.shuffle(train)
    test = rows_of(files["test"]) if "test" in files else train[TRAIN + VALIDATION:]
    if "test" in files:
        rng.shuffle(test)
    if name == "sts15":
        for row in train + test:
            row["score"] = float(row["score"])
    return {"train": train[:TRAIN], "validation": train[TRAIN:TRAIN + VALIDATION], "test": test[:TEST]}


def make_data(source, bed):
    for name in SETS:
        folder = bed / "data" / name
        folder.mkdir(parents=True, exist_ok=True)
        for part, rows in split(Path(source), name).items():
            write_rows(folder / f"{part}.jsonl", rows)
            if part == "train":
                write_rows(folder / "sample.jsonl", rows[:SAMPLE])
            print(f"{name}: {len(rows)} {part} rows")


def random_like(rng, name, value):
    """A fresh parameter, as BERT's initialization has it."""
    import numpy as np
    if "LayerNorm" in name:
        fill = 1.0 if name.endswith("weight") else 0.0
        return np.full_like(value, fill)
    if name.endswith("bias"):
        return np.zeros_like(value)
    return rng.normal(0.0, 0.02, value.shape).astype(np.float32)


def variants(tensors, layers):
    """Name -> (tensors, number of layers): what can be done to a checkpoint without training it."""
    import numpy as np
    rng = np.random.default_rng(0)
    layer_of = lambda name: int(name.split("layer.")[1].split(".")[0]) if "layer." in name else None
    yield "whole", tensors, layers
    for n in range(1, layers):
        kept = {k: v for k, v in tensors.items() if layer_of(k) is None or layer_of(k) < n}
        yield f"layers-{n}", kept, n
    for name, fresh in [("reset-top-1", [layers - 1]), ("reset-top-3", range(layers - 3, layers)),
                        ("reset-first", [0])]:
        new = {k: random_like(rng, k, v) if layer_of(k) in fresh else v for k, v in tensors.items()}
        yield name, new, layers
    for share in (0.2, 0.5, 1.0):
        noisy = lambda v: (v + share * v.std() * rng.standard_normal(v.shape)).astype(np.float32)
        new = {k: noisy(v) if v.dtype == np.float32 and v.ndim == 2 else v for k, v in tensors.items()}
        yield f"noise-{share}", new, layers
    fresh = lambda k, v: random_like(rng, k, v) if v.dtype == np.float32 else v
    yield "random", {k: fresh(k, v) for k, v in tensors.items()}, layers


def make_candidates(model, bed):
    from safetensors.numpy import load_file, save_file
    model, out = Path(model), bed / "models"
    config = json.loads((model / "config.json").read_text())
    tensors = {k: v for k, v in load_file(model / "model.safetensors").items() if v.dtype == "float32"}
    for name, new, layers in variants(tensors, config["num_hidden_layers"]):
        folder = out / name
        if folder.exists():
            continue
        partial = out / f"{name}.partial"
        partial.mkdir(parents=True, exist_ok=True)
        for file in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
            if (model / file).exists():
                shutil.copy(model / file, partial)
        (partial / "config.json").write_text(json.dumps(config | {"num_hidden_layers": layers}, indent=2))
        save_file(new, partial / "model.safetensors", metadata={"format": "pt"})
        partial.rename(folder)
        print(name)
    source = Path(os.environ["DATA"])
    for start, name in [("whole", n) for n in ("sst2", "trec", "ag_news", "msrp")] + [("layers-3", "sst2")]:
        folder = out / (f"tuned-{name}" if start == "whole" else f"{start}-tuned-{name}")
        if folder.exists():
            continue
        train = next(path for path in (source / name).iterdir() if path.stem == "train")
        subprocess.run([FINETUNE, "train", "--model", out / start, "--train", train, "--output", folder,
                        "--epochs", "2", "--learning-rate", "5e-5", "--precision", "bf16", "--batch-size", "32",
                        "--max-length", "64", "--validation-fraction", "0", "--seed", "7"], check=True)
        print(folder.name)


def make_many(run, bed, count=200):
    import numpy as np
    from safetensors.numpy import load_file, save_file
    rng, tensors = np.random.default_rng(0), load_file(Path(run) / "model.safetensors")
    for i in range(count):
        folder = bed / "many" / f"m{i}"
        shutil.copytree(run, folder, dirs_exist_ok=True)
        share = 0.02 * i / count
        noisy = {k: (v + share * rng.standard_normal(v.shape)).astype(np.float32) for k, v in tensors.items()}
        save_file(noisy, folder / "model.safetensors", metadata={"format": "pt"})


def cells(bed):
    """The pairs to be measured: none whose candidate was trained on the set."""
    models = sorted(p.name for p in (bed / "models").iterdir() if p.suffix != ".partial")
    return [(m, s) for s in SETS for m in models if not m.endswith(f"tuned-{s}")]


def measure(bed, model, name, seed):
    folder, data = bed / "runs" / f"{name}-{model}-{seed}", bed / "data" / name
    shutil.rmtree(folder, ignore_errors=True)
    start = time.time()
    child = subprocess.Popen([FINETUNE, "train", "--model", bed / "models" / model, "--train", data / "train.jsonl",
                    "--test", data / "test.jsonl", "--output", folder, "--seed", str(seed),
                    "--threads", os.environ.get("THREADS", "1"), "--quiet", "--validation-fraction", "0",
                    *RECIPE],
                   stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        raise RuntimeError(f"{name} {model} {seed}: exit status {status}")
    state = json.loads((folder / "trainer_state.json").read_text())
    test = next(e for e in state["log_history"] if "test_loss" in e)
    shutil.rmtree(folder)
    return {"set": name, "model": model, "seed": seed, "test": test[f"test_{METRIC.get(name, 'accuracy')}"],
            "test_loss": test["test_loss"], "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
            "seconds": round(time.time() - start, 2)}


def make_truth(bed):
    path = bed / "truth.jsonl"
    done = {(r["set"], r["model"], r["seed"]) for r in rows_of(path)} if path.exists() else set()
    todo = [(m, s, seed) for seed in SEEDS for m, s in cells(bed) if (s, m, seed) not in done]
    with open(path, "a") as file, ThreadPoolExecutor(int(os.environ.get("JOBS", "1"))) as pool:
        for row in pool.map(lambda cell: measure(bed, *cell), todo):
            file.write(json.dumps(row) + "\n")
            file.flush()
            print(row, flush=True)


def models_of(bed, name):
    return [bed / "models" / m for m, s in cells(bed) if s == name]


def select(bed, name, output, more):
    """One selection; its wall time in seconds."""
    start = time.time()
    subprocess.run([FINETUNE, "select", "--models", *models_of(bed, name), "--output", output, "--no-truncate",
                    "--quiet", *RECIPE, *more], check=True, stdout=subprocess.DEVNULL)
    return time.time() - start


def make_selections(bed):
    for name in SETS:
        data, output = bed / "data" / name, bed / "select" / name
        if (output / "select.json").exists():
            continue
        seconds = select(bed, name, output, ["--train", data / "train.jsonl", "--validation", data / "validation.jsonl",
                                             "--sample", str(SAMPLE), "--verify", "3", "--budget", BUDGET])
        print(f"{name}: {seconds:.1f} s", flush=True)


def rank(bed, name, estimator):
    """TransformerRanker over the layer mean; scores by model, and its wall time without imports."""
    from datasets import Dataset
    from transformer_ranker import TransformerRanker
    rows = rows_of(bed / "data" / name / "sample.jsonl")
    pair = {"text_pair_column": "sentence2", "text_column": "sentence1"} if "sentence2" in rows[0] else {}
    label = "score" if "score" in rows[0] else "label"
    start = time.time()
    ranker = TransformerRanker(Dataset.from_list(rows), label_column=label, **pair)
    result = ranker.run([str(m) for m in models_of(bed, name)], estimator=estimator, layer_aggregator="layermean",
                        batch_size=32)
    return {Path(m).name: float(score) for m, score in result.scores.items()}, time.time() - start


def compare_rivals(bed):
    with open(bed / "rivals.jsonl", "a") as file:
        for name in SETS:
            for estimator in ("hscore", "logme"):
                output = bed / "rivals" / f"{name}-{estimator}"
                shutil.rmtree(output, ignore_errors=True)
                ours = select(bed, name, output, ["--train", bed / "data" / name / "sample.jsonl", "--verify", "0",
                                                  "--sample", str(SAMPLE)])
                scores, theirs = rank(bed, name, estimator)
                row = {"set": name, "estimator": estimator, "scores": scores, "seconds": round(theirs, 2),
                       "select_seconds": round(ours, 2)}
                file.write(json.dumps(row) + "\n")
                file.flush()
                print(name, estimator, f"{theirs:.1f} s, finetune select {ours:.1f} s", flush=True)


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    bed = Path(arguments[-1])
    {"data": lambda: make_data(arguments[0], bed), "candidates": lambda: make_candidates(arguments[0], bed),
     "many": lambda: make_many(arguments[0], bed), "truth": lambda: make_truth(bed), "select": lambda: make_selections(bed),
     "rivals": lambda: compare_rivals(bed)}[command]()
