"""How well `finetune select --learning-rates` finds the learning rate, on sets of the test bed (docs/selection.md).

    python rates.py measure MODEL_DIR BED      a selection and a whole training at each rate, of each set
    python rates.py table             BED      what came of it

`testbed.py data` makes the sets. Needs a built `finetune` (environment variable FINETUNE, else on the PATH). Goes on
where it was broken off. What it makes lies in BED/rates: SET/select.json and truth.jsonl.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from testbed import FINETUNE, SAMPLE, rows_of

SETS = os.environ.get("SETS", "sst2,cr,trec").split(",")
RATES = ["2e-5", "5e-5", "2e-4", "5e-4"]
LAYERS = [6, 3]
SEEDS = [int(seed) for seed in os.environ.get("SEEDS", "0").split(",")]
RECIPE = ["--epochs", "3", "--batch-size", "16", "--max-length", "64"]
BUDGET = os.environ.get("BUDGET", "1h")


def select(model, bed, name):
    data, output = bed / "data" / name, bed / "rates" / name
    if not (output / "select.json").exists():
        subprocess.run([FINETUNE, "select", "--models", *[f"{model}:{n}" for n in LAYERS], "--learning-rates",
                        ",".join(RATES), "--train", data / "train.jsonl", "--validation", data / "validation.jsonl",
                        "--verify", str(len(LAYERS)), "--no-truncate", "--sample", str(SAMPLE), "--budget", BUDGET,
                        "--output", output, *RECIPE], check=True)


def train(model, bed, name, layers, rate, seed):
    """Test accuracy of a whole training."""
    data, output = bed / "data" / name, bed / "rates" / "run"
    shutil.rmtree(output, ignore_errors=True)
    subprocess.run([FINETUNE, "train", "--model", model, "--truncate", str(layers), "--train", data / "train.jsonl",
                    "--test", data / "test.jsonl", "--validation-fraction", "0", "--learning-rate", rate, "--seed",
                    str(seed), "--output", output, "--quiet", *RECIPE], check=True, stdout=subprocess.DEVNULL)
    log = json.loads((output / "trainer_state.json").read_text())["log_history"]
    return next(entry["test_accuracy"] for entry in log if "test_accuracy" in entry)


def measure(model, bed):
    (bed / "rates").mkdir(parents=True, exist_ok=True)
    path = bed / "rates" / "truth.jsonl"
    cell = lambda row: (row["set"], row["layers"], row["rate"], row["seed"])
    done = {cell(row) for row in rows_of(path)} if path.exists() else set()
    for name in SETS:
        select(model, bed, name)
    for seed, name, layers, rate in [(s, n, l, r) for s in SEEDS for n in SETS for l in LAYERS for r in RATES]:
        if (name, layers, rate, seed) in done:
            continue
        row = {"set": name, "layers": layers, "rate": rate, "seed": seed}
        row["test"] = train(model, bed, name, layers, rate, seed)
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)


def table(bed):
    truth = rows_of(bed / "rates" / "truth.jsonl")
    print("| set | layers | " + " | ".join(RATES) + " | found | points lost |")
    print("|---" * (len(RATES) + 4) + "|")
    for name in SETS:
        candidates = json.loads((bed / "rates" / name / "select.json").read_text())["candidates"]
        for candidate in sorted(candidates, key=lambda c: -c["truncate"]):
            layers, verified = candidate["truncate"], candidate["verified"]
            found = next(rate for rate in RATES if float(rate) == verified["learning_rate"])
            figures = {rate: [100 * r["test"] for r in truth if (r["set"], r["layers"], r["rate"]) == (name, layers, rate)]
                       for rate in RATES}
            mean = {rate: sum(values) / len(values) for rate, values in figures.items()}
            cells = [" ".join(f"{v:.1f}" for v in figures[rate]) for rate in RATES]
            lost = max(mean.values()) - mean[found]
            print(f"| {name} | {layers} | " + " | ".join(cells) + f" | {found} | {lost:.1f} |")


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    bed = Path(arguments[-1])
    {"measure": lambda: measure(arguments[0], bed), "table": lambda: table(bed)}[command]()
