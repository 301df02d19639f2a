"""The tables of docs/selection.md from the results of testbed.py.

    python table.py BED

Needs numpy and scipy. All figures are against the mean of the seeds in truth.jsonl. tau is the weighted Kendall tau of
scipy (hyperbolic weights, by the rank of either order). Regret is in points of the figure, times 100.
"""

import json
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.stats import weightedtau


def lines(path):
    return [json.loads(line) for line in open(path)] if path.exists() else []


def truth_of(bed):
    """set -> model -> figures of the seeds."""
    truth = {}
    for row in lines(bed / "truth.jsonl"):
        truth.setdefault(row["set"], {}).setdefault(row["model"], {})[row["seed"]] = row["test"]
    return truth


def tau(truth, scores):
    names = [n for n in truth if n in scores]
    return weightedtau([truth[n] for n in names], [scores[n] for n in names]).statistic


def regret(truth, chosen):
    return 100 * (max(truth.values()) - truth[chosen])


def markdown(header, rows):
    print("| " + " | ".join(header) + " |\n|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(f"{c:.3f}" if isinstance(c, float) else str(c) for c in row) + " |")
    print()


def truth_table(truth):
    sets = list(truth)
    models = sorted({m for s in sets for m in truth[s]})
    shown = lambda seeds: " ".join(f"{100 * seeds[k]:.1f}" for k in sorted(seeds))
    markdown(["starting point", *sets], [[m, *[shown(truth[s].get(m, {})) for s in sets]] for m in models])


def seed_table(truth):
    """How far the truth knows itself: tau of one seed against the other, and of each against their mean."""
    rows = []
    for name, models in truth.items():
        a, b = ({m: seeds[k] for m, seeds in models.items()} for k in (0, 1))
        mean = {m: (a[m] + b[m]) / 2 for m in a}
        rows.append([name, tau(a, b), (tau(mean, a) + tau(mean, b)) / 2])
    rows.append(["**mean**", *[float(np.mean([r[i] for r in rows])) for i in (1, 2)]])
    markdown(["set", "one seed against the other", "one seed against their mean"], rows)


def not_tied(summary, truth):
    """Candidates that are said to be behind the one of the highest score: how many, and how many the truth puts there."""
    scored = {Path(c["path"]).name: c["score"] for c in summary["candidates"] if c["score"]}
    best = max(scored, key=lambda n: scored[n]["value"])
    behind = [n for n in scored if not scored[n]["tied_with_best"]]
    return len(behind), sum(truth[n] <= truth[best] for n in behind)


def pairs_told_apart(summary, truth):
    """Of the pairs whose intervals do not overlap: how many there are, and in how many the truth agrees."""
    scored = {Path(c["path"]).name: c["score"] for c in summary["candidates"] if c["score"]}
    apart = agree = 0
    for a, b in combinations(scored, 2):
        hi, lo = (a, b) if scored[a]["value"] > scored[b]["value"] else (b, a)
        if scored[hi]["low"] > scored[lo]["high"]:
            apart, agree = apart + 1, agree + (truth[hi] >= truth[lo])
    return apart, agree, len(list(combinations(scored, 2)))


def selection_table(bed, truth):
    rows, apart, agree, pairs, tied_best, behind, right = [], 0, 0, 0, 0, 0, 0
    for name in truth:
        path = bed / "select" / name / "select.json"
        if not path.exists():
            continue
        summary = json.loads(path.read_text())
        mean = {m: float(np.mean(list(s.values()))) for m, s in truth[name].items()}
        names = [Path(c["path"]).name for c in summary["candidates"]]
        scores = {Path(c["path"]).name: c["score"]["value"] for c in summary["candidates"]}
        final = {n: -i for i, n in enumerate(names)}
        a, g, n = pairs_told_apart(summary, mean)
        apart, agree, pairs = apart + a, agree + g, pairs + n
        b, r = not_tied(summary, mean)
        behind, right = behind + b, right + r
        best = max(mean, key=mean.get)
        tied = {Path(c["path"]).name for c in summary["candidates"] if c["score"]["tied_with_best"]}
        tied_best += best in tied
        first = max(scores, key=scores.get)
        t = summary["timing"]
        rows.append([name, tau(mean, scores), tau(mean, final), first, regret(mean, first), names[0],
                     regret(mean, names[0]), best, len(tied), t["scoring_seconds"], t["verification_seconds"]])
    means = [float(np.mean([r[i] for r in rows])) for i in (1, 2, 4, 6)]
    rows.append(["**mean**", means[0], means[1], "", means[2], "", means[3], "", "", "", ""])
    markdown(["set", "tau", "tau, verified", "first", "regret", "first, verified", "regret, verified", "truly best",
              "tied with the first", "scoring, s", "verification, s"], rows)
    print(f"{apart} of {pairs} pairs have intervals apart; the truth agrees in {agree} ({agree / max(apart, 1):.3f}). "
          f"Of {behind} candidates that are not tied with the first, the truth puts {right} behind it "
          f"({right / max(behind, 1):.3f}). The truly best is among those tied with the first in {tied_best} of {len(rows) - 1} sets.\n")


def estimator_table(bed, truth):
    """tau of each single rater, for the curious; nothing is fitted to it."""
    taus = {}
    for name in truth:
        path = bed / "select" / name / "select.json"
        if not path.exists():
            continue
        mean = {m: float(np.mean(list(s.values()))) for m, s in truth[name].items()}
        raters = {}
        for c in json.loads(path.read_text())["candidates"]:
            for e in c["evidence"]["estimates"]:
                value = e["value"] if e["value"] is not None else -np.inf
                raters.setdefault((e["estimator"], e["role"]), {})[Path(c["path"]).name] = value
        for rater, scores in raters.items():
            taus.setdefault(rater, []).append(tau(mean, scores))
    roles = ["head", "best", "mean"]
    names = list(dict.fromkeys(e for e, _ in taus))
    markdown(["estimator", *roles], [[e, *[float(np.mean(taus[e, r])) for r in roles]] for e in names])


def rival_table(bed, truth):
    rows = {}
    for row in lines(bed / "rivals.jsonl"):
        mean = {m: float(np.mean(list(s.values()))) for m, s in truth[row["set"]].items()}
        path = bed / "rivals" / f"{row['set']}-{row['estimator']}" / "select.json"
        ours = {Path(c["path"]).name: c["score"]["value"] for c in json.loads(path.read_text())["candidates"]}
        theirs = row["scores"]
        first = max(theirs, key=theirs.get)
        rows[row["set"], row["estimator"]] = [row["set"], row["estimator"], tau(mean, theirs), tau(mean, ours),
                                              regret(mean, first), row["seconds"], row["select_seconds"],
                                              row["seconds"] / row["select_seconds"]]
    values = list(rows.values())
    if values:
        means = [float(np.mean([r[i] for r in values])) for i in range(2, 5)]
        ratio = float(np.median([r[7] for r in values]))
        values.append(["**mean** (ratio: median)", "", *means, "", "", ratio])
    markdown(["set", "its estimator", "its tau", "tau of select", "its regret", "its seconds", "select, seconds",
              "ratio"], values)


def cost_table(bed, truth):
    seconds = {}
    for row in lines(bed / "truth.jsonl"):
        seconds.setdefault(row["set"], []).append(row["cpu_seconds"])
    print({s: round(sum(v) / len(v), 1) for s, v in seconds.items()}, "CPU seconds of a run on average\n")


if __name__ == "__main__":
    bed = Path(sys.argv[1])
    truth = truth_of(bed)
    truth_table(truth)
    seed_table(truth)
    selection_table(bed, truth)
    estimator_table(bed, truth)
    rival_table(bed, truth)
    cost_table(bed, truth)
