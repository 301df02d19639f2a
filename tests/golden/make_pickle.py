"""Writes the files of `torch.save` that `bert/src/pickle/tests` and `bert/tests/pickle.rs` read.

Made with Python 3.11, torch 2.15.0, transformers 5.24.0, safetensors; to make them again, in the environment of
`make_golden.py`:

    venv/bin/python tests/golden/make_pickle.py

`pickle/` holds one dict of tensors in both formats of `torch.save`, and the same values, contiguous and in f32, as
safetensors. `bert_pickle/` holds a tiny model as safetensors, as a file of either format, and in shards.
"""

import collections
import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

HERE = Path(__file__).parent


def tensors():
    """Every type that weights may have, and every way to lie in a storage."""
    g = torch.Generator().manual_seed(0)
    table = torch.randn(6, 5, generator=g)
    tensors = collections.OrderedDict(
        table=table,
        tied=table,
        transposed=table.t(),
        rows=table[2:4],
        column=table[:, 3],
        block=table[1:5:2, 1:4],
        permuted=torch.randn(2, 3, 4, generator=g).permute(2, 0, 1),
        parameter=torch.nn.Parameter(torch.randn(3, generator=g)),
        frozen=torch.nn.Parameter(torch.randn(2, generator=g), requires_grad=False),
        scalar=torch.tensor(2.5),
        empty=torch.zeros(0, 4),
        one_row=torch.arange(4.0).expand(1, -1),
        half=torch.randn(3, 4, generator=g).half(),
        half_transposed=torch.randn(3, 4, generator=g).half().t(),
        brain=torch.randn(7, generator=g).bfloat16(),
    )
    # A state dict has the versions of its modules for an attribute.
    tensors._metadata = collections.OrderedDict({"": {"version": 1}})
    return tensors


def others():
    """What a file may hold besides weights: it is listed, and not read."""
    types = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool, torch.float64)
    integers = {str(dtype)[6:]: torch.arange(3).to(dtype) for dtype in types}
    return integers | {"repeated": torch.ones(1).expand(5), "epoch": 3, "rate": 0.5, "name": "a", "on": True,
                       "list": [1, None, (2, -70000, 1 << 40)]}  # fmt: skip


def write_dict(folder):
    folder.mkdir(exist_ok=True)
    weights = tensors()
    everything = collections.OrderedDict(weights)
    everything._metadata = weights._metadata
    everything.update(others())
    for name, is_zip in (("zip.bin", True), ("stream.bin", False)):
        torch.save(everything, folder / name, _use_new_zipfile_serialization=is_zip)
    nested = {"epoch": 3, "state_dict": {f"module.{name}": t for name, t in weights.items()}}
    torch.save(nested, folder / "nested.bin")
    expected = {name: t.detach().float().contiguous().clone() for name, t in weights.items()}
    save_file(expected, folder / "expected.safetensors")
    # Files that are refused: a whole module, and a program.
    torch.save(torch.nn.Linear(2, 2), folder / "module.bin")
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), folder / "script.bin")


def write_model(folder):
    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
                                     intermediate_size=12, max_position_embeddings=16, num_labels=3)  # fmt: skip
    model = transformers.BertForSequenceClassification(config)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn_like(p) * 0.3)
    model.save_pretrained(folder)
    weights = model.state_dict()
    # As older versions of transformers stored it.
    weights["bert.embeddings.position_ids"] = torch.arange(16).expand((1, -1))
    torch.save(weights, folder / "pytorch_model.bin")
    torch.save(weights, folder / "stream.bin", _use_new_zipfile_serialization=False)
    names = list(weights)
    shards = [names[: len(names) // 2], names[len(names) // 2 :]]
    weight_map = {}
    for i, part in enumerate(shards):
        file = f"pytorch_model-{i + 1:05}-of-{len(shards):05}.bin"
        torch.save({name: weights[name] for name in part}, folder / file)
        weight_map |= {name: file for name in part}
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    write_dict(HERE / "pickle")
    write_model(HERE / "bert_pickle")
