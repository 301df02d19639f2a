//! `copy` on a card.
