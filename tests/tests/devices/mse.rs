//! `mse` on a card.
