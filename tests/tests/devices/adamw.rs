//! `adamw` on a card.
