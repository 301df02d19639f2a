"""Writes the golden values that `tests/tests/golden_*.rs` compare with.

Made with Python 3.11, torch 2.15.0, transformers 5.23.0, safetensors; to make them again:

    python -m venv venv && venv/bin/pip install torch transformers safetensors
    venv/bin/python tests/golden/make_golden.py [--minilm DIR] [--only-masked-lm]

--minilm is a folder with sentence-transformers/all-MiniLM-L6-v2; without it `minilm.safetensors` stays as
it is. `masked_lm.safetensors` and `ops.safetensors` were made with transformers 5.24.0, each alone. Inputs and
weights are f32; everything expected is computed from them in f64 and rounded to f32 at the end, so it is the
nearest f32 to the true value. Batches are padded for PyTorch; what is written is
ragged: the real tokens of all sequences, one below the other, and `cu_seqlens`.
"""

import argparse
import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file
from transformers.models.modernbert.modeling_modernbert import rotate_half

HERE = Path(__file__).resolve().parent
LENS = [3, 9, 1, 17, 6]
LABELS = [0, 2, 1, 1, 0]


def write(name, tensors, metadata=None):
    """f64 becomes f32, integers u32; everything contiguous."""

    def plain(t):
        t = t.detach()
        return t.to(torch.float32 if t.is_floating_point() else torch.uint32).contiguous().clone()

    save_file({k: plain(v) for k, v in tensors.items()}, HERE / name, metadata=metadata)


def write_json(name, value):
    (HERE / name).write_text(json.dumps(value, indent=1) + "\n")


def cu_seqlens(lens):
    return torch.tensor([0] + lens).cumsum(0)


# A tiny BERT -------------------------------------------------------------------------------------------

LETTERS = "abcdefghijklmnopqrstuvwxyz"
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", ",", "!"] + list(LETTERS) + [
    "##" + c for c in LETTERS
]


def bert_config():
    return transformers.BertConfig(
        vocab_size=len(VOCAB), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=40, type_vocab_size=2, num_labels=3,
        hidden_act="gelu", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip


def make_bert():
    """Random weights, biases and LayerNorm parameters: no gradient is zero or tiny by construction."""
    torch.manual_seed(1)
    model = transformers.BertForSequenceClassification(bert_config())
    with torch.no_grad():
        for name, p in model.named_parameters():
            norm = "LayerNorm.weight" in name
            p.copy_(torch.randn_like(p) * (0.2 if p.dim() == 1 else 0.15) + float(norm))
    folder = HERE / "bert_tiny"
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCAB) + "\n")
    tokenizer = transformers.BertTokenizerFast(
        vocab={token: i for i, token in enumerate(VOCAB)}, do_lower_case=True, model_max_length=40
    )
    tokenizer.save_pretrained(folder)


def load_bert(problem="single_label_classification"):
    model = transformers.BertForSequenceClassification.from_pretrained(
        HERE / "bert_tiny", attn_implementation="eager", problem_type=problem, dtype=torch.float32
    )
    return model.double().train()  # Dropout is 0; nothing else differs between train and eval.


def make_batch(lens, seed):
    """Ragged ids (never that of [PAD]) and token types; every second sequence is a pair."""
    g = torch.Generator().manual_seed(seed)
    ids = [torch.randint(1, len(VOCAB), (n,), generator=g) for n in lens]
    types = [torch.zeros(n, dtype=torch.long) for n in lens]
    for pair in types[1::2]:
        pair[len(pair) // 2 :] = 1
    return ids, types


def padded(ids, types):
    pad = lambda xs: torch.nn.utils.rnn.pad_sequence(xs, batch_first=True)
    return {
        "input_ids": pad(ids),
        "token_type_ids": pad(types),
        "attention_mask": pad([torch.ones_like(x) for x in ids]),
    }


def ragged(x, lens):
    return torch.cat([x[i, :n] for i, n in enumerate(lens)])


def batch_tensors(prefix, ids, types):
    lens = [len(x) for x in ids]
    return {
        f"{prefix}input_ids": torch.cat(ids),
        f"{prefix}token_type_ids": torch.cat(types),
        f"{prefix}cu_seqlens": cu_seqlens(lens),
    }


def one_step():
    """Forward values, loss and every parameter gradient; then the other two losses."""
    ids, types = make_batch(LENS, 2)
    labels = torch.tensor(LABELS)
    model = load_bert()
    hidden = model.bert(**padded(ids, types))
    out = model(**padded(ids, types), labels=labels)
    out.loss.backward()
    tensors = batch_tensors("", ids, types) | {
        "labels": labels,
        "last_hidden_state": ragged(hidden.last_hidden_state, LENS),
        "pooler_output": hidden.pooler_output,
        "logits": out.logits,
        "loss": out.loss,
    }
    tensors |= {f"grad.{name}": p.grad for name, p in model.named_parameters()}

    g = torch.Generator().manual_seed(3)
    targets = {
        "multi_label_classification": torch.randint(0, 2, (5, 3), generator=g).float(),
        "regression": torch.randn(5, 3, generator=g),
    }
    for problem, t in targets.items():
        model = load_bert(problem)
        loss = model(**padded(ids, types), labels=t.double()).loss
        loss.backward()
        tensors[f"{problem}.targets"] = t
        tensors[f"{problem}.loss"] = loss
        tensors[f"{problem}.grad.classifier.weight"] = model.classifier.weight.grad
    write("bert_tiny.safetensors", tensors)


# Training ----------------------------------------------------------------------------------------------


def decay_groups(model, weight_decay):
    exempt = lambda name: name.endswith("bias") or "LayerNorm" in name
    params = list(model.named_parameters())
    return [
        {"params": [p for n, p in params if not exempt(n)], "weight_decay": weight_decay},
        {"params": [p for n, p in params if exempt(n)], "weight_decay": 0.0},
    ]


def train(make_optimizer, steps, schedule=None, clip=math.inf):
    """Losses before each update, rates, gradient norms before clipping; logits of batch 0 afterwards."""
    batches = [make_batch(lens, 10 + i) for i, lens in enumerate(TRAIN_LENS)]
    model = load_bert()
    optimizer = make_optimizer(model)
    scheduler = schedule(optimizer) if schedule else None
    record = {"losses": [], "learning_rates": [], "gradient_norms": []}
    for step in range(steps):
        i = step % len(batches)
        loss = model(**padded(*batches[i]), labels=torch.tensor(TRAIN_LABELS[i])).loss
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        record["losses"].append(loss.item())
        record["learning_rates"].append(optimizer.param_groups[0]["lr"])
        record["gradient_norms"].append(norm.item())
        optimizer.step()
        if scheduler:
            scheduler.step()
    with torch.no_grad():
        record["final_logits"] = model(**padded(*batches[0])).logits.tolist()
    return record


TRAIN_LENS = [[3, 9, 1, 17, 6], [12, 4, 8, 2], [5, 40, 7]]
TRAIN_LABELS = [[0, 2, 1, 1, 0], [2, 2, 0, 1], [1, 0, 2]]


def training():
    tensors = {}
    for i, lens in enumerate(TRAIN_LENS):
        tensors |= batch_tensors(f"{i}.", *make_batch(lens, 10 + i))
        tensors[f"{i}.labels"] = torch.tensor(TRAIN_LABELS[i])
    write("training.safetensors", tensors)

    adamw = lambda model: torch.optim.AdamW(decay_groups(model, 0.01), lr=1e-3)
    linear = lambda opt: transformers.get_linear_schedule_with_warmup(opt, 2, 10)
    sgd = lambda **kw: lambda model: torch.optim.SGD(model.parameters(), lr=0.1, **kw)
    adam = lambda model: torch.optim.Adam(model.parameters(), lr=1e-3)
    write_json("training.json", {
        "adamw": train(adamw, 10, linear, clip=1.0),
        "adam": train(adam, 3),
        "sgd": train(sgd(), 3),
        "sgd_momentum": train(sgd(momentum=0.9), 3, clip=1.0),
        "sgd_nesterov": train(sgd(momentum=0.9, nesterov=True, weight_decay=0.01), 3),
    })  # fmt: skip


# Masked words ------------------------------------------------------------------------------------------


def mask_words(ids, seed):
    """Every third token or so is hidden, but none of the third sequence. Returns ids with [MASK], the rows of
    the hidden tokens among all, and what was hidden; labels for transformers are -100 elsewhere."""
    g = torch.Generator().manual_seed(seed)
    hidden = [torch.rand(len(x), generator=g) < 0.3 for x in ids]
    for i, h in enumerate(hidden):
        h[0] = h[0] or not h.any()
        h.logical_and_(torch.tensor(i != 2))
    masked = [x.masked_fill(h, VOCAB.index("[MASK]")) for x, h in zip(ids, hidden)]
    labels = [x.masked_fill(~h, -100) for x, h in zip(ids, hidden)]
    positions = torch.cat(hidden).nonzero().flatten()
    return masked, labels, positions, torch.cat(ids)[positions]


def masked_batch(prefix, lens, seed):
    """What transformers takes, the hidden rows of padded logits, and the tensors to be written."""
    ids, types = make_batch(lens, seed)
    masked, labels, positions, targets = mask_words(ids, seed + 1)
    tensors = batch_tensors(prefix, masked, types)
    tensors |= {f"{prefix}positions": positions, f"{prefix}targets": targets}
    labels = torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=-100)
    return padded(masked, types) | {"labels": labels}, tensors


def load_masked_lm():
    """The encoder of `bert_tiny` with a random head, tied; the head is written along."""
    model = transformers.BertForMaskedLM.from_pretrained(
        HERE / "bert_tiny", attn_implementation="eager", dtype=torch.float32
    )
    g = torch.Generator().manual_seed(5)
    head = {n: p for n, p in model.named_parameters() if n.startswith("cls.")}
    with torch.no_grad():
        for name, p in head.items():
            norm = float("LayerNorm.weight" in name)
            p.copy_(torch.randn(p.shape, generator=g) * (0.2 if p.dim() == 1 else 0.15) + norm)
    assert model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight
    assert model.cls.predictions.decoder.bias is model.cls.predictions.bias
    weights = {f"head.{name}": p.detach().clone() for name, p in head.items()}
    return model.double().train(), weights


def masked_lm():
    """One step with every gradient; then ten steps of AdamW over three batches."""
    model, tensors = load_masked_lm()
    inputs, batch = masked_batch("", LENS, 20)
    out = model(**inputs)
    out.loss.backward()
    hidden = inputs["labels"] != -100
    tensors |= batch | {"logits": out.logits[hidden], "loss": out.loss}
    tensors |= {f"grad.{name}": p.grad for name, p in model.named_parameters()}

    batches = []
    for i, lens in enumerate(TRAIN_LENS):
        inputs, batch = masked_batch(f"{i}.", lens, 30 + 2 * i)
        batches.append(inputs)
        tensors |= batch
    model, _ = load_masked_lm()
    optimizer = torch.optim.AdamW(decay_groups(model, 0.01), lr=1e-3)
    losses, norms = [], []
    for step in range(10):
        loss = model(**batches[step % 3]).loss
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0))
        losses.append(loss)
        optimizer.step()
    with torch.no_grad():
        final = model(**batches[0]).logits[batches[0]["labels"] != -100]
    tensors |= {"losses": torch.stack(losses), "norms": torch.stack(norms), "final_logits": final}
    write("masked_lm.safetensors", tensors)


def schedules():
    """Factors of the peak rate at steps 0..=total (after it, transformers' cosine rises again)."""
    kinds = {
        "constant": lambda o, w, t: transformers.get_constant_schedule_with_warmup(o, w),
        "linear": transformers.get_linear_schedule_with_warmup,
        "cosine": transformers.get_cosine_schedule_with_warmup,
    }
    for power, end in [(1.0, 0.0), (2.0, 0.0), (2.0, 0.1)]:
        kinds[f"polynomial {power} {end}"] = lambda o, w, t, power=power, end=end: (
            transformers.get_polynomial_decay_schedule_with_warmup(o, w, t, lr_end=end, power=power)
        )
    rows = []
    for kind, make in kinds.items():
        for warmup, total in [(0, 10), (2, 10), (1, 7), (10, 100), (4, 5), (0, 1)]:
            optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
            scheduler = make(optimizer, warmup, total)
            factors = []
            for _ in range(total + 1):
                factors.append(scheduler.get_last_lr()[0])
                optimizer.step()
                scheduler.step()
            rows.append({"kind": kind, "warmup": warmup, "total": total, "factors": factors})
    lines = ",\n ".join(json.dumps(row) for row in rows)
    (HERE / "schedules.json").write_text(f"[\n {lines}\n]\n")


# Ops ---------------------------------------------------------------------------------------------------


class Ops:
    """Collects `NAME.x` for each input, `NAME.y`, the gradient `NAME.dy` put in, and `NAME.dx` for each
    input. Names begin with the stem of the file in `autograd/src/ops`."""

    def __init__(self):
        self.tensors = {}
        self.rng = torch.Generator().manual_seed(4)

    def randn(self, *shape):
        return torch.randn(shape, generator=self.rng)

    def add(self, name, inputs, f, **fixed):
        """`inputs` are differentiated, `fixed` (ids, labels, targets) are written along."""
        wide = {k: v.double().requires_grad_() for k, v in inputs.items()}
        y = f(*wide.values())
        dy = self.randn(*y.shape)
        y.backward(dy.double())
        values = {"y": y, "dy": dy} | inputs | fixed
        values |= {f"d{k}": v.grad for k, v in wide.items()}
        self.tensors |= {f"{name}.{k}": v for k, v in values.items()}


def attention(q, k, v, lens, heads):
    """Padded to the longest, a mask over the padding, back to ragged."""
    longest, size = max(lens), q.shape[1]

    def split(x):
        rows = torch.nn.utils.rnn.pad_sequence(x.split(lens), batch_first=True)
        return rows.view(len(lens), longest, heads, size // heads).transpose(1, 2)

    real = torch.arange(longest) < torch.tensor(lens)[:, None]
    o = F.scaled_dot_product_attention(*map(split, (q, k, v)), attn_mask=real[:, None, None, :])
    return ragged(o.transpose(1, 2).reshape(len(lens), longest, size), lens)


def turned(x, lens, heads, theta):
    """Each head turned by its token's place: transformers' pairs."""
    x = x.view(len(x), heads, -1)
    size = x.shape[-1]
    places = torch.cat([torch.arange(n) for n in lens]).double()
    angles = places[:, None] * theta ** (-torch.arange(0, size, 2).double() / size)
    angles = torch.cat([angles, angles], -1)[:, None]
    return (x * angles.cos() + rotate_half(x) * angles.sin()).flatten(1)


def activations(ops):
    fs = {
        "gelu": F.gelu,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "relu": F.relu,
    }
    for name, f in fs.items():
        ops.add(f"activation.{name}", {"x": 3 * ops.randn(7, 19)}, f)


def elementwise(ops):
    shapes = {"row": ([4, 5], [5]), "column": ([4, 5], [4, 1]), "outer": ([3, 1, 5], [2, 1])}
    fs = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div}
    for case, (sa, sb) in shapes.items():
        for name, f in fs.items():
            a, b = ops.randn(*sa), ops.randn(*sb)
            b = b.sign() * (b.abs() + 0.5)  # A quotient by nearly zero tests nothing but rounding.
            ops.add(f"elementwise.{name}.{case}", {"a": a, "b": b}, f)
    unary = {
        "neg": torch.neg, "exp": torch.exp, "ln": torch.log, "sqrt": torch.sqrt,
        "abs": torch.abs, "square": torch.square, "recip": torch.reciprocal,
    }  # fmt: skip
    for name, f in unary.items():
        x = ops.randn(3, 11)
        x = x.abs() + 0.1 if name in ("ln", "sqrt") else x
        ops.add(f"elementwise.{name}", {"x": x}, f)
    ops.add("elementwise.scale", {"x": ops.randn(3, 11)}, lambda x: -0.3 * x)


def losses(ops):
    labels = torch.tensor([0, 3, 1, 4, 4, 2])
    ops.add("cross_entropy", {"x": 3 * ops.randn(6, 5)},
            lambda x: F.cross_entropy(x, labels), labels=labels)  # fmt: skip
    targets = torch.rand(6, 5, generator=ops.rng).float()
    ops.add("bce_with_logits", {"x": 3 * ops.randn(6, 5)},
            lambda x: F.binary_cross_entropy_with_logits(x, targets.double()), targets=targets)  # fmt: skip
    goals = ops.randn(6, 5)
    ops.add("mse", {"x": ops.randn(6, 5)},
            lambda x: F.mse_loss(x, goals.double()), targets=goals)  # fmt: skip


def weighted_losses(ops):
    """Weights that f32 holds, so that both sides have the same."""
    labels, weights = torch.tensor([0, 3, 1, 4, 4, 2, 3]), torch.tensor([0.25, 3.0, 1.0, 0.5, 1.75])
    # With the weights 1, PyTorch has none.
    cases = {"both": (weights, 0.1), "smoothing": (torch.ones(5), 0.25), "weights": (weights, 0.0)}
    for name, (w, smoothing) in cases.items():
        given = None if name == "smoothing" else w.double()
        ops.add(f"weighted_cross_entropy.{name}", {"x": 3 * ops.randn(7, 5)},
                lambda x: F.cross_entropy(x, labels, weight=given, label_smoothing=smoothing),
                labels=labels, weights=w)  # fmt: skip


def ragged_ops(ops):
    lens, heads, total = [3, 1, 9, 2], 2, 15
    cu = cu_seqlens(lens)
    q, k, v = (ops.randn(total, 16) for _ in range(3))
    ops.add("attention", {"q": q, "k": k, "v": v},
            lambda q, k, v: attention(q, k, v, lens, heads), cu_seqlens=cu)  # fmt: skip
    ops.add("pooling.mean", {"x": ops.randn(total, 6)},
            lambda x: torch.stack([r.mean(0) for r in x.split(lens)]), cu_seqlens=cu)  # fmt: skip
    ops.add("pooling.first", {"x": ops.randn(total, 6)}, lambda x: x[cu[:-1]], cu_seqlens=cu)
    ids = torch.tensor([3, 0, 3, 8, 5, 3, 0])
    ops.add("embedding", {"table": ops.randn(9, 6)}, lambda table: F.embedding(ids, table), ids=ids)


def rotary(ops):
    lens, heads = [3, 1, 9, 2], 2

    def f(qkv):
        q, k, v = qkv.chunk(3, -1)
        q, k = (turned(x, lens, heads, 10.0) for x in (q, k))
        return attention(q, k, v, lens, heads)

    ops.add("rotary_attention", {"qkv": ops.randn(15, 48)}, f, cu_seqlens=cu_seqlens(lens))


def by_distance(q, k, v, lens, heads, scores):
    """Sequence by sequence and head by head, from `scores(head, q, k, j - i)` of keys j and queries i."""
    states = []
    for of_sequence in zip(*(x.split(lens) for x in (q, k, v))):
        places = torch.arange(len(of_sequence[0]))
        distances = places[None, :] - places[:, None]
        of_heads = zip(*(x.chunk(heads, -1) for x in of_sequence))
        states.append(torch.cat([scores(n, *qk, distances).softmax(-1) @ v for n, (*qk, v) in enumerate(of_heads)], -1))
    return torch.cat(states)


def distances(ops):
    """Attention that sees a window, or adds to a score what query and key have by their distance."""
    lens, heads, size = [3, 1, 9, 2], 2, 8
    cu, total = cu_seqlens(lens), sum(lens)

    def window(n, q, k, distances):
        return (q @ k.T / size**0.5).masked_fill(distances.abs() > 2, -math.inf)

    def bias(q, k, v, table):
        scores = lambda n, q, k, distances: q @ k.T / size**0.5 + table[3 + distances.clamp(-3, 3), n]
        return by_distance(q, k, v, lens, heads, scores)

    def disentangled(q, k, v, a, b):
        def scores(n, q, k, distances):
            a_n, b_n = (vectors.chunk(heads, -1)[n][8 + distances] for vectors in (a, b))
            c, g = (q[:, None] * a_n).sum(-1), (k[None, :] * b_n).sum(-1)
            return (q @ k.T + c + g) / (3 * size) ** 0.5

        return by_distance(q, k, v, lens, heads, scores)

    qkv = lambda: {name: ops.randn(total, heads * size) for name in "qkv"}
    ops.add("attention.window", qkv(), lambda q, k, v: by_distance(q, k, v, lens, heads, window), cu_seqlens=cu)
    ops.add("attention.bias", qkv() | {"table": ops.randn(7, heads)}, bias, cu_seqlens=cu)
    vectors = {name: ops.randn(17, heads * size) for name in "ab"}
    ops.add("disentangled_attention", qkv() | vectors, disentangled, cu_seqlens=cu)


def gated_units(ops):
    def unit(z):
        a, g = z.chunk(2, -1)
        return F.gelu(a) * g

    def f(x, w, b, v, c):
        return F.linear(unit(F.linear(x, w, b)), v, c)

    ops.add("gated", {"z": 3 * ops.randn(7, 38)}, unit)
    first = {"x": ops.randn(7, 19), "w": ops.randn(26, 19), "b": ops.randn(26)}
    ops.add("feed_forward.gated", first | {"v": ops.randn(11, 13), "c": ops.randn(11)}, f)


def reductions_and_views(ops):
    fs = {
        "reduce.sum": torch.sum,
        "reduce.mean": torch.mean,
        "reduce.sum_axis": lambda x: x.sum(1),
        "reduce.mean_axis": lambda x: x.mean(0),
        "view.reshape": lambda x: x.reshape(5, 12),
        "view.transpose": lambda x: x.transpose(0, 2),
        "view.narrow": lambda x: x.narrow(1, 1, 2),
        "view.broadcast_to": lambda x: x[:1].expand(6, 3, 4, 5),
    }
    for name, f in fs.items():
        ops.add(name, {"x": ops.randn(3, 4, 5)}, f)


def make_ops():
    ops = Ops()
    activations(ops)
    elementwise(ops)
    losses(ops)
    ragged_ops(ops)
    reductions_and_views(ops)
    ops.add("softmax", {"x": 3 * ops.randn(5, 21)}, lambda x: F.softmax(x, -1))
    norm = {"x": ops.randn(5, 21) + 2, "w": ops.randn(21), "b": ops.randn(21)}
    ops.add("layer_norm", norm, lambda x, w, b: F.layer_norm(x, (21,), w, b, 1e-12))
    affine = {"x": ops.randn(7, 19), "w": ops.randn(11, 19), "b": ops.randn(11)}
    ops.add("linear", affine, F.linear)
    factors = {"a": ops.randn(2, 1, 5, 7), "b": ops.randn(3, 7, 4)}
    ops.add("matmul", factors, torch.matmul)
    summands = {"x": ops.randn(5, 21), "r": ops.randn(5, 21), "w": ops.randn(21), "b": ops.randn(21)}
    ops.add("add_norm", summands, lambda x, r, w, b: F.layer_norm(x + r, (21,), w, b, 1e-12))
    rotary(ops)
    gated_units(ops)
    weighted_losses(ops)
    distances(ops)
    ops.add("residual", {"x": ops.randn(5, 21), "u": ops.randn(5, 21)}, torch.add)
    write("ops.safetensors", ops.tensors)


# A real checkpoint -------------------------------------------------------------------------------------

SENTENCES = [
    ["Rain again."],
    ["The ferry leaves at seven, and whoever is late will have to take the long road round the lake."],
    ["Wait -- what?! \"No,\" she said; (twice)... #1 & 50% off: $3.20/kg"],
    ["Crème brûlée à la carte, naïve façade, Straße, 東京 and a 🙂."],
    ["How do I reset my password?", "Open the settings and choose a new one."],
    ["antidisestablishmentarianism"],
]


def make_minilm(folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.BertModel.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32
    ).double().eval()  # fmt: skip
    encoded = [tokenizer(*s, return_tensors="pt") for s in SENTENCES]
    with torch.no_grad():
        hidden = [model(**e).last_hidden_state[0] for e in encoded]
    field = lambda name: [e[name][0] for e in encoded]
    tensors = batch_tensors("", field("input_ids"), field("token_type_ids"))
    tensors["last_hidden_state"] = torch.cat(hidden)
    write("minilm.safetensors", tensors, {"sentences": json.dumps(SENTENCES)})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minilm", type=Path, metavar="DIR")
    parser.add_argument("--only-masked-lm", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if args.only_masked_lm:
        masked_lm()
        return
    make_bert()
    one_step()
    training()
    masked_lm()
    schedules()
    make_ops()
    if args.minilm:
        make_minilm(args.minilm)


if __name__ == "__main__":
    main()
