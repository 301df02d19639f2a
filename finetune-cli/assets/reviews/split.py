"""Writes train.csv, validation.csv and test.csv from source/*.txt; same source, same bytes.

Each topic and label gives the same share to each split. Texts that nearly repeat another one all
go to the training set, so that no validation or test text has a near copy anywhere.
"""

import csv
import hashlib
from itertools import combinations

from texts import HERE, LABELS, Fingerprint, read_source

SEED = "reviews-1"
# Texts per label over all topics; what is left is the training set.
HELD_OUT = {"test": 100, "validation": 50}


def order(text):
    """A sort key that is random in effect and the same on every machine and Python version."""
    return hashlib.sha256(f"{SEED}\n{text}".encode()).digest()


def with_near_copy(texts):
    """The texts that are a near duplicate of some other text."""
    prints = [(text, Fingerprint(text)) for text in texts]
    pairs = ((a, b) for (a, f), (b, g) in combinations(prints, 2) if f.resembles(g))
    return {text for pair in pairs for text in pair}


def share(total, part, parts):
    """The size of one of `parts` nearly equal whole shares of `total`."""
    return total * (part + 1) // parts - total * part // parts


def deal(rows):
    """Maps each split to its (text, label) rows, in shuffled order."""
    rows = sorted(rows, key=lambda row: order(row[2]))
    repeated = with_near_copy([text for _, _, text in rows])
    topics = sorted({topic for topic, _, _ in rows})
    splits = {"train": [(text, label) for _, label, text in rows if text in repeated]}
    for part, topic in enumerate(topics):
        for label in LABELS.values():
            free = [(t, y) for k, y, t in rows if (k, y) == (topic, label) and t not in repeated]
            for split, total in HELD_OUT.items():
                size = share(total, part, len(topics))
                splits.setdefault(split, []).extend(free[:size])
                free = free[size:]
            splits["train"].extend(free)
    return {split: sorted(rows, key=lambda row: order(row[0])) for split, rows in splits.items()}


def main():
    for split, rows in deal(list(read_source())).items():
        with open(HERE / f"{split}.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["text", "label"])
            writer.writerows(rows)
        print(f"{split}.csv: {len(rows)} rows")


if __name__ == "__main__":
    main()
