//! AMX on a CPU that lacks it: such a CPU traps each of its instructions, and a handler executes them on registers
//! in memory. So the machine code of the kernel runs, byte for byte, and what it does wrong is found.
//!
//! No part of it is a model of the kernel: `decode` knows encodings, `tiles` what instructions do, both from the
//! *Software Developer's Manual*; here is the trap of Linux on x86-64.

mod decode;
mod tiles;

use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::io::Write;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

pub use decode::{Instruction, Memory, decode};
pub use tiles::Tiles;

/// Instructions executed since [`Counts::take`], in the process.
#[derive(Debug, Default, PartialEq)]
pub struct Counts {
    /// LDTILECFG
    pub configurations: u64,
    /// TILERELEASE
    pub releases: u64,
    /// TILELOADD
    pub loads: u64,
    /// TDPBF16PS
    pub products: u64,
    /// TILESTORED
    pub stores: u64,
}

static COUNTS: [AtomicU64; 5] = [const { AtomicU64::new(0) }; 5];

impl Counts {
    /// The counts, which begin again at 0.
    pub fn take() -> Self {
        let [configurations, releases, loads, products, stores] =
            COUNTS.each_ref().map(|count| count.swap(0, Ordering::Relaxed));
        Self { configurations, releases, loads, products, stores }
    }
}

thread_local! {
    /// Has no destructor, so that a handler may touch it first.
    static TILES: RefCell<Tiles> = const { RefCell::new(Tiles::released()) };
}

/// `struct sigaction` of the C library.
#[repr(C)]
struct Action {
    handler: extern "C" fn(c_int, *mut c_void, *mut Context),
    mask: [u64; 16],
    flags: c_int,
    restorer: usize,
}

/// The beginning of `ucontext_t`.
#[repr(C)]
struct Context {
    flags: u64,
    link: usize,
    stack: [u64; 3],
    registers: [u64; 23],
}

const SIGILL: c_int = 4;
const SA_SIGINFO: c_int = 4;
const SA_RESTART: c_int = 0x1000_0000;

/// Where `registers` holds the instruction pointer.
const RIP: usize = 16;

/// Where it holds the registers, by the numbers that encodings use: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to
/// r15.
const PLACES: [usize; 16] = [13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7];

unsafe extern "C" {
    fn sigaction(signal: c_int, action: *const Action, old: *mut Action) -> c_int;
}

/// Executes the instructions of AMX from now on, in all threads. An error ends the process with a message.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let flags = SA_SIGINFO | SA_RESTART;
        let action = Action { handler: trap, mask: [0; 16], flags, restorer: 0 };
        // SAFETY: the layout is that of Linux on x86-64; `trap` touches nothing that a thread of the tests may
        // hold when it executes an instruction of AMX.
        let result = unsafe { sigaction(SIGILL, &action, std::ptr::null_mut()) };
        assert_eq!(result, 0, "sigaction");
    });
}

extern "C" fn trap(_: c_int, _: *mut c_void, context: *mut Context) {
    // SAFETY: the system passes the registers of the thread, which it restores from there.
    let context = unsafe { &mut *context };
    if let Err(why) = step(&mut context.registers) {
        // Not `eprintln`, whose output a test keeps to itself.
        let at = context.registers[RIP];
        let _ =
            writeln!(std::io::stderr(), "\nAMX emulator: illegal instruction at {at:#x}: {why}");
        std::process::abort();
    }
}

/// Executes the instruction at which the thread stands.
fn step(registers: &mut [u64; 23]) -> Result<(), String> {
    let start = registers[RIP] as *const u8;
    // SAFETY: the bytes of an instruction can be read, and `decode` takes none beyond it.
    let bytes = (0..15).map(|i| unsafe { start.add(i).read() });
    let (instruction, length) = decode(bytes)?;
    // SAFETY: the CPU would touch the same memory.
    TILES.with_borrow_mut(|tiles| unsafe { execute(instruction, registers, tiles) })?;
    registers[RIP] += length as u64;
    Ok(())
}

/// # Safety
/// The program may execute the instruction.
unsafe fn execute(
    instruction: Instruction,
    registers: &[u64; 23],
    tiles: &mut Tiles,
) -> Result<(), String> {
    let register = |number: usize| registers[PLACES[number]] as i64;
    let address = |m: Memory| register(m.base) + m.displacement;
    let stride = |m: Memory| m.index.map_or(0, |(index, factor)| register(index) * factor);
    let count = |i: usize| _ = COUNTS[i].fetch_add(1, Ordering::Relaxed);
    // SAFETY: the caller's contract.
    unsafe {
        match instruction {
            Instruction::Configure(m) if m.index.is_none() => {
                count(0);
                tiles.configure(&*(address(m) as *const [u8; 64]))
            }
            Instruction::Configure(m) => Err(format!("LDTILECFG: an index in {m:?}")),
            Instruction::Release => {
                count(1);
                tiles.release()
            }
            Instruction::Zero(tile) => tiles.zero(tile),
            Instruction::Load(tile, m) => {
                count(2);
                tiles.load(tile, address(m) as *const u8, stride(m))
            }
            Instruction::Multiply { c, a, b } => {
                count(3);
                tiles.multiply(c, a, b)
            }
            Instruction::Store(m, tile) => {
                count(4);
                tiles.store(tile, address(m) as *mut u8, stride(m))
            }
        }
    }
}
