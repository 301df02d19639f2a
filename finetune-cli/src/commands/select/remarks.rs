//! What one should know of a candidate or of the sample, a sentence each.

use std::collections::BTreeSet;

use super::super::unused;
use super::{Data, FOLDS, Selection};
use crate::data::{LabelSet, Labels, Task};
use crate::select::candidates::Request;
use crate::select::fit;
use crate::select::summary::Evidence;

/// What is worth saying of a scored candidate.
pub(super) fn of_candidate(
    request: &Request,
    evidence: &Evidence,
    selection: &Selection,
) -> Vec<String> {
    let mut remarks = fit::remarks(&evidence.fit);
    // What is left out on demand is known.
    if let (None, Some(weights)) = (request.truncate, &evidence.unused) {
        remarks.push(unused(weights.count, &weights.first));
    }
    remarks.extend(of_head(evidence, selection));
    let depth = evidence.cost.layers;
    if let Some(layer) = evidence.best_layer.layer.filter(|&layer| layer < depth) {
        remarks.push(match layer {
            0 => "the embeddings score best of all layers".to_owned(),
            _ => format!("layer {layer} of {depth} scores best"),
        });
    }
    remarks
}

/// Whether a candidate has learned these labels, or others.
fn of_head(evidence: &Evidence, selection: &Selection) -> Option<String> {
    let (objective, data) = (&evidence.objective, selection.data);
    if objective.head_used {
        let figure = objective.head_metric.map_or(String::new(), |figure| {
            format!(": {} {figure:.3} without training", data.metric(selection.args))
        });
        return Some(format!("has a head for these labels{figure}"));
    }
    if objective.labels.is_empty() {
        return None;
    }
    let sorted =
        |names: &[String]| names.iter().map(|name| name.to_lowercase()).collect::<BTreeSet<_>>();
    let names = data.schema.task.label_set().map_or(&[][..], LabelSet::names);
    let what = match sorted(names) == sorted(&objective.labels) {
        true => "these labels in another order",
        false => "other labels",
    };
    Some(format!("fine-tuned for {what}; its head is left behind"))
}

/// With fewer texts or words than this a score says little: a share of a hundred has a standard error of up to five
/// points, more than what lies between good candidates.
const FEW: usize = 100;

/// Says that the scores rest on very little.
pub(super) fn of_sample(data: &Data) -> Option<String> {
    let what = if data.points.words.is_some() { "words" } else { "examples" };
    let advice = match data.sample.len() < data.train.len() {
        true => "a larger --sample tells more",
        false => "more training data tells more",
    };
    let count = data.points.len();
    (count < FEW).then(|| {
        format!("{count} {what} are few: the scores say little, and may rank by chance; {advice}")
    })
}

/// Says which classes have fewer examples than there are folds.
pub(super) fn small_classes(labels: &Labels, task: &Task) -> Option<String> {
    let (Labels::Class(ids), Some(set)) = (labels, task.label_set()) else { return None };
    let mut counts = vec![0; set.len()];
    ids.iter().for_each(|&id| counts[id as usize] += 1);
    let small = counts.iter().zip(set.names()).filter(|(count, _)| **count < FOLDS);
    let small: Vec<String> = small.map(|(count, name)| format!("{name} ({count})")).collect();
    (!small.is_empty()).then(|| {
        let names = small.join(", ");
        format!("fewer examples than folds ({FOLDS}) in the sample: {names}; estimates of them are rough")
    })
}
