//! The micro-kernel on AMX: where the CPU lacks it, its machine code runs in an emulator. That needs AVX-512 for
//! the rest of the kernels; a narrower CPU skips these tests.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod amx_emulator;
mod bf16_products;

use std::sync::{Mutex, MutexGuard};

use amx_emulator::{Counts, Instruction, Memory, Tiles, decode, install};
use half::bf16;
use kernels::isa::{self, Isa};
use kernels::matmul::{MatMut, MatRef, Store, gemm};
use kernels::testing::{f64s, random};

static TURN: Mutex<()> = Mutex::new(());

/// Lets tests take turns, for the counts belong to the process; none where the CPU is too narrow.
fn turn() -> Option<MutexGuard<'static, ()>> {
    if isa::widest() < Isa::Avx512 {
        eprintln!("skipped: the emulator needs AVX-512, this CPU has {:?}", isa::widest());
        return None;
    }
    Some(TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
}

/// Runs `check` with AMX in use.
fn with_amx(check: impl Fn(Isa)) {
    let Some(_turn) = turn() else { return };
    if isa::widest() == Isa::Amx {
        isa::set(Isa::Amx);
        return check(Isa::Amx);
    }
    install();
    // SAFETY: the CPU has AVX-512, and the handler executes what Amx has besides.
    unsafe { isa::assume(Isa::Amx) };
    check(Isa::Amx);
}

#[test]
fn every_size() {
    with_amx(bf16_products::every_size);
}

#[test]
fn every_depth_type_and_layout() {
    with_amx(bf16_products::every_depth_type_and_layout);
}

#[test]
fn every_store() {
    with_amx(bf16_products::every_store);
}

#[test]
fn threads_leave_no_trace() {
    with_amx(bf16_products::threads_leave_no_trace);
}

#[test]
fn nan_and_infinity_pass_through() {
    with_amx(bf16_products::nan_and_infinity_pass_through);
}

#[test]
fn operands_with_gaps() {
    with_amx(bf16_products::operands_with_gaps);
}

#[test]
fn rows_do_not_depend_on_their_neighbours() {
    with_amx(bf16_products::rows_do_not_depend_on_their_neighbours);
}

fn bf16s(n: usize, seed: u64) -> Vec<bf16> {
    random(n, 1.0, seed).iter().map(|&x| bf16::from_f32(x)).collect()
}

fn product(a: &[bf16], b: &[bf16], [m, n, k]: [usize; 3]) -> Vec<f32> {
    let mut c = vec![0.0; m * n];
    let (a, b) = (MatRef::new(a, m, k), MatRef::new(b, n, k).t());
    gemm(a, b, MatMut::new(&mut c, m, n), Store::default());
    c
}

/// As many instructions as the shape asks for: the kernel ran, loads nothing beyond the panels, and each thread gave
/// its tiles up.
#[test]
fn as_many_instructions_as_steps() {
    with_amx(|_| {
        for [m, n, k] in [[1, 1, 1], [32, 32, 32], [33, 65, 97], [200, 500, 1000]] {
            let (a, b) = (bf16s(m * k, 1), bf16s(n * k, 2));
            Counts::take();
            product(&a, &b, [m, n, k]);
            let counts = Counts::take();
            if isa::widest() == Isa::Amx {
                continue;
            }
            let (tiles, blocks) = (m.div_ceil(32) * n.div_ceil(32), k.div_ceil(768));
            let products = 4 * (tiles * k.div_ceil(32)) as u64;
            assert!(counts.configurations > 0, "{m} {n} {k}: {counts:?}");
            let want = Counts {
                configurations: counts.configurations,
                releases: counts.configurations,
                loads: products,
                products,
                stores: 4 * (tiles * blocks) as u64,
            };
            assert_eq!(counts, want, "{m} {n} {k}");
        }
    });
}

/// Bit for bit the rounding that the kernel's documentation states, on inputs that make it visible: sums of even and
/// odd products apart, denormals zero. On a CPU with AMX this tests what the emulator takes for granted.
#[test]
fn rounds_as_documented() {
    with_amx(|_| {
        let (m, n, k) = (20, 36, 70);
        let (mut a, b) = (bf16s(m * k, 3), bf16s(n * k, 4));
        // A denormal, which counts as zero, and products that are denormal together with a normal sum.
        a[0] = bf16::from_bits(0x0001);
        a[k..2 * k].fill(bf16::from_bits(0x0080));
        let got = product(&a, &b, [m, n, k]);
        for i in 0..m {
            for j in 0..n {
                let want = element(&a[i * k..][..k], &b[j * k..][..k]);
                let got = got[i * n + j];
                assert_eq!(
                    got.to_bits(),
                    want.to_bits(),
                    "({i}, {j}): got {got:e}, expected {want:e}"
                );
            }
        }
    });
}

/// An element of C in steps of 32 products.
fn element(a: &[bf16], b: &[bf16]) -> f32 {
    a.chunks(32).zip(b.chunks(32)).fold(0.0, |c, (a, b)| {
        let half = |odd: usize| {
            let pairs = a.iter().zip(b).skip(odd).step_by(2);
            pairs.fold(0.0, |sum: f32, (a, b)| flush(flush(a.to_f32()).mul_add(b.to_f32(), sum)))
        };
        flush(c + flush(half(0) + half(1)))
    })
}

fn flush(x: f32) -> f32 {
    if x.is_subnormal() { 0.0f32.copysign(x) } else { x }
}

#[test]
fn set_refuses_what_the_machine_lacks() {
    let refused = std::panic::catch_unwind(|| isa::set(Isa::Amx)).is_err();
    assert_eq!(refused, isa::widest() < Isa::Amx);
}

/// Bytes as `objdump` shows them.
#[test]
fn instructions_are_decoded() {
    let at = |base, index, displacement| Memory { base, index, displacement };
    let cases: [(&[u8], Instruction); 9] = [
        (&[0xC4, 0xE2, 0x7B, 0x49, 0xC0], Instruction::Zero(0)),
        (&[0xC4, 0xE2, 0x7B, 0x49, 0xD8], Instruction::Zero(3)),
        (&[0xC4, 0xE2, 0x78, 0x49, 0xC0], Instruction::Release),
        (&[0xC4, 0xE2, 0x78, 0x49, 0x03], Instruction::Configure(at(3, None, 0))),
        (&[0xC4, 0xC2, 0x78, 0x49, 0x04, 0x24], Instruction::Configure(at(12, None, 0))),
        (&[0xC4, 0xE2, 0x7B, 0x4B, 0x24, 0x0E], Instruction::Load(4, at(6, Some((1, 1)), 0))),
        (
            &[0xC4, 0xA2, 0x7B, 0x4B, 0xAC, 0x0E, 0x00, 0x04, 0x00, 0x00],
            Instruction::Load(5, at(6, Some((9, 1)), 1024)),
        ),
        (
            &[0xC4, 0xE2, 0x7A, 0x4B, 0x44, 0x13, 0x40],
            Instruction::Store(at(3, Some((2, 1)), 64), 0),
        ),
        (&[0xC4, 0xE2, 0x4A, 0x5C, 0xC4], Instruction::Multiply { c: 0, a: 4, b: 6 }),
    ];
    for (bytes, want) in cases {
        let behind = bytes.iter().copied().chain(std::iter::from_fn(|| panic!("read too far")));
        assert_eq!(decode(behind), Ok((want, bytes.len())), "{bytes:02x?}");
    }
    // UD2; TDPBSSD; AVX2; tile 8; another W; an operand where none belongs.
    let unknown: [&[u8]; 6] = [
        &[0x0F, 0x0B],
        &[0xC4, 0xE2, 0x4B, 0x5E, 0xC4],
        &[0xC4, 0xE2, 0x7D, 0x58, 0xC0],
        &[0xC4, 0x62, 0x7B, 0x49, 0xC0],
        &[0xC4, 0xE2, 0xFB, 0x49, 0xC0],
        &[0xC4, 0xE2, 0x73, 0x49, 0xC0],
    ];
    for bytes in unknown {
        assert!(decode(bytes.iter().copied()).is_err(), "{bytes:02x?}");
    }
}

/// A configuration of tiles of `rows` rows of `bytes` bytes, for the tiles in order.
fn config(shapes: &[(u8, u16)]) -> [u8; 64] {
    let mut config = [0; 64];
    config[0] = 1;
    for (i, (rows, bytes)) in shapes.iter().enumerate() {
        config[16 + 2 * i..18 + 2 * i].copy_from_slice(&bytes.to_le_bytes());
        config[48 + i] = *rows;
    }
    config
}

#[test]
fn the_emulator_is_strict() {
    let Some(_turn) = turn() else { return };
    let refuses = |what: &str, outcome: Result<(), String>| {
        let message = outcome.expect_err(what);
        assert!(message.contains(what), "{message}: expected {what}");
    };
    let mut tiles = Tiles::released();
    refuses("not configured", tiles.zero(0));
    refuses("not configured", tiles.multiply(0, 1, 2));
    refuses("no configuration", tiles.release());
    for (what, shapes) in [
        ("tile 0", &[(17, 64)][..]),
        ("tile 1", &[(16, 64), (16, 65)]),
        ("tile 0", &[(0, 64)]),
        ("tile 2", &[(16, 64), (16, 64), (16, 0)]),
        ("reserved", &[(16, 64); 8 + 1]),
    ] {
        refuses(what, tiles.configure(&config(shapes)));
    }
    refuses("palette 0", tiles.configure(&[0; 64]));
    tiles.configure(&config(&[(16, 64), (8, 64), (16, 64), (16, 32)])).expect("a configuration");
    refuses("configured already", tiles.configure(&config(&[(16, 64)])));
    refuses("no rows", tiles.zero(7));
    refuses("tiles 0, 0, 2", tiles.multiply(0, 0, 2));
    // Other rows of C than of A; other rows of B than pairs of A.
    refuses("TDPBF16PS", tiles.multiply(0, 1, 2));
    refuses("TDPBF16PS", tiles.multiply(0, 3, 2));
    let mut memory = [0u8; 1024];
    // SAFETY: 16 rows of 64 bytes, for no more are touched.
    refuses("16 apart", unsafe { tiles.load(0, memory.as_ptr(), 16) });
    // SAFETY: as above.
    refuses("0 apart", unsafe { tiles.store(0, memory.as_mut_ptr(), 0) });
    tiles.release().expect("a configuration");
    refuses("not configured", tiles.zero(0));
}

/// Small whole numbers, whose sums are exact.
#[test]
fn the_emulator_multiplies() {
    let Some(_turn) = turn() else { return };
    let mut tiles = Tiles::released();
    // C is 3 x 2, A is 3 x 8, B is 8 x 2, in pairs [4][2][2].
    tiles.configure(&config(&[(3, 8), (3, 16), (4, 8)])).expect("a configuration");
    let a: Vec<bf16> = (0..24).map(|i| bf16::from_f32(i as f32 - 9.0)).collect();
    let b: Vec<bf16> = (0..16).map(|i| bf16::from_f32((i * i % 11) as f32)).collect();
    let mut c = [[1.0f32, 2.0], [3.0, 4.0], [5.0, 6.0]];
    let want = c.map(|row| f64s(&row));
    // SAFETY: the slices hold the rows.
    unsafe {
        tiles.load(0, c.as_ptr().cast(), 8).expect("C");
        tiles.load(1, a.as_ptr().cast(), 16).expect("A");
        tiles.load(2, b.as_ptr().cast(), 8).expect("B");
        tiles.multiply(0, 1, 2).expect("shapes agree");
        tiles.store(0, c.as_mut_ptr().cast(), 8).expect("C");
    }
    for (m, want) in want.iter().enumerate() {
        for (n, before) in want.iter().enumerate() {
            let at = |k: usize| a[m * 8 + k].to_f64() * b[k / 2 * 4 + n * 2 + k % 2].to_f64();
            assert_eq!(f64::from(c[m][n]), before + (0..8).map(at).sum::<f64>(), "({m}, {n})");
        }
    }
}
