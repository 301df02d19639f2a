//! What of a sample the estimators see: its texts, or some of its words.
//!
//! Where words have labels, a sentence has some twenty of them, of which most belong to no entity. A thousand words are
//! enough for the estimators, and of those that most share, such as `O`, no more than half are taken: whether an
//! encoder tells apart the entities is decided by the others.

use tensor::philox::Rng;

use crate::data::{Labels, split};

/// The random stream that draws words (`b"points"` as a number).
const STREAM: u64 = 0x70_6F_69_6E_74_73;

/// The rows of the estimators.
#[derive(Clone, Debug)]
pub struct Points {
    /// The words of each text that count, ascending, by their number among those that have a label; none where each
    /// text is a row.
    pub words: Option<Vec<Vec<usize>>>,
    /// The label of each row.
    pub labels: Labels,
    /// The fold of each row: that of its text.
    pub folds: Vec<usize>,
    /// The text of each row, by its number.
    pub texts: Vec<usize>,
}

impl Points {
    /// Of texts with these labels and folds: the texts, or up to `most` words of them.
    pub fn new(labels: &Labels, folds: &[usize], most: usize, seed: u64) -> Self {
        let Labels::Tags(tags) = labels else {
            let texts = (0..folds.len()).collect();
            return Self { words: None, labels: labels.clone(), folds: folds.to_vec(), texts };
        };
        let classes = |tags: &Vec<Option<u32>>| tags.iter().flatten().copied().collect();
        let tags: Vec<Vec<u32>> = tags.iter().map(classes).collect();
        let all = tags.iter().enumerate();
        let all = all.flat_map(|(text, tags)| (0..tags.len()).map(move |word| (text, word)));
        let all: Vec<(usize, usize)> = all.collect();
        let class = |&(text, word): &(usize, usize)| tags[text][word];
        let drawn = draw(&all.iter().map(class).collect::<Vec<_>>(), most, seed);
        let drawn: Vec<(usize, usize)> = drawn.into_iter().map(|i| all[i]).collect();
        let mut words = vec![Vec::new(); tags.len()];
        drawn.iter().for_each(|&(text, word)| words[text].push(word));
        let labels = Labels::Class(drawn.iter().map(class).collect());
        let texts: Vec<usize> = drawn.iter().map(|&(text, _)| text).collect();
        let folds = texts.iter().map(|&text| folds[text]).collect();
        Self { words: Some(words), labels, folds, texts }
    }

    /// N.
    pub fn len(&self) -> usize {
        self.folds.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.folds.is_empty()
    }
}

/// Up to `most` of these, ascending: of each class its share, but of the largest no more than half, unless the others
/// are too few.
fn draw(classes: &[u32], most: usize, seed: u64) -> Vec<usize> {
    if classes.len() <= most {
        return (0..classes.len()).collect();
    }
    let mut counts = vec![0usize; classes.iter().max().map_or(0, |&last| last as usize + 1)];
    classes.iter().for_each(|&class| counts[class as usize] += 1);
    let largest = (0..counts.len()).max_by_key(|&class| counts[class]).unwrap_or(0) as u32;
    let (mut large, others): (Vec<usize>, Vec<usize>) =
        (0..classes.len()).partition(|&i| classes[i] == largest);
    // Its share, but no more than half, unless the others are too few.
    let share = most * large.len() / classes.len();
    let taken = share.min((most / 2).max(most.saturating_sub(others.len())));
    let mut drawn = match most - taken {
        rest if rest >= others.len() => others,
        rest => {
            let labels = Labels::Class(others.iter().map(|&i| classes[i]).collect());
            let rows = split::sample(&labels, rest, seed);
            rows.into_iter().map(|row| others[row]).collect()
        }
    };
    Rng::new(seed, STREAM).shuffle(&mut large);
    drawn.extend(&large[..taken]);
    drawn.sort_unstable();
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 40 sentences of 20 words, of which word 3 is of class 0, word 4 of class 1 and the others of class 2.
    fn tags() -> Labels {
        Labels::Tags((0..40).map(|_| (0..20).map(class_of).map(Some).collect()).collect())
    }

    fn class_of(word: usize) -> u32 {
        match word {
            3 => 0,
            4 => 1,
            _ => 2,
        }
    }

    #[test]
    fn rare_classes_are_half_of_the_words() {
        let folds: Vec<usize> = (0..40).map(|text| text % 5).collect();
        let points = Points::new(&tags(), &folds, 100, 1);
        let Labels::Class(classes) = &points.labels else { panic!("a class a word") };
        let count = |class| classes.iter().filter(|&&c| c == class).count();
        assert_eq!([count(0), count(1), count(2)], [25, 25, 50]);
        assert_eq!(points.len(), 100);
        // Labels, folds and texts are those of the words that were drawn.
        let words = points.words.as_ref().expect("words");
        let drawn =
            words.iter().enumerate().flat_map(|(text, words)| words.iter().map(move |w| (text, w)));
        for (row, (text, &word)) in drawn.enumerate() {
            assert_eq!(classes[row], class_of(word));
            assert_eq!((points.folds[row], points.texts[row]), (folds[text], text));
        }
        let all = Points::new(&tags(), &folds, 800, 1);
        assert_eq!(all.len(), 800);
        // All 80 of the others, and what is left.
        let most = Points::new(&tags(), &folds, 700, 1);
        assert_eq!(most.len(), 700);
    }

    #[test]
    fn words_without_a_label_are_none() {
        let tags = Labels::Tags(vec![vec![None, Some(1), None, Some(0)], vec![Some(1), None]]);
        let points = Points::new(&tags, &[0, 1], 100, 1);
        assert_eq!(points.words, Some(vec![vec![0, 1], vec![0]]));
        assert_eq!(points.labels, Labels::Class(vec![1, 0, 1]));
        assert_eq!((points.folds, points.texts), (vec![0, 0, 1], vec![0, 0, 1]));
    }

    #[test]
    fn texts_are_rows() {
        let points = Points::new(&Labels::Class(vec![0, 1]), &[1, 0], 1, 1);
        assert_eq!((points.words, points.folds, points.texts), (None, vec![1, 0], vec![0, 1]));
    }
}
