"""Writes the tiny model folder: a configuration and a WordPiece tokenizer, no weights.

    python finetune-cli/assets/tiny/make_tokenizer.py

The vocabulary is trained on `../reviews/train.csv` alone, never on validation or test texts. Needs the
`tokenizers` package (made with 0.23.3). The same texts give the same bytes.
"""

import collections
import csv
import json
import pathlib

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

HERE = pathlib.Path(__file__).parent
TRAIN = HERE.parent / "reviews" / "train.csv"
# Every id 0 to VOCAB_SIZE - 1 is a token, so that the embedding table has no dead rows.
VOCAB_SIZE = 2000
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

CONFIG = {
    "architectures": ["BertModel"],
    "attention_probs_dropout_prob": 0.1,
    "classifier_dropout": None,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 128,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 128,
    "model_type": "bert",
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "pad_token_id": 0,
    "type_vocab_size": 2,
    "vocab_size": VOCAB_SIZE,
}

NAMES = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}

TOKENIZER_CONFIG = {
    **NAMES,
    "do_lower_case": True,
    "model_max_length": CONFIG["max_position_embeddings"],
    "strip_accents": None,
    "tokenize_chinese_chars": True,
    "tokenizer_class": "BertTokenizer",
}


def texts():
    """The training texts, in their order."""
    with TRAIN.open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def blank(ids):
    """BERT's uncased tokenizer with this vocabulary."""
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def words(tokenizer):
    """How often each word occurs, as `[f, ##i, ##l, ##m]`."""
    normalize, split = tokenizer.normalizer.normalize_str, tokenizer.pre_tokenizer.pre_tokenize_str
    found = collections.Counter(word for text in texts() for word, _ in split(normalize(text)))
    return [([word[0], *("##" + letter for letter in word[1:])], count) for word, count in sorted(found.items())]


def merge(word, pair):
    """The word with each such pair of neighbours joined."""
    out = []
    for piece in word:
        if out and (out[-1], piece) == pair:
            out[-1] += piece[2:]
        else:
            out.append(piece)
    return out


def train():
    """Letters, then pieces: again and again the most frequent pair of neighbours becomes one.

    The trainer of the package does the same, but breaks ties by the order of a hash table, different in
    every run. Here the first pair in the alphabet wins.
    """
    vocabulary = words(blank({}))
    tokens = SPECIAL + sorted({piece for word, _ in vocabulary for piece in word})
    while len(tokens) < VOCAB_SIZE:
        pairs = collections.Counter()
        for word, count in vocabulary:
            for pair in zip(word, word[1:]):
                pairs[pair] += count
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        vocabulary = [(merge(word, best), count) for word, count in vocabulary]
        piece = best[0] + best[1][2:]
        tokens += [piece] if piece not in tokens else []
    return tokens


def build(tokens):
    """The tokenizer as it is saved, with `[CLS]` and `[SEP]` around texts and pairs."""
    ids = {token: i for i, token in enumerate(tokens)}
    tokenizer = blank(ids)
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, ids[name]) for name in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def dump(name, value):
    """One JSON file."""
    (HERE / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main():
    tokens = train()
    (HERE / "vocab.txt").write_text("".join(token + "\n" for token in tokens), encoding="utf-8")
    build(tokens).save(str(HERE / "tokenizer.json"))
    dump("config.json", CONFIG)
    dump("tokenizer_config.json", TOKENIZER_CONFIG)
    dump("special_tokens_map.json", NAMES)


if __name__ == "__main__":
    main()
