//! `layer_norm` on a card.
