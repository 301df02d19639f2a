"""What pretraining is worth: the bundled model against the same network from random weights, and a bag of words.

    python compare.py FINETUNE [FLAG ...]

FINETUNE is the program; flags go to `finetune train`. Needs scikit-learn. Prints a line for each start: test
accuracy of each seed, their mean and standard deviation, and the mean accuracy over five parts of the training
reviews, each left out once. It takes about a minute.
"""

import csv
import pathlib
import statistics
import subprocess
import sys
import tempfile

from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

REVIEWS = pathlib.Path(__file__).parent.parent / "reviews"
SEEDS = range(5)
PARTS = 5


def read(name):
    """The rows of one file."""
    with (REVIEWS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(path, rows):
    """Rows as the program reads them."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["text", "label"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def fine_tune(program, train, test, flags):
    """The test accuracy of a run."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        write(folder / "train.csv", train)
        write(folder / "test.csv", test)
        files = ["--train", folder / "train.csv", "--test", folder / "test.csv", "--validation-fraction", "0"]
        run = [program, "train", "-q", *files, "--output", folder / "run", *flags]
        out = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    line = next(line for line in out.splitlines() if line.startswith("test "))
    return float(line.split("accuracy")[1].split()[0])


def words(train, test):
    """The test accuracy of logistic regression on word counts."""
    columns = [[row[key] for row in rows] for rows in (train, test) for key in ("text", "label")]
    model = make_pipeline(CountVectorizer(), LogisticRegression(max_iter=1000)).fit(*columns[:2])
    return model.score(*columns[2:])


def parts(rows):
    """Every fifth row left out, five times."""
    for part in range(PARTS):
        left_out = rows[part::PARTS]
        yield [row for i, row in enumerate(rows) if i % PARTS != part], left_out


def main():
    program, more = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    train, test = read("train.csv"), read("test.csv")
    for name, flags in {"pretrained": more, "random": ["--from-scratch", *more]}.items():
        seeds = [fine_tune(program, train, test, [*flags, "--seed", str(seed)]) for seed in SEEDS]
        left_out = [fine_tune(program, *pair, [*flags, "--seed", str(i)]) for i, pair in enumerate(parts(train))]
        mean, deviation = statistics.mean(seeds), statistics.stdev(seeds)
        each = " ".join(f"{accuracy:.3f}" for accuracy in seeds)
        print(f"{name}: test {each}  mean {mean:.4f}, deviation {deviation:.4f}; parts {statistics.mean(left_out):.4f}")
    left_out = [words(*pair) for pair in parts(train)]
    print(f"word counts: test {words(train, test):.4f}; parts {statistics.mean(left_out):.4f}")


if __name__ == "__main__":
    main()
