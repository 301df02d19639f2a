//! `elementwise` on a card.
