//! What activations are stored in. Arithmetic is f32 in any case: bf16 is widened when it is loaded and rounded
//! to the nearest, ties to even, when it is stored.

use half::bf16;

use super::Simd;

/// A type in which activations are stored.
pub trait Element: Copy + Default + Send + Sync + std::fmt::Debug + 'static {
    /// The value.
    fn widen(self) -> f32;
    /// The nearest value of this type, ties to even.
    fn round(x: f32) -> Self;
    /// The bits of the nearest bf16, in the lower half.
    fn bf16_bits(self) -> u32;
    /// The bits of the nearest bf16 of two neighbours each, the first one in the lower half.
    fn pairs(x: &[Self; 32]) -> [u32; 16];
    #[doc(hidden)]
    fn load<S: Simd>(s: S, x: &[Self]) -> S::F;
    #[doc(hidden)]
    fn store<S: Simd>(s: S, v: S::F, y: &mut [Self]);
    #[doc(hidden)]
    fn load_partial<S: Simd>(s: S, x: &[Self], fill: f32) -> S::F;
    #[doc(hidden)]
    fn store_partial<S: Simd>(s: S, v: S::F, y: &mut [Self]);
}

impl Element for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
    #[inline(always)]
    fn round(x: f32) -> Self {
        x
    }
    #[inline(always)]
    fn bf16_bits(self) -> u32 {
        round_bits(self.to_bits())
    }
    #[inline(always)]
    fn pairs(x: &[Self; 32]) -> [u32; 16] {
        let mut bits = [0; 32];
        for i in 0..32 {
            bits[i] = x[i].bf16_bits();
        }
        let mut words = [0; 16];
        for i in 0..16 {
            words[i] = bits[2 * i] | bits[2 * i + 1] << 16;
        }
        words
    }
    #[inline(always)]
    fn load<S: Simd>(s: S, x: &[Self]) -> S::F {
        s.load(x)
    }
    #[inline(always)]
    fn store<S: Simd>(s: S, v: S::F, y: &mut [Self]) {
        s.store(v, y);
    }
    #[inline(always)]
    fn load_partial<S: Simd>(s: S, x: &[Self], fill: f32) -> S::F {
        s.load_partial(x, fill)
    }
    #[inline(always)]
    fn store_partial<S: Simd>(s: S, v: S::F, y: &mut [Self]) {
        s.store_partial(v, y);
    }
}

impl Element for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
    #[inline(always)]
    fn round(x: f32) -> Self {
        bf16::from_bits(round_bits(x.to_bits()) as u16)
    }
    #[inline(always)]
    fn bf16_bits(self) -> u32 {
        u32::from(self.to_bits())
    }
    #[inline(always)]
    fn pairs(x: &[Self; 32]) -> [u32; 16] {
        // SAFETY: as many bytes, any of which are a u32.
        let words: [u32; 16] = unsafe { std::mem::transmute(*x) };
        // In memory the first one comes first.
        if cfg!(target_endian = "big") { words.map(|w| w.rotate_left(16)) } else { words }
    }
    #[inline(always)]
    fn load<S: Simd>(s: S, x: &[Self]) -> S::F {
        s.load_bf16(x)
    }
    #[inline(always)]
    fn store<S: Simd>(s: S, v: S::F, y: &mut [Self]) {
        s.store_bf16(v, y);
    }
    #[inline(always)]
    fn load_partial<S: Simd>(s: S, x: &[Self], fill: f32) -> S::F {
        let mut buffer = [fill; super::MAX_LANES];
        buffer.iter_mut().zip(x).for_each(|(b, x)| *b = x.widen());
        s.load(&buffer)
    }
    #[inline(always)]
    fn store_partial<S: Simd>(s: S, v: S::F, y: &mut [Self]) {
        let mut buffer = [0.0; super::MAX_LANES];
        s.store(v, &mut buffer);
        y.iter_mut().zip(buffer).for_each(|(y, b)| *y = Self::round(b));
    }
}

/// The bits of the bf16 nearest to an f32, ties to even. Adding just under half a unit of the last kept bit, or
/// half of it where that bit is odd, carries into the kept bits when they must grow, up to infinity. A NaN keeps
/// its upper bits, made quiet: the carry could turn it into a number.
#[inline(always)]
fn round_bits(bits: u32) -> u32 {
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    let is_nan = bits & 0x7fff_ffff > 0x7f80_0000;
    if is_nan { (bits >> 16) | 0x40 } else { rounded }
}
