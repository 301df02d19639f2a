//! The candidates as the report shows them: ranked, and with names short enough for a chart.

use std::collections::BTreeMap;

use crate::page::html::{Element, element, with_text};
use crate::page::numbers::finite;
use crate::select::summary::{Candidate, Evidence, Score, Summary};

/// A candidate and its place in the report.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The candidate.
    pub candidate: &'a Candidate,
    /// 1 is the best; none if it was not scored.
    pub rank: Option<usize>,
    /// The last part of its path if no other candidate's is the same, else its whole name.
    pub name: &'a str,
    /// Where it lies, if the name does not say so and not all lie there.
    pub folder: Option<&'a str>,
    /// Whether it is one of several that the data can't tell from the highest score.
    pub tied: bool,
}

/// All candidates: first the ranked, in their order, then the others.
pub fn rows<'a>(summary: &'a Summary) -> Vec<Row<'a>> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for candidate in &summary.candidates {
        *seen.entry(last_part(&candidate.name)).or_default() += 1;
    }
    let one = |folder| summary.candidates.iter().all(|c| folder_of(&c.name) == folder);
    let row = |((candidate, tied), rank): ((&'a Candidate, bool), Option<usize>)| {
        let (whole, last) = (candidate.name.as_str(), last_part(&candidate.name));
        let name = if seen[last] == 1 { last } else { whole };
        let folder = folder_of(whole);
        let told = name == whole || folder.is_empty() || one(folder);
        Row { candidate, rank, name, folder: (!told).then_some(folder), tied }
    };
    let all = summary.candidates.iter().zip(summary.tied());
    let (ranked, others): (Vec<_>, Vec<_>) = all.partition(|(c, _)| c.is_ranked());
    let ranks = (1..=ranked.len()).map(Some).chain(std::iter::repeat(None));
    ranked.into_iter().chain(others).zip(ranks).map(row).collect()
}

/// What is before the last part.
fn folder_of(name: &str) -> &str {
    name[..name.rfind(last_part(name)).unwrap_or(0)].trim_end_matches('/')
}

fn last_part(name: &str) -> &str {
    let last = name.trim_end_matches('/').rsplit('/').next();
    last.filter(|part| !part.is_empty()).unwrap_or(name)
}

impl<'a> Row<'a> {
    /// What was measured of it.
    pub fn evidence(&self) -> Option<&'a Evidence> {
        self.candidate.evidence.as_ref()
    }

    /// Its score, if that is a number; an end of the interval that is none is the score itself.
    pub fn score(&self) -> Option<Score> {
        let score = self.candidate.score?;
        let value = finite(Some(score.value))?;
        let end = |end: f64| finite(Some(end)).unwrap_or(value);
        Some(Score { low: end(score.low), high: end(score.high), ..score })
    }

    /// What fine-tuning showed of it.
    pub fn metric(&self) -> Option<f64> {
        self.candidate.verified.as_ref().and_then(|v| finite(Some(v.metric)))
    }

    /// The learning rate at which it showed that.
    pub fn learning_rate(&self) -> Option<f64> {
        self.candidate.verified.as_ref().map(|verified| verified.learning_rate)
    }

    /// The name, set apart from the text around it, with the whole name for those who point at it.
    pub fn mark(&self) -> Element {
        with_text("bdi", self.name).class("name").attr("title", &self.candidate.name)
    }

    /// The head of a row of a table.
    pub fn head(&self) -> Element {
        element("th").attr("scope", "row").child(self.mark())
    }
}
