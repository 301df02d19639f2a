//! A report on a terminal.

use std::fmt::{self, Display, Formatter};

use super::{ClassScores, Report};

/// Classes of which a confusion matrix and all scores still fit on a screen.
const MAX_CLASSES: usize = 12;

/// Characters of a class name that are shown.
const NAME: usize = 20;

/// Characters of a column heading of the confusion matrix.
const HEADING: usize = 10;

/// The metrics, then a table of classes (beyond twelve, those of the lowest F1), then the confusion matrix.
impl Display for Report {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let width = self.metrics.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in &self.metrics {
            writeln!(f, "{name:<width$}  {value:>9.4}")?;
        }
        if !self.classes.is_empty() {
            self.write_classes(f)?;
        }
        match &self.confusion {
            Some(confusion) if confusion.len() <= MAX_CLASSES => self.write_confusion(f, confusion),
            _ => Ok(()),
        }
    }
}

impl Report {
    fn write_classes(&self, f: &mut Formatter) -> fmt::Result {
        let mut shown: Vec<&ClassScores> = self.classes.iter().collect();
        if shown.len() > MAX_CLASSES {
            shown.sort_by(|a, b| a.f1.total_cmp(&b.f1));
            shown.truncate(MAX_CLASSES);
            writeln!(
                f,
                "\nThe {MAX_CLASSES} of {} classes with the lowest F1",
                self.classes.len()
            )?;
        } else {
            writeln!(f)?;
        }
        let width = name_width(shown.iter().copied());
        writeln!(f, "{:<width$}  precision   recall       f1  support", "class")?;
        for ClassScores { name, precision, recall, f1, support } in shown {
            let name = shorten(name, NAME);
            writeln!(f, "{name:<width$}  {precision:>9.4}{recall:>9.4}{f1:>9.4}{support:>9}")?;
        }
        Ok(())
    }

    fn write_confusion(&self, f: &mut Formatter, confusion: &[Vec<u64>]) -> fmt::Result {
        let names = || self.classes.iter().map(|class| class.name.as_str());
        let width = name_width(&self.classes).max("true".len());
        let headings: Vec<String> = names().map(|name| shorten(name, HEADING)).collect();
        let counts = confusion.iter().flatten().map(|count| count.to_string().len());
        let cell =
            headings.iter().map(|name| name.chars().count()).chain(counts).max().unwrap_or(0);
        write!(f, "\nConfusion matrix, rows true, columns predicted\n{:<width$}", "")?;
        headings.iter().try_for_each(|name| write!(f, "  {name:>cell$}"))?;
        writeln!(f)?;
        for (name, row) in names().zip(confusion) {
            write!(f, "{:<width$}", shorten(name, NAME))?;
            row.iter().try_for_each(|count| write!(f, "  {count:>cell$}"))?;
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The width of the names' column.
fn name_width<'a>(classes: impl IntoIterator<Item = &'a ClassScores>) -> usize {
    let widths = classes.into_iter().map(|class| class.name.chars().count().min(NAME));
    widths.max().unwrap_or(0).max("class".len())
}

/// At most `width` characters on one line, the last a `…` where some are left out.
fn shorten(name: &str, width: usize) -> String {
    let name = name.replace(char::is_control, " ");
    if name.chars().count() <= width {
        return name;
    }
    name.chars().take(width - 1).chain(['…']).collect()
}
