//! On a GPU: a warp copies a token, blocks add up the tokens of an id; see `embedding.cu`.

use crate::cuda::{Array, BLOCK, DType, Launch, Result, Slice, Source, WARP};

pub(crate) static SOURCE: Source =
    Source { name: "embedding.cu", text: include_str!("embedding.cu"), hopper: false };

/// Elements that move at once, and columns of one lane.
const PACK: usize = 4;

/// Tokens of the commonest id for which one more warp joins: fewer would spend more on the last sum than they save.
const TOKENS_PER_WARP: usize = 32;

/// `y = table[ids]`; `table` is `[V, H]` in f32, `ids` is `[T]`, on the host, `y` is `[T, H]`.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When the lengths do not fit, an id is not below V, or the table is not f32.
pub fn forward(table: Slice, ids: &[u32], h: usize) -> Result<Array> {
    assert!(table.dtype() == DType::F32 && table.len().is_multiple_of(h), "embedding: {table:?}");
    let inside = |&id: &u32| (id as usize + 1) * h <= table.len();
    assert!(ids.iter().all(inside), "embedding: ids of {table:?}, rows of {h}");
    let device = table.device();
    let mut y = Array::uninit(device, DType::F32, ids.len() * h)?;
    let launch = Launch::new(device, &SOURCE, DType::F32, "embedding_forward")?;
    let launch = launch.grid((ids.len() * WARP).div_ceil(BLOCK as usize));
    let uploaded = Array::from_host(device, ids)?;
    let launch = launch.read(table).read(uploaded.slice()).write(&mut y);
    let launch = launch.arg(ids.len() as i32).arg(h as i32).arg(packed(table, h));
    // SAFETY: the kernel's parameters; a warp reads a row of the table, which exists, and writes the row of a token;
    // `packed` is true only where rows may be moved by 16 bytes.
    unsafe { launch.start() }?;
    Ok(y)
}

/// A table `[V, H]`: each row of `dy` (`[T, H]`, f32) added to row `ids[t]` of zeros.
///
/// # Errors
/// As [`forward`].
///
/// # Panics
/// As [`forward`].
pub fn scatter(dy: Slice, ids: &[u32], h: usize, v: usize) -> Result<Array> {
    assert!(dy.dtype() == DType::F32 && dy.len() == ids.len() * h, "embedding: {dy:?}");
    assert!(ids.iter().all(|&id| (id as usize) < v), "embedding: expected ids below {v}");
    let mut table = Array::zeros(dy.device(), DType::F32, v * h)?;
    let groups = Groups::new(ids, v);
    let n = groups.ids.len();
    let uploaded = Array::from_host(dy.device(), &groups.concat())?;
    let part = |start, len| uploaded.slice().narrow(start, len);
    let (rows, starts, order) = (part(0, n), part(n, n + 1), part(2 * n + 1, groups.order.len()));
    let launch = Launch::new(dy.device(), &SOURCE, DType::F32, "embedding_scatter")?;
    let launch = launch.grid_3([n, h.div_ceil(WARP * PACK), 1]).block(groups.threads());
    let launch = launch.read(dy).read(rows).read(starts).read(order).write(&mut table);
    // SAFETY: the kernel's parameters; the starts ascend to the length of the order, whose elements are rows of dy;
    // a block writes columns of a row of the table that no other block writes; `packed` as in `forward`.
    unsafe { launch.arg(h as i32).arg(packed(dy, h)).start() }?;
    Ok(table)
}

/// Tokens by id.
struct Groups {
    /// The distinct ids, ascending.
    ids: Vec<u32>,
    /// Where each one's tokens begin in `order`, and the end.
    starts: Vec<u32>,
    /// The tokens, by id and, for the same id, ascending.
    order: Vec<u32>,
}

impl Groups {
    /// By counting: two walks over the tokens and one over V.
    fn new(tokens: &[u32], v: usize) -> Self {
        let mut next = vec![0u32; v];
        tokens.iter().for_each(|&id| next[id as usize] += 1);
        let (mut ids, mut starts, mut end) = (Vec::new(), Vec::new(), 0);
        for (id, slot) in (0..).zip(&mut next).filter(|(_, count)| **count > 0) {
            ids.push(id);
            starts.push(end);
            // The count becomes the place of the id's first token.
            end += std::mem::replace(slot, end);
        }
        starts.push(end);
        let mut order = vec![0u32; tokens.len()];
        for (token, &id) in (0..).zip(tokens) {
            let place = &mut next[id as usize];
            order[*place as usize] = token;
            *place += 1;
        }
        Self { ids, starts, order }
    }

    /// One behind the other: a single copy to the GPU.
    fn concat(&self) -> Vec<u32> {
        [&self.ids[..], &self.starts, &self.order].concat()
    }

    /// Threads of a block: as many warps as the commonest id is worth.
    fn threads(&self) -> u32 {
        let most = self.starts.windows(2).map(|w| (w[1] - w[0]) as usize).max().unwrap_or(0);
        let warps = (most / TOKENS_PER_WARP).next_power_of_two().min(WARP);
        (warps * WARP) as u32
    }
}

/// Whether rows of `h` elements can be moved by 16 bytes.
fn packed(x: Slice, h: usize) -> i32 {
    i32::from(h.is_multiple_of(PACK) && x.packs(PACK) * PACK == x.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_grouped_in_order() {
        let groups = Groups::new(&[5, 0, 5, 2, 0, 5], 7);
        assert_eq!(groups.ids, [0, 2, 5]);
        assert_eq!(groups.starts, [0, 2, 3, 6]);
        assert_eq!(groups.order, [1, 4, 3, 0, 2, 5]);
        assert_eq!(Groups::new(&[], 3).starts, [0]);
    }

    #[test]
    fn warps_follow_the_commonest_id() {
        let threads = |tokens: usize| Groups::new(&vec![1; tokens], 2).threads();
        assert_eq!([0, 1, 63, 64, 8192].map(threads), [32, 32, 32, 64, 1024]);
    }
}
