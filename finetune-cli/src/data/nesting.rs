//! How deep the columns of a Parquet file nest, looked at before the library builds its schema.
//!
//! It does so by recursion, which a hostile file can make deeper than the stack. In the footer the schema is a list,
//! depth first, each element with the number of its children:
//!
//! ```text
//! FileMetaData { 1: version, 2: [SchemaElement { 4: name, 5: num_children, 10: logical type, .. }, ..], .. }
//! ```
//!
//! This is Thrift's compact protocol: a field is a byte with its type and the distance of its number to that of the
//! field before, then its value. The library goes by the number alone, whatever type the file says: a field that has
//! not its type is an error here, so that both read the same.
//!
//! Sources: <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>,
//! <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>.

/// Levels of groups; a list takes two, and a struct one.
const MOST_LEVELS: usize = 64;

/// What ends a file, behind the footer and its length in four bytes.
const MAGIC: &[u8] = b"PAR1";

// Types of the protocol.
const STOP: u8 = 0;
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// What a field holds.
enum Shape {
    Bool,
    Byte,
    Int,
    Text,
    Fields(&'static [(i16, Shape)]),
}

const EMPTY: Shape = Shape::Fields(&[]);
const TIME: Shape =
    Shape::Fields(&[(1, Shape::Bool), (2, Shape::Fields(&[(1, EMPTY), (2, EMPTY), (3, EMPTY)]))]);
const LOGICAL: Shape = Shape::Fields(&[
    (1, EMPTY),
    (2, EMPTY),
    (3, EMPTY),
    (4, EMPTY),
    (5, Shape::Fields(&[(1, Shape::Int), (2, Shape::Int)])),
    (6, EMPTY),
    (7, TIME),
    (8, TIME),
    (10, Shape::Fields(&[(1, Shape::Byte), (2, Shape::Bool)])),
    (11, EMPTY),
    (12, EMPTY),
    (13, EMPTY),
    (14, EMPTY),
    (15, EMPTY),
    (16, Shape::Fields(&[(1, Shape::Byte)])),
    (17, Shape::Fields(&[(1, Shape::Text)])),
    (18, Shape::Fields(&[(1, Shape::Text), (2, Shape::Int)])),
    (19, EMPTY),
]);
const CHILDREN: i16 = 5;
const ELEMENT: &[(i16, Shape)] = &[
    (1, Shape::Int),
    (2, Shape::Int),
    (3, Shape::Int),
    (4, Shape::Text),
    (CHILDREN, Shape::Int),
    (6, Shape::Int),
    (7, Shape::Int),
    (8, Shape::Int),
    (9, Shape::Int),
    (10, LOGICAL),
];

/// Refuses a file whose schema is not one to build by recursion; the error says why. What is no Parquet file at all is
/// left to the library.
pub(super) fn check(file: &[u8]) -> Result<(), String> {
    let Some(footer) = footer(file) else { return Ok(()) };
    match (Reader { rest: footer }).nests_too_deep() {
        Some(false) => Ok(()),
        Some(true) => Err(format!("its columns nest more than {MOST_LEVELS} levels deep")),
        None => Err("its schema is damaged".to_owned()),
    }
}

fn footer(file: &[u8]) -> Option<&[u8]> {
    let (rest, length) = file.strip_suffix(MAGIC)?.split_last_chunk::<4>()?;
    let start = rest.len().checked_sub(u32::from_le_bytes(*length) as usize)?;
    rest.get(start..)
}

/// What is left of the footer. Of damaged bytes there is nothing to read.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn nests_too_deep(mut self) -> Option<bool> {
        let (number, kind) = self.field(0)?;
        (number == 1 && kind == I32).then_some(())?;
        self.varint()?;
        let (number, kind) = self.field(number)?;
        (number == 2 && kind == LIST).then_some(())?;
        // The children that are still to come of each group that is open.
        let mut open: Vec<usize> = Vec::new();
        for left in (0..self.list()?).rev() {
            if let Some(siblings) = open.last_mut() {
                *siblings -= 1;
            }
            let children = usize::try_from(self.element()?).ok()?;
            // Memory is taken for as many.
            (children <= left).then_some(())?;
            open.push(children);
            while open.pop_if(|children| *children == 0).is_some() {}
            if open.len() > MOST_LEVELS {
                return Some(true);
            }
        }
        Some(false)
    }

    /// The number of structs in a list.
    fn list(&mut self) -> Option<usize> {
        let head = self.byte()?;
        (head & 0x0f == STRUCT).then_some(())?;
        match usize::from(head >> 4) {
            15 => usize::try_from(self.varint()?).ok(),
            size => Some(size),
        }
    }

    /// The number of children of an element of the schema.
    fn element(&mut self) -> Option<i32> {
        let (mut last, mut children) = (0, 0);
        loop {
            let (number, kind) = self.field(last)?;
            if kind == STOP {
                return Some(children);
            }
            if number == CHILDREN && kind == I32 {
                // The library, too, takes the low half.
                children = self.signed()? as i32;
            } else {
                self.value(ELEMENT, number, kind, MOST_LEVELS)?;
            }
            last = number;
        }
    }

    /// Goes over the value of a field of a struct.
    fn value(&mut self, fields: &[(i16, Shape)], number: i16, kind: u8, most: usize) -> Option<()> {
        let shape = fields.iter().find(|(known, _)| *known == number).map(|(_, shape)| shape);
        let (own, expected): (&[(i16, Shape)], bool) = match shape {
            // Of a later version of the format.
            None => (&[], true),
            Some(Shape::Bool) => (&[], matches!(kind, TRUE | FALSE)),
            Some(Shape::Byte) => (&[], kind == BYTE),
            Some(Shape::Int) => (&[], kind == I32),
            Some(Shape::Text) => (&[], kind == BINARY),
            Some(Shape::Fields(own)) => (own, kind == STRUCT),
        };
        expected.then_some(())?;
        match kind {
            TRUE | FALSE => {}
            BYTE => drop(self.byte()?),
            I16 | I32 | I64 => drop(self.varint()?),
            DOUBLE => self.skip(8)?,
            BINARY => {
                let length = self.varint()?;
                self.skip(usize::try_from(length).ok()?)?;
            }
            STRUCT => {
                let mut last = 0;
                while let (number, kind @ 1..) = self.field(last)? {
                    self.value(own, number, kind, most.checked_sub(1)?)?;
                    last = number;
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// Number and type of the next field of a struct; the type is [`STOP`] behind the last.
    fn field(&mut self, last: i16) -> Option<(i16, u8)> {
        let head = self.byte()?;
        let kind = head & 0x0f;
        Some(match head >> 4 {
            _ if kind == STOP => (0, STOP),
            0 => (self.signed()? as i16, kind),
            distance => (last.checked_add(i16::from(distance))?, kind),
        })
    }

    /// Seven bits a byte, the lowest first; at most ten bytes.
    fn varint(&mut self) -> Option<u64> {
        let mut bits = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            bits |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(bits);
            }
        }
        None
    }

    /// With the sign in the lowest bit.
    fn signed(&mut self) -> Option<i64> {
        let bits = self.varint()?;
        Some((bits >> 1) as i64 ^ -((bits & 1) as i64))
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.rest = self.rest.get(bytes..)?;
        Some(())
    }
}
