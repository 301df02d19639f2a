//! The tile registers of a thread. Whatever the CPU would refuse is an error, and so is what it would accept but no
//! sane kernel does.

/// Rows of a tile at most, of palette 1.
const ROWS: usize = 16;

/// Bytes of a row at most.
const BYTES: usize = 64;

/// Tiles.
const TILES: usize = 8;

type Outcome = Result<(), String>;

/// The configured size of a tile.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Shape {
    rows: usize,
    bytes: usize,
}

/// Configuration and data.
pub struct Tiles {
    shapes: Option<[Shape; TILES]>,
    data: [[[u8; BYTES]; ROWS]; TILES],
}

impl Tiles {
    /// Before LDTILECFG.
    pub const fn released() -> Self {
        Self { shapes: None, data: [[[0; BYTES]; ROWS]; TILES] }
    }

    /// LDTILECFG. It may not replace another configuration: the kernels release one first.
    pub fn configure(&mut self, config: &[u8; 64]) -> Outcome {
        check(self.shapes.is_none(), || "LDTILECFG: the tiles are configured already".into())?;
        check(config[0] == 1, || format!("LDTILECFG: palette {}", config[0]))?;
        let reserved = config[1..16].iter().chain(&config[32..48]).chain(&config[56..]);
        check(reserved.clone().all(|&x| x == 0), || "LDTILECFG: reserved bytes, start row".into())?;
        let shape = |i: usize| Shape {
            rows: config[48 + i].into(),
            bytes: u16::from_le_bytes([config[16 + 2 * i], config[17 + 2 * i]]).into(),
        };
        let shapes: [Shape; TILES] = std::array::from_fn(shape);
        for (i, s) in shapes.iter().enumerate() {
            let fits = s.rows <= ROWS && s.bytes <= BYTES && (s.rows == 0) == (s.bytes == 0);
            check(fits, || format!("LDTILECFG: tile {i} is {s:?}"))?;
        }
        *self = Self { shapes: Some(shapes), ..Self::released() };
        Ok(())
    }

    /// TILERELEASE.
    pub fn release(&mut self) -> Outcome {
        check(self.shapes.is_some(), || "TILERELEASE: no configuration".into())?;
        *self = Self::released();
        Ok(())
    }

    /// TILEZERO.
    pub fn zero(&mut self, tile: usize) -> Outcome {
        self.shape("TILEZERO", tile)?;
        self.data[tile] = [[0; BYTES]; ROWS];
        Ok(())
    }

    /// TILELOADD.
    ///
    /// # Safety
    /// The rows can be read.
    pub unsafe fn load(&mut self, tile: usize, from: *const u8, stride: i64) -> Outcome {
        let shape = self.shape("TILELOADD", tile)?;
        check_stride("TILELOADD", stride, shape)?;
        self.data[tile] = [[0; BYTES]; ROWS];
        for (i, row) in self.data[tile][..shape.rows].iter_mut().enumerate() {
            // SAFETY: the caller's contract.
            unsafe {
                from.offset(i as isize * stride as isize).copy_to(row.as_mut_ptr(), shape.bytes)
            };
        }
        Ok(())
    }

    /// TILESTORED.
    ///
    /// # Safety
    /// The rows can be written.
    pub unsafe fn store(&self, tile: usize, to: *mut u8, stride: i64) -> Outcome {
        let shape = self.shape("TILESTORED", tile)?;
        check_stride("TILESTORED", stride, shape)?;
        for (i, row) in self.data[tile][..shape.rows].iter().enumerate() {
            // SAFETY: the caller's contract.
            unsafe { to.offset(i as isize * stride as isize).copy_from(row.as_ptr(), shape.bytes) };
        }
        Ok(())
    }

    /// TDPBF16PS.
    pub fn multiply(&mut self, c: usize, a: usize, b: usize) -> Outcome {
        check(c != a && a != b && b != c, || format!("TDPBF16PS: tiles {c}, {a}, {b}"))?;
        let [of_c, of_a, of_b] = [c, a, b].map(|tile| self.shape("TDPBF16PS", tile));
        let (of_c, of_a, of_b) = (of_c?, of_a?, of_b?);
        let whole = [of_c, of_a, of_b].iter().all(|s| s.bytes % 4 == 0);
        let agree =
            of_c.rows == of_a.rows && of_a.bytes == 4 * of_b.rows && of_b.bytes == of_c.bytes;
        check(whole && agree, || format!("TDPBF16PS: {of_c:?} += {of_a:?} {of_b:?}"))?;
        for m in 0..of_c.rows {
            let (row, a) = (&self.data[c][m], &self.data[a][m]);
            // SAFETY: `amx.rs` runs nothing here on a CPU without AVX-512.
            let sums = unsafe { multiply_row(row, &a[..of_a.bytes], &self.data[b]) };
            self.data[c][m] = [0; BYTES];
            self.data[c][m][..of_c.bytes].copy_from_slice(&sums[..of_c.bytes]);
        }
        self.data[c][of_c.rows..].fill([0; BYTES]);
        Ok(())
    }

    fn shape(&self, what: &str, tile: usize) -> Result<Shape, String> {
        let shapes = self.shapes.ok_or_else(|| format!("{what}: the tiles are not configured"))?;
        check(shapes[tile].rows > 0, || format!("{what}: tile {tile} has no rows"))?;
        Ok(shapes[tile])
    }
}

fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// Rows that overlap are a mistake, though the CPU takes them.
fn check_stride(what: &str, stride: i64, shape: Shape) -> Outcome {
    check(stride.unsigned_abs() >= shape.bytes as u64, || {
        format!("{what}: rows of {} bytes, {stride} apart", shape.bytes)
    })
}

/// A row of C after the products of a row of A with all of B.
///
/// # Safety
/// The CPU has FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn multiply_row(c: &[u8; BYTES], a: &[u8], b: &[[u8; BYTES]; ROWS]) -> [u8; BYTES] {
    let mut sums = [[0.0f32; BYTES / 4]; 2];
    for (a, b) in a.as_chunks::<4>().0.iter().zip(b) {
        for (half, sums) in sums.iter_mut().enumerate() {
            let a = element(a, half);
            for (sum, b) in sums.iter_mut().zip(b.as_chunks::<4>().0) {
                *sum = flush(a.mul_add(element(b, half), *sum));
            }
        }
    }
    let mut row = [0; BYTES];
    for (i, out) in row.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let before = flush(f32::from_le_bytes(c.as_chunks::<4>().0[i]));
        let sum = flush(sums[0][i] + sums[1][i]);
        *out = flush(before + sum).to_le_bytes();
    }
    row
}

/// One of two bf16, a denormal one as zero.
#[inline(always)]
fn element(pair: &[u8; 4], half: usize) -> f32 {
    let bits = u32::from_le_bytes(*pair);
    flush(f32::from_bits(if half == 0 { bits << 16 } else { bits & 0xFFFF_0000 }))
}

/// Denormal numbers become zero of their sign.
#[inline(always)]
fn flush(x: f32) -> f32 {
    let bits = x.to_bits();
    f32::from_bits(if bits & 0x7F80_0000 == 0 { bits & 0x8000_0000 } else { bits })
}
