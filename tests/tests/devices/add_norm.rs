//! `add_norm` on a card.
