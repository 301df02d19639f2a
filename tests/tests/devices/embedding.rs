//! `embedding` on a card.
