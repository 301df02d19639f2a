"""Writes `sentencepiece/`, which `bert/tests/sentencepiece.rs` reads: small `spm.model`s and the ids of texts by them.

Made with Python 3.11, transformers 5.24.0, sentencepiece 0.2.3, protobuf; to make them again:

    venv/bin/pip install transformers sentencepiece protobuf
    venv/bin/python tests/golden/make_sentencepiece.py

The ids are those of transformers' `DebertaV2Converter`, which follows the rules in the file; where no special token is
in a text, those of SentencePiece itself are asserted to be the same. The class `DebertaV2Tokenizer` of transformers 5
is not used for ids: it leaves these rules out. A map of all rules of `nmt_nfkc` has 240 KB; the one in here has some.
"""

import contextlib
import json
import tempfile
import types
from pathlib import Path

import sentencepiece
from transformers import DebertaV2Tokenizer, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import DebertaV2Converter

FOLDER = Path(__file__).resolve().parent / "sentencepiece"

CORPUS = """The ferry left the harbour at six, with eleven passengers and a goat.
Nobody on the upper deck had seen the goat come aboard, and nobody claimed it.
It ate two newspapers, the corner of a map and half of a sandwich before the captain noticed.
"Whose animal is this?" she asked; the passengers looked at the sea.
By noon the wind had turned, the waves were higher than the rail, and the goat was the only one who was not sick.
It stood at the bow like a figurehead, chewing slowly, its beard full of spray.
The engineer brought it a bucket of oats, 3 apples and the rest of the map.
When they reached the island at 4:15, a boy was waiting on the pier with a rope and a letter.
"She always takes the early boat," he said, "and she always comes back on the late one."
The captain read the letter twice, laughed, and wrote the goat into the log as a member of the crew.
It is not known what it was paid. It was never late again, and it never bought a ticket.
A year later there were postcards of it in the shop by the harbour: 50 cents each, or 2 for 80.
"""

# What becomes what, as in nmt_nfkc: blanks, what is dropped, and letters that are written in another way.
RULES = {chr(c): " " for c in (0x9, 0xA, 0xD, 0xA0, 0x3000, 0x2028, 0x200B)}
RULES |= {chr(c): "" for c in (*range(1, 9), 0x7F, 0xAD)}
RULES |= {chr(0xFEE0 + c): chr(c) for c in range(0x21, 0x7F)}
RULES |= {"ﬁ": "fi", "ﬂ": "fl", "…": "...", "½": "1\u20442", "²": "2", "™": "TM", "e\u0301": "é", "A\u030a": "Å",
          "ㄱ": "ᄀ", "Ⅳ": "IV", "㌔": "キロ"}  # fmt: skip

TEXTS = [
    "", " ", "\t", "The goat ate the map.", "  two   blanks,  and\ta\ttab ", "line\r\none\n\nline two", "goat",
    "GOAT Goat", "ＦＵＬＬ　ｗｉｄｔｈ", "a ﬁsh … ½ ² ™ Ⅳ ㌔", "caf\u00e9 cafe\u0301 A\u030angstrom",
    "a\u0301\u0302b e\u0301\u0301", "\u00a0a\u00a0\u00a0b\u00a0", "\u200b", "\u200bx", "a\u200bb",
    "\u0001goat\u0002", "\u0001", "so\u00adft", "😀 👩‍👩‍👧 🇩🇪 👍🏽", "東京の ヤギ", "สวัสดี",
    "مرحبا بالعالم", "हिन्दी", "שָׁלוֹם", "한국어 ㄱ", "Z\u0338\u034ea\u0337", "\ufeffbom",
    "\ufffd\U0010ffff", "▁goat ▁▁ a▁b", "▁", "[SEP]", "a [SEP] goat", "goat[MASK]goat",
    "[CLS][PAD][UNK] [sep]", "[MASK] .", "<s> </s> <unk>", "[ＭＡＳＫ]", "3,000.50 - 4:15!?",
    "don't (not) \"it\"", "¿qué? «non»", "http://example.org/a?b=c", "x" * 120,
    "The captain read the letter twice, laughed, and wrote the goat into the log.",
]  # fmt: skip

VARIANTS = {
    "plain": {"do_lower_case": False, "vocab_type": "spm"},
    "lower": {"do_lower_case": True},
    "punct": {"split_by_punct": True},
    "both": {"do_lower_case": True, "split_by_punct": True},
}


def train(name, **options):
    code = lambda text: " ".join(f"{ord(c):X}" for c in text)  # noqa: E731
    # In a folder of its own, by relative names: the model has them in it.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("text").write_text(CORPUS * 3, encoding="utf-8")
        Path("rules").write_text("".join(f"{code(a)}\t{code(b)}\n" for a, b in RULES.items()))
        usual = dict(vocab_size=150, pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]",
                     eos_piece="[SEP]", unk_piece="[UNK]", normalization_rule_tsv="rules")  # fmt: skip
        sentencepiece.SentencePieceTrainer.train(
            input="text", model_prefix="m", num_threads=1, minloglevel=2, **usual | options
        )
        (FOLDER / name).write_bytes(Path("m.model").read_bytes())


def converted(model, config):
    """What transformers makes of a model: its own class says which tokens are special and have which ids."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "spm.model"
        file.write_bytes((FOLDER / model).read_bytes())
        (Path(folder) / "tokenizer_config.json").write_text(json.dumps(config))
        base = DebertaV2Tokenizer.from_pretrained(folder)
        source = types.SimpleNamespace(vocab_file=str(file), do_lower_case=base.do_lower_case,
                                       split_by_punct=base.split_by_punct,
                                       convert_tokens_to_ids=base.convert_tokens_to_ids)  # fmt: skip
        fast = PreTrainedTokenizerFast(
            tokenizer_object=DebertaV2Converter(source).converted(), **base.special_tokens_map)  # fmt: skip
    assert fast.get_vocab() == base.get_vocab()
    return fast


def golden(model, config, is_same_as_sentencepiece):
    tokenizer = converted(model, config)
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(FOLDER / model))
    same = [pieces.encode(text) == found[1:-1] for text, found in zip(TEXTS, ids)]
    plain = [not any(c in text for c in "[<▁") and text.isascii() for text in TEXTS]
    assert not is_same_as_sentencepiece or all(s for s, p in zip(same, plain) if p)
    print(model, config, sum(same), "of", len(TEXTS), "as SentencePiece")
    pairs = [tokenizer(a, b, return_token_type_ids=True) for a, b in zip(TEXTS[3:12], TEXTS[30:39])]
    return {
        "model": model, "config": config, "ids": ids,
        "pairs": [[list(p["input_ids"]), list(p["token_type_ids"])] for p in pairs],
        "special": [tokenizer.convert_tokens_to_ids(f"[{t}]") for t in ("UNK", "SEP", "PAD", "CLS", "MASK")],
    }  # fmt: skip


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    train("spm.model")
    train("named.model", vocab_size=120, control_symbols=["[MASK]"], user_defined_symbols=["goat"], byte_fallback=False)
    train("roman.model", vocab_size=110, pad_id=-1, bos_id=1, eos_id=2, unk_id=0, bos_piece="<s>", eos_piece="</s>",
          unk_piece="<unk>")  # fmt: skip
    train("bytes.model", vocab_size=360, byte_fallback=True)
    for kind in ("bpe", "char"):
        train(f"{kind}.model", model_type=kind, vocab_size=60)
    train("suffix.model", vocab_size=110, treat_whitespace_as_suffix=True)
    train("blanks.model", vocab_size=110, remove_extra_whitespaces=False)
    cases = [golden("spm.model", config, not any(config.get(k) for k in ("do_lower_case", "split_by_punct")))
             for config in VARIANTS.values()]  # fmt: skip
    cases += [golden(f"{name}.model", {}, name == "roman") for name in ("named", "roman", "bytes")]
    text = json.dumps({"texts": TEXTS, "cases": cases}, ensure_ascii=True)
    (FOLDER / "ids.json").write_text(text.replace('{"model"', '\n{"model"') + "\n")
