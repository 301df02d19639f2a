//! `activation` on a card.
