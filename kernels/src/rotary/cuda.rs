//! On a GPU: a thread turns 16 bytes of each half of a head, of q and of k, and copies as much of v; see `rotary.cu`.

use crate::cuda::{Array, BLOCK, DType, Device, Launch, Result, Slice, Source};

pub(crate) static SOURCE: Source =
    Source { name: "rotary.cu", text: include_str!("rotary.cu"), hopper: false };

/// The place of each token in its sequence, `[T]`, u32, on a GPU; nobody writes them there.
#[derive(Debug)]
pub struct Places {
    array: Array,
    /// What all of them are below.
    longest: usize,
}

impl Places {
    /// Of the tokens of sequences of these lengths, copied to a GPU.
    ///
    /// # Errors
    /// When the GPU is full.
    pub fn upload(device: &Device, lens: impl Iterator<Item = usize> + Clone) -> Result<Self> {
        let longest = lens.clone().max().unwrap_or(0);
        let places: Vec<u32> = lens.flat_map(|len| 0..len as u32).collect();
        Ok(Self { array: Array::from_host(device, &places)?, longest })
    }
}

/// What is turned, and how far.
#[derive(Clone, Copy, Debug)]
pub struct Rotary<'a> {
    /// What [`table`](super::table) returns, `[P, D]`, f32.
    pub table: Slice<'a>,
    /// Those of the T tokens, all below P.
    pub places: &'a Places,
    /// N, heads of q, as many of k and of v.
    pub heads: usize,
    /// D, even.
    pub head_dim: usize,
}

/// q, k and v, `[T, N D]` each, from qkv, `[T, 3 N D]`, f32 or bf16.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When lengths or types do not fit, or a place is no row of the table.
pub fn split(rotary: Rotary, qkv: Slice) -> Result<[Array; 3]> {
    let n = rotary.len();
    assert!(qkv.len() == 3 * n && qkv.dtype() != DType::U32, "rotary: {qkv:?}, {rotary:?}");
    let part = || Array::uninit(qkv.device(), qkv.dtype(), n);
    let [mut q, mut k, mut v] = [part()?, part()?, part()?];
    let launch = Launch::new(qkv.device(), &SOURCE, qkv.dtype(), "rotary_split")?;
    let launch = launch.read(qkv).read(rotary.places.array.slice()).read(rotary.table);
    let launch = launch.write(&mut q).write(&mut k).write(&mut v);
    // SAFETY: the kernel's parameters; qkv has a row of 3 N D for each place, each part one of N D.
    unsafe { rotary.start(launch, &[qkv]) }?;
    Ok([q, k, v])
}

/// The gradient of qkv, `[T, 3 N D]`, from those of q, k and v, `[T, N D]` each, f32 or bf16.
///
/// # Errors
/// As [`split`].
///
/// # Panics
/// As [`split`].
pub fn join(rotary: Rotary, parts: [Slice; 3]) -> Result<Array> {
    let ([dq, dk, dv], n) = (parts, rotary.len());
    let fits = |part: Slice| part.len() == n && part.dtype() == dq.dtype();
    assert!(parts.into_iter().all(fits) && dq.dtype() != DType::U32, "rotary: {parts:?}");
    let mut dqkv = Array::uninit(dq.device(), dq.dtype(), 3 * n)?;
    let launch = Launch::new(dq.device(), &SOURCE, dq.dtype(), "rotary_join")?;
    let launch =
        launch.read(dq).read(dk).read(dv).read(rotary.places.array.slice()).read(rotary.table);
    // SAFETY: the kernel's parameters; each part has a row of N D for each place, dqkv one of 3 N D.
    unsafe { rotary.start(launch.write(&mut dqkv), &parts) }?;
    Ok(dqkv)
}

impl Rotary<'_> {
    /// Elements of q, after a check of everything that both directions take.
    fn len(&self) -> usize {
        let Rotary { table, places, heads, head_dim } = *self;
        assert!(head_dim > 0 && head_dim.is_multiple_of(2), "rotary: {self:?}");
        let has_rows = table.holds(0, &[places.longest, head_dim], &[head_dim, 1]);
        assert!(table.dtype() == DType::F32 && has_rows, "rotary: {self:?}");
        places.array.len() * heads * head_dim
    }

    /// Starts a kernel with the parameters that end both lists: a thread takes a pack of pairs where the operands and
    /// half a head allow it, else a pair.
    ///
    /// # Safety
    /// The operands are arguments already, and have the rows that [`Rotary`] says.
    unsafe fn start(&self, launch: Launch, operands: &[Slice]) -> Result<()> {
        let (tokens, half) = (self.places.array.len(), self.head_dim / 2);
        let pack = 16 / operands[0].dtype().size();
        let whole = |x: &Slice| x.packs(pack) * pack == x.len();
        let packed = half.is_multiple_of(pack) && operands.iter().chain([&self.table]).all(whole);
        let units = tokens * self.heads * half / if packed { pack } else { 1 };
        let number = |n| u32::try_from(n).expect("a batch has fewer than 2^32 pairs");
        let blocks = units.div_ceil(BLOCK as usize);
        let launch = launch.grid(number(blocks * BLOCK as usize) as usize / BLOCK as usize);
        let launch = launch.arg(number(tokens)).arg(number(self.heads)).arg(number(half));
        // SAFETY: by the caller's word; a unit, a head of a token and a part of its pairs, is one thread's, and those
        // beyond the last token do nothing; packs are aligned where there are any, in the rows of the table too.
        unsafe { launch.arg(i32::from(packed)).start() }
    }
}
