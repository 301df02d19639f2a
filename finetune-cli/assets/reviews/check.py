"""Checks the review data set and prints its figures; exit status 1 if any rule is broken.

    python3 check.py
"""

import sys
from collections import Counter
from itertools import combinations

from texts import (
    LABELS,
    MAX_TRIPLE_JACCARD,
    MAX_WORD_JACCARD,
    SPLITS,
    Fingerprint,
    ngrams,
    read_source,
    read_split,
    words,
)

SIZES = {"train": (950, 1100), "validation": (90, 110), "test": (190, 210)}
MAX_IMBALANCE = 0.01  # of the share of positives from one half, in every split
MAX_TOPIC_EXCESS = 0.15  # of a topic's even share of a split, up or down
MAX_OPENING_SHARE = 0.03  # of texts that begin with the same two words
MAX_WORDS = 60
MAX_NEAR_PAIRS = 20  # near duplicates inside the training set

failures = []


def require(condition, message):
    """Notes a broken rule and goes on, so that one run shows them all."""
    if not condition:
        failures.append(message)


def load(split):
    """The (text, label) rows of a split, after checking that the file is well formed."""
    header, *rows = read_split(split)
    require(header == ["text", "label"], f"{split}.csv: header is {header}")
    for number, row in enumerate(rows, 1):
        good = len(row) == 2 and row[0] and row[0] == " ".join(row[0].split())
        require(good and row[1] in LABELS.values(), f"{split}.csv: row {number} is {row}")
    return [tuple(row) for row in rows if len(row) == 2]


def check_sizes(splits):
    for split, rows in splits.items():
        low, high = SIZES[split]
        positive = sum(label == "positive" for _, label in rows)
        share = positive / len(rows)
        print(f"{split:<11}{len(rows):>5} texts, {positive} positive ({share:.1%})")
        require(low <= len(rows) <= high, f"{split}: {len(rows)} texts, expected {low}..{high}")
        require(abs(share - 0.5) <= MAX_IMBALANCE, f"{split}: {share:.1%} positive")


def check_source(splits):
    """Together the splits hold every source text once, and each has all topics in equal shares."""
    topic_of = {text: topic for topic, _, text in read_source()}
    source = Counter((text, label) for _, label, text in read_source())
    dealt = Counter(sum(splits.values(), []))
    require(source == dealt, "the CSV files differ from source/: run split.py")
    for split, rows in splits.items():
        counts = Counter(topic_of.get(text, "?") for text, _ in rows)
        print(f"{split} topics:", ", ".join(f"{topic} {n}" for topic, n in sorted(counts.items())))
        even = len(rows) / len(set(topic_of.values()))
        for topic, n in counts.items():
            fair = abs(n - even) <= MAX_TOPIC_EXCESS * even
            require(fair, f"{split}: {n} texts on {topic}, an even share is {even:.0f}")


def check_lengths(rows):
    lengths = [len(words(text)) for text, _ in rows]
    bins = Counter(n // 5 * 5 for n in lengths)
    print("words per text:")
    for low, n in sorted(bins.items()):
        print(f"  {low:>2}..{low + 4:<3}{n:>4} {'#' * (n // 5)}")
    for label in LABELS.values():
        own = [n for n, row in zip(lengths, rows) if row[1] == label]
        print(f"  mean of {label} texts: {sum(own) / len(own):.1f}")
    require(max(lengths) <= MAX_WORDS, f"the longest text has {max(lengths)} words")


def check_duplicates(splits):
    texts = [(split, text, Fingerprint(text)) for split in splits for text, _ in splits[split]]
    require(len({" ".join(words(t)) for _, t, _ in texts}) == len(texts), "exact duplicates")
    inside, across, highest = [], [], (0.0, 0.0)
    for (split_a, a, f), (split_b, b, g) in combinations(texts, 2):
        if split_a != split_b:
            highest = tuple(map(max, highest, f.similarity(g)))
        if f.resembles(g):
            (inside if split_a == split_b else across).append((a, b))
    print(f"near duplicates: {len(inside)} inside a split, {len(across)} across splits")
    print(f"  highest across, triples: {highest[0]:.2f} (limit {MAX_TRIPLE_JACCARD})")
    print(f"  highest across, words: {highest[1]:.2f} (limit {MAX_WORD_JACCARD})")
    for a, b in inside:
        print(f"  inside: {a} | {b}")
    for a, b in across:
        require(False, f"near duplicates across splits: {a} | {b}")
    require(len(inside) <= MAX_NEAR_PAIRS, f"{len(inside)} near duplicates inside the splits")


def check_repetition(rows):
    tokens = [words(text) for text, _ in rows]
    openings = Counter(" ".join(t[:2]) for t in tokens)
    print("openings:", ", ".join(f"{o} {n}" for o, n in openings.most_common(10)))
    for n in (3, 4, 5):
        runs = Counter(run for t in tokens for run in set(ngrams(t, n)))
        print(f"{n}-grams:", ", ".join(f"{run} {k}" for run, k in runs.most_common(8)))
    share = openings.most_common(1)[0][1] / len(rows)
    require(share <= MAX_OPENING_SHARE, f"{share:.1%} of the texts begin with the same two words")
    print(f"vocabulary: {len({w for t in tokens for w in t})} words in {sum(map(len, tokens))}")


def main():
    splits = {split: load(split) for split in SPLITS}
    rows = sum(splits.values(), [])
    check_sizes(splits)
    check_source(splits)
    check_lengths(rows)
    check_duplicates(splits)
    check_repetition(rows)
    for failure in failures:
        print("FAIL:", failure, file=sys.stderr)
    print("ok" if not failures else f"{len(failures)} rules broken")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
