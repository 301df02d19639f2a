//! `attention` on a card.
