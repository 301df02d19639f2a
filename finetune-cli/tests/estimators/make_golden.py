"""Writes golden.json: the estimators of `select::estimators`, by NumPy and scikit-learn.

    python make_golden.py        needs numpy, scikit-learn

Nothing is shared with the Rust code: covariances and probes are scikit-learn's, LogME goes through the SVD, rates through
slogdet, and leaving a fold out means to delete its rows. States are whole numbers over 64, the same in f32.
"""

import json
import math
import warnings
from pathlib import Path

import numpy as np
from sklearn.covariance import ledoit_wolf
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import f1_score
from sklearn.mixture import GaussianMixture

warnings.filterwarnings("ignore")
SCALE = 64
K = 5


def one_hot(y, c):
    return np.eye(c)[y]


def target_columns(kind, y):
    """The columns that vary: what the linear estimators explain."""
    if kind == "score":
        return y.reshape(-1, 1)
    keep = y.sum(0) > 0
    if kind == "multi":
        keep &= y.sum(0) < len(y)
    return y[:, keep]


def varies(y):
    return len(np.unique(y, axis=0)) > 1


# H-score


def h_score(kind, x, y, _bins):
    z = x - x.mean(0)
    if not z.any():
        return 0.0
    covariance, shrinkage = ledoit_wolf(z, assume_centered=False)
    if np.linalg.matrix_rank(covariance) < x.shape[1]:
        return math.nan

    def share(between):
        return (1 - shrinkage) * np.trace(np.linalg.solve(covariance, between))

    def class_means(groups):
        means = np.zeros_like(z)
        for g in np.unique(groups):
            means[groups == g] = z[groups == g].mean(0)
        return np.cov(means, rowvar=False, bias=True).reshape(x.shape[1], -1)

    if kind == "class":
        return share(class_means(y.argmax(1)))
    if kind == "multi":
        return float(np.mean([share(class_means(column)) for column in target_columns(kind, y).T]))
    c = z.T @ (y - y.mean()) / len(y)
    return share(np.outer(c, c) / y.var())


# LogME


def log_me(kind, x, y, _bins):
    n, d = x.shape
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    # Directions that rounding alone gives a length.
    keep = s > 1e-12 * max(s.max(), 1e-300)
    u, sigma = u[:, keep], s[keep] ** 2
    scores = []
    for column in target_columns(kind, y).T:
        z2 = (u.T @ column) ** 2
        rest = max((column**2).sum() - z2.sum(), 0.0)
        t = 1.0

        def fit(t):
            gamma = (sigma / (sigma + t)).sum()
            m2 = (sigma * z2 / (t + sigma) ** 2).sum()
            r2 = (z2 / (1 + sigma / t) ** 2).sum() + rest
            return gamma, m2, r2

        for _ in range(200000):
            gamma, m2, r2 = fit(t)
            alpha, beta = gamma / (m2 + 1e-5), (n - gamma) / (r2 + 1e-5)
            if not len(sigma) or abs(alpha / beta - t) <= 1e-13 * t:
                break
            t = alpha / beta
        else:
            raise AssertionError("no fixed point")
        a = np.linalg.slogdet(np.eye(d) + (beta / alpha) * x.T @ x)[1] if len(sigma) else 0.0
        evidence = n / 2 * math.log(beta) - a / 2 - beta / 2 * r2 - alpha / 2 * m2
        scores.append(evidence / n - math.log(2 * math.pi) / 2)
    return float(np.mean(scores))


# Nearest neighbours


def pearson(a, b):
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def knn(kind, x, y, _bins):
    guesses = []
    for i in range(len(x)):
        distance = ((x - x[i]) ** 2).sum(1)
        near = [j for j in np.argsort(distance, kind="stable") if j != i][:5]
        votes = y[near]
        if kind == "class":
            labels = votes.argmax(1)
            counts = [int((labels == c).sum()) for c in labels]
            guesses.append(labels[counts.index(max(counts))])
        elif kind == "multi":
            guesses.append(2 * votes.sum(0) > len(near))
        else:
            guesses.append(votes.mean())
    if kind == "class":
        return float(np.mean(np.array(guesses) == y.argmax(1)))
    if kind == "multi":
        return float(f1_score(y, np.array(guesses), average="micro", zero_division=0))
    return pearson(np.array(guesses), y)


# Probe


def standardise(train, test):
    mean, deviation = train.mean(0), train.std(0)
    constant = np.ptp(train, axis=0) == 0
    deviation[constant] = 1
    a, b = (train - mean) / deviation, (test - mean) / deviation
    a[:, constant] = b[:, constant] = 0
    return a, b


def fold_classes(train, test, y_train, y_test, unseen):
    """ln p of the truth, and the guess, where classes may be absent from training."""
    present = np.unique(y_train)
    if len(present) == 1:
        hit = y_test == present[0]
        return np.where(hit, math.log(1 - unseen), math.log(unseen)), np.full(len(y_test), present[0])
    model = LogisticRegression(C=1 / train.shape[1], tol=1e-12, solver="newton-cholesky", max_iter=10000)
    model.fit(train, y_train)
    p = model.predict_log_proba(test)
    place = {c: i for i, c in enumerate(model.classes_)}
    ln = [p[i, place[c]] if c in place else math.log(unseen) for i, c in enumerate(y_test)]
    return np.array(ln), model.predict(test)


def probe(kind, x, y, folds):
    scores, right = np.zeros(len(x)), np.zeros(len(x))
    for k in range(K):
        test, train = folds == k, folds != k
        if not test.any():
            continue
        a, b = standardise(x[train], x[test])
        unseen = 1 / (train.sum() + 2)
        if kind == "score":
            scores[test] = Ridge(alpha=x.shape[1]).fit(a, y[train]).predict(b)
        elif kind == "class":
            truth = y.argmax(1)
            scores[test], guess = fold_classes(a, b, truth[train], truth[test], unseen)
            right[test] = guess == truth[test]
        else:
            each = [fold_classes(a, b, c[train], c[test], unseen) for c in y.T]
            scores[test] = np.mean([ln for ln, _ in each], 0)
            right[test] = np.mean([g == c[test] for (_, g), c in zip(each, y.T)], 0)

    def value(keep):
        if not varies(y[keep]):
            return math.nan
        return pearson(scores[keep], y[keep]) if kind == "score" else float(scores[keep].mean())

    accuracy = math.nan if kind == "score" else float(right.mean())
    everything = np.ones(len(x), bool)
    return value(everything), [value(folds != k) for k in range(K)], accuracy


# TransRate


def quantile_bins(y):
    return np.digitize(y, np.quantile(y, [0.2, 0.4, 0.6, 0.8]))


def partitions(kind, y, bins):
    if kind == "class":
        return [y.argmax(1)]
    if kind == "score":
        return [bins]
    return list(target_columns(kind, y).T.astype(int))


def rate(z):
    n, d = z.shape
    return 0.5 * np.linalg.slogdet(np.eye(d) + z.T @ z / (n * 1e-4))[1]


def trans_rate(kind, x, y, bins):
    z = x - x.mean(0)
    each = [np.mean([rate(z[g == c]) for c in np.unique(g)]) for g in partitions(kind, y, bins)]
    return float(rate(z) - np.mean(each))


# NLEEP


class Rng:
    """`philox::Rng`: Philox4x32-10, two words to a number."""

    def __init__(self, seed, stream):
        key = ~seed & (2**64 - 1)
        self.key, self.stream = (key & 0xFFFFFFFF, key >> 32), (stream & 0xFFFFFFFF, stream >> 32)
        self.block, self.words = 0, []

    def word(self):
        if not self.words:
            c, k = [self.block & 0xFFFFFFFF, self.block >> 32, *self.stream], list(self.key)
            for _ in range(10):
                a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
                c = [b >> 32 ^ c[1] ^ k[0], b & 0xFFFFFFFF, a >> 32 ^ c[3] ^ k[1], a & 0xFFFFFFFF]
                k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
            self.words, self.block = c, self.block + 1
        return self.words.pop(0)

    def number(self):
        low = self.word()
        return self.word() << 32 | low

    def uniform(self):
        return (self.number() >> 11) / 2**53

    def below(self, n):
        while (product := self.number() * n) % 2**64 < 2**64 % n:
            pass
        return product >> 64


def spread_out(points, count, rng):
    chosen = [rng.below(len(points))]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < count:
        nearest = np.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum(1))
        left = rng.uniform() * nearest.sum()
        hits = np.flatnonzero(np.cumsum(nearest) > left)
        if not len(hits):
            break
        chosen.append(hits[0])
    return chosen


def mixture(points, means):
    k = len(means)
    model = GaussianMixture(
        k, covariance_type="diag", reg_covar=1e-6, tol=1e-3, max_iter=100,
        weights_init=np.full(k, 1 / k), means_init=means,
        precisions_init=np.tile(1 / (points.var(0) + 1e-6), (k, 1)),
    )
    return model.fit(points)


def leep(theta, y):
    classes = np.unique(y)
    joint = np.array([theta[y == c].sum(0) for c in classes]) / len(y)
    # A cluster that none of these rows is in predicts nothing.
    conditional = joint / np.maximum(joint.sum(0), 1e-300)
    p = theta @ conditional.T
    return float(np.log(p[np.arange(len(y)), np.searchsorted(classes, y)]).mean())


def nleep(kind, x, y, folds, outputs, bins):
    # The order of rows matters to k-means++: that of the folds.
    order = np.argsort(folds, kind="stable")
    x, y, folds = x[order], y[order], folds[order]
    bins = None if bins is None else bins[order]
    if np.ptp(x, axis=0).any():
        pca = PCA(svd_solver="full").fit(x)
        held = np.cumsum(pca.explained_variance_ratio_)
        points = pca.transform(x)[:, : min(32, int(np.searchsorted(held, 0.8)) + 1)]
        clusters = max(1, min(5 * (5 if kind == "score" else outputs), 64, len(x) // 5))
        means = points[spread_out(points, clusters, Rng(0x6E6C656570, 0x6E6C656570))]
        theta = mixture(points, means).predict_proba(points)
    else:
        theta = np.ones((len(x), 1))

    def value(keep):
        if not varies(y[keep]):
            return math.nan
        groups = partitions(kind, y[keep], None if bins is None else bins[keep])
        return float(np.mean([leep(theta[keep], g) for g in groups]))

    everything = np.ones(len(x), bool)
    return value(everything), [value(folds != k) for k in range(K)]


# Cases


def deleted(f, kind, x, y, folds, bins):
    """A value of all rows, and of what is left when each fold's rows are deleted."""
    order = np.argsort(folds, kind="stable")
    x, y, folds = x[order], y[order], folds[order]
    bins = None if bins is None else bins[order]

    def value(keep):
        if not varies(y[keep]):
            return math.nan
        return f(kind, x[keep], y[keep], None if bins is None else bins[keep])

    return value(np.ones(len(x), bool)), [value(folds != k) for k in range(K)]


def case(name, kind, states, labels, outputs, folds):
    x = states / SCALE
    if kind == "class":
        y = one_hot(labels, outputs)
    elif kind == "multi":
        y = np.array([[c in row for c in range(outputs)] for row in labels], float)
    else:
        y = np.asarray(labels, float)
    bins = quantile_bins(y) if kind == "score" else None
    *out_of_fold, accuracy = probe(kind, x, y, folds)
    want = {
        "h_score": deleted(h_score, kind, x, y, folds, bins),
        "logme": deleted(log_me, kind, x, y, folds, bins),
        "knn": deleted(knn, kind, x, y, folds, bins),
        "probe": out_of_fold,
        "transrate": deleted(trans_rate, kind, x, y, folds, bins),
        "nleep": nleep(kind, x, y, folds, outputs, bins),
    }
    plain = [list(map(int, row)) for row in labels] if kind == "multi" else list(map(float, labels))
    return {
        "name": name, "kind": kind, "outputs": outputs, "width": states.shape[1],
        "states": states.astype(int).ravel().tolist(), "labels": plain,
        "folds": folds.tolist(), "want": want, "accuracy": accuracy,
    }


def states(rng, centres, width, spread=40, offset=20):
    mix = rng.normal(size=(width, width)) / math.sqrt(width)
    noise = rng.normal(size=(len(centres), width)) @ mix
    return np.round(spread * (noise + centres) + offset)


def class_case(rng, name, counts, width, separation, constant=0):
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    centres = separation * rng.normal(size=(len(counts), width))[labels]
    x = states(rng, centres, width)
    x[:, :constant] = 7
    return case(name, "class", x, labels, len(counts), np.arange(len(labels)) % K)


def cases():
    rng = np.random.default_rng(7)
    yield class_case(rng, "two classes", [40, 32], 8, 0.6)
    yield class_case(rng, "five classes, skewed", [30, 14, 9, 6, 4], 10, 0.8)
    yield class_case(rng, "more states than rows", [18, 14], 48, 0.4)
    yield class_case(rng, "three classes, more states than rows", [12, 10, 8], 40, 0.5)
    yield class_case(rng, "constant states", [25, 20], 12, 0.6, constant=4)
    yield class_case(rng, "all states constant", [12, 9], 5, 0.6, constant=5)
    yield class_case(rng, "one example of a class", [22, 17, 1], 7, 0.7)
    yield class_case(rng, "one example of two classes", [23, 1], 6, 0.7)
    yield class_case(rng, "an empty class", [20, 0, 15], 6, 0.7)
    yield class_case(rng, "fewer rows than folds", [2, 2], 3, 0.7)
    n, d = 60, 9
    x = states(rng, np.zeros((n, d)), d)
    y = np.round((x @ rng.normal(size=d) / 40 + 2 * rng.normal(size=n)) * 16) / 16
    yield case("scores", "score", x, y, 1, np.arange(n) % K)
    n, d = 30, 40
    x = states(rng, np.zeros((n, d)), d)
    y = np.round(np.clip(x[:, 0] / 20 + rng.normal(size=n), 0, 5))
    yield case("scores with ties, more states than rows", "score", x, y, 1, np.arange(n) % K)
    n, d, c = 50, 8, 4
    truth = rng.random((n, c)) < [0.5, 0.3, 0.2, 0.0]
    x = states(rng, 0.8 * truth @ rng.normal(size=(c, d)), d)
    yield case("labels", "multi", x, [np.flatnonzero(row) for row in truth], c, np.arange(n) % K)


def mixture_case():
    rng = np.random.default_rng(3)
    points = np.round(64 * np.concatenate([rng.normal(size=(30, 3)) + m for m in (-1, 1.5)])) / 64
    chosen = [0, 20, 45]
    model = mixture(points, points[chosen])
    return {
        "points": points.ravel().tolist(), "width": 3, "chosen": chosen,
        "likelihood": model.score(points), "weights": model.weights_.tolist(),
        "means": model.means_.ravel().tolist(), "variances": model.covariances_.ravel().tolist(),
        "responsibilities": model.predict_proba(points).ravel().tolist(),
    }


def clean(value):
    """NaN as null."""
    if isinstance(value, dict):
        return {key: clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


if __name__ == "__main__":
    golden = {"scale": SCALE, "cases": list(cases()), "mixture": mixture_case()}
    path = Path(__file__).with_name("golden.json")
    path.write_text(json.dumps(clean(golden), separators=(",", ":")) + "\n")
    for one in golden["cases"]:
        print(one["name"], {k: v[0] for k, v in one["want"].items()}, one["accuracy"])
