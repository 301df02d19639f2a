//! The definition, in f64.

/// y `[T, H]`: the rows `ids` of `table` (`[V, H]`).
pub fn forward(table: &[f64], ids: &[u32], h: usize) -> Vec<f64> {
    ids.iter().flat_map(|&id| &table[id as usize * h..][..h]).copied().collect()
}

/// dtable `[V, H]`, from zeros: each row of `dy` (`[T, H]`) added to its row.
pub fn backward(dy: &[f64], ids: &[u32], h: usize, v: usize) -> Vec<f64> {
    let mut dtable = vec![0.0; v * h];
    for (dy, &id) in dy.chunks(h).zip(ids) {
        for (d, dy) in dtable[id as usize * h..][..h].iter_mut().zip(dy) {
            *d += dy;
        }
    }
    dtable
}
