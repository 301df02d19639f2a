//! `dropout` on a card.
