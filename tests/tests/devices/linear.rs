//! `linear` on a card.
