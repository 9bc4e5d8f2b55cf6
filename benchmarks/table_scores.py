"""Scores of predictions, with intervals that draw groups of rows, and the page of results."""

import numpy as np

from multimodal_tf.metrics.bootstrap import ratio
from multimodal_tf.metrics.clustered import group_codes, weighted_metrics

RESAMPLES = 500
METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "average_precision": "average precision, macro",
    "r2": "R²",
}
TITLES = {
    "majority": "majority",
    "simple": "simple features",
    "frozen": "frozen vectors",
    "default": "our default from scratch",
    "pretrained": "our pretrained default",
}
# a column of ours and the one that it must not be below
BOUNDS = [("default", "simple"), ("pretrained", "frozen")]
# the differences that the page shows
DIFFERENCES = [("frozen", "simple"), *BOUNDS]


def score(metric, truth, predicted, weights=None):
    """The score of predictions.

    Args:
        metric: accuracy, balanced_accuracy (mean recall of the classes that have rows),
            average_precision (mean over the labels that have rows) or r2.
        truth, predicted: arrays of one split, as in `table_columns`.
        weights: float `(rows,)`, how often each row counts; None: once.
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    weights = np.ones(len(truth)) if weights is None else weights
    # a resample without a group of this seed's
    if not weights.any():
        return np.nan
    match metric:
        case "accuracy":
            return float(weights @ (truth == predicted) / weights.sum())
        case "balanced_accuracy":
            rows = np.bincount(truth, weights)
            hits = np.bincount(truth, weights * (truth == predicted))
            return float(ratio(hits, rows)[rows > 0].mean())
        case "average_precision":
            return average_precision(truth > 0, predicted, weights)
        case _:
            spread = weights @ (truth - np.average(truth, weights=weights)) ** 2
            return float(1 - weights @ (truth - predicted) ** 2 / spread)


def average_precision(truth, scores, weights):
    """The mean over labels of the mean precision at each row that bears it."""
    found = []
    for bears, values in zip(truth.T, scores.T):
        order = np.argsort(-values, kind="stable")
        counts = weights[order]
        # rows of equal scores are found together
        last = np.searchsorted(-values[order], -values[order], side="right") - 1
        right = counts * bears[order]
        if right.sum():
            precision = ratio(np.cumsum(right)[last], np.cumsum(counts)[last])
            found.append(right @ precision / right.sum())
    return float(np.mean(found)) if found else np.nan


def scored(results):
    """Scores of one table: by column its mean over seeds, and by `(column, bound)` the difference.

    Args:
        results: list of the results of one table, of all seeds and columns.

    Returns:
        `(by_seed, metrics)`: by column its scores by seed; by name `multimodal_tf.metrics.Metric`.
        A resample draws groups of rows, the same for all columns and seeds.
    """
    columns = [*dict.fromkeys(one["column"] for one in results)]
    by_column = {name: [one for one in results if one["column"] == name] for name in columns}
    sizes = [len(one["truth"]) for one in by_column[columns[0]]]
    codes = group_codes(sum((one["groups"] for one in by_column[columns[0]]), []), sum(sizes))
    cuts = np.cumsum(sizes)[:-1]
    arrays = {
        name: [(one["metric"], np.array(one["truth"]), np.array(one["predicted"])) for one in ours]
        for name, ours in by_column.items()
    }

    def statistic(weights):
        parts = np.split(weights, cuts)
        means = {
            name: float(np.nanmean([score(*one, part) for one, part in zip(ours, parts)]))
            for name, ours in arrays.items()
        }
        pairs = [pair for pair in DIFFERENCES if {*pair} <= {*means}]
        return means | {pair: means[pair[0]] - means[pair[1]] for pair in pairs}

    by_seed = {name: [score(*one) for one in ours] for name, ours in arrays.items()}
    return by_seed, weighted_metrics(statistic, codes, RESAMPLES, 0)
