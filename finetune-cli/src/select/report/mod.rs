//! The report of a selection: a page of its candidates.
//!
//! ```text
//! rows, labels        the candidates as every part shows them, in charts
//! headline            the choice, how sure it is, the command to run next
//! ranking             the table of all candidates
//! cost                score against time
//! profiles            estimates by layer
//! rungs               what fine-tuning measured
//! fit                 tokenizers, pretraining, heads
//! estimators          what the score is made of
//! footer              data, task and timing
//! ```

mod cost;
mod estimators;
mod fit;
mod footer;
mod headline;
mod labels;
mod profiles;
mod ranking;
mod rows;
mod rungs;

use super::summary::Summary;
use crate::page::page;

/// The whole page.
pub fn html(summary: &Summary) -> String {
    let rows = rows::rows(summary);
    let sections = [
        Some(headline::section(summary, &rows)),
        Some(ranking::section(summary, &rows)),
        cost::section(&rows),
        profiles::section(&rows),
        rungs::section(summary, &rows),
        fit::section(&rows),
        estimators::section(&rows),
        Some(footer::section(summary)),
    ];
    let title = format!("Starting points for {}", summary.task.train);
    page(&title, "", sections.into_iter().flatten().collect())
}
