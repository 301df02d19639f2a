//! Files that torch wrote, and files that nobody should have written.

mod build;
mod hostile;

use std::path::PathBuf;

use tensor::{DType, safetensors};

use super::*;

/// A file of `tests/golden/pickle`, which `make_pickle.py` wrote.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/pickle").join(name)
}

/// The names that `expected.safetensors` has, with the bits of their values.
fn assert_expected(file: &mut File) {
    let mut expected = safetensors::File::open(&golden("expected.safetensors")).unwrap();
    assert_eq!(expected.names().len(), 15);
    for name in expected.names() {
        let (want, got) = (expected.read(&name).unwrap(), file.read(&name).unwrap());
        assert_eq!(got.dtype(), DType::F32);
        assert_eq!((file.shape(&name), got.shape()), (Some(want.shape()), want.shape()), "{name}");
        let bits = |t: &Tensor| -> Vec<u32> {
            t.to_vec::<f32>().unwrap().iter().map(|x| x.to_bits()).collect()
        };
        assert_eq!(bits(&got), bits(&want), "{name}");
    }
}

#[test]
fn both_formats_hold_what_torch_wrote() {
    for name in ["zip.bin", "stream.bin"] {
        let mut file = File::open(&golden(name)).unwrap();
        assert_expected(&mut file);
        let dtype = |name: &str| file.dtype(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!([dtype("table"), dtype("half"), dtype("brain")], ["F32", "F16", "BF16"]);
        let integers = ["int64", "int32", "int16", "int8", "uint8", "bool", "float64"].map(dtype);
        assert_eq!(integers, ["I64", "I32", "I16", "I8", "U8", "BOOL", "F64"]);
        // 15 weights, 7 of other types, one that is not read; nothing that is no tensor.
        assert_eq!(file.names().len(), 15 + 7 + 1);
        for (name, message) in
            [("int64", "expected F32"), ("repeated", "overlap"), ("epoch", "not there")]
        {
            let error = file.read(name).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(message), "{error}");
        }
    }
}

#[test]
fn a_state_dict_inside_a_dict_is_found_and_its_names_are_unwrapped() {
    let mut file = File::open(&golden("nested.bin")).unwrap();
    assert_expected(&mut file);
    assert_eq!(file.names().len(), 15);
}

#[test]
fn what_is_no_state_dict_is_refused_by_name() {
    for (name, parts) in [
        ("module.bin", ["`torch.nn.modules.linear.Linear`", "save_pretrained"]),
        ("script.bin", ["TorchScript", "save_pretrained"]),
        ("expected.safetensors", ["not a file of torch.save", "fetch it again"]),
        ("no.bin", ["no.bin", "can't be read"]),
    ] {
        let error = File::open(&golden(name)).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[test]
fn elements_are_gathered_in_the_order_of_the_tensor() {
    // [2, 3, 2] with strides that leave gaps and turn the axes; by the definition.
    let (shape, strides) = ([2, 3, 2], [1, 7, 3]);
    let elements: Vec<f32> = (0..1 + 1 + 14 + 3).map(|i| i as f32).collect();
    let mut want = Vec::new();
    for i in 0..shape[0] {
        for j in 0..shape[1] {
            for k in 0..shape[2] {
                want.push(elements[i * strides[0] + j * strides[1] + k * strides[2]]);
            }
        }
    }
    let tensor = Strided {
        key: String::new(),
        element: globals::ElementType::F32,
        storage_len: elements.len() as u64,
        offset: 0,
        extent: elements.len() as u64,
        shape: shape.to_vec(),
        strides: strides.to_vec(),
    };
    assert_eq!(gather(&elements, &tensor), want);
}
