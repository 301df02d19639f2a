//! The definition, one block at a time.

/// Multipliers of the two halves (Salmon et al., table 2).
const M: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// What the key words grow by from round to round: the golden ratio and sqrt(3) - 1, in 32 bits.
const W: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
/// Ten of at least seven rounds that pass BigCrush: the margin that the authors recommend.
const ROUNDS: u32 = 10;

/// The 4 words at `counter` under `key`.
#[inline(always)]
pub fn block(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let mut c = counter;
    for r in 0..ROUNDS {
        let k = [0, 1].map(|i| key[i].wrapping_add(W[i].wrapping_mul(r)));
        let ((high0, low0), (high1, low1)) = (multiply(M[0], c[0]), multiply(M[1], c[2]));
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0];
    }
    c
}

/// The low and the high word: a seed as the key of [`block`].
#[inline(always)]
pub(crate) fn words(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

/// The high and the low word of `a * b`.
#[inline(always)]
fn multiply(a: u32, b: u32) -> (u32, u32) {
    let product = u64::from(a) * u64::from(b);
    ((product >> 32) as u32, product as u32)
}
