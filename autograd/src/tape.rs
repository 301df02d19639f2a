//! The tape: what was computed, in order, and the walk back.
//!
//! Reverse-mode differentiation is the chain rule read from the end. When y = f(a, b) and the gradient dy
//! of the loss with respect to y is known, f's derivative rule gives da and db; walking the operations
//! backwards, every dy is complete before its rule runs, because everything that used y came later.
//!
//! An entry keeps its inputs' places and the rule as a closure, which owns what the forward saved. The walk
//! takes entries off the end, so saved activations are freed as it passes them.
//!
//! Source: Baydin et al., *Automatic differentiation in machine learning: a survey*, 2018,
//! <https://arxiv.org/abs/1502.05767>, section 3.2.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use tensor::Tensor;

use crate::gradient::{Gradient, Share, accumulate};
use crate::gradients::Leaf;
use crate::{Error, Gradients, Param, Result, Var};

/// A derivative rule: from the gradient of the output to a share of the gradient of each input, `None` where the
/// input needs none. An entry that stands for a section of operations adds those of its parameters by itself.
type Rule = Box<dyn FnOnce(Tensor, &mut Gradients) -> Result<Vec<Option<Share>>>>;

/// One recorded value.
struct Entry {
    op: &'static str,
    shape: Vec<usize>,
    kind: Kind,
}

enum Kind {
    /// A parameter or an input: the walk ends here.
    Leaf(Leaf),
    /// The output of an operation on earlier entries; `None` for an input that needs no gradient.
    Op { inputs: Vec<Option<usize>>, rule: Rule },
}

/// Records the operations on its variables, unless it was made for [inference](Tape::inference).
#[derive(Clone, Default)]
pub struct Tape {
    recording: Option<Rc<RefCell<Recording>>>,
}

/// What a tape has recorded since it was made or walked.
struct Recording {
    /// Unique in the process, and new after a walk: a place of an earlier recording is recognized.
    id: u64,
    entries: Vec<Entry>,
}

impl Default for Recording {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), entries: Vec::new() }
    }
}

/// A place on a tape.
#[derive(Clone)]
pub(crate) struct Node {
    recording: Rc<RefCell<Recording>>,
    pub(crate) place: Place,
}

/// Which recording, and which of its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    recording: u64,
    index: usize,
}

impl Tape {
    /// A tape that records.
    pub fn new() -> Self {
        Self { recording: Some(Rc::default()) }
    }

    /// A tape that records nothing: the same code, without derivatives and without their memory.
    pub fn inference() -> Self {
        Self::default()
    }

    /// Whether operations are recorded.
    pub fn is_recording(&self) -> bool {
        self.recording.is_some()
    }

    /// The current value of a parameter as a variable; a frozen one is a constant.
    ///
    /// # Panics
    /// As [`Param::value`]; [`lookup`](crate::ops::lookup) reads single rows.
    pub fn param(&self, param: &Param) -> Var {
        self.param_as(param, param.value())
    }

    /// A parameter whose value was read already.
    pub(crate) fn param_as(&self, param: &Param, value: Tensor) -> Var {
        match param.is_frozen() {
            true => Var::constant(value),
            false => self.leaf(value, Leaf::Param(param.id())),
        }
    }

    /// A value whose gradient is wanted, as a variable; see [`Gradients::input`].
    pub fn input(&self, value: Tensor) -> Var {
        self.leaf(value, Leaf::Input)
    }

    fn leaf(&self, value: Tensor, leaf: Leaf) -> Var {
        let Some(recording) = &self.recording else { return Var::constant(value) };
        push(recording, "leaf", value, Kind::Leaf(leaf))
    }

    /// Records `value` as the output of a section of operations on `x` and on parameters: `backward` returns the
    /// gradient of `x`, `None` if that needs none, and adds those of the parameters to the result of the walk.
    ///
    /// # Panics
    /// When this tape does not record.
    pub(crate) fn record_section(
        &self,
        op: &'static str,
        x: &Var,
        value: Tensor,
        backward: impl FnOnce(Tensor, &mut Gradients) -> Result<Option<Tensor>> + 'static,
    ) -> Result<Var> {
        let recording = self.recording.as_ref().expect("a tape that records");
        let node = x.node.as_ref();
        check_places(op, recording, node.into_iter())?;
        let inputs = vec![node.map(|n| n.place.index)];
        let rule: Rule = Box::new(move |dy, grads| {
            let dx = backward(dy, grads)?;
            Ok(vec![dx.map(Share::from)])
        });
        Ok(push(recording, op, value, Kind::Op { inputs, rule }))
    }
}

/// Records `value` as the output of `op` on `inputs`.
///
/// `backward` receives the gradient of the output and, for each input, whether its gradient is wanted; it
/// returns one gradient per input, of that input's shape, or `None` for one that is not wanted. If no input
/// is on a tape nothing is recorded, and the result is a constant.
///
/// This is how every op of this crate is made, and how to add one of your own.
///
/// # Errors
/// When the inputs are on different tapes, or on one that was walked.
pub fn record<const N: usize>(
    op: &'static str,
    inputs: [&Var; N],
    value: Tensor,
    backward: impl FnOnce(&Tensor, [bool; N]) -> Result<[Option<Tensor>; N]> + 'static,
) -> Result<Var> {
    record_shares(op, inputs, value, backward)
}

/// [`record`] for a rule whose gradients may be rows of a table, or products that the walk multiplies as it adds them.
pub(crate) fn record_shares<const N: usize, S: Into<Share>>(
    op: &'static str,
    inputs: [&Var; N],
    value: Tensor,
    backward: impl FnOnce(&Tensor, [bool; N]) -> Result<[Option<S>; N]> + 'static,
) -> Result<Var> {
    let nodes = inputs.iter().filter_map(|v| v.node.as_ref());
    let Some(first) = nodes.clone().next() else { return Ok(Var::constant(value)) };
    check_places(op, &first.recording, nodes)?;
    let wanted = inputs.map(|v| v.node.is_some());
    let rule: Rule = Box::new(move |dy, _| {
        let shares = backward(&dy, wanted)?;
        Ok(shares.into_iter().map(|share| share.map(S::into)).collect())
    });
    let inputs = inputs.map(|v| v.node.as_ref().map(|n| n.place.index)).into();
    Ok(push(&first.recording, op, value, Kind::Op { inputs, rule }))
}

/// The inputs of an entry are places of its own recording, as it is now.
fn check_places<'a>(
    op: &'static str,
    recording: &Rc<RefCell<Recording>>,
    mut nodes: impl Iterator<Item = &'a Node> + Clone,
) -> Result<()> {
    if nodes.clone().any(|n| !Rc::ptr_eq(&n.recording, recording)) {
        return Err(Error::TwoTapes { op });
    }
    match nodes.any(Node::was_walked) {
        true => Err(Error::Walked),
        false => Ok(()),
    }
}

fn push(recording: &Rc<RefCell<Recording>>, op: &'static str, value: Tensor, kind: Kind) -> Var {
    let Recording { id, entries } = &mut *recording.borrow_mut();
    let place = Place { recording: *id, index: entries.len() };
    entries.push(Entry { op, shape: value.shape().to_vec(), kind });
    Var { value, node: Some(Node { recording: recording.clone(), place }) }
}

impl Node {
    /// Whether the tape was walked since.
    fn was_walked(&self) -> bool {
        self.place.recording != self.recording.borrow().id
    }

    /// Walks the tape back from this node with gradient `seed`, and empties it. What it finds is added to `gradients`.
    pub(crate) fn walk(&self, seed: Tensor, gradients: &mut Gradients) -> Result<()> {
        if self.was_walked() {
            return Err(Error::Walked);
        }
        let Recording { id, mut entries } = self.recording.take();
        entries.truncate(self.place.index + 1);
        let mut pending: Vec<Option<Gradient>> = entries.iter().map(|_| None).collect();
        pending[self.place.index] = Some(Gradient::Dense(seed));
        while let Some(entry) = entries.pop() {
            let Some(dy) = pending.pop().flatten() else { continue };
            let place = Place { recording: id, index: entries.len() };
            match entry.kind {
                Kind::Leaf(leaf) => gradients.add(leaf, place, dy)?,
                Kind::Op { inputs, rule } => {
                    let shares = rule(dy.into_dense()?, gradients)?;
                    for (i, (input, share)) in inputs.into_iter().zip(shares).enumerate() {
                        let Some(at) = input else { continue };
                        let op = entry.op;
                        let share = share.ok_or(Error::NoGradient { op, input: i })?;
                        check_shape(op, i, &entries[at].shape, share.shape())?;
                        accumulate(&mut pending[at], share)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn check_shape(op: &'static str, input: usize, expected: &[usize], got: Vec<usize>) -> Result<()> {
    match got == expected {
        true => Ok(()),
        false => Err(Error::GradientShape { op, input, expected: expected.to_vec(), got }),
    }
}
