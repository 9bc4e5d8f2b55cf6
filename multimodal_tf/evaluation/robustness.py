"""A model on corrupted cells: every corruption of every input, and all inputs at once."""

import concurrent.futures
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from multimodal_tf.corruptions import SEVERITIES, Corruption, columns, corrupted, corruptions_for
from multimodal_tf.evaluation import ood_samples
from multimodal_tf.evaluation.eval_split import EvalSplit, drawn
from multimodal_tf.evaluation.predictor import Arrays, Predictor
from multimodal_tf.evaluation.row_scores import ACCURACY, unit_of, values, with_unit
from multimodal_tf.metrics import robustness
from multimodal_tf.metrics.clustered import group_codes, weighted_metrics
from multimodal_tf.metrics.metric import Metric

ALL_INPUTS = "all inputs"
_ONE_EACH = "one corruption each"
# cells that babble is made of
_POOL = 64
# batches of corrupted cells that are prepared while the model runs
_PREFETCH = 2

# input and corruption
Key = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class CorruptionScores:
    """Row scores on corrupted cells.

    Args:
        unit: what the mean of the scores measures, such as accuracy.
        clean: float `(rows,)`, the scores without corruption, of rows with a label; NaN where these
            do not define the score.
        scores: by input and corruption float `(rows, severities)`.
        codes: int `(rows,)`, groups that a bootstrap draws as a whole.
        strengths: by input and corruption, what the severities mean.
    """

    unit: str
    clean: np.ndarray
    scores: Mapping[str, Mapping[str, np.ndarray]]
    codes: np.ndarray
    strengths: Mapping[Key, str]

    @property
    def predicted_rows(self) -> int:
        """Number of corrupted rows that were predicted."""
        return sum(each.size for of in self.scores.values() for each in of.values())


@dataclasses.dataclass(frozen=True)
class WorstCorruption:
    """The corruption of one input with the lowest score on average over the severities."""

    input: str
    corruption: str
    clean: Metric
    mean: Metric
    strongest: Metric


def corruption_scores(
    predictor: Predictor,
    eval_split: EvalSplit,
    features: Mapping[str, tf.Tensor],
    max_rows: int | None,
    seed: int,
    step: Callable[[], None] = lambda: None,
) -> CorruptionScores:
    """Predicts corrupted rows. Only corrupted cells are decoded anew.

    Args:
        predictor: `Predictor`.
        eval_split, features: from `load_eval_split`.
        max_rows: int, limit of rows with a label, sampled by `seed`; None: all.
        seed: int, for the corruptions.
        step: called after each corruption at each severity.
    """
    indices = np.flatnonzero(eval_split.known)
    indices = indices[drawn(len(indices), max_rows, seed)]
    rows = _subset(eval_split, indices)
    decoded = {name: tf.gather(tensor, indices) for name, tensor in features.items()}
    corruptions = corruptions_of(eval_split)
    found: dict[str, dict[str, list[np.ndarray]]] = {}
    for (name, corruption), cells in _prefetched(_corrupted_cells(rows, corruptions, seed)):
        predictions = predictor.predict_changed(decoded, cells)
        found.setdefault(name, {}).setdefault(corruption, []).append(values(rows, predictions))
        step()
    return CorruptionScores(
        unit_of(eval_split.config, eval_split.head),
        values(rows, rows.predictions),
        {
            name: {corruption: np.stack(each, axis=1) for corruption, each in of.items()}
            for name, of in found.items()
        },
        group_codes(rows.groups, len(indices)),
        {
            (name, each.name): f"{', '.join(map(str, each.strengths))} {each.unit}"
            for name, of in corruptions.items()
            for each in of
        },
    )


def corruptions_of(eval_split: EvalSplit) -> dict[str, tuple[Corruption, ...]]:
    """The corruptions of each input that is present in at least one row."""
    found = {}
    for index, (name, input_config) in enumerate(eval_split.config.inputs.items()):
        if eval_split.present[:, index].any():
            stats = eval_split.schema.inputs.get(name)
            pool = eval_split.raw[name][:_POOL].tolist()
            found[name] = corruptions_for(input_config, stats, pool)
    return found


def count_steps(corruptions: Mapping[str, tuple[Corruption, ...]]) -> int:
    """Number of calls of `step` by `corruption_scores`."""
    return len(SEVERITIES) * (sum(map(len, corruptions.values())) + (len(corruptions) > 1))


def means_by_severity(
    scores: CorruptionScores, resamples: int, seed: int
) -> dict[Key, list[Metric]]:
    """By input and corruption, the mean scores at severity 0 (clean) to 5."""
    keys = [(name, corruption) for name, of in scores.scores.items() for corruption in of]
    table = np.concatenate(
        [scores.clean[:, None], *(scores.scores[name][corruption] for name, corruption in keys)],
        axis=1,
    )

    def statistic(weights: np.ndarray) -> dict[int, float]:
        return dict(enumerate(weights @ table / weights.sum()))

    metrics = list(weighted_metrics(statistic, scores.codes, resamples, seed).values())
    metrics = [with_unit(metric, scores.unit) for metric in metrics]
    clean, n = metrics[0], len(SEVERITIES)
    return {
        key: [clean, *metrics[1 + n * index : 1 + n * (index + 1)]]
        for index, key in enumerate(keys)
    }


def robustness_metrics(
    scores: CorruptionScores, resamples: int, seed: int, baseline: CorruptionScores | None = None
) -> dict[str, dict[str, Metric]]:
    """Mean corruption error and related metrics, by input and name.

    Args:
        scores: `CorruptionScores` whose unit is an accuracy.
        resamples, seed: for the intervals.
        baseline: scores of another model on the same rows, for effective robustness; None: without.
    """
    arrays = {name: np.stack(list(of.values())) for name, of in scores.scores.items()}
    others = None if baseline is None else _in_the_same_order(baseline, scores)

    def statistic(weights: np.ndarray) -> dict[tuple[str, str], float]:
        def mean(of_rows: np.ndarray) -> np.ndarray:
            sums = np.tensordot(weights, of_rows, axes=(0, of_rows.ndim - 2))
            # rounding may leave 1 + 4e-16
            return np.asarray(np.clip(sums / weights.sum(), 0, 1))

        clean, found = float(mean(scores.clean[:, None])[0]), {}
        for name, of_rows in arrays.items():
            accuracy = mean(of_rows)
            drop = robustness.relative_mean_corruption_error(clean, accuracy)
            area = robustness.relative_robustness(clean, accuracy).mean()
            found[name, "mean corruption error"] = float(robustness.mean_corruption_error(accuracy))
            found[name, "mean drop"] = float(drop)
            found[name, "relative robustness"] = float(area)
            if baseline is not None and others is not None:
                other = (float(mean(baseline.clean[:, None])[0]), mean(others[name]))
                effective = robustness.effective_robustness(clean, accuracy, other).mean()
                found[name, "effective robustness"] = float(effective)
        return found

    error = "error rate" if scores.unit == ACCURACY else f"1 - {scores.unit}"
    units = {"mean corruption error": error, "mean drop": f"drop of {scores.unit}"}
    by_input: dict[str, dict[str, Metric]] = {name: {} for name in arrays}
    for (name, kind), metric in weighted_metrics(statistic, scores.codes, resamples, seed).items():
        unit = units.get(kind, f"area under {scores.unit}")
        by_input[name][kind] = dataclasses.replace(metric, unit=unit)
    return by_input


def damaging_corruptions(scores: CorruptionScores) -> list[Key]:
    """Input and corruption of those that lower the mean score, the most damaging first.

    Missing cells and corruptions of all inputs at once do not count.
    """
    means = {
        (name, corruption): float(each.mean())
        for name, of in scores.scores.items()
        for corruption, each in of.items()
        if name != ALL_INPUTS and corruption != columns.MISSING.name
    }
    clean = float(scores.clean.mean())
    return sorted((key for key in means if means[key] < clean), key=lambda key: means[key])


def worst_corruption(scores: CorruptionScores, resamples: int, seed: int) -> WorstCorruption | None:
    """The first of `damaging_corruptions`; None where no corruption lowers the mean score."""
    found = damaging_corruptions(scores)
    if not found:
        return None
    name, corruption = found[0]
    each = scores.scores[name][corruption]
    of_rows = {"clean": scores.clean, "mean": each.mean(axis=1), "strongest": each[:, -1]}

    def statistic(weights: np.ndarray) -> dict[str, float]:
        return {what: weights @ scores / weights.sum() for what, scores in of_rows.items()}

    metrics = weighted_metrics(statistic, scores.codes, resamples, seed)
    of_unit = {what: with_unit(metric, scores.unit) for what, metric in metrics.items()}
    return WorstCorruption(name, corruption, **of_unit)


def _in_the_same_order(
    baseline: CorruptionScores, scores: CorruptionScores
) -> dict[str, np.ndarray]:
    return {
        name: np.stack([baseline.scores[name][corruption] for corruption in of])
        for name, of in scores.scores.items()
    }


def _corrupted_cells(
    rows: EvalSplit, corruptions: Mapping[str, tuple[Corruption, ...]], seed: int
) -> Iterator[tuple[Key, Callable[[], Arrays]]]:
    """Input and corruption, and a function that corrupts the cells, for each severity."""
    for name, of in corruptions.items():
        for each in of:
            for severity in SEVERITIES:
                make = functools.partial(_corrupt, rows, {name: each}, severity, seed)
                yield (name, each.name), make
    if len(corruptions) > 1:
        # for each cell one corruption is drawn; none goes missing
        random_corruptions = {
            name: ood_samples.any_corruption(rows.config.inputs[name], rows.schema.inputs.get(name))
            for name in corruptions
        }
        for severity in SEVERITIES:
            make = functools.partial(_corrupt, rows, random_corruptions, severity, seed)
            yield (ALL_INPUTS, _ONE_EACH), make


def _corrupt(
    rows: EvalSplit, corruptions: Mapping[str, Corruption], severity: int, seed: int
) -> Arrays:
    return {
        name: corrupted(rows.raw[name], name, corruption, severity, seed, rows.rows)
        for name, corruption in corruptions.items()
    }


def _prefetched(
    tasks: Iterable[tuple[Key, Callable[[], Arrays]]],
) -> Iterator[tuple[Key, Arrays]]:
    """The tasks' results in order, computed in threads while the model runs."""
    with concurrent.futures.ThreadPoolExecutor(_PREFETCH) as pool:
        waiting: list[tuple[Key, concurrent.futures.Future[Any]]] = []
        for key, task in tasks:
            waiting.append((key, pool.submit(task)))
            if len(waiting) > _PREFETCH:
                first, future = waiting.pop(0)
                yield first, future.result()
        for key, future in waiting:
            yield key, future.result()


def _subset(eval_split: EvalSplit, indices: np.ndarray) -> EvalSplit:
    """Some of the rows."""

    def of_rows(arrays: Arrays) -> Arrays:
        return {name: array[indices] for name, array in arrays.items()}

    return dataclasses.replace(
        eval_split,
        rows=eval_split.rows[indices],
        raw=of_rows(eval_split.raw),
        present=eval_split.present[indices],
        groups=None if eval_split.groups is None else eval_split.groups[indices],
        labels=eval_split.labels[indices],
        known=eval_split.known[indices],
        predictions=of_rows(eval_split.predictions),
        embeddings=of_rows(eval_split.embeddings),
        table=None if eval_split.table is None else eval_split.table.iloc[indices],
    )
