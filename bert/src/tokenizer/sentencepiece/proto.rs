//! What a `spm.model` says: a message of protocol buffers.
//!
//! ```text
//! message = (key, value)*         key = number of the field << 3 | wire type
//! wire type 0   varint            7 bits a byte, the lowest first, the top bit set while more follow
//!           1   8 bytes
//!           2   length, bytes     a text, or a message again
//!           5   4 bytes
//! ```
//!
//! Fields that are not listed here are passed over; of a field that comes twice the last counts, and what is absent has
//! its default.
//!
//! Sources: <https://protobuf.dev/programming-guides/encoding/>,
//! <https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto>.

type Result<T> = std::result::Result<T, String>;

/// What a piece stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Normal,
    /// What the vocabulary can't spell.
    Unknown,
    /// Nothing of a text, such as `[CLS]`.
    Control,
    /// A text that is always one piece.
    UserDefined,
    /// A text that is never used.
    Unused,
    /// A byte of what the vocabulary can't spell.
    Byte,
}

/// A piece of the vocabulary; its id is its place in the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    pub text: String,
    /// The logarithm of its probability.
    pub score: f32,
    pub kind: Kind,
}

/// The fields that decide on ids.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub pieces: Vec<Piece>,
    /// 1 unigram, 2 BPE, 3 words, 4 characters.
    pub model_type: u64,
    pub unk_id: u64,
    pub suffix_whitespace: bool,
    /// The rules by which texts are rewritten first; empty if there are none.
    pub charsmap: Vec<u8>,
    pub dummy_prefix: bool,
    pub remove_extra_whitespace: bool,
    pub escape_whitespace: bool,
}

/// A value as it stands in the file.
enum Field<'a> {
    Varint(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
    /// Of 8 bytes; no field that is read is one.
    Other,
}

impl Model {
    /// Reads a `ModelProto`.
    pub fn parse(mut bytes: &[u8]) -> Result<Self> {
        let mut model = Self {
            pieces: Vec::new(),
            model_type: 1,
            unk_id: 0,
            suffix_whitespace: false,
            charsmap: Vec::new(),
            dummy_prefix: true,
            remove_extra_whitespace: true,
            escape_whitespace: true,
        };
        while let Some((number, field)) = next(&mut bytes)? {
            match (number, field) {
                (1, Field::Bytes(piece)) => model.pieces.push(Piece::parse(piece)?),
                (2, Field::Bytes(spec)) => model.trainer_spec(spec)?,
                (3, Field::Bytes(spec)) => model.normalizer_spec(spec)?,
                _ => (),
            }
        }
        Ok(model)
    }

    fn trainer_spec(&mut self, mut bytes: &[u8]) -> Result<()> {
        while let Some((number, field)) = next(&mut bytes)? {
            match (number, field) {
                (3, Field::Varint(kind)) => self.model_type = kind,
                (24, Field::Varint(switch)) => self.suffix_whitespace = switch != 0,
                (40, Field::Varint(id)) => self.unk_id = id,
                _ => (),
            }
        }
        Ok(())
    }

    fn normalizer_spec(&mut self, mut bytes: &[u8]) -> Result<()> {
        while let Some((number, field)) = next(&mut bytes)? {
            match (number, field) {
                (2, Field::Bytes(map)) => self.charsmap = map.to_vec(),
                (3, Field::Varint(switch)) => self.dummy_prefix = switch != 0,
                (4, Field::Varint(switch)) => self.remove_extra_whitespace = switch != 0,
                (5, Field::Varint(switch)) => self.escape_whitespace = switch != 0,
                _ => (),
            }
        }
        Ok(())
    }
}

impl Piece {
    fn parse(mut bytes: &[u8]) -> Result<Self> {
        let mut piece = Self { text: String::new(), score: 0.0, kind: Kind::Normal };
        while let Some((number, field)) = next(&mut bytes)? {
            match (number, field) {
                (1, Field::Bytes(text)) => {
                    let text = std::str::from_utf8(text).map_err(|_| "a piece is not UTF-8")?;
                    piece.text = text.to_owned();
                }
                (2, Field::Fixed32(bits)) => piece.score = f32::from_bits(bits),
                (3, Field::Varint(kind)) => piece.kind = Kind::from_number(kind)?,
                _ => (),
            }
        }
        Ok(piece)
    }
}

impl Kind {
    fn from_number(number: u64) -> Result<Self> {
        let kinds = [
            Self::Normal,
            Self::Unknown,
            Self::Control,
            Self::UserDefined,
            Self::Unused,
            Self::Byte,
        ];
        let index = usize::try_from(number).ok().and_then(|n| n.checked_sub(1));
        let kind = index.and_then(|i| kinds.get(i)).copied();
        kind.ok_or_else(|| format!("a piece is of kind {number}, from 1 to 6 are known"))
    }
}

/// Takes a field from the front; `None` at the end.
fn next<'a>(bytes: &mut &'a [u8]) -> Result<Option<(u64, Field<'a>)>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let key = varint(bytes)?;
    let field = match key & 7 {
        0 => Field::Varint(varint(bytes)?),
        1 => take(bytes, 8).map(|_| Field::Other)?,
        2 => {
            let length = varint(bytes)?;
            Field::Bytes(take(bytes, length)?)
        }
        5 => {
            let fixed = take(bytes, 4)?;
            Field::Fixed32(u32::from_le_bytes([fixed[0], fixed[1], fixed[2], fixed[3]]))
        }
        other => return Err(format!("a field of wire type {other}")),
    };
    Ok(Some((key >> 3, field)))
}

fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("a number of more than 10 bytes".into())
}

fn take<'a>(bytes: &mut &'a [u8], n: u64) -> Result<&'a [u8]> {
    let n = usize::try_from(n).ok().filter(|n| *n <= bytes.len());
    let (taken, rest) = bytes.split_at(n.ok_or("a field is beyond the end: it is truncated")?);
    *bytes = rest;
    Ok(taken)
}
