//! How often the host starts a kernel, and how often it stands still until a GPU answers. A step of training is meant
//! to take few launches and no waiting; a test asks.

use std::cell::Cell;

/// What the calls of one thread came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Kernels started.
    pub launches: u64,
    /// Times that the host waited.
    pub waits: u64,
}

thread_local! {
    static COUNTS: Cell<Counts> = const { Cell::new(Counts { launches: 0, waits: 0 }) };
}

/// Of this thread, since it began.
pub fn counts() -> Counts {
    COUNTS.get()
}

pub(super) fn launched() {
    let Counts { launches, waits } = COUNTS.get();
    COUNTS.set(Counts { launches: launches + 1, waits });
}

pub(super) fn waited() {
    let Counts { launches, waits } = COUNTS.get();
    COUNTS.set(Counts { launches, waits: waits + 1 });
}
