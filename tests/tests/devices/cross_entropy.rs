//! `cross_entropy` on a card.
