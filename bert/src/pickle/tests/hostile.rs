//! What is damaged, and what was made to do harm.

use std::fs;

use proptest::prelude::*;

use super::build::*;
use super::*;

/// Opens a file and reads what can be read: it may fail, and nothing else.
fn try_all(bytes: &[u8]) -> bool {
    let (_dir, file) = open(bytes);
    let Ok(mut file) = file else { return false };
    for name in file.names() {
        let _ = file.read(&name);
    }
    true
}

fn weight(len: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    archive(&dict("w", &tensor("0", len, offset, shape, strides)))
}

#[test]
fn what_is_made_by_hand_is_read() {
    let (_dir, file) = open(&weight(4, 1, &[3], &[1]));
    let mut file = file.unwrap();
    assert_eq!((file.names(), file.shape("w")), (vec!["w".to_owned()], Some(&[3][..])));
    assert_eq!(file.read("w").unwrap().to_vec::<f32>().unwrap(), [0.0; 3]);
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    for name in ["zip.bin", "stream.bin"] {
        let bytes = fs::read(golden(name)).unwrap();
        let (dir, file) = open(&bytes);
        file.unwrap();
        let path = dir.path().join("pytorch_model.bin");
        for length in (0..bytes.len() as u64).rev() {
            fs::File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
            let message = File::open(&path).expect_err("refused").to_string();
            assert!(!message.contains("convert"), "{name}: {length} bytes: {message}");
        }
    }
}

#[test]
fn only_the_globals_of_a_state_dict_are_known() {
    let call = |global: &str| archive(&dict("w", format!("c{global}(X\x02\0\0\0lstR").as_bytes()));
    refused(&call("os\nsystem\n"), "the global `os.system`");
    refused(&call("builtins\neval\n"), "the global `builtins.eval`");
    refused(&call("torch._utils\n_rebuild_tensor_v3\n"), "`torch._utils._rebuild_tensor_v3`");
    refused(&call("collections\nOrderedDict\n"), "OrderedDict with (the text `ls`)");
    refused(&call("torch\nFloatStorage\n"), "a call of Storage(F32)");
    refused(&call("a\x1b[31m\nb\n"), "`a\\u{1b}[31m.b`");
    refused(&archive(b"\x80\x02X\x01\0\0\0a)R."), "a call of the text `a`");
    refused(&archive(b"\x80\x02K\x01Q."), "a storage that is named by a whole number");
    refused(&archive(b"\x80\x02K\x01}b."), "attributes of a whole number");
    refused(&archive(b"\x80\x02i"), "opcode 0x69 at byte 2");
    refused(&archive(b"\x80\x04}."), "protocol 4");
    refused(&archive(b"\x80\x02}."), "a dict without tensors");
    refused(&archive(b"\x80\x02]."), "a list, not a dict");
}

#[test]
fn a_pickle_that_does_not_fit_its_own_stack_is_refused() {
    for (pickle, part) in [
        (&b"\x80\x02."[..], "more from its stack"),
        (b"\x80\x02}(s.", "more from its stack"),
        (b"\x80\x02}(q\x00.", "empty stack"),
        (b"\x80\x02t.", "a mark that is not there"),
        (b"\x80\x02h\x07.", "no number 7"),
        (b"\x80\x02}(K\x01u.", "a key without a value"),
        (b"\x80\x02)K\x01a.", "appending to a tuple"),
        (b"\x80\x02](K\x01K\x02u.", "setting entries of a list"),
        (b"\x80\x02X\xff\xff\xff\xff.", "ends too early"),
        (b"\x80\x02X\x01\0\0\0\xff.", "not UTF-8"),
        (b"\x80\x02\x8a\xff", "ends too early"),
        (b"\x80\x02cos", "ends too early"),
    ] {
        refused(&archive(pickle), part);
    }
    refused(&archive(&[b"\x80\x02\x8a\x09".as_slice(), &[1; 9], b"."].concat()), "of 9 bytes");
    let twice = [text("w"), tensor("0", 4, 0, &[4], &[1])].concat();
    let twice = [b"\x80\x02}(", twice.as_slice(), &twice, b"u."].concat();
    refused(&archive(&twice), "two tensors are called w");
}

#[test]
fn cycles_and_nesting_of_any_depth_are_inert() {
    let weight = [text("w"), tensor("0", 4, 0, &[4], &[1])].concat();
    let holding = |name: &str, value: &[u8]| {
        archive(&[b"\x80\x02}q\0(", weight.as_slice(), &text(name), value, b"u."].concat())
    };
    let dict = |value: &[u8]| holding("other", value);
    assert!(try_all(&dict(b"h\0")), "a dict that holds itself");
    assert!(try_all(&dict(b"]q\x01h\x01a")), "a list that holds itself");
    assert!(try_all(&dict(&[b")".as_slice(), &[0x85; 1 << 19]].concat())), "tuples in tuples");
    assert!(try_all(&dict(&[&[b']'; 1 << 19][..], &[b'a'; (1 << 19) - 1]].concat())));
    // A state dict that is inside itself.
    assert!(try_all(&holding("state_dict", b"h\0")));
    refused(&archive(&[b"\x80\x02".as_slice(), &[b'N'; 1 << 21]].concat()), "steps");
    refused(&archive(&vec![b'N'; (1 << 24) + 1]), "16777217 bytes where");
}

/// A tuple or a text that many calls name would be copied by each.
#[test]
fn what_a_call_copies_is_short() {
    let (many, few) = ([1; 65], [1; 64]);
    refused(&weight(4, 0, &many, &many), "a tensor of 65 axes");
    assert!(open(&weight(4, 0, &few, &few)).1.is_ok());
    let keyed = |n: usize| archive(&dict("w", &tensor(&"0".repeat(n), 4, 0, &[4], &[1])));
    refused(&keyed(256), "a key of 256 bytes");
    refused(&keyed(255), "is missing");
    // One tensor, and the call that built it again: five bytes each.
    let again = |n: usize| {
        let call = [b"ctorch._utils\n_rebuild_tensor_v2\nq\x00".as_slice(), &noted()].concat();
        [b"\x80\x02".as_slice(), &call, &b"h\0h\x01R".repeat(n), b"."].concat()
    };
    refused(&archive(&again(1 << 16)), "a tensor, not a dict");
    refused(&archive(&again((1 << 16) + 1)), "more than 65536 tensors");
}

/// The arguments of a call, as number 1 of the memo.
fn noted() -> Vec<u8> {
    let whole = tensor("0", 4, 0, &[4], &[1]);
    let start = whole.iter().position(|&byte| byte == b'(').expect("a mark");
    [&whole[start..whole.len() - 1], b"q\x01"].concat()
}

#[test]
fn sizes_that_lie_are_refused() {
    let (max, half) = (i64::MAX, 1 << 62);
    for (len, offset, shape, strides) in [
        (4, 0, &[5][..], &[1][..]),
        (4, 2, &[3], &[1]),
        (4, 0, &[2, 2], &[3, 1]),
        (4, max, &[1], &[1]),
        (4, 5, &[0], &[1]),
        (4, 0, &[half, half], &[0, 0]),
        (4, 0, &[half, half, 0], &[0, 0, 0]),
        (4, 0, &[max, 2], &[max, max]),
        (4, 0, &[2], &[max]),
        (4, 0, &[2], &[1, 1]),
    ] {
        refused(&weight(len, offset, shape, strides), "beyond its storage 0 of 4 elements");
    }
    refused(&weight(4, -1, &[1], &[1]), "-1 for a size");
    refused(&weight(4, 0, &[-1], &[1]), "-1 for a size");
    refused(&weight(4, 0, &[1], &[-1]), "-1 for a size");
    refused(&weight(5, 0, &[4], &[1]), "storage 0: 16 bytes for 5 elements of F32");
    refused(&weight(3, 0, &[3], &[1]), "16 bytes for 3 elements");
    refused(&weight(max, 0, &[4], &[1]), "16 bytes for 9223372036854775807 elements");
    refused(
        &archive(&dict("w", &tensor("7", 4, 0, &[4], &[1]))),
        "storage 7 of tensor w is missing",
    );
    // A terabyte that repeats one element is refused when it is read, and a row of nothing is quick.
    let (_dir, file) = open(&weight(4, 0, &[1 << 40], &[0]));
    assert!(file.unwrap().read("w").unwrap_err().to_string().contains("overlap"));
    assert!(try_all(&weight(4, 0, &[1 << 60, 0], &[1, 1])));
}

fn entries() -> Vec<Entry> {
    let pickle = dict("w", &tensor("0", 4, 0, &[4], &[1]));
    vec![Entry::new("m/data.pkl", &pickle), Entry::new("m/data/0", &[7; 16])]
}

/// A zip file whose second entry, the storage, was edited.
fn edited(edit: impl Fn(&mut Entry)) -> Vec<u8> {
    let mut entries = entries();
    edit(&mut entries[1]);
    zip(&entries, false)
}

#[test]
fn zip_files_with_and_without_numbers_of_64_bits_are_read() {
    let weight = f32::from_le_bytes([7; 4]);
    for wide in [false, true] {
        let comment = [b"\x04\x00".as_slice(), b"PK\x05\x06"].concat();
        let mut bytes = zip(&entries(), wide);
        for comment in [&[0, 0][..], &comment] {
            bytes.truncate(bytes.len() - 2);
            bytes.extend(comment);
            let (_dir, file) = open(&bytes);
            let values = file.unwrap().read("w").unwrap().to_vec::<f32>().unwrap();
            assert_eq!(values, [weight; 4]);
        }
    }
}

#[test]
fn zip_entries_that_are_no_plain_run_of_bytes_are_refused() {
    refused(&edited(|e| e.method = 8), "m/data/0, compressed by method 8");
    refused(&edited(|e| e.stored = 15), "compressed");
    refused(&edited(|e| e.flags = 1), "encrypted entry m/data/0");
    for size in [1000, u64::from(u32::MAX) - 1] {
        refused(&edited(|e| (e.size, e.stored) = (size, size)), "beyond its end");
    }
    refused(&edited(|e| (e.size, e.stored) = (15, 15)), "15 bytes for 4 elements");
    refused(&edited(|e| e.header = Some(0)), "overlap");
    refused(&edited(|e| e.header = Some(1)), "not where its directory says");
    refused(&edited(|e| e.header = Some(0xffff_fff0)), "not where its directory says");
    // Of 64 bits, without the field that holds them.
    refused(&edited(|e| e.header = Some(0xffff_ffff)), "directory of the zip file is not valid");
    refused(&edited(|e| e.name = "m/data.pkl".into()), "two entries");
    refused(&edited(|e| e.name = "n/data.pkl".into()), "2 pickles");
    refused(&edited(|e| e.name = "m/data/1".into()), "storage 0 of tensor w is missing");
    refused(&edited(|e| e.name = "m/byteorder".into()), "16 bytes where at most 8");
    refused(&zip(&[], false), "not a file of torch.save");
    refused(&zip(&[Entry::new("a", b"")], false), "0 pickles");
    let mut big = entries();
    big.push(Entry::new("m/byteorder", b"big"));
    refused(&zip(&big, false), "byte order `big`");
    let mut wide = entries();
    (wide[1].size, wide[1].stored) = (u64::MAX, u64::MAX);
    refused(&zip(&wide, true), "beyond its end");
    wide[1].header = Some(u64::MAX);
    refused(&zip(&wide, true), "not where its directory says");
}

#[test]
fn a_zip_directory_outside_the_file_is_refused() {
    let whole = zip(&entries(), false);
    let body = &whole[..whole.len() - 22];
    let at = body.len() as u64;
    for wide in [false, true] {
        for (size, from) in [(at, 1), (0xffff_fff0, 0), (1, at), (u64::MAX >> 1, u64::MAX >> 1)] {
            let bytes = [body, &end([size, from], at, wide)].concat();
            refused(&bytes, "not inside it");
        }
    }
    for place in [0, at - 1, u64::MAX] {
        refused(&[body, &end([1, 0], place, true)].concat(), "zip64 record");
    }
    refused(body, "no end");
}

/// The old format with this list of keys and these storages.
fn stream(keys: &[u8], storages: &[u8]) -> Vec<u8> {
    let pickle = dict("w", &tensor("0", 4, 0, &[4], &[1]));
    let head = b"\x80\x02M\xe9\x03.\x80\x02}.";
    [stream::MAGIC.as_slice(), head, &pickle, b"\x80\x02](", keys, b"e.", storages].concat()
}

#[test]
fn streams_that_lie_are_refused() {
    let storage = |n: u64, bytes: usize| [n.to_le_bytes().as_slice(), &vec![0; bytes]].concat();
    let key = text("0");
    assert!(try_all(&stream(&key, &storage(4, 16))));
    refused(&stream(&key, &storage(4, 15)), "truncated");
    refused(&stream(&key, &[0; 7]), "truncated");
    refused(&stream(&key, &storage(u64::MAX, 16)), "storage 0 has 18446744073709551615 elements");
    refused(&stream(&text("1"), &storage(4, 16)), "no tensor has the storage 1");
    refused(&stream(b"", &storage(4, 16)), "storage 0 of tensor w is missing");
    refused(&stream(b"N", &storage(4, 16)), "a storage has None for a key");
    refused(&[stream::MAGIC.as_slice(), b"\x80\x02K\x05."].concat(), "1001");
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let message = File::open(dir.path()).unwrap_err().to_string();
    assert!(message.contains("not a regular file"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// Nothing panics and nothing takes long, whatever a few bytes become.
    #[test]
    fn flipped_bytes_do_no_harm(
        is_zip: bool,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = fs::read(golden(if is_zip { "zip.bin" } else { "stream.bin" })).unwrap();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        try_all(&bytes);
    }

    /// Nor whatever a pickle is made of.
    #[test]
    fn random_pickles_do_no_harm(ops in prop::collection::vec(
        prop::sample::select(b"N\x88KX(\x29\x85\x86t]}aesuqhcRQb.G\x8aMJ\x00\x01\x02\n".to_vec()), 0..60,
    )) {
        let torch: &[u8] = b"\x80\x02ccollections\nOrderedDict\n";
        try_all(&archive(&[torch, &ops].concat()));
    }
}
