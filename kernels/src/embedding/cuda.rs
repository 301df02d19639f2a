//! On a GPU: a warp copies a token, warps add up the tokens of an id by pieces; see `embedding.cu`.

use crate::cuda::{Array, BLOCK, DType, Launch, Result, Slice, Source, WARP};

pub(crate) static SOURCE: Source =
    Source { name: "embedding.cu", text: include_str!("embedding.cu"), hopper: false };

/// Elements that move at once, and columns of one lane.
const PACK: usize = 4;

/// Tokens of a piece at most. Fewer make more sums to add up in the end, more make fewer warps of a table of few ids:
/// 16384 tokens of one type are 512 pieces, for each 128 columns.
const PIECE: usize = 32;

/// Pieces of an id for which one more warp joins: fewer would spend more on the last sum than they save.
const PIECES_PER_WARP: usize = 8;

/// `y = table[ids]`; `table` is `[V, H]` in f32, `ids` is `[T]`, on the host, `y` is `[T, H]`.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When the lengths do not fit, an id is not below V, or the table is not f32.
pub fn forward(table: Slice, ids: &[u32], h: usize) -> Result<Array> {
    gather(None, table, ids, h)
}

/// `y = x + table[ids]`: [`forward`] added to x, `[T, H]` in f32, in one pass over memory.
///
/// # Errors
/// As [`forward`].
///
/// # Panics
/// As [`forward`].
pub fn add(x: Slice, table: Slice, ids: &[u32], h: usize) -> Result<Array> {
    assert!(x.dtype() == DType::F32 && x.len() == ids.len() * h, "embedding: {x:?}");
    gather(Some(x), table, ids, h)
}

fn gather(x: Option<Slice>, table: Slice, ids: &[u32], h: usize) -> Result<Array> {
    assert!(table.dtype() == DType::F32 && table.len().is_multiple_of(h), "embedding: {table:?}");
    let inside = |&id: &u32| (id as usize + 1) * h <= table.len();
    assert!(ids.iter().all(inside), "embedding: ids of {table:?}, rows of {h}");
    let device = table.device();
    let mut y = Array::uninit(device, DType::F32, ids.len() * h)?;
    let uploaded = Array::from_host(device, ids)?;
    let launch = Launch::new(device, &SOURCE, DType::F32, "embedding_forward")?;
    let launch = launch.grid_3([(ids.len() * WARP).div_ceil(BLOCK as usize), column_blocks(h), 1]);
    let (launch, packed) = match x {
        Some(x) => (launch.read(x), packed(table, h) & packed(x, h)),
        None => (launch.none(), packed(table, h)),
    };
    let launch = launch.read(table).read(uploaded.slice()).write(&mut y);
    let launch = launch.int(ids.len()).int(h).arg(packed);
    // SAFETY: the kernel's parameters; a warp reads columns of a row of the table, which exists, and of x, and writes
    // those of the row of a token; `packed` is true only where rows may be moved by 16 bytes.
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
    let device = dy.device();
    let groups = Groups::new(ids, v);
    // Every row of an id is written, all of them if each id has a token.
    let table = if groups.ids.len() == v { Array::uninit } else { Array::zeros };
    let mut table = table(device, DType::F32, v * h)?;
    let pieces = Pieces::new(groups, v);
    let mut partial = Array::uninit(device, DType::F32, pieces.partials() * h)?;
    let uploaded = Array::from_host(device, &pieces.concat())?;
    let [to, starts, order, several, ranges] = pieces.parts(uploaded.slice());
    let launch = Launch::new(device, &SOURCE, DType::F32, "embedding_scatter")?;
    let launch = launch.grid_3([(to.len() * WARP).div_ceil(BLOCK as usize), column_blocks(h), 1]);
    let launch = launch.read(dy).read(to).read(starts).read(order);
    let launch = launch.write(&mut table).write(&mut partial).arg(v as u32);
    // SAFETY: the kernel's parameters; the starts ascend to the length of the order, whose elements are rows of dy;
    // a warp writes columns of a row of the table, or of `partial`, that no other warp writes; `packed` as in
    // `forward`.
    unsafe { launch.int(to.len()).int(h).arg(packed(dy, h)).start() }?;
    let launch = Launch::new(device, &SOURCE, DType::F32, "embedding_add_pieces")?;
    let launch = launch.grid_3([several.len(), column_blocks(h), 1]).block(pieces.threads());
    let launch = launch.read(partial.slice()).read(several).read(ranges).write(&mut table);
    // SAFETY: the kernel's parameters; the ranges ascend to the rows of `partial`; a block writes columns of a row of
    // the table that no other block writes; `packed` as in `forward`.
    unsafe { launch.int(h).arg(packed(partial.slice(), h)).start() }?;
    Ok(table)
}

/// Blocks for the columns of a row.
fn column_blocks(h: usize) -> usize {
    h.div_ceil(WARP * PACK)
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
}

/// Tokens by id, in pieces of at most `PIECE`.
struct Pieces {
    /// The row of each piece's sum: of the table, or, that plus the rows of the table, of the sums to be added up.
    to: Vec<u32>,
    /// Where each one's tokens begin in `order`, and the end.
    starts: Vec<u32>,
    /// As in [`Groups`].
    order: Vec<u32>,
    /// The ids of several pieces.
    several: Vec<u32>,
    /// Where each one's rows begin among the sums to be added up, and the end.
    ranges: Vec<u32>,
}

impl Pieces {
    fn new(groups: Groups, v: usize) -> Self {
        let (mut to, mut starts) = (Vec::new(), Vec::new());
        let (mut several, mut ranges, mut partials) = (Vec::new(), vec![0], 0);
        for (&id, bounds) in groups.ids.iter().zip(groups.starts.windows(2)) {
            let pieces = (bounds[0]..bounds[1]).step_by(PIECE);
            if pieces.len() == 1 {
                to.push(id);
            } else {
                to.extend((partials..).map(|row| v as u32 + row).take(pieces.len()));
                partials += pieces.len() as u32;
                several.push(id);
                ranges.push(partials);
            }
            starts.extend(pieces);
        }
        starts.push(groups.order.len() as u32);
        Self { to, starts, order: groups.order, several, ranges }
    }

    fn lists(&self) -> [&[u32]; 5] {
        [&self.to, &self.starts, &self.order, &self.several, &self.ranges]
    }

    /// One behind the other: a single copy to the GPU.
    fn concat(&self) -> Vec<u32> {
        self.lists().concat()
    }

    /// The lists in this copy.
    fn parts<'a>(&self, copy: Slice<'a>) -> [Slice<'a>; 5] {
        let mut end = 0;
        self.lists().map(|list| {
            end += list.len();
            copy.narrow(end - list.len(), list.len())
        })
    }

    /// Sums to be added up.
    fn partials(&self) -> usize {
        self.ranges.last().map_or(0, |&end| end as usize)
    }

    /// Threads of a block that adds up pieces: as many warps as the commonest id is worth.
    fn threads(&self) -> u32 {
        let most = self.ranges.windows(2).map(|w| (w[1] - w[0]) as usize).max().unwrap_or(0);
        let warps = (most / PIECES_PER_WARP).next_power_of_two().min(WARP);
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
    fn ids_of_many_tokens_are_cut_in_pieces() {
        let [most, more] = [PIECE, 2 * PIECE + 1].map(|n| n as u32);
        let tokens: Vec<u32> = [vec![1; PIECE], vec![3; 2 * PIECE + 1], vec![4]].concat();
        let pieces = Pieces::new(Groups::new(&tokens, 9), 9);
        assert_eq!(pieces.to, [1, 9, 10, 11, 4]);
        assert_eq!(pieces.starts, [0, most, 2 * most, 3 * most, most + more, most + more + 1]);
        assert_eq!((&pieces.several[..], &pieces.ranges[..]), (&[3][..], &[0, 3][..]));
        assert_eq!(pieces.partials(), 3);
        let none = Pieces::new(Groups::new(&[], 3), 3);
        assert_eq!((none.partials(), &none.starts[..]), (0, &[0][..]));
    }

    #[test]
    fn warps_follow_the_commonest_id() {
        let threads = |n: usize| Pieces::new(Groups::new(&vec![1; n * PIECE], 2), 2).threads();
        assert_eq!([0, 1, 15, 16, 8192].map(threads), [32, 32, 32, 64, 1024]);
    }
}
