"""Writes the golden values that `tests/tests/golden_tokens.rs` compares with: token classifiers of all families.

Made with Python 3.11, torch 2.15.0, transformers 5.24.0, safetensors; to make them again, in the environment of
`make_golden.py`, behind it and `make_family.py`:

    venv/bin/python tests/golden/make_tokens.py [NAME ...]

For each of their folders a head is added to the encoder, `ForTokenClassification`. Texts are split into words, encoded
with `is_split_into_words`, and the first token of each word has a label, as in the examples of transformers. Values and
gradients are computed in f64, sequence by sequence, so that nothing is padded.
"""

import json
import sys

import tokenizers
import torch
import transformers

from make_family import attention_of, turn_in_f64
from make_golden import HERE, batch_tensors, write

MODELS = ["bert", "roberta", "xlm-roberta", "distilbert", "electra", "mpnet", "deberta-v2", "modernbert",
          "modernbert-mean"]  # fmt: skip
LABELS = 5
TEXTS = [
    ["the", "cat", "sat", "."],
    ["A", "dog", ",", "a", "log", "!"],
    ["on"],
    ["don't", "stop", "2024"],
]


def encode(tokenizer, words):
    """Ids, and the place of the first token of each word."""
    encoding = tokenizer(words, is_split_into_words=True)
    ids = encoding.word_ids()
    places = [i for i, word in enumerate(ids) if word is not None and word != ids[i - 1]]
    assert len(places) == len(words)
    return torch.tensor(encoding["input_ids"]), places


def make(name):
    folder = HERE / f"{name}_tiny"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, add_prefix_space=True)
    if "modernbert" in name:
        # The class of all tokenizers passes over the keyword.
        tokenizer.backend_tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    config = transformers.AutoConfig.from_pretrained(folder)
    config.num_labels = LABELS
    config._attn_implementation = attention_of(config)
    model = transformers.AutoModelForTokenClassification.from_pretrained(
        folder, config=config, ignore_mismatched_sizes=True
    )
    g = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in model.classifier.parameters():
            p.copy_(torch.randn(p.shape, generator=g) * 0.3)
    head = {f"head.{n}": p.detach().clone() for n, p in model.classifier.named_parameters()}
    ids, places = zip(*(encode(tokenizer, words) for words in TEXTS))
    labels = torch.arange(sum(map(len, places))) * 3 % LABELS

    model = model.double().train()
    logits = torch.cat([model(input_ids=x[None]).logits[0][at] for x, at in zip(ids, places)])
    loss = torch.nn.functional.cross_entropy(logits, labels)
    loss.backward()
    starts = torch.tensor([0] + [len(x) for x in ids]).cumsum(0)
    rows = torch.tensor([int(start) + i for start, at in zip(starts, places) for i in at])
    tensors = batch_tensors("", list(ids), [torch.zeros_like(x) for x in ids])
    tensors |= head | {"words": rows, "labels": labels, "logits": logits, "loss": loss}
    tensors |= {f"grad.{n}": p.grad for n, p in model.named_parameters()}
    write(f"{name}_tokens.safetensors", tensors)
    encodings = {"words": TEXTS, "ids": [x.tolist() for x in ids], "places": list(places)}
    (folder / "words.json").write_text(json.dumps(encodings) + "\n")


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    turn_in_f64()
    for name in sys.argv[1:] or MODELS:
        make(name)


if __name__ == "__main__":
    main()
