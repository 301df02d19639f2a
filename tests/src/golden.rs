//! Golden values: tensors that PyTorch computed, from the files that `golden/make_golden.py`, `make_family.py`
//! and `make_tokens.py` wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use autograd::Param;
use bert::{Checkpoint, Config, LoadReport, MaskedLm, SequenceClassifier, TokenClassifier};
use nn::Module;
use tensor::{CuSeqLens, Tensor, safetensors};

use crate::compare::{self, wide};

/// A folder or file under `tests/golden`.
pub fn path(name: &str) -> PathBuf {
    crate::root().join("tests/golden").join(name)
}

/// All tensors of a file.
#[derive(Debug)]
pub struct Golden(BTreeMap<String, Tensor>);

impl Golden {
    /// Reads `tests/golden/NAME`.
    ///
    /// # Panics
    /// When it can't be read.
    pub fn read(name: &str) -> Self {
        let mut file = safetensors::File::open(&path(name)).expect("a golden file");
        let names = file.names().into_iter();
        Self(names.map(|n| (n.clone(), file.read(&n).expect("a golden tensor"))).collect())
    }

    /// The tensor of that name.
    ///
    /// # Panics
    /// When there is none.
    pub fn tensor(&self, name: &str) -> &Tensor {
        self.0.get(name).unwrap_or_else(|| panic!("no golden tensor {name}"))
    }

    /// The offsets of a ragged batch.
    ///
    /// # Panics
    /// When there are none of that name.
    pub fn batch(&self, name: &str) -> CuSeqLens {
        let offsets = self.tensor(name).to_vec::<u32>().expect("offsets are u32");
        CuSeqLens::from_offsets(offsets).expect("golden offsets ascend")
    }

    /// The ragged batch whose tensors begin with `prefix`.
    ///
    /// # Panics
    /// When there is none.
    pub fn bert_batch(&self, prefix: &str) -> bert::Batch {
        let of = |name: &str| self.tensor(&format!("{prefix}{name}")).to_vec::<u32>();
        let ids = of("input_ids").expect("ids are u32");
        let types = of("token_type_ids").expect("types are u32");
        let seqlens = self.batch(&format!("{prefix}cu_seqlens"));
        let ranges = (0..seqlens.batch()).map(|i| seqlens.range(i));
        bert::Batch::new(ranges.map(|r| (&ids[r.clone()], &types[r]))).expect("a batch")
    }

    /// A list of ids, rows or labels.
    ///
    /// # Panics
    /// When there is none of that name.
    pub fn ids(&self, name: &str) -> Vec<u32> {
        self.tensor(name).to_vec().expect("ids are u32")
    }

    /// The names that begin with `prefix`, without it.
    pub fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.keys().filter_map(move |name| name.strip_prefix(prefix))
    }

    /// The names, each without its last part: `matmul` of `matmul.dx`.
    pub fn cases(&self) -> BTreeSet<&str> {
        self.0.keys().filter_map(|name| Some(name.rsplit_once('.')?.0)).collect()
    }
}

/// A tiny classifier that `make_golden.py` or `make_family.py` made, with its configuration, and what of its file was
/// not used.
///
/// # Panics
/// When it can't be loaded, or a weight is missing.
pub fn tiny_classifier(name: &str) -> (Config, SequenceClassifier, LoadReport) {
    let folder = path(name);
    let config = Config::load(&folder).expect("a configuration");
    let mut checkpoint = Checkpoint::open(&folder, &config.family).expect("weights");
    let (model, report) =
        SequenceClassifier::load(&mut checkpoint, &config, 3, 0).expect("a model");
    assert!(report.missing.is_empty(), "{name}: {:?}", report.missing);
    (config, model, report)
}

/// The tiny BERT; all its weights are in its file, and no others.
///
/// # Panics
/// When it can't be loaded.
pub fn tiny_bert() -> SequenceClassifier {
    let (_, model, report) = tiny_classifier("bert_tiny");
    assert_eq!(report, LoadReport::default(), "nothing is missing or unexpected");
    model
}

/// The encoder of [`tiny_bert`] with the head of `masked_lm.safetensors`.
///
/// # Panics
/// When it can't be loaded.
pub fn tiny_masked_lm(golden: &Golden) -> MaskedLm {
    let folder = path("bert_tiny");
    let config = Config::load(&folder).expect("a configuration");
    let mut checkpoint = Checkpoint::open(&folder, &config.family).expect("weights");
    let (model, report) = MaskedLm::load(&mut checkpoint, &config, 0).expect("a model");
    let of_head = |p: &&Param| report.missing.iter().any(|name| name == p.name());
    for param in model.params().iter().filter(of_head) {
        param.set(golden.tensor(&format!("head.{}", param.name())).clone());
    }
    model
}

/// The encoder of `NAME_tiny` with the head that `make_tokens.py` added, of five labels, which is in `golden`. The
/// folder's own head, of another task, is left.
///
/// # Panics
/// When it can't be loaded, or anything but the head is missing.
pub fn tiny_token_classifier(name: &str, golden: &Golden) -> (Config, TokenClassifier) {
    let folder = path(&format!("{name}_tiny"));
    let config = Config::load(&folder).expect("a configuration");
    let mut checkpoint = Checkpoint::open(&folder, &config.family).expect("weights");
    let (model, report) = TokenClassifier::load(&mut checkpoint, &config, 5, 0).expect("a model");
    assert_eq!(report.missing, ["classifier.bias", "classifier.weight"], "{name}");
    assert!(report.unused_encoder.is_empty(), "{name}: {report:?}");
    for param in model.params() {
        if let Some(part) = param.name().strip_prefix("token_classifier.") {
            param.set(golden.tensor(&format!("head.{part}")).clone());
        }
    }
    (config, model)
}

/// Makes every parameter f64: the same code then runs the plain definitions.
pub fn widen(params: &[Param]) {
    params.iter().for_each(|p| p.set(wide(&p.value())));
}

/// Fails unless the [relative distance](crate::compare::relative_distance) is at most `tolerance`.
///
/// # Panics
/// When it is not, or the shapes differ.
pub fn assert_near(what: &str, got: &Tensor, want: &Tensor, tolerance: f64) {
    assert_eq!(got.shape(), want.shape(), "{what}: shapes");
    let [got, want] = [got, want].map(|x| x.to_f64_vec().expect("floats"));
    compare::assert_near(what, &got, &want, tolerance);
}
