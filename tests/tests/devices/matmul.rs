//! `matmul` on a card.
