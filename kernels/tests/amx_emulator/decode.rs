//! From bytes to instructions: the VEX encodings of AMX in the *Software Developer's Manual*, volume 2.

/// Where an instruction finds memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory {
    /// Number of the base register.
    pub base: usize,
    /// Number of the index register and the factor: for tiles, how far rows lie apart.
    pub index: Option<(usize, i64)>,
    /// Added to the base.
    pub displacement: i64,
}

/// An instruction; numbers are those of tiles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Instruction {
    /// LDTILECFG
    Configure(Memory),
    /// TILERELEASE
    Release,
    /// TILEZERO
    Zero(usize),
    /// TILELOADD
    Load(usize, Memory),
    /// TILESTORED
    Store(Memory, usize),
    /// TDPBF16PS
    Multiply {
        /// Added to.
        c: usize,
        /// Left operand.
        a: usize,
        /// Right operand.
        b: usize,
    },
}

/// The bytes of a VEX prefix that tell instructions apart.
struct Vex {
    /// 0 or 8, added to the fields `reg`, `index` and `base`.
    high: [usize; 3],
    /// The register in `vvvv`.
    operand: usize,
    /// 0: none, 1: 66, 2: F3, 3: F2.
    prefix: u8,
}

/// Takes bytes one by one, so that none behind the instruction is read.
struct Bytes<I> {
    bytes: I,
    taken: Vec<u8>,
}

impl<I: Iterator<Item = u8>> Bytes<I> {
    fn next(&mut self) -> Result<u8, String> {
        let byte = self.bytes.next().ok_or("the instruction ends early")?;
        self.taken.push(byte);
        Ok(byte)
    }
}

/// The instruction that begins with the first of `bytes`, and its length.
///
/// # Errors
/// When it is none of those above.
pub fn decode(bytes: impl Iterator<Item = u8>) -> Result<(Instruction, usize), String> {
    let mut bytes = Bytes { bytes, taken: Vec::with_capacity(15) };
    match instruction(&mut bytes) {
        Ok(instruction) => Ok((instruction, bytes.taken.len())),
        Err(why) => Err(format!("{:02x?}: {why}", bytes.taken)),
    }
}

fn instruction<I: Iterator<Item = u8>>(bytes: &mut Bytes<I>) -> Result<Instruction, String> {
    let vex = vex(bytes)?;
    let (opcode, modrm) = (bytes.next()?, bytes.next()?);
    let (form, reg, rm) = (modrm >> 6, usize::from(modrm >> 3 & 7), usize::from(modrm & 7));
    if opcode != 0x5C && vex.operand != 0 {
        return Err(format!("operand {} in vvvv", vex.operand));
    }
    let tile = || if vex.high[0] == 0 { Ok(reg) } else { Err(format!("tile {}", reg + 8)) };
    Ok(match (opcode, vex.prefix, form == 3) {
        (0x49, 0, true) if modrm == 0xC0 => Instruction::Release,
        (0x49, 0, false) if reg == 0 => Instruction::Configure(memory(&vex, modrm, bytes)?),
        (0x49, 3, true) if rm == 0 => Instruction::Zero(tile()?),
        (0x4B, 3, false) if rm == 4 => Instruction::Load(tile()?, memory(&vex, modrm, bytes)?),
        (0x4B, 2, false) if rm == 4 => Instruction::Store(memory(&vex, modrm, bytes)?, tile()?),
        (0x5C, 2, true) if vex.high[2] == 0 && vex.operand < 8 => {
            Instruction::Multiply { c: tile()?, a: rm, b: vex.operand }
        }
        _ => return Err("no instruction that is known here".into()),
    })
}

/// A VEX prefix of three bytes, map 0F38, W0, 128 bits. `operand` is 0 for 1111 too, which stands for none.
fn vex<I: Iterator<Item = u8>>(bytes: &mut Bytes<I>) -> Result<Vex, String> {
    if bytes.next()? != 0xC4 {
        return Err("no VEX prefix of three bytes".into());
    }
    let (first, second) = (bytes.next()?, bytes.next()?);
    if first & 0x1F != 2 || second & 0x84 != 0 {
        return Err("VEX: expected map 2, W0 and 128 bits".into());
    }
    let high = [7, 6, 5].map(|bit| if first >> bit & 1 == 0 { 8 } else { 0 });
    let operand = usize::from(!second >> 3 & 15);
    Ok(Vex { high, operand, prefix: second & 3 })
}

/// A base, perhaps an index, and a displacement.
fn memory<I: Iterator<Item = u8>>(
    vex: &Vex,
    modrm: u8,
    bytes: &mut Bytes<I>,
) -> Result<Memory, String> {
    let (form, mut base, mut index) = (modrm >> 6, usize::from(modrm & 7), None);
    if base == 4 {
        let sib = bytes.next()?;
        base = usize::from(sib & 7);
        let register = usize::from(sib >> 3 & 7) + vex.high[1];
        // Register 4 as an index stands for none.
        index = (register != 4).then_some((register, 1 << (sib >> 6)));
    }
    if form == 0 && base == 5 {
        return Err("an address without a base register".into());
    }
    let displacement = match form {
        0 => 0,
        1 => i64::from(bytes.next()? as i8),
        _ => {
            let four = [bytes.next()?, bytes.next()?, bytes.next()?, bytes.next()?];
            i64::from(i32::from_le_bytes(four))
        }
    };
    Ok(Memory { base: base + vex.high[2], index, displacement })
}
