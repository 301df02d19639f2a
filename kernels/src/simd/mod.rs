//! One vector body, several instruction sets.
//!
//! A kernel is written once as an `#[inline(always)]` function, generic over [`Simd`]. The macro
//! [`dispatch!`](crate::simd::dispatch) instantiates it inside one `#[target_feature]` function per
//! instruction set and picks one by [`isa::current`](crate::isa::current):
//!
//! ```text
//! dispatch!(fn scale(a: f32, x: &mut [f32]) = scale_body);
//!
//! #[inline(always)]
//! fn scale_body<S: Simd>(s: S, a: f32, x: &mut [f32]) {
//!     let a = s.splat(a);
//!     map_in_place(s, x, inlined!(|v| s.mul(a, v)));
//! }
//! ```
//!
//! Everything a body calls must be `#[inline(always)]` too: only then does it become part of the function
//! that has the target feature, and each method below one instruction. That goes for closures as well: one
//! of more than a few operations stays a function of its own, without the feature, and calls every
//! instruction (measured on GELU: 40 times slower). [`inlined!`](crate::simd::inlined) forces it.
//!
//! Rows of activations are f32 or bf16, by the type parameter [`Element`] of a body; lanes are f32.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod element;
pub(crate) mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod turn;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
pub use element::Element;
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;
pub(crate) use portable::Portable;
pub(crate) use turn::turn;

/// The widest vector of any instruction set, in lanes: the size of the buffers behind partial loads.
pub(crate) const MAX_LANES: usize = 16;

use half::bf16;

/// A vector of f32 lanes and what can be done with it.
///
/// A value of an implementing type is the proof that the CPU has the instructions.
pub trait Simd: Copy + Send + Sync {
    /// The vector.
    type F: Copy;
    /// f32 lanes in one vector.
    const LANES: usize;

    /// All lanes `x`.
    fn splat(self, x: f32) -> Self::F;
    /// The first `LANES` elements of `x`; panics when there are fewer.
    fn load(self, x: &[f32]) -> Self::F;
    /// Writes the lanes to the first `LANES` elements of `y`; panics when there are fewer.
    fn store(self, v: Self::F, y: &mut [f32]);
    /// The first `LANES` elements of `x`; panics when there are fewer.
    #[inline(always)]
    fn load_bf16(self, x: &[bf16]) -> Self::F {
        let mut buffer = [0.0; MAX_LANES];
        buffer.iter_mut().zip(&x[..Self::LANES]).for_each(|(b, x)| *b = x.widen());
        self.load(&buffer)
    }
    /// Rounds the lanes into the first `LANES` elements of `y`; panics when there are fewer.
    #[inline(always)]
    fn store_bf16(self, v: Self::F, y: &mut [bf16]) {
        let mut buffer = [0.0; MAX_LANES];
        self.store(v, &mut buffer);
        y[..Self::LANES].iter_mut().zip(buffer).for_each(|(y, b)| *y = bf16::round(b));
    }
    /// a + b
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    /// a - b
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    /// a * b
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// a / b
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// a * b + c, rounded once where the hardware can.
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The square root of each lane.
    fn sqrt(self, a: Self::F) -> Self::F;
    /// Nearest integer, ties to even, for |a| < 2^22.
    fn round(self, a: Self::F) -> Self::F;
    /// 2^a for integer a in [-126, 127]; any bits when a is NaN or out of range.
    fn exp2i(self, a: Self::F) -> Self::F;
    /// Lane by lane: `a > b ? yes : no`; a NaN in a or b chooses `no`.
    fn select_gt(self, a: Self::F, b: Self::F, yes: Self::F, no: Self::F) -> Self::F;
    /// Lane by lane: `a is NaN ? yes : no`.
    fn select_nan(self, a: Self::F, yes: Self::F, no: Self::F) -> Self::F;
    /// e with 2^e <= a < 2^(e+1) for finite, normal a > 0; any number otherwise.
    fn exponent(self, a: Self::F) -> Self::F;
    /// The sum of the lanes, in an order that depends on `LANES` only.
    fn sum(self, a: Self::F) -> f32;

    /// The greater of each lane; a NaN in b survives, one in a does not.
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        self.select_gt(a, b, a, b)
    }
    /// |a|
    #[inline(always)]
    fn abs(self, a: Self::F) -> Self::F {
        let minus = self.sub(self.splat(0.0), a);
        self.select_gt(minus, a, minus, a)
    }
    /// The first `x.len() < LANES` lanes from `x`, the others `fill`.
    #[inline(always)]
    fn load_partial(self, x: &[f32], fill: f32) -> Self::F {
        let mut buffer = [fill; MAX_LANES];
        buffer[..x.len()].copy_from_slice(x);
        self.load(&buffer)
    }
    /// Writes the first `y.len() < LANES` lanes to `y`.
    #[inline(always)]
    fn store_partial(self, v: Self::F, y: &mut [f32]) {
        let mut buffer = [0.0; MAX_LANES];
        self.store(v, &mut buffer);
        let n = y.len();
        y.copy_from_slice(&buffer[..n]);
    }
}

/// A closure that becomes part of its caller, however long it is: for the closures of vector bodies.
macro_rules! inlined {
    (|$($arg:pat_param),*| $body:expr) => {
        #[inline(always)]
        |$($arg),*| $body
    };
}
pub(crate) use inlined;

/// `y[i] = f(x[i])`, a vector at a time; the lengths are equal.
#[inline(always)]
pub(crate) fn map<S: Simd, E: Element>(s: S, x: &[E], y: &mut [E], f: impl Fn(S::F) -> S::F) {
    assert_eq!(x.len(), y.len());
    let (mut xs, mut ys) = (x.chunks_exact(S::LANES), y.chunks_exact_mut(S::LANES));
    for (x, y) in (&mut xs).zip(&mut ys) {
        E::store(s, f(E::load(s, x)), y);
    }
    let (x, y) = (xs.remainder(), ys.into_remainder());
    if !x.is_empty() {
        E::store_partial(s, f(E::load_partial(s, x, 0.0)), y);
    }
}

/// `y[i] = f(a[i], b[i])`, a vector at a time; the lengths are equal.
#[inline(always)]
pub(crate) fn map2<S: Simd, E: Element>(
    s: S,
    a: &[E],
    b: &[E],
    y: &mut [E],
    f: impl Fn(S::F, S::F) -> S::F,
) {
    assert!(a.len() == y.len() && b.len() == y.len());
    let mut ys = y.chunks_exact_mut(S::LANES);
    let (mut a_s, mut b_s) = (a.chunks_exact(S::LANES), b.chunks_exact(S::LANES));
    for ((a, b), y) in (&mut a_s).zip(&mut b_s).zip(&mut ys) {
        E::store(s, f(E::load(s, a), E::load(s, b)), y);
    }
    let (a, b, y) = (a_s.remainder(), b_s.remainder(), ys.into_remainder());
    if !y.is_empty() {
        E::store_partial(s, f(E::load_partial(s, a, 0.0), E::load_partial(s, b, 0.0)), y);
    }
}

/// `x[i] = f(x[i])`, a vector at a time.
#[inline(always)]
pub(crate) fn map_in_place<S: Simd>(s: S, x: &mut [f32], f: impl Fn(S::F) -> S::F) {
    let mut xs = x.chunks_exact_mut(S::LANES);
    for x in &mut xs {
        s.store(f(s.load(x)), x);
    }
    let x = xs.into_remainder();
    if !x.is_empty() {
        s.store_partial(f(s.load_partial(x, 0.0)), x);
    }
}

/// `y[i] = f(y[i], x[i])`, a vector at a time; the lengths are equal.
#[inline(always)]
pub(crate) fn map2_in_place<S: Simd, E: Element>(
    s: S,
    y: &mut [E],
    x: &[E],
    f: impl Fn(S::F, S::F) -> S::F,
) {
    assert_eq!(x.len(), y.len());
    let (mut xs, mut ys) = (x.chunks_exact(S::LANES), y.chunks_exact_mut(S::LANES));
    for (x, y) in (&mut xs).zip(&mut ys) {
        E::store(s, f(E::load(s, y), E::load(s, x)), y);
    }
    let (x, y) = (xs.remainder(), ys.into_remainder());
    if !x.is_empty() {
        E::store_partial(s, f(E::load_partial(s, y, 0.0), E::load_partial(s, x, 0.0)), y);
    }
}

/// Sums `f(x[i])` over the slice. `f` must map the padding `fill` to 0.
#[inline(always)]
pub(crate) fn sum_of<S: Simd, E: Element>(
    s: S,
    x: &[E],
    fill: f32,
    f: impl Fn(S::F) -> S::F,
) -> f32 {
    let mut acc = s.splat(0.0);
    let xs = x.chunks_exact(S::LANES);
    let rest = xs.remainder();
    for x in xs {
        acc = s.add(acc, f(E::load(s, x)));
    }
    if !rest.is_empty() {
        acc = s.add(acc, f(E::load_partial(s, rest, fill)));
    }
    s.sum(acc)
}

/// Sums `a[i] * b[i]`; the lengths are equal.
#[inline(always)]
pub(crate) fn dot<S: Simd, E: Element>(s: S, a: &[E], b: &[E]) -> f32 {
    assert_eq!(a.len(), b.len());
    let mut acc = s.splat(0.0);
    let (a_s, b_s) = (a.chunks_exact(S::LANES), b.chunks_exact(S::LANES));
    let (a_rest, b_rest) = (a_s.remainder(), b_s.remainder());
    for (a, b) in a_s.zip(b_s) {
        acc = s.fma(E::load(s, a), E::load(s, b), acc);
    }
    if !a_rest.is_empty() {
        acc = s.fma(E::load_partial(s, a_rest, 0.0), E::load_partial(s, b_rest, 0.0), acc);
    }
    s.sum(acc)
}

/// Sums `f(a[i], b[i])`, blocks of 1024 in f32 and their sums in f64; the lengths are equal.
#[inline(always)]
pub(crate) fn sum2_of<S: Simd>(s: S, a: &[f32], b: &[f32], f: impl Fn(S::F, S::F) -> S::F) -> f64 {
    const BLOCK: usize = 1024;
    let mut buffer = [0.0; BLOCK];
    let mut total = 0.0;
    for (a, b) in a.chunks(BLOCK).zip(b.chunks(BLOCK)) {
        let y = &mut buffer[..a.len()];
        map2(s, a, b, y, inlined!(|a, b| f(a, b)));
        total += f64::from(sum_of(s, y, 0.0, inlined!(|v| v)));
    }
    total
}

/// The greatest element, passing over NaNs; -inf where there is none. The last step halves a vector until one
/// lane is left.
#[inline(always)]
pub(crate) fn max_of<S: Simd>(s: S, x: &[f32]) -> f32 {
    let mut max = s.splat(f32::NEG_INFINITY);
    let xs = x.chunks_exact(S::LANES);
    let rest = xs.remainder();
    for x in xs {
        max = s.max(s.load(x), max);
    }
    if !rest.is_empty() {
        max = s.max(s.load_partial(rest, f32::NEG_INFINITY), max);
    }
    let mut lanes = [f32::NEG_INFINITY; MAX_LANES];
    s.store(max, &mut lanes);
    let mut half = MAX_LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = if lanes[i] > lanes[i + half] { lanes[i] } else { lanes[i + half] };
        }
        half /= 2;
    }
    lanes[0]
}

/// Calls `f(at, n)` for each vector of a row of `len`: it begins at `at` and has `n` elements, `LANES`
/// but for a shorter last one. For kernels that read and write several rows at once; see [`load`].
#[inline(always)]
pub(crate) fn each_vector<S: Simd>(len: usize, mut f: impl FnMut(usize, usize)) {
    let whole = len - len % S::LANES;
    let mut at = 0;
    while at < whole {
        f(at, S::LANES);
        at += S::LANES;
    }
    if whole < len {
        f(whole, len - whole);
    }
}

/// The vector of `n` elements of `x` that begins at `at`; missing lanes are 0.
#[inline(always)]
pub(crate) fn load<S: Simd, E: Element>(s: S, x: &[E], at: usize, n: usize) -> S::F {
    if n == S::LANES { E::load(s, &x[at..]) } else { E::load_partial(s, &x[at..at + n], 0.0) }
}

/// Writes `n` lanes to `y`, beginning at `at`.
#[inline(always)]
pub(crate) fn store<S: Simd, E: Element>(s: S, v: S::F, y: &mut [E], at: usize, n: usize) {
    if n == S::LANES {
        E::store(s, v, &mut y[at..])
    } else {
        E::store_partial(s, v, &mut y[at..at + n])
    }
}

/// Instantiates an `#[inline(always)]` body, generic over [`Simd`], for every instruction set and calls
/// the one in use: `dispatch!(fn name(args) -> Ret = body);`.
macro_rules! dispatch {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $(<$($e:ident: $bound:path),+>)?($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:path) => {
        $(#[$meta])*
        $vis fn $name $(<$($e: $bound),+>)?($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::{isa::{self, Isa}, simd::{Avx2, Avx512}};

                #[target_feature(enable = "avx2,fma")]
                fn avx2 $(<$($e: $bound),+>)?(s: Avx2, $($arg: $ty),*) $(-> $ret)? {
                    $body(s, $($arg),*)
                }
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn avx512 $(<$($e: $bound),+>)?(s: Avx512, $($arg: $ty),*) $(-> $ret)? {
                    $body(s, $($arg),*)
                }
                match isa::current() {
                    // SAFETY: `isa::current` never names an instruction set that this CPU lacks.
                    Isa::Avx2 => return unsafe { avx2(Avx2::assume(), $($arg),*) },
                    Isa::Portable => {}
                    // SAFETY: as above; all others have what `Avx512` has.
                    _ => return unsafe { avx512(Avx512::assume(), $($arg),*) },
                }
            }
            #[cfg(target_arch = "aarch64")]
            if $crate::isa::current() == $crate::isa::Isa::Neon {
                return $body($crate::simd::Neon, $($arg),*);
            }
            $body($crate::simd::Portable, $($arg),*)
        }
    };
}
pub(crate) use dispatch;
