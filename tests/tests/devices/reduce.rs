//! `reduce` on a card.
