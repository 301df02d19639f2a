//! The names of the classes: `id2label` and `label2id` of a `config.json`.

use serde_json::{Map, Value};

use crate::Result;
use crate::fields::Fields;

/// The most classes a model may have: keeps a hostile `num_labels` from filling the memory.
pub const MOST_LABELS: usize = 1 << 16;

/// The labels in the order of their ids; none if the file names neither labels nor their number. `label2id` is not
/// looked at, as in transformers: what a model answers is `id2label`.
pub(crate) fn read(fields: &Fields) -> Result<Vec<String>> {
    let labels = match fields.object("id2label")? {
        Some(id2label) => in_order(fields, id2label)?,
        None => numbered(fields)?,
    };
    check_unique(fields, &labels)?;
    Ok(labels)
}

/// Puts the labels in place of those in `map`.
pub(crate) fn write(labels: &[String], map: &mut Map<String, Value>) {
    // The number follows from the names; transformers leaves it out as well.
    map.shift_remove("num_labels");
    if labels.is_empty() {
        map.shift_remove("id2label");
        map.shift_remove("label2id");
        return;
    }
    let ids = || labels.iter().enumerate();
    let id2label = ids().map(|(i, label)| (i.to_string(), label.as_str().into())).collect();
    let label2id = ids().map(|(i, label)| (label.clone(), i.into())).collect();
    map.insert("id2label".into(), Value::Object(id2label));
    map.insert("label2id".into(), Value::Object(label2id));
}

fn in_order(fields: &Fields, id2label: &Map<String, Value>) -> Result<Vec<String>> {
    let n = id2label.len();
    if n > MOST_LABELS {
        return Err(fields.unexpected("id2label", &format!("at most {MOST_LABELS} labels"), n));
    }
    let label = |i: usize| {
        let value = id2label.get(&i.to_string()).ok_or_else(|| {
            let keys = id2label.keys().take(5).cloned().collect::<Vec<_>>().join(", ");
            fields.unexpected(
                "id2label",
                &format!("the keys 0 to {}", n - 1),
                format!("{keys} ..."),
            )
        })?;
        let key = format!("id2label.{i}");
        match value.as_str() {
            // Names are shown: no line break cuts a line in two, and no sequence of signs paints the terminal.
            Some(name) if name.contains(char::is_control) => Err(fields.unexpected(
                &key,
                "a name without control characters",
                format!("{name:?}"),
            )),
            Some(name) => Ok(name.to_owned()),
            None => Err(fields.unexpected(&key, "a string", value)),
        }
    };
    (0..n).map(label).collect()
}

/// LABEL_0, LABEL_1, ..., as transformers names the classes of a file that only counts them.
fn numbered(fields: &Fields) -> Result<Vec<String>> {
    if fields.get("num_labels").is_none() {
        return Ok(Vec::new());
    }
    let n = fields.size("num_labels", 1, MOST_LABELS)?;
    Ok((0..n).map(|i| format!("LABEL_{i}")).collect())
}

fn check_unique(fields: &Fields, labels: &[String]) -> Result<()> {
    let mut seen = std::collections::HashSet::new();
    match labels.iter().find(|label| !seen.insert(label.as_str())) {
        Some(label) => {
            Err(fields.unexpected("id2label", "each label once", format!("{label} twice")))
        }
        None => Ok(()),
    }
}
