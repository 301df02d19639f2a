//! The report of a selection: well formed, escaped, complete, and whole whatever is missing.

use std::fs;
use std::path::Path;

use finetune::select::report::html;
use finetune::select::summary::*;

/// Names, sizes in millions, layers, seconds of the full recipe.
const MODELS: [(&str, f64, usize, f64); 18] = [
    ("models/bert-base-uncased", 109.5, 12, 5210.0),
    ("models/bert-base-cased", 108.3, 12, 5160.0),
    ("models/roberta-base", 124.6, 12, 5480.0),
    ("models/distilroberta-base", 82.1, 6, 2710.0),
    ("models/distilbert-base-uncased", 66.4, 6, 2590.0),
    ("models/all-MiniLM-L6-v2", 22.7, 6, 610.0),
    ("models/all-MiniLM-L12-v2", 33.4, 12, 1190.0),
    ("models/all-mpnet-base-v2", 109.5, 12, 5400.0),
    ("models/bert-base-uncased:8", 81.1, 8, 3480.0),
    ("models/bert-base-uncased:4", 52.8, 4, 1760.0),
    ("models/electra-small-discriminator", 13.5, 12, 720.0),
    ("models/electra-base-discriminator", 108.9, 12, 5230.0),
    ("models/bert-tiny", 4.4, 2, 48.0),
    ("models/bert-mini", 11.2, 4, 145.0),
    ("models/bert-small", 28.8, 4, 420.0),
    ("models/bert-medium", 41.4, 8, 830.0),
    ("models/finbert", 109.5, 12, 5230.0),
    ("models/twitter-roberta-base-sentiment", 124.6, 12, 5510.0),
];

/// A number from 0 to 1 that looks like chance and is the same every time.
fn wobble(seed: usize) -> f64 {
    let bits = (seed as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((bits ^ (bits >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as f64 / (1u64 << 24) as f64
}

fn layers(count: usize, quality: f64, seed: usize) -> Vec<LayerProfile> {
    let at = |layer: Option<usize>, pooling: &str, salt: usize| {
        let depth = layer.map_or(0.75, |l| l as f64 / count as f64);
        let mean = if pooling == "mean" { 0.0 } else { 0.08 * (1.0 - depth) };
        let good = quality * (0.35 + depth * (1.7 - depth)) - mean;
        let good = good + 0.04 * wobble(seed * 97 + salt);
        LayerProfile {
            place: Place { layer, pooling: pooling.to_owned() },
            h_score: Some(0.3 + 1.2 * good * (1.0 + 0.3 * wobble(seed)) - 0.3 * depth * depth),
            logme: Some(-0.71 + 0.5 * good),
            knn: Some((0.5 + 0.4 * good).min(0.97)),
        }
    };
    let places = (0..=count).map(Some).chain([None]);
    let pooled = places.flat_map(|layer| ["first", "mean"].map(|pooling| (layer, pooling)));
    pooled.enumerate().map(|(salt, (layer, pooling))| at(layer, pooling, salt)).collect()
}

fn estimates(places: [(&str, &LayerProfile); 3], seed: usize) -> Vec<Estimated> {
    let at = |(salt, (role, profile)): (usize, (&str, &LayerProfile))| {
        let good = profile.knn.unwrap_or_default() + 0.03 * wobble(seed * 31 + salt);
        let value = |estimator: &str, value: f64| Estimated {
            role: role.to_owned(),
            place: profile.place.clone(),
            estimator: estimator.to_owned(),
            value: Some(value),
            without: (0..5).map(|fold| Some(value * (0.98 + 0.01 * fold as f64))).collect(),
        };
        [
            value("h_score", profile.h_score.unwrap_or_default()),
            value("logme", profile.logme.unwrap_or_default()),
            value("knn", profile.knn.unwrap_or_default()),
            value("probe", (good + 0.03).min(0.99)),
            value("transrate", 40.0 * good * good),
            value("nleep", good - 1.25),
        ]
    };
    places.into_iter().enumerate().flat_map(at).collect()
}

fn evidence(i: usize, quality: f64) -> Evidence {
    let (name, millions, count, seconds) = MODELS[i % MODELS.len()];
    let layers = layers(count, quality, i);
    let logme = |p: &&LayerProfile| p.logme.unwrap_or(f64::MIN);
    let best = layers.iter().max_by(|a, b| logme(a).total_cmp(&logme(b))).expect("layers");
    let all = layers.iter().rev().find(|p| p.place.layer.is_none()).expect("the mean");
    let last = |p: &&LayerProfile| p.place.layer == Some(count) && p.place.pooling == "first";
    let head = layers.iter().find(last).expect("the last layer");
    let masked = !name.contains("electra") && !name.contains("MiniLM");
    let kind = if masked { "masked_lm" } else { "contrastive" };
    Evidence {
        fit: Fit {
            tokens_per_word: 1.12 + 0.3 * wobble(i),
            whole_words: 0.93 - 0.2 * wobble(i),
            unknown_rate: if i == 12 { 0.021 } else { 0.0002 },
            truncation_rate: 0.034,
            mean_tokens: 31.4 + wobble(i),
            lowercases: name.contains("uncased") || name.contains("MiniLM"),
            uppercase_words: 0.142,
            pseudo_perplexity: masked.then(|| 6.0 + 30.0 * wobble(i + 5)),
        },
        objective: Objective {
            kind: if i >= 16 { "fine_tuned" } else { kind }.to_owned(),
            heads: if i >= 16 { vec!["classifier".to_owned()] } else { vec!["pooler".to_owned()] },
            labels: if i >= 16 {
                ["negative", "positive"].map(String::from).into()
            } else {
                vec![]
            },
            head_used: i == 17,
            head_metric: (i == 17).then_some(0.842),
        },
        unused: None,
        cost: Cost {
            parameters: (millions * 1e6) as u64,
            layers: count,
            hidden: if millions > 50.0 { 768 } else { 384 },
            epoch_flops: millions * 6e6 * 31.0 * 6920.0,
            seconds_per_example: Some(seconds / 20_760.0),
            step_memory: Some((millions * 2.1e7) as u64),
            projected_seconds: Some(seconds),
            projected_memory: (millions * 2.4e7) as u64,
        },
        estimates: estimates([("head", head), ("best", best), ("mean", all)], i),
        best_layer: best.place.clone(),
        layers,
    }
}

fn verified(metric: f64, rungs: usize) -> Verified {
    let rung = |i: usize| Rung {
        steps: 50 << i,
        metric: Some(metric - 0.045 * (rungs - 1 - i) as f64),
        standard_error: Some(0.012),
        loss: Some(0.55 - 0.08 * i as f64),
        seconds: 14.0 * f64::from(1 << i),
    };
    let rungs = (0..rungs).map(rung).collect();
    Verified { learning_rate: 5e-5, metric, rungs, recipe_steps: 651 }
}

fn unscored(name: &str, status: Status, remark: &str) -> Candidate {
    Candidate {
        name: name.to_owned(),
        path: name.to_owned(),
        truncate: None,
        status,
        score: None,
        verified: None,
        other_rates: Vec::new(),
        evidence: None,
        remarks: vec![remark.to_owned()],
    }
}

/// A selection as it comes out: 18 scored, 3 of them fine-tuned, one skipped, one failed.
fn sample() -> Summary {
    let order = [17, 7, 2, 0, 8, 3, 1, 6, 5, 4, 16, 11, 9, 15, 14, 10, 13, 12];
    let scored = order.iter().enumerate().map(|(rank, &i)| candidate(rank, i));
    let others = [
        unscored(
            "models/deberta-v3-large",
            Status::Skipped,
            "304 M parameters, over --max-parameters 200M.",
        ),
        unscored(
            "models/broken",
            Status::Failed,
            "models/broken/config.json: no such file; is it a model folder?",
        ),
    ];
    Summary {
        version: 1,
        task: TaskSummary {
            train: "data/sst2/train.csv".to_owned(),
            problem_type: "single_label_classification".to_owned(),
            labels: ["negative", "positive"].map(String::from).into(),
            metric: "accuracy".to_owned(),
            train_rows: 6920,
            validation_rows: 872,
            sampled_rows: 2000,
            sampled_words: None,
            epochs: 3,
            batch_size: 32,
            learning_rates: vec![5e-5],
            max_length: 128,
            lora_rank: None,
            remarks: Vec::new(),
        },
        candidates: scored.chain(others).collect(),
        command: Some(
            "finetune train --model models/twitter-roberta-base-sentiment --train data/sst2/train.csv \
             --validation data/sst2/dev.csv --epochs 3 --batch-size 32 --output runs/sst2"
                .to_owned(),
        ),
        timing: Timing { scoring_seconds: 412.0, verification_seconds: 1289.0 },
    }
}

fn candidate(rank: usize, i: usize) -> Candidate {
    let value = 97.0 - 5.2 * rank as f64 - 2.0 * wobble(rank);
    let half = 4.0 + 5.0 * wobble(rank + 40);
    let name = MODELS[i].0;
    let (folder, truncate) = match name.split_once(':') {
        Some((folder, layers)) => (folder, layers.parse().ok()),
        None => (name, None),
    };
    let remark = match i {
        17 => Some(
            "Fine-tuned for these labels before: make sure that it has not seen the validation rows.",
        ),
        10 | 11 => Some("No pooler in the checkpoint: the head starts from scratch."),
        12 => Some("2.1 % of tokens are unknown."),
        _ => None,
    };
    Candidate {
        name: name.to_owned(),
        path: folder.to_owned(),
        truncate,
        status: if rank < 3 { Status::Verified } else { Status::Scored },
        score: Some(Score {
            value,
            low: (value - half).max(0.0),
            high: (value + half).min(100.0),
            tied_with_best: rank < 4,
        }),
        verified: [(0.921, 4), (0.913, 4), (0.884, 3)]
            .get(rank)
            .map(|(m, rungs)| verified(*m, *rungs)),
        other_rates: Vec::new(),
        evidence: Some(evidence(i, 0.95 - 0.035 * rank as f64)),
        remarks: remark.map(String::from).into_iter().collect(),
    }
}

/// A selection of so many candidates, each from the sample.
fn many(count: usize) -> Summary {
    let mut summary = sample();
    let of = |i: usize| {
        let mut candidate = candidate(i % 18, i % 18);
        candidate.name = format!("zoo/family-{}/model-{i}", i % 7);
        if let (Some(score), Some(evidence)) = (&mut candidate.score, &mut candidate.evidence) {
            score.value = 100.0 * (count - i) as f64 / count as f64;
            (score.low, score.high) = (score.value - 6.0, score.value + 6.0);
            let seconds = evidence.cost.projected_seconds.as_mut().expect("a time");
            *seconds *= 0.3 + wobble(i * 3);
        }
        if i >= 10 {
            (candidate.status, candidate.verified) = (Status::Scored, None);
        }
        candidate
    };
    summary.candidates = (0..count).map(of).collect();
    summary
}

/// A page that is well formed, holds every candidate, reaches for nothing outside and draws only numbers.
fn checked(summary: &Summary) -> String {
    let page = html(summary);
    balanced(&page);
    assert!(page.starts_with("<!DOCTYPE html>\n<html"));
    for address in ["http", "src=", "url(", "@import", "//cdn"] {
        assert!(!page.contains(address), "{address}");
    }
    for candidate in &summary.candidates {
        let plain = candidate.name.chars().all(|c| c.is_alphanumeric() || "/-:._".contains(c));
        assert!(!plain || page.contains(&candidate.name), "{}", candidate.name);
    }
    for coordinate in coordinates(&page) {
        let number: f64 = coordinate.parse().unwrap_or_else(|_| panic!("coordinate {coordinate}"));
        assert!(number.is_finite() && number.abs() <= 1e4, "coordinate {coordinate}");
    }
    for none in ["NaN", "inf", "null"] {
        let words = page.split(|c: char| !c.is_alphanumeric());
        assert!(!words.into_iter().any(|word| word == none), "{none}");
    }
    page
}

/// The values of all attributes that are coordinates.
fn coordinates(page: &str) -> Vec<&str> {
    let names =
        ["x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height", "points", "viewBox"];
    let values = names.iter().flat_map(|name| {
        let attribute = format!(" {name}=\"");
        let parts: Vec<&str> = page.split(attribute.as_str()).skip(1).collect();
        parts.into_iter().map(|part| part.split('"').next().expect("a quote"))
    });
    values.flat_map(|value| value.split([' ', ','])).filter(|value| !value.is_empty()).collect()
}

/// That each tag that opens also closes, in order, and that no attribute comes twice.
fn balanced(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("a document type");
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("a tag that ends");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "at {}", &rest[..rest.len().min(80)]),
            None => {
                let name = opened(tag);
                open.extend((name != "meta").then_some(name));
                // Neither has tags inside.
                if name == "style" || name == "script" {
                    rest = &rest[rest.find(&format!("</{name}")).expect("its end")..];
                }
            }
        }
    }
    assert_eq!(open, [""; 0]);
}

/// The name of the tag, whose attributes must be `name="value"` without repetition.
fn opened(tag: &str) -> &str {
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()), "<{tag}>");
    let mut seen = Vec::new();
    while !rest.is_empty() {
        let (attribute, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("<{tag}>"));
        assert!(!seen.contains(&attribute) && !attribute.contains(['"', ' ']), "<{tag}>");
        seen.push(attribute);
        rest = value.split_once('"').unwrap_or_else(|| panic!("<{tag}>")).1.trim_start();
    }
    name
}

/// Leaves a page where it can be looked at.
fn keep(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(path, page).expect("a written report");
}

#[test]
fn shows_a_selection() {
    let page = checked(&sample());
    keep("report.html", &page);
    for text in [
        "reached accuracy 0.921 on 872 rows held out, first of 3 candidates that were fine-tuned",
        "t tell it from all-mpnet-base-v2, roberta-base and bert-base-uncased.",
        "finetune train --model models/twitter-roberta-base-sentiment",
        "1 h 31 min",
        "124.6 M",
        "tied with best",
        "measured",
        "estimated",
        "over --max-parameters 200M",
        "6 min 52 s",
        "Pseudo-perplexity",
        "TransRate",
        "where a new head begins",
    ] {
        assert!(page.contains(text), "{text}");
    }
    let ids = ["choice", "ranking", "cost", "layers", "rungs", "fit", "estimators", "data"];
    let places = ids.map(|id| page.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("{id}")));
    assert!(places.is_sorted(), "{places:?}");
    assert_eq!(page.matches("class=\"profile\"").count(), 18);
    assert_eq!(page.matches("<tr class=\"tied\"").count(), 4);
    assert_eq!(page.matches("<tr class=\"out\"").count(), 2);
}

#[test]
fn escapes_what_others_wrote() {
    let hostile = "<script>alert(\"1\")</script>&'\u{0}</style>";
    let mut summary = sample();
    summary.task.train = hostile.to_owned();
    summary.task.metric = hostile.to_owned();
    summary.task.problem_type = hostile.to_owned();
    summary.task.labels = vec![hostile.to_owned(); 20];
    summary.command = Some(hostile.to_owned());
    for candidate in &mut summary.candidates {
        candidate.name = format!("{hostile}/{hostile}");
        candidate.remarks = vec![hostile.to_owned()];
        let Some(evidence) = &mut candidate.evidence else { continue };
        evidence.objective.kind = hostile.to_owned();
        evidence.objective.heads = vec![hostile.to_owned()];
        evidence.objective.labels = vec![hostile.to_owned()];
        evidence.best_layer.pooling = hostile.to_owned();
        evidence.estimates.iter_mut().for_each(|e| {
            (e.estimator, e.role) = (hostile.to_owned(), hostile.to_owned());
        });
    }
    let page = checked(&summary);
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("</script").count(), 1);
    assert_eq!(page.matches("</style").count(), 1);
    assert!(page.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;\u{fffd}"));
}

#[test]
fn survives_what_is_missing() {
    let mut summary = sample();
    summary.command = None;
    for some in [18..20, 0..1, 0..0] {
        summary.candidates = sample().candidates[some].to_vec();
        let page = checked(&summary);
        keep(&format!("report-{}.html", summary.candidates.len()), &page);
    }
    assert!(checked(&summary).contains("There were no candidates."));
    summary.candidates = sample().candidates[18..].to_vec();
    assert!(checked(&summary).contains("Of 2 candidates none could be scored"));
}

#[test]
fn survives_one_score_for_all() {
    let mut summary = sample();
    let (value, low, high) = (50.0, 50.0, 50.0);
    let evidence = evidence(3, 0.5);
    for candidate in &mut summary.candidates[..18] {
        candidate.score = Some(Score { value, low, high, tied_with_best: true });
        candidate.evidence = Some(evidence.clone());
        candidate.verified = Some(verified(0.5, 1));
        candidate.status = Status::Verified;
    }
    let page = checked(&summary);
    assert_eq!(page.matches("<tr class=\"tied\"").count(), 18);
}

#[test]
fn survives_without_verification() {
    let mut summary = sample();
    for candidate in &mut summary.candidates[..18] {
        (candidate.status, candidate.verified) = (Status::Scored, None);
    }
    let page = checked(&summary);
    assert!(page.contains("not yet checked by fine-tuning") && !page.contains("id=\"rungs\""));
}

#[test]
fn shows_learning_rates_where_there_are_several() {
    let one = checked(&sample());
    assert!(!one.contains("learning rate") && !one.contains("5e-5"));
    let mut summary = sample();
    summary.task.learning_rates = vec![2e-5, 5e-5];
    let other = Verified { learning_rate: 2e-5, ..verified(0.877, 2) };
    summary.candidates[1].other_rates = vec![other];
    let page = checked(&summary);
    assert!(page.contains("<dt>learning rate</dt><dd>5e-5</dd>"));
    assert_eq!(page.matches("measured at 5e-5").count(), 3);
    let (best, other) = (&summary.candidates[0].name, &summary.candidates[1].name);
    let name = other.rsplit('/').next().expect("a name");
    assert!(page.contains(&format!("0.877 {name} 2e-5")), "beside the end of the curve");
    assert!(page.contains(&format!("{other} 2e-5: 0.877 after 100 steps")));
    assert!(page.contains(&format!("{best} 5e-5: 0.921 after 400 steps")));
    let (_, rungs) = page.split_once("id=\"rungs\"").expect("what was measured");
    let (rungs, _) = rungs.split_once("</section>").expect("its end");
    assert_eq!(rungs.matches("class=\"curve ").count(), 4);
}

#[test]
fn says_how_sure_the_choice_is() {
    let mut summary = sample();
    // Fine-tuning overruled the estimates.
    summary.candidates.swap(0, 4);
    summary.candidates[0].verified = Some(verified(0.93, 4));
    let page = checked(&summary);
    assert!(page.contains("first of 4 candidates that were fine-tuned; by estimates alone"));
    assert!(page.contains("bert-base-uncased and twitter-roberta-base-sentiment."));
    // The estimates left no doubt.
    let mut summary = sample();
    for candidate in &mut summary.candidates[1..18] {
        candidate.score.as_mut().expect("a score").tied_with_best = false;
        (candidate.status, candidate.verified) = (Status::Scored, None);
    }
    let page = checked(&summary);
    assert!(
        page.contains(
            "the only candidate that was fine-tuned; the estimates set it apart from all"
        )
    );
    assert!(!page.contains("may be as good") && !page.contains("tied with best"));
}

#[test]
fn survives_numbers_that_are_none() {
    let mut summary = sample();
    for (i, candidate) in summary.candidates[..18].iter_mut().enumerate() {
        let bad = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, 0.0][i % 6];
        candidate.score = Some(Score { value: bad, low: bad, high: bad, tied_with_best: true });
        candidate.verified = Some(Verified {
            learning_rate: bad,
            recipe_steps: 0,
            metric: bad,
            rungs: vec![Rung {
                steps: 0,
                metric: Some(bad),
                standard_error: Some(bad),
                loss: Some(bad),
                seconds: bad,
            }],
        });
        let evidence = candidate.evidence.as_mut().expect("evidence");
        evidence.fit.tokens_per_word = bad;
        evidence.fit.pseudo_perplexity = Some(bad);
        evidence.cost.projected_seconds = Some(bad);
        evidence.cost.epoch_flops = bad;
        evidence.layers.iter_mut().for_each(|layer| layer.logme = Some(bad));
        evidence.estimates.iter_mut().for_each(|estimate| estimate.value = Some(bad));
    }
    summary.timing.scoring_seconds = f64::NAN;
    // Absurd figures may fall off the picture, but must not break the page.
    let page = html(&summary);
    balanced(&page);
    for coordinate in coordinates(&page) {
        assert!(coordinate.parse().is_ok_and(f64::is_finite), "{coordinate}");
    }
    assert!(!page.contains("NaN") && page.contains("–"));
}

#[test]
fn shows_parameters_where_there_is_no_time() {
    let mut summary = sample();
    for candidate in &mut summary.candidates[..18] {
        let evidence = candidate.evidence.as_mut().expect("evidence");
        evidence.cost.projected_seconds = None;
        evidence.layers.clear();
        evidence.estimates.clear();
    }
    let page = checked(&summary);
    assert!(page.contains("parameters (log scale)") && !page.contains("id=\"layers\""));
}

#[test]
fn shows_hundreds() {
    let page = checked(&many(300));
    keep("report-300.html", &page);
    assert!(page.contains("288 more"));
    let labels =
        page.matches("class=\"start name\"").count() + page.matches("class=\"end name\"").count();
    assert!((1..60).contains(&labels), "{labels} names in the charts");
}

#[test]
fn tells_twins_apart() {
    let mut summary = sample();
    summary.candidates.truncate(2);
    summary.candidates[0].name = "old/model".to_owned();
    summary.candidates[1].name = "new/model".to_owned();
    let page = checked(&summary);
    assert!(page.contains(">old/model</bdi>") && page.contains(">new/model</bdi>"));
}
