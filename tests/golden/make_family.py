"""Writes the golden values that `tests/tests/golden_family.rs` compares with: RoBERTa, XLM-R, DistilBERT, ELECTRA,
MPNet, DeBERTa and ModernBERT.

Made with Python 3.11, torch 2.15.0, transformers 5.24.0, safetensors; to make them again, in the environment of
`make_golden.py`:

    venv/bin/python tests/golden/make_family.py [NAME ...]

For each model there is a folder as `save_pretrained` writes it, with tokenizer and the weights of both heads, of
`ForSequenceClassification` and of `ForMaskedLM`, and a file with inputs and what transformers makes of them, computed
in f64. Sequences go through the model one by one, so that nothing is padded. Gradients have the names of transformers.

ModernBERT's code turns queries and keys in f32, whatever the model's type: here its formula is computed in f64.
"""

import json
import sys
import tempfile
from pathlib import Path

import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers.models.modernbert import modeling_modernbert

from make_golden import HERE, LABELS, LENS, VOCAB, batch_tensors, make_batch, write

# Sizes with which no two weights have the same shape by chance; dropout 0.
SIZES = dict(vocab_size=300, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
             max_position_embeddings=26, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=3,
             layer_norm_eps=1e-5)  # fmt: skip
WORDS = SIZES | {"vocab_size": len(VOCAB), "layer_norm_eps": 1e-12}
MODERN = dict(vocab_size=300, hidden_size=16, num_attention_heads=2, intermediate_size=24, max_position_embeddings=26,
              num_labels=3, pad_token_id=1, bos_token_id=0, eos_token_id=2, cls_token_id=0, sep_token_id=2)  # fmt: skip
CONFIGS = {
    # 26 rows of positions, two of which come before the first token.
    "roberta": transformers.RobertaConfig(**SIZES, type_vocab_size=1, pad_token_id=1),
    "xlm-roberta": transformers.XLMRobertaConfig(**SIZES, type_vocab_size=1, pad_token_id=1),
    "distilbert": transformers.DistilBertConfig(
        vocab_size=len(VOCAB), dim=16, n_layers=2, n_heads=2, hidden_dim=24, max_position_embeddings=26, dropout=0.0,
        attention_dropout=0.0, seq_classif_dropout=0.0, num_labels=3),
    "electra": transformers.ElectraConfig(**WORDS, embedding_size=12),
    "mpnet": transformers.MPNetConfig(**WORDS),
    # As the published ones of version 3, but with distances that share a bucket from 6 on.
    "deberta-v2": transformers.DebertaV2Config(
        **SIZES, relative_attention=True, position_buckets=8, norm_rel_ebd="layer_norm", share_att_key=True,
        pos_att_type="p2c|c2p", position_biased_input=False, legacy=False),
    # As the published ones: the first layer and each third one see everything, the others two tokens to either side.
    "modernbert": transformers.ModernBertConfig(**MODERN, num_hidden_layers=4, local_attention=4),
    # Everything that they leave off or alone; its last layer sees one token to either side.
    "modernbert-mean": transformers.ModernBertConfig(
        **MODERN, num_hidden_layers=3, local_attention=3, classifier_pooling="mean", norm_bias=True,
        attention_bias=True, mlp_bias=True, classifier_bias=True, classifier_activation="tanh",
        hidden_activation="relu", global_rope_theta=500.0, local_rope_theta=20.0,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"]),
}  # fmt: skip

MPNET_ENDS = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]
TEXTS = [
    ["the cat sat."],
    ["A dog, a log!  Naïve façade; 東京 🙂"],
    ["is it a <mask> or a [MASK]?", "it is."],
    ["don't   stop now\n2024"],
]


def randomize(model):
    """Random weights, biases and LayerNorm parameters: no gradient is zero or tiny by construction."""
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in model.named_parameters():
            norm = "norm.weight" in name.lower()
            p.copy_(torch.randn(p.shape, generator=g) * (0.2 if p.dim() == 1 else 0.15) + float(norm))


def make_tokenizer(name, folder):
    """BERT's, the byte-level BPE of RoBERTa and ModernBERT, or XLM-R's pieces of sentences, from a few words."""
    texts = [" the cat sat on a log", " the dog sat on the cat"] * 9
    if name == "xlm-roberta":
        vocab = unigrams(texts, ["<s>", "<pad>", "</s>", "<unk>"])
        tokenizer = transformers.XLMRobertaTokenizerFast(vocab=vocab, model_max_length=24)
    elif name == "deberta-v2":
        vocab = unigrams(texts, ["[PAD]", "[CLS]", "[SEP]", "[UNK]"])
        tokenizer = transformers.DebertaV2Tokenizer(vocab=vocab, unk_id=3, model_max_length=26)
    elif "modernbert" in name:
        tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_object=modern_tokenizer(texts), cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
            pad_token="[PAD]", unk_token="[UNK]", model_max_length=26, model_input_names=["input_ids", "attention_mask"])
    elif name == "mpnet":
        # BERT's words between RoBERTa's ends.
        vocab = {token: i for i, token in enumerate(MPNET_ENDS + VOCAB[len(MPNET_ENDS) :])}
        tokenizer = transformers.MPNetTokenizerFast(vocab=vocab, do_lower_case=True, model_max_length=24)
    elif name != "roberta":
        classes = {"distilbert": transformers.DistilBertTokenizerFast, "electra": transformers.ElectraTokenizerFast}
        vocab = {token: i for i, token in enumerate(VOCAB)}
        tokenizer = classes[name](vocab=vocab, do_lower_case=True, model_max_length=26)
    else:
        bpe = tokenizers.ByteLevelBPETokenizer()
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        bpe.train_from_iterator(texts, vocab_size=300, min_frequency=2, special_tokens=special)
        parts = json.loads(bpe.to_str())["model"]
        merges = [tuple(m) if isinstance(m, list) else tuple(m.split()) for m in parts["merges"]]
        tokenizer = transformers.RobertaTokenizerFast(vocab=parts["vocab"], merges=merges, model_max_length=24)
    tokenizer.save_pretrained(folder)
    return tokenizer


def unigrams(texts, special):
    pieces = tokenizers.SentencePieceUnigramTokenizer()
    pieces.train_from_iterator(texts, vocab_size=100, unk_token=special[3], special_tokens=special)
    return [tuple(piece) for piece in json.loads(pieces.to_str())["model"]["vocab"]]


def modern_tokenizer(texts):
    bpe = tokenizers.ByteLevelBPETokenizer(add_prefix_space=False)
    special = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]
    bpe.train_from_iterator(texts, vocab_size=300, min_frequency=2, special_tokens=special)
    tokenizer = tokenizers.Tokenizer.from_str(bpe.to_str())
    ends = [(token, tokenizer.token_to_id(token)) for token in ["[CLS]", "[SEP]"]]
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=ends)
    return tokenizer


def turn_in_f64():
    """The formula of `apply_rotary_pos_emb` and of the angles, without its f32."""

    def angles(self, x, position_ids, layer_type):
        theta = self.config.rope_parameters[layer_type]["rope_theta"]
        size = self.config.hidden_size // self.config.num_attention_heads
        frequencies = theta ** -(torch.arange(0, size, 2, dtype=torch.float64) / size)
        all = position_ids[..., None].double() * torch.cat([frequencies, frequencies])
        return all.cos(), all.sin()

    def turn(q, k, cos, sin, unsqueeze_dim=1):
        cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
        return [x * cos + modeling_modernbert.rotate_half(x) * sin for x in (q, k)]

    modeling_modernbert.ModernBertRotaryEmbedding.forward = angles
    modeling_modernbert.apply_rotary_pos_emb = turn


def saved(model):
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return load_file(Path(folder) / "model.safetensors")


def attention_of(config):
    """The eager attention of ModernBERT rounds probabilities to f32."""
    return "sdpa" if config.model_type == "modernbert" else "eager"


def models(config):
    """A classifier and a masked language model on the same encoder."""
    config._attn_implementation = attention_of(config)
    classifier = transformers.AutoModelForSequenceClassification.from_config(config)
    masked = transformers.AutoModelForMaskedLM.from_config(config)
    randomize(classifier)
    randomize(masked)
    masked.base_model.load_state_dict(classifier.base_model.state_dict(), strict=False)
    if config.model_type == "modernbert":
        masked.head.load_state_dict(classifier.head.state_dict())  # one name, one weight
    masked.tie_weights()
    return classifier, masked


def publish(path):
    """The keys of the published models, in the place of those of transformers 5."""
    config = json.loads(path.read_text())
    del config["layer_types"], config["rope_parameters"]
    config |= {"global_attn_every_n_layers": 3, "global_rope_theta": 160000.0, "local_rope_theta": 10000.0}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def inputs(ids, types):
    row = {"input_ids": ids[None], "attention_mask": torch.ones_like(ids)[None]}
    return row | ({} if types is None else {"token_type_ids": types[None]})


def make(name, config):
    folder = HERE / f"{name}_tiny"
    folder.mkdir(exist_ok=True)
    tokenizer = make_tokenizer(name, folder)
    classifier, masked = models(config)
    save_file(saved(classifier) | saved(masked), folder / "model.safetensors", metadata={"format": "pt"})
    classifier.save_pretrained(folder / "config")
    (folder / "config" / "config.json").rename(folder / "config.json")
    (folder / "config" / "model.safetensors").unlink()
    (folder / "config").rmdir()
    if name == "modernbert":
        publish(folder / "config.json")

    ids, types = make_batch(LENS, 7)
    if "roberta" in name or name == "mpnet" or "modernbert" in name:
        # Neither <s> nor <pad>.
        g = torch.Generator().manual_seed(7)
        ids = [torch.randint(2, config.vocab_size, (n,), generator=g) for n in LENS]
        types = [torch.zeros_like(x) for x in ids]
    given = [inputs(x, t if name == "electra" else None) for x, t in zip(ids, types)]
    tensors = batch_tensors("", ids, types) | {"labels": torch.tensor(LABELS)}

    classifier = classifier.double().train()
    outputs = [classifier(**x, output_hidden_states=True) for x in given]
    logits = torch.cat([out.logits for out in outputs])
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(LABELS))
    loss.backward()
    tensors |= {"last_hidden_state": torch.cat([out.hidden_states[-1][0] for out in outputs])}
    tensors |= {"logits": logits, "loss": loss}
    tensors |= {f"grad.{n}": p.grad for n, p in classifier.named_parameters()}

    masked = masked.double().train()
    positions = torch.tensor([1, 4, 5, 13, 29, 35])
    targets = torch.tensor([7, 11, 30, 8, 25, 50])
    logits = torch.cat([masked(**x).logits[0] for x in given])[positions]
    loss = torch.nn.functional.cross_entropy(logits, targets)
    loss.backward()
    tensors |= {"masked.positions": positions, "masked.targets": targets, "masked.logits": logits, "masked.loss": loss}
    # The table of the words is one parameter with two names: the encoder's counts.
    encoder = {id(p): n for n, p in masked.base_model.named_parameters(prefix=masked.base_model_prefix)}
    tensors |= {f"masked.grad.{encoder.get(id(p), n)}": p.grad for n, p in masked.named_parameters()}

    if "roberta" in name or name == "mpnet":
        # A padding token that somebody wrote has a place of its own.
        written = torch.tensor([0, 40, 1, 41, 1, 42, 2])
        with torch.no_grad():
            hidden = classifier(**inputs(written, None), output_hidden_states=True).hidden_states[-1][0]
        tensors |= batch_tensors("padding.", [written], [torch.zeros_like(written)])
        tensors |= {"padding.last_hidden_state": hidden}
    encodings = [tokenizer(*texts)["input_ids"] for texts in TEXTS]
    write(f"{name}_tiny.safetensors", tensors)
    (folder / "encodings.json").write_text(json.dumps({"texts": TEXTS, "ids": encodings}) + "\n")


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    turn_in_f64()
    for name in sys.argv[1:] or CONFIGS:
        make(name, CONFIGS[name])


if __name__ == "__main__":
    main()
