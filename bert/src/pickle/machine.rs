//! The pickle machine: a stack, a memo, and an opcode for each step of building a value.
//!
//! ```text
//! X "weight"   push a text                      (        put a mark on the stack
//! K 3          push a number                    t        what is above the mark becomes a tuple
//! c M N        push the global M.N              u        ... becomes the entries of the dict below it
//! R            pop arguments, call a global     q I      note the top as number I of the memo
//! Q            pop a tuple, fetch a storage     h I      push what was noted
//! ```
//!
//! Python's machine calls whatever a file names: a pickle is a program. This one has the opcodes that a state dict is
//! written with in protocol 2, most of those that `torch.load(weights_only=True)` takes, and knows the globals of
//! [`Global`] alone; anything else ends it. Texts are slices of the input, all else that can hold a value is a number
//! of the [heap](Machine::heap): so values are copied freely, cycles and nesting of any depth cost nothing, and no
//! number in a file decides how much memory is taken.
//!
//! Sources: <https://github.com/python/cpython/blob/main/Lib/pickletools.py> (every opcode),
//! <https://github.com/pytorch/pytorch/blob/main/torch/_weights_only_unpickler.py>.

use std::collections::HashMap;

use super::fault::{Fault, Result};
use super::globals::{Global, Storage, Strided};

/// Steps of a pickle: a state dict takes about 40 for each tensor. They bound what is on stack and heap.
const LARGEST: usize = 1 << 21;

/// What a pickle can build. What is on the heap is told by its place there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool,
    /// A number with a fraction: none of a tensor's is one.
    Float,
    Int(i64),
    Text(&'a str),
    Tuple(usize),
    List(usize),
    /// Keys and values in turns.
    Dict(usize),
    Global(Global),
    /// A place in [`Machine::storages`].
    Storage(usize),
    /// A place in [`Machine::tensors`].
    Tensor(usize),
}

/// A pickle while it is read.
pub(super) struct Machine<'a> {
    input: &'a [u8],
    at: usize,
    stack: Vec<Value<'a>>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    /// What tuples, lists and dicts hold.
    pub heap: Vec<Vec<Value<'a>>>,
    pub storages: Vec<Storage<'a>>,
    pub tensors: Vec<Strided>,
}

impl<'a> Machine<'a> {
    pub fn new(input: &'a [u8]) -> Self {
        let (stack, marks, memo) = (Vec::new(), Vec::new(), HashMap::new());
        let (heap, storages, tensors) = (Vec::new(), Vec::new(), Vec::new());
        Self { input, at: 0, stack, marks, memo, heap, storages, tensors }
    }

    /// Runs up to the end of one pickle, and returns its value; what follows in the input is left.
    pub fn run(&mut self) -> Result<Value<'a>> {
        self.stack.clear();
        self.marks.clear();
        self.memo.clear();
        for _ in 0..LARGEST {
            match self.byte()? {
                b'.' => return self.pop(),
                op => self.step(op)?,
            }
        }
        Fault::unsupported(format!("a pickle of more than {LARGEST} steps"))
    }

    /// How much of the input was read.
    pub fn position(&self) -> usize {
        self.at
    }

    fn step(&mut self, op: u8) -> Result<()> {
        match op {
            0x80 => self.check_protocol(),
            b'N' => self.push(Value::None),
            0x88 | 0x89 => self.push(Value::Bool),
            b'K' | b'M' | b'J' | 0x8a => self.number(op),
            b'G' => self.bytes(8).and_then(|_| self.push(Value::Float)),
            b'X' => self.u32().and_then(|n| self.text(n as usize)),
            b'U' => self.byte().and_then(|n| self.text(n.into())),
            b'(' => self.mark(),
            b')' => self.tuple(0),
            0x85..=0x87 => self.tuple(usize::from(op - 0x84)),
            b't' => self.top_tuple(),
            b']' => self.allocate(Vec::new()).and_then(|i| self.push(Value::List(i))),
            b'}' => self.allocate(Vec::new()).and_then(|i| self.push(Value::Dict(i))),
            b'a' => self.pop().and_then(|item| self.append(&[item])),
            b'e' => self.above_mark().and_then(|items| self.append(&items)),
            b's' => self.pop_many(2).and_then(|pair| self.set_items(&pair)),
            b'u' => self.above_mark().and_then(|pairs| self.set_items(&pairs)),
            b'q' => self.byte().and_then(|i| self.put(i.into())),
            b'r' => self.u32().and_then(|i| self.put(i)),
            b'h' => self.byte().and_then(|i| self.get(i.into())),
            b'j' => self.u32().and_then(|i| self.get(i)),
            b'c' => self.global(),
            b'R' => self.reduce(),
            b'Q' => self.persistent(),
            b'b' => self.build(),
            other => {
                let at = self.at - 1;
                Fault::unsupported(format!("the opcode {other:#04x} at byte {at} of the pickle"))
            }
        }
    }

    fn check_protocol(&mut self) -> Result<()> {
        match self.byte()? {
            2 => Ok(()),
            other => Fault::unsupported(format!("a pickle of protocol {other}, not 2")),
        }
    }

    // Reading the input.

    fn bytes(&mut self, n: usize) -> Result<&'a [u8]> {
        let found = self.input[self.at..].get(..n);
        let ends = || Fault::Damaged("the pickle ends too early: the file is truncated".into());
        let found = found.ok_or_else(ends)?;
        self.at += n;
        Ok(found)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.bytes(1)?[0])
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(little_endian(self.bytes(4)?) as u32)
    }

    fn number(&mut self, op: u8) -> Result<()> {
        let value = match op {
            b'K' => little_endian(self.bytes(1)?),
            b'M' => little_endian(self.bytes(2)?),
            b'J' => i64::from(self.u32()? as i32),
            _ => {
                let n = usize::from(self.byte()?);
                let bytes = self.bytes(n)?;
                if n > 8 {
                    return Fault::unsupported(format!("a whole number of {n} bytes"));
                }
                // Two's complement: the sign of what is shorter than 8 bytes is that of its last one.
                let unused = 64 - 8 * n as u32;
                little_endian(bytes).checked_shl(unused).unwrap_or(0) >> unused.min(63)
            }
        };
        self.push(Value::Int(value))
    }

    fn text(&mut self, n: usize) -> Result<()> {
        match std::str::from_utf8(self.bytes(n)?) {
            Ok(text) => self.push(Value::Text(text)),
            Err(_) => Fault::damaged("a text in the pickle is not UTF-8"),
        }
    }

    fn line(&mut self) -> Result<&'a str> {
        let rest = &self.input[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        let line = self.bytes(length)?;
        self.byte()?;
        let invalid = |_| Fault::Damaged("a name in the pickle is not UTF-8".into());
        std::str::from_utf8(line).map_err(invalid)
    }

    // The stack.

    fn push(&mut self, value: Value<'a>) -> Result<()> {
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value<'a>> {
        Ok(self.pop_many(1)?[0])
    }

    /// The top `n` values, which are above the last mark, the topmost last.
    fn pop_many(&mut self, n: usize) -> Result<Vec<Value<'a>>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(n) {
            Some(start) if start >= floor => Ok(self.stack.split_off(start)),
            _ => Fault::damaged("the pickle takes more from its stack than is there"),
        }
    }

    fn top(&self) -> Result<Value<'a>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let top = self.stack[floor..].last().copied();
        top.ok_or_else(|| Fault::Damaged("the pickle reads from an empty stack".into()))
    }

    fn mark(&mut self) -> Result<()> {
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn above_mark(&mut self) -> Result<Vec<Value<'a>>> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark)),
            None => Fault::damaged("the pickle looks for a mark that is not there"),
        }
    }

    // The memo.

    fn put(&mut self, index: u32) -> Result<()> {
        self.memo.insert(index, self.top()?);
        Ok(())
    }

    fn get(&mut self, index: u32) -> Result<()> {
        match self.memo.get(&index) {
            Some(&value) => self.push(value),
            None => Fault::damaged(format!("the pickle's memo has no number {index}")),
        }
    }

    // Containers.

    pub fn allocate(&mut self, items: Vec<Value<'a>>) -> Result<usize> {
        self.heap.push(items);
        Ok(self.heap.len() - 1)
    }

    fn tuple(&mut self, n: usize) -> Result<()> {
        let items = self.pop_many(n)?;
        let place = self.allocate(items)?;
        self.push(Value::Tuple(place))
    }

    fn top_tuple(&mut self) -> Result<()> {
        let items = self.above_mark()?;
        let place = self.allocate(items)?;
        self.push(Value::Tuple(place))
    }

    fn append(&mut self, items: &[Value<'a>]) -> Result<()> {
        match self.top()? {
            Value::List(i) => {
                self.heap[i].extend_from_slice(items);
                Ok(())
            }
            other => Fault::unsupported(format!("appending to {}", other.kind())),
        }
    }

    fn set_items(&mut self, pairs: &[Value<'a>]) -> Result<()> {
        match self.top()? {
            Value::Dict(_) if pairs.len() % 2 == 1 => {
                Fault::damaged("a dict in the pickle has a key without a value")
            }
            Value::Dict(i) => {
                self.heap[i].extend_from_slice(pairs);
                Ok(())
            }
            other => Fault::unsupported(format!("setting entries of {}", other.kind())),
        }
    }

    // Globals.

    fn global(&mut self) -> Result<()> {
        let (module, name) = (self.line()?, self.line()?);
        match Global::find(module, name) {
            Some(global) => self.push(Value::Global(global)),
            None => Fault::unsupported(format!(
                "the global `{}`, which is no part of a state dict",
                quoted(&format!("{module}.{name}"))
            )),
        }
    }

    /// Calls a global: builds a tensor or an empty dict.
    fn reduce(&mut self) -> Result<()> {
        let pair = self.pop_many(2)?;
        match (pair[0], pair[1]) {
            (Value::Global(global), Value::Tuple(i)) => {
                let arguments = std::mem::take(&mut self.heap[i]);
                let value = self.call(global, &arguments);
                self.heap[i] = arguments;
                self.push(value?)
            }
            (callee, _) => Fault::unsupported(format!("a call of {}", callee.kind())),
        }
    }

    /// Replaces the tuple that names a storage by the storage.
    fn persistent(&mut self) -> Result<()> {
        match self.pop()? {
            Value::Tuple(i) => {
                let storage = Storage::of(&self.heap[i])?;
                self.storages.push(storage);
                self.push(Value::Storage(self.storages.len() - 1))
            }
            other => Fault::unsupported(format!("a storage that is named by {}", other.kind())),
        }
    }

    /// Drops the attributes of an `OrderedDict`: the `_metadata` of a state dict, versions of its modules.
    fn build(&mut self) -> Result<()> {
        self.pop()?;
        match self.top()? {
            Value::Dict(_) => Ok(()),
            other => Fault::unsupported(format!("attributes of {}", other.kind())),
        }
    }
}

impl Value<'_> {
    /// What it is, in words.
    pub fn kind(&self) -> String {
        let kind = match self {
            Self::None => "None",
            Self::Bool => "a truth value",
            Self::Float => "a number with a fraction",
            Self::Int(_) => "a whole number",
            Self::Text(text) => return format!("the text `{}`", quoted(text)),
            Self::Tuple(_) => "a tuple",
            Self::List(_) => "a list",
            Self::Dict(_) => "a dict",
            Self::Global(global) => return format!("the global {global:?}"),
            Self::Storage(_) => "a storage",
            Self::Tensor(_) => "a tensor",
        };
        kind.to_owned()
    }
}

/// A number of at most 8 bytes, without sign if it has fewer.
fn little_endian(bytes: &[u8]) -> i64 {
    bytes.iter().rev().fold(0, |n, &byte| n << 8 | i64::from(byte))
}

/// A text of the file as a message shows it: in one line, and not much of it.
pub(crate) fn quoted(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}
