//! `memory` on a card.
