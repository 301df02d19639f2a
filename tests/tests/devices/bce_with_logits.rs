//! `bce_with_logits` on a card.
