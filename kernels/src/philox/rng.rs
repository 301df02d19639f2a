//! Philox as a sequence, for shuffling and initial values.

use super::{block, words};

/// A sequence of random numbers; clones continue alike.
#[derive(Clone, Debug)]
pub struct Rng {
    key: [u32; 2],
    stream: [u32; 2],
    next_block: u64,
    words: [u32; 4],
    used: usize,
}

impl Rng {
    /// The sequence number `stream` of `seed`; no two streams overlap.
    ///
    /// The key is the complement of the seed: no number is shared with a dropout mask of the same seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self { key: words(!seed), stream: words(stream), next_block: 0, words: [0; 4], used: 4 }
    }

    /// 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == self.words.len() {
            let [low, high] = words(self.next_block);
            self.words = block([low, high, self.stream[0], self.stream[1]], self.key);
            self.next_block = self.next_block.wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let low = u64::from(self.next_u32());
        u64::from(self.next_u32()) << 32 | low
    }

    /// Uniform in [0, 1): a multiple of 2^-53, as fine as f64 can hold near 1.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Normal with mean 0 and standard deviation 1.
    ///
    /// Box and Muller, *A note on the generation of random normal deviates*, 1958; the second number of
    /// each pair is let go.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Uniform in `0..n`, unbiased.
    ///
    /// Lemire, *Fast random integer generation in an interval*, 2019, <https://arxiv.org/abs/1805.10941>.
    ///
    /// # Panics
    /// When `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "below: expected n > 0");
        // 2^64 mod n products are one too many for their result: draw again.
        let excess = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if product as u64 >= excess {
                return (product >> 64) as u64;
            }
        }
    }

    /// Puts the items into random order, every order equally likely (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}
