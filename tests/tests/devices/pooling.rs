//! `pooling` on a card.
