#!/usr/bin/env python3
"""One sentence from process start to its label in transformers: the peer of `finetune predict`.

    python torch_predict.py MODEL TEXT
"""
import sys

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1]).eval()
with torch.inference_mode():
    scores = model(**tokenizer(sys.argv[2], return_tensors="pt")).logits.softmax(-1)[0]
best = int(scores.argmax())
print(f"{model.config.id2label[best]}\t{scores[best]:.4f}\t{sys.argv[2]}")
