"""Out-of-distribution (OOD) detection: corrupted rows and other data against clean rows."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from multimodal_tf.corruptions import Corruption, corrupted
from multimodal_tf.evaluation import agreement, ood, ood_samples, ood_scores
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.ood_scores import Measure
from multimodal_tf.evaluation.predictor import Arrays
from multimodal_tf.metrics.metric import Metric

# the false positive rate at which thresholds are chosen
FPR = 0.05
# clean rows, at most, and as many of each kind of OOD rows
MAX_ROWS = 1000
# the severity of corruptions
SEVERITY = 5
NO_SCORE = (
    "The model has no embeddings of training rows, and its head does not choose one class: "
    "there is no score."
)

# a threshold, or the reason why there is none
Threshold = float | str


@dataclasses.dataclass(frozen=True)
class OodMetrics:
    """How well one score detects one kind of OOD rows."""

    auroc: Metric
    fpr_at_95_tpr: Metric
    above_threshold: Metric


@dataclasses.dataclass(frozen=True)
class Sources:
    """Which input's embedding is furthest above its threshold, by replaced input.

    Args:
        replaced: the inputs whose cells were replaced.
        scored: the inputs whose embedding can be scored.
        counts: rows, `(replaced, scored)`.
    """

    replaced: list[str]
    scored: list[str]
    counts: list[list[int]]


@dataclasses.dataclass(frozen=True)
class OodDetection:
    """How well scores detect out-of-distribution rows.

    Args:
        metrics: by kind of OOD rows and score.
        thresholds: by score, from validation rows, or the reason why there is none.
        false_positives: by score, the share of clean rows above the threshold.
        sources: `Sources`, or None where fewer than two inputs can be scored.
        no_input: the score of a row without any input, by the first score.
    """

    metrics: Mapping[str, Mapping[str, OodMetrics]]
    thresholds: Mapping[str, Threshold]
    false_positives: Mapping[str, Metric]
    sources: Sources | None
    no_input: float


@dataclasses.dataclass(frozen=True)
class _Samples:
    """OOD rows.

    `of` are indices of the clean rows that they were made of (None: of none), `replaced` is the one
    input whose cells were replaced (None: not one).
    """

    raw: Arrays
    of: np.ndarray | None
    replaced: str | None = None


def detect_ood(
    eval_split: EvalSplit, resamples: int, seed: int, other: EvalSplit | None = None
) -> OodDetection:
    """Scores clean rows and OOD rows.

    Scores are Mahalanobis and nearest-neighbour distance of the fused embedding, fitted on
    `eval_split.train`, and energy and maximum softmax probability. OOD rows are: all inputs
    corrupted at severity 5; the cells of one input, and of all, replaced by other data; one cell of
    each row broken; the rows of `other`. Thresholds are chosen on validation rows at a false
    positive rate of 5 %.

    Args:
        eval_split: `EvalSplit`.
        resamples: int. For the intervals, which draw a clean row with its OOD row, and groups as a
            whole; 0: no intervals.
        seed: int, for the samples and the intervals.
        other: rows of another data set with the same inputs, of which only `raw` is used.

    Raises:
        ValueError: no score can be computed, or no row has an input.
    """
    measures, rows = ood_scores.ood_scores_of(eval_split), _clean_rows(eval_split, seed)
    if not measures:
        raise ValueError(NO_SCORE)
    if not len(rows):
        raise ValueError("No row of this split has an input.")
    groups = None if eval_split.groups is None else eval_split.groups[rows]
    thresholds = {
        name: _threshold(eval_split.validation, measure) for name, measure in measures.items()
    }
    outputs_of_rows = _outputs(eval_split, rows)
    clean = {name: measure(*outputs_of_rows) for name, measure in measures.items()}
    metrics: dict[str, dict[str, OodMetrics]] = {}
    replaced = {}
    for kind, samples in _samples(eval_split, rows, seed, other):
        outputs = eval_split.predict(samples.raw), _embed(eval_split, samples.raw)
        metrics[kind] = {
            name: _ood_metrics(
                clean[name],
                measure(*outputs),
                thresholds[name],
                samples.of,
                groups,
                resamples,
                seed,
            )
            for name, measure in measures.items()
        }
        if samples.replaced is not None:
            replaced[samples.replaced] = (rows[samples.of], outputs[1])
    return OodDetection(
        metrics,
        thresholds,
        {
            name: _above(clean[name], threshold, groups, resamples, seed)
            for name, threshold in thresholds.items()
        },
        _sources(eval_split, replaced),
        _score_without_inputs(eval_split, next(iter(measures.values()))),
    )


def _outputs(eval_split: EvalSplit, rows: np.ndarray) -> tuple[Arrays, Arrays]:
    """Predictions and embeddings of some rows."""
    return (
        {name: of_rows[rows] for name, of_rows in eval_split.predictions.items()},
        {name: vectors[rows] for name, vectors in eval_split.embeddings.items()},
    )


def _embed(eval_split: EvalSplit, raw: Arrays) -> Arrays:
    return eval_split.embed(raw) if eval_split.embeddings else {}


def _clean_rows(eval_split: EvalSplit, seed: int) -> np.ndarray:
    """Indices of clean rows that have any input, a random sample if there are many."""
    rows = np.flatnonzero(eval_split.present.any(axis=1))
    if len(rows) <= MAX_ROWS:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, MAX_ROWS, replace=False))


def _samples(
    eval_split: EvalSplit, rows: np.ndarray, seed: int, other: EvalSplit | None
) -> Iterator[tuple[str, _Samples]]:
    """Kinds of OOD rows, one after another."""
    inputs, stats = eval_split.config.inputs, eval_split.schema.inputs
    raw = {name: cells[rows] for name, cells in eval_split.raw.items()}
    numbers, every = eval_split.rows[rows], np.arange(len(rows))

    def changed(change: Mapping[str, Corruption]) -> Arrays:
        return {
            name: corrupted(raw[name], name, corruption, SEVERITY, seed, numbers)
            for name, corruption in change.items()
        }

    any_corruption = {
        name: ood_samples.any_corruption(each, stats.get(name)) for name, each in inputs.items()
    }
    yield f"all inputs corrupted, severity {SEVERITY}", _Samples(changed(any_corruption), every)
    replaced = changed(
        {name: ood_samples.other_data(each, stats.get(name)) for name, each in inputs.items()}
    )
    for index, name in enumerate(inputs if len(inputs) > 1 else ()):
        of = np.flatnonzero(eval_split.present[rows, index])
        if len(of):
            cells = raw | {name: replaced[name]}
            own = {key: column[of] for key, column in cells.items()}
            yield f"other data as {name}", _Samples(own, of, name)
    only = next(iter(inputs))
    title = "other data in all inputs" if len(inputs) > 1 else f"other data as {only}"
    yield title, _Samples(replaced, every)
    broken = changed({name: ood_samples.broken(each) for name, each in inputs.items()})
    one_broken = _one_cell_each(raw, broken, eval_split.present[rows], seed)
    yield "one cell broken", _Samples(one_broken, every)
    if other is not None and len(other.rows):
        some = _clean_rows(other, seed)
        yield (
            "rows of another data set",
            _Samples({name: other.raw[name][some] for name in raw}, None),
        )


def _one_cell_each(raw: Arrays, broken: Arrays, present: np.ndarray, seed: int) -> Arrays:
    """The raw cells, with one present cell of each row, chosen at random, taken from `broken`."""
    order = np.random.default_rng(seed).random(present.shape)
    chosen = np.where(present, order, -1).argmax(axis=1)
    found = {}
    for index, name in enumerate(broken):
        cells = raw[name].copy()
        cells[chosen == index] = broken[name][chosen == index]
        found[name] = cells
    return found


def _threshold(validation: EvalSplit | None, measure: Measure) -> Threshold:
    """From validation rows that have any input; the reason where there is none."""
    if validation is None:
        return "there is no validation split to choose a threshold on"
    outputs = _outputs(validation, np.asarray(validation.present.any(axis=1)))
    try:
        return ood.threshold(measure(*outputs), FPR)
    except ValueError as error:
        return str(error)


def _ood_metrics(
    clean: np.ndarray,
    found: np.ndarray,
    threshold: Threshold,
    of: np.ndarray | None,
    groups: np.ndarray | None,
    resamples: int,
    seed: int,
) -> OodMetrics:
    """The metrics of OOD rows that were made of some of the clean rows, or of none."""
    if of is not None:
        own = None if groups is None else groups[of]
        auroc, fpr = ood_scores.paired_separation(clean[of], found, own, resamples, seed)
        return OodMetrics(auroc, fpr, _above(found, threshold, own, resamples, seed))
    metrics = ood.separation(clean, found, False, resamples, seed).metrics
    auroc, fpr = (
        dataclasses.replace(metrics[key], n=len(found), unit=unit)
        for key, unit in (("auroc", ood_scores.AUROC), ("fpr_at_95_tpr", ood_scores.FPR))
    )
    return OodMetrics(auroc, fpr, _above(found, threshold, None, resamples, seed))


def _above(
    scores: np.ndarray,
    threshold: Threshold,
    groups: np.ndarray | None,
    resamples: int,
    seed: int,
) -> Metric:
    if isinstance(threshold, str):
        return Metric(None, len(scores), "share of rows", reason=threshold)
    own = groups if groups is not None and len(groups) == len(scores) else None
    return ood_scores.share(scores > threshold, "share of rows", own, resamples, seed)


def _sources(
    eval_split: EvalSplit, replaced: Mapping[str, tuple[np.ndarray, Arrays]]
) -> Sources | None:
    """`replaced` holds rows and embeddings by replaced input."""
    own = eval_split.config.vector_inputs()
    scores = {name: score for name in own if (score := _own_score(eval_split, name)) is not None}
    names = [name for name in replaced if any(name in own[vector] for vector in scores)]
    if len(scores) < 2 or not names:
        return None
    counts = []
    for name in names:
        rows, embeddings = replaced[name]
        present = agreement.vectors_present(eval_split.present[rows], eval_split.config)
        relative = [
            np.where(present[vector], score(embeddings[vector]), -np.inf)
            for vector, score in scores.items()
        ]
        counts.append(np.bincount(np.argmax(relative, axis=0), minlength=len(scores)).tolist())
    return Sources(names, list(scores), counts)


def _own_score(eval_split: EvalSplit, name: str) -> Callable[[np.ndarray], np.ndarray] | None:
    """An input's own distance relative to its threshold, as a function of its embedding.

    None where it cannot be computed.
    """
    validation = eval_split.validation
    fitted = ood_scores.fit_scores(eval_split, name)
    if validation is None or not fitted:
        return None
    score: Callable[[np.ndarray], np.ndarray] = next(iter(fitted.values()))
    present = agreement.vectors_present(validation.present, eval_split.config)[name]
    usual = score(validation.embeddings[name][present]) if present.any() else np.zeros(0)
    threshold = float(np.quantile(usual, 1 - FPR)) if len(usual) else 0.0
    return (lambda vectors: score(vectors) / threshold) if threshold > 0 else None


def _score_without_inputs(eval_split: EvalSplit, measure: Measure) -> float:
    raw = {name: _missing(cells[:1]) for name, cells in eval_split.raw.items()}
    return float(measure(eval_split.predict(raw), _embed(eval_split, raw))[0])


def _missing(cells: np.ndarray) -> np.ndarray:
    cells = cells.copy()
    cells[:] = np.nan if np.issubdtype(cells.dtype, np.floating) else b""
    return cells
