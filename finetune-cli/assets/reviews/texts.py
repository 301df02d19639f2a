"""What the scripts of this data set share: reading the files and comparing two texts."""

import csv
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
SPLITS = ("train", "validation", "test")
LABELS = {"+": "positive", "-": "negative"}

# Two texts are near duplicates when either measure is above its limit. Triples catch a shared
# clause in long texts; the set of words catches short texts, which have few triples.
MAX_TRIPLE_JACCARD = 0.25
MAX_WORD_JACCARD = 0.45


def read_source():
    """Yields (topic, label, text) for every line of source/*.txt, topics in alphabetical order."""
    for path in sorted((HERE / "source").glob("*.txt")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            sign, text = line[:1], line[2:]
            if sign not in LABELS or line[1:2] != " " or text != text.strip() or not text:
                where = f"{path.name}:{number}"
                raise SystemExit(f"{where}: expected '+ text' or '- text', got {line!r}")
            yield path.stem, LABELS[sign], text


def read_split(split):
    """Returns the rows of one CSV file as lists of fields, header first."""
    with open(HERE / f"{split}.csv", encoding="utf-8", newline="") as file:
        try:
            return list(csv.reader(file, strict=True))
        except csv.Error as error:
            raise SystemExit(f"{split}.csv: not well-formed CSV: {error}") from error


def words(text):
    """Lower-case words without punctuation; apostrophes stay."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower())


def ngrams(tokens, n):
    """All runs of n words in order."""
    return [" ".join(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


def jaccard(a, b):
    """Size of the intersection over size of the union; 0 for two empty sets."""
    return len(a & b) / len(a | b) if a or b else 0.0


class Fingerprint:
    """The sets of words and of word triples of one text."""

    def __init__(self, text):
        tokens = words(text)
        self.words = set(tokens)
        self.triples = set(ngrams(tokens, 3))

    def similarity(self, other):
        """Returns (word-triple Jaccard, word Jaccard)."""
        return jaccard(self.triples, other.triples), jaccard(self.words, other.words)

    def resembles(self, other):
        """True when the two texts are near duplicates."""
        triples, singles = self.similarity(other)
        return triples > MAX_TRIPLE_JACCARD or singles > MAX_WORD_JACCARD
