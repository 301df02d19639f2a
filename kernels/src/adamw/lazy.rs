//! Updates of a table whose gradient has few rows: the other rows are updated when they are needed.
//!
//! ```text
//! step          rows with a gradient: now       the others: the step is kept in a list
//! catch up      the steps of the list that a row has missed, in order, with g = 0
//! ```
//!
//! A caught-up row has the bits that updates of the whole table would have given it, so what is left of each
//! step is the memory of its own rows. A row that never had a gradient has moments of zero: its update is the
//! decay of w, and nothing at all without weight decay.

use rayon::prelude::*;

use super::cpu::{Factors, Step, update_elements};
use super::replay::{decay_row, replay_row};
use crate::parallel::{pick_rows, rows_per_task};

/// Which updates each row of a table `[V, H]` has yet to see.
///
/// Everything that happens to the table goes through it; before something else reads or writes the table,
/// [`Lazy::flush`]. Between two calls, of each row i:
///
/// ```text
/// steps[seen[i]..]   are the updates that it has missed, in order; none if its bits are those of the whole table
/// !moving[i]         its moments are zeros and stay so in all of these, which only decay its w
/// ```
#[derive(Clone, Debug)]
pub struct Lazy {
    /// The updates since the last flush.
    steps: Vec<Factors>,
    /// Of each row, how many of them it has seen.
    seen: Vec<u32>,
    /// Of each row, whether its moments may differ from zero.
    moving: Vec<bool>,
}

/// A table and its moments, `[V, H]` each.
#[derive(Debug)]
pub struct Table<'a> {
    /// The weights.
    pub w: &'a mut [f32],
    /// The first moments.
    pub m: &'a mut [f32],
    /// The second moments.
    pub v: &'a mut [f32],
}

/// A row and the updates that it has missed.
struct Row<'a> {
    w: &'a mut [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
    missed: &'a [Factors],
    moving: bool,
}

impl Row<'_> {
    fn catch_up(&mut self) {
        match self.moving {
            true => replay_row(self.missed, self.w, self.m, self.v),
            false => decay_row(self.missed, self.w),
        }
    }
}

impl Lazy {
    /// Of a table of `rows` rows whose moments are zero.
    pub fn new(rows: usize) -> Self {
        Self { steps: Vec::new(), seen: vec![0; rows], moving: vec![false; rows] }
    }

    /// Of a table of `rows` rows with moments `m` and `v`.
    ///
    /// # Panics
    /// When the moments are no `rows` rows.
    pub fn with_moments(rows: usize, m: &[f32], v: &[f32]) -> Self {
        let h = m.len() / rows.max(1);
        assert!(m.len() == rows * h && v.len() == rows * h, "adamw: expected {rows} rows");
        let moves = |row: &[f32]| row.iter().any(|x| x.to_bits() != 0);
        let each = |i: usize| moves(&m[i * h..][..h]) || moves(&v[i * h..][..h]);
        Self { moving: (0..rows).into_par_iter().map(each).collect(), ..Self::new(rows) }
    }

    /// Whether a row may have missed an update.
    pub fn is_pending(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Says that all moments changed, by an update of the whole table after a flush.
    pub fn set_moving(&mut self) {
        self.moving.fill(true);
    }

    /// One update: now of the rows `ids`, ascending and distinct, with their gradients `g` (`[R, H]`); of the
    /// others, with gradients of zero, when they catch up.
    ///
    /// # Panics
    /// When the lengths differ, the ids do not ascend, one is not below V, or `s.step` is 0.
    pub fn update(&mut self, s: Step, ids: &[u32], g: &[f32], table: Table) {
        let (f, h) = (Factors::new(s), self.width(&table));
        assert!(ids.is_sorted_by(|a, b| a < b), "adamw: expected ascending ids");
        assert_eq!(g.len(), ids.len() * h, "adamw: gradients of {} rows of {h}", ids.len());
        if !f.leaves_zeros() {
            self.moving.fill(true);
        }
        self.each_row(ids, h, table, |i, mut row| {
            row.catch_up();
            update_elements(&f, row.w, &g[i * h..][..h], row.m, row.v);
        });
        self.steps.push(f);
        for &id in ids {
            (self.seen[id as usize], self.moving[id as usize]) = (self.steps.len() as u32, true);
        }
    }

    /// Brings the rows `ids`, in any order, up to date.
    ///
    /// # Panics
    /// When the lengths differ or an id is not below V.
    pub fn catch_up(&mut self, ids: &[u32], table: Table) {
        let h = self.width(&table);
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        ids.retain(|&id| (self.seen[id as usize] as usize) < self.steps.len());
        self.each_row(&ids, h, table, |_, mut row| row.catch_up());
        for &id in &ids {
            self.seen[id as usize] = self.steps.len() as u32;
        }
    }

    /// Brings all rows up to date and forgets the updates.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn flush(&mut self, table: Table) {
        let h = self.width(&table);
        let decays = self.steps.iter().any(|f| f.keep != 1.0);
        let behind = |&id: &u32| {
            let id = id as usize;
            (self.moving[id] || decays) && (self.seen[id] as usize) < self.steps.len()
        };
        let ids: Vec<u32> = (0..self.seen.len() as u32).filter(behind).collect();
        self.each_row(&ids, h, table, |_, mut row| row.catch_up());
        self.steps.clear();
        self.seen.fill(0);
    }

    /// H of a table that fits.
    fn width(&self, Table { w, m, v }: &Table) -> usize {
        let rows = self.seen.len();
        let fits = w.len().is_multiple_of(rows.max(1)) && w.len() == m.len() && w.len() == v.len();
        assert!(fits, "adamw: expected {rows} rows of weights and moments");
        w.len() / rows.max(1)
    }

    /// Calls `visit` with place and row of each of `ids`, in parallel.
    fn each_row(&self, ids: &[u32], h: usize, t: Table, visit: impl Fn(usize, Row) + Sync) {
        let [w, m, v] = [t.w, t.m, t.v].map(|x| pick_rows(ids.iter().copied(), h, x));
        let rows = ids.par_iter().zip(w).zip(m.into_par_iter().zip(v));
        let task = rows_per_task(h * self.steps.len().max(1));
        rows.with_min_len(task).enumerate().for_each(|(i, ((&id, w), (m, v)))| {
            let missed = &self.steps[self.seen[id as usize] as usize..];
            visit(i, Row { w, m, v, missed, moving: self.moving[id as usize] });
        });
    }
}
