//! How a product gets fast: C = A B in f32, row-major, on one thread, one step per file. To be read, measured
//! (`cargo bench -p kernels --bench ladder`) and changed; what runs in training is [`gemm`](super::gemm).
//!
//! ```text
//! naive          the definition: three loops, one sum at a time, down a column of B
//! interchanged   k in the middle: the inner loop runs along rows of B and C, and is vectorized
//! tiled          a tile of C and a block of B stay in the L2 cache while they are used
//! registers      4 x 8 sums stay in registers while K passes: a load serves several multiplications
//! packed         panels: blocks in the order in which they are read, one block in L1, one in L2
//! ../avx2        6 x 16 sums in registers of eight lanes, multiplied and added by one instruction
//! ../avx512      12 x 32 sums in 24 of 32 registers of sixteen lanes
//! ../avx512bf16  operands of half the size, two products a lane and instruction
//! ../amx         16 x 16 x 32 products an instruction
//! ../blocked     tiles of C on all threads, and the loops around all of `../`
//! ```
//!
//! The floor: 2 M N K operations, on 4 (M K + K N + M N) bytes if each number moves once. At M = N = K = 512
//! these are 268 million and 3 MiB, 85 operations a byte. A core does some 10 operations in the time in which a
//! byte comes from memory: the product can run at the speed of arithmetic, if each number that is brought near is
//! used some twenty times before it goes. Naive reads 8 bytes for 2 operations, half of them from a cache that is
//! far; each step above makes that distance shorter or that ratio better.

pub mod interchanged;
pub mod naive;
pub mod packed;
pub mod registers;
pub mod tiled;

/// The sizes of a product, `[M, K] x [K, N] -> [M, N]`.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Rows of A and C.
    pub m: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Columns of A, rows of B.
    pub k: usize,
}

impl Shape {
    /// Panics unless the slices are as long as the sizes say.
    fn check(self, a: &[f32], b: &[f32], c: &[f32]) {
        let Self { m, n, k } = self;
        assert_eq!(
            [a.len(), b.len(), c.len()],
            [m * k, k * n, m * n],
            "ladder: lengths of {self:?}"
        );
    }
}
