"""Detection of mismatched rows: cells of one input exchanged with those of other rows."""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import numpy as np

from multimodal_tf.config.heads import comparing
from multimodal_tf.evaluation import agreement, alignment, ood_scores
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.predictor import Arrays
from multimodal_tf.metrics.clustered import group_codes
from multimodal_tf.metrics.metric import Metric

# the false positive rate at which the threshold is chosen
FPR = 0.05
# rows whose cells are exchanged, at most, for each input
MAX_ROWS = 2000
AGREEMENT, EMBEDDING_DISTANCE = "cross-modal agreement", "embedding distance"
_UNIT = "share of mismatched rows"

# higher where the inputs agree less, float `(rows,)`, NaN: unknown; of predictions, embeddings and
# presence
Measure = Callable[[Arrays, Arrays, np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Rates:
    """Detection by the agreement of compared inputs at its threshold, for one exchanged input."""

    detected: Metric
    false_positives: Metric
    odd_one_out: Metric


@dataclasses.dataclass(frozen=True)
class MismatchDetection:
    """How well scores detect rows in which one input is another row's.

    Args:
        scores: by exchanged input and score, AUROC and FPR at 95 % TPR.
        rates: by exchanged input; empty without a head that compares two inputs.
        threshold: lowest agreement that is not flagged, from validation rows; None: there is none.
    """

    scores: Mapping[str, Mapping[str, tuple[Metric, Metric]]]
    rates: Mapping[str, Rates]
    threshold: float | None


@dataclasses.dataclass(frozen=True)
class _Exchange:
    """Rows, and their predictions, embeddings and presence before and after the exchange."""

    rows: np.ndarray
    matched: tuple[Arrays, Arrays, np.ndarray]
    mismatched: tuple[Arrays, Arrays, np.ndarray]


def detect_mismatches(eval_split: EvalSplit, resamples: int, seed: int) -> MismatchDetection:
    """Exchanges cells of each input, and scores the rows.

    Scores are the mean cosine between the compared vectors, and baselines: maximum softmax
    probability, the distance between the towers' embeddings, and the Mahalanobis distance of the
    fused embedding. Cells are exchanged between rows of different classes, if the head chooses one,
    and of different groups. The threshold is chosen on validation rows at a false positive rate of
    5 %.

    Args:
        eval_split: `EvalSplit`.
        resamples: int. For the intervals, which draw a row with its mismatch, and groups as a
            whole; 0: no intervals.
        seed: int, for the exchange and the intervals.

    Raises:
        ValueError: the model has one input, fewer than two rows have two inputs, or no score is
            defined.
    """
    own = eval_split.config.vector_inputs()
    if len(own) < 2:
        raise ValueError(f"The model has one input, {next(iter(own))}.")
    measures = _measures(eval_split)
    exchanges = {
        name: found for name in own if (found := _exchange(eval_split, name, own, seed)) is not None
    }
    if not exchanges or not measures:
        raise ValueError(
            "A mismatch needs two rows with two inputs, and a head that compares inputs, classes "
            "or embeddings."
        )
    scores: dict[str, dict[str, tuple[Metric, Metric]]] = {}
    for name, exchange in exchanges.items():
        for label, measure in measures.items():
            both = measure(*exchange.matched), measure(*exchange.mismatched)
            pair = _apart(eval_split, exchange.rows, *both, resamples, seed)
            if pair is not None:
                scores.setdefault(name, {})[label] = pair
    if not scores:
        raise ValueError("No score is defined on the rows that have two inputs.")
    threshold, reason = _threshold(eval_split)
    rates = {}
    if comparing(eval_split.config.heads):
        rates = {
            name: _rates(eval_split, name, exchange, threshold, reason, resamples, seed)
            for name, exchange in exchanges.items()
        }
    return MismatchDetection(scores, rates, threshold)


def _exchange(
    eval_split: EvalSplit, name: str, own: Mapping[str, list[str]], seed: int
) -> _Exchange | None:
    """None without two rows that can take part."""
    present = agreement.vectors_present(eval_split.present, eval_split.config)
    has_another = np.sum([present[other] for other in own if other != name], axis=0) >= 1
    rows = np.flatnonzero(present[name] & has_another)
    if len(rows) > MAX_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MAX_ROWS, replace=False))
    if len(rows) < 2:
        return None
    source = rows[_source(eval_split, rows, seed)]
    # a row of another class may still be of the same group
    if eval_split.groups is not None:
        kept = eval_split.groups[source] != eval_split.groups[rows]
        rows, source = rows[kept], source[kept]
    if not len(rows):
        return None
    raw = {
        key: cells[source if key in own[name] else rows] for key, cells in eval_split.raw.items()
    }
    changed = [index for index, key in enumerate(eval_split.config.inputs) if key in own[name]]
    mismatched_present = eval_split.present[rows].copy()
    mismatched_present[:, changed] = eval_split.present[source][:, changed]
    predictions = {head: of_rows[rows] for head, of_rows in eval_split.predictions.items()}
    embeddings = {key: vectors[rows] for key, vectors in eval_split.embeddings.items()}
    mismatched_embeddings = eval_split.embed(raw) if eval_split.embeddings else {}
    return _Exchange(
        rows,
        (predictions, embeddings, eval_split.present[rows]),
        (eval_split.predict(raw), mismatched_embeddings, mismatched_present),
    )


def _source(eval_split: EvalSplit, rows: np.ndarray, seed: int) -> np.ndarray:
    """Indices into `rows` of the rows whose cells are taken.

    They are of another class, else of another group, else of any other row.
    """
    classes = ood_scores.class_indices(eval_split)
    # NaN: like no other row
    kinds = [] if classes is None else [np.where(classes >= 0, classes, np.nan)]
    kinds += [] if eval_split.groups is None else [eval_split.groups]
    for kind in kinds:
        codes = group_codes(kind[rows], len(rows))
        if 2 * np.bincount(codes).max() <= len(rows):
            return alignment.exchanged(len(rows), codes, seed)
    return alignment.exchanged(len(rows), None, seed)


def _measures(eval_split: EvalSplit) -> dict[str, Measure]:
    found: dict[str, Measure] = {}
    if comparing(eval_split.config.heads):
        found[AGREEMENT] = lambda predictions, embeddings, present: (
            -agreement.aligned(predictions, present, eval_split.config).agreement
        )
    for name, score in ood_scores.ood_scores_of(eval_split).items():
        if name in (ood_scores.SOFTMAX, ood_scores.MAHALANOBIS):
            found[name] = functools.partial(_without_presence, score)
    names = _comparable(eval_split)
    if names:
        found[EMBEDDING_DISTANCE] = functools.partial(_embedding_distance, eval_split, names)
    return found


def _without_presence(
    score: Callable[[Arrays, Arrays], np.ndarray],
    predictions: Arrays,
    embeddings: Arrays,
    present: np.ndarray,
) -> np.ndarray:
    return score(predictions, embeddings)


def _comparable(eval_split: EvalSplit) -> list[str]:
    """The towers' embeddings of the most frequent width, if there are two."""
    names = [name for name in eval_split.config.vectors() if name in eval_split.embeddings]
    widths = [eval_split.embeddings[name].shape[1] for name in names]
    most = max(widths, key=widths.count, default=0)
    chosen = [name for name, width in zip(names, widths) if width == most]
    return chosen if len(chosen) > 1 else []


def _embedding_distance(
    eval_split: EvalSplit,
    names: list[str],
    predictions: Arrays,
    embeddings: Arrays,
    present: np.ndarray,
) -> np.ndarray:
    of_inputs = agreement.vectors_present(present, eval_split.config)
    vectors = np.stack([embeddings[name] for name in names], axis=1)
    known = np.stack([of_inputs[name] for name in names], axis=1)
    return np.asarray(1 - alignment.agreement(vectors, known))


def _apart(
    eval_split: EvalSplit,
    rows: np.ndarray,
    matched: np.ndarray,
    mismatched: np.ndarray,
    resamples: int,
    seed: int,
) -> tuple[Metric, Metric] | None:
    """AUROC and FPR on the rows whose score is known before and after; None without any."""
    known = ~(np.isnan(matched) | np.isnan(mismatched))
    if not known.any():
        return None
    groups = None if eval_split.groups is None else eval_split.groups[rows][known]
    return ood_scores.paired_separation(matched[known], mismatched[known], groups, resamples, seed)


def _threshold(eval_split: EvalSplit) -> tuple[float | None, str]:
    """The lowest agreement that is not flagged, or None and the reason."""
    validation = eval_split.validation
    if validation is None:
        return None, "there is no validation split to choose a threshold on"
    found = agreement.aligned(validation.predictions, validation.present, eval_split.config)
    try:
        return alignment.threshold(found.agreement[~np.isnan(found.agreement)], FPR), ""
    except ValueError as error:
        return None, str(error)


def _rates(
    eval_split: EvalSplit,
    name: str,
    exchange: _Exchange,
    threshold: float | None,
    reason: str,
    resamples: int,
    seed: int,
) -> Rates:
    matched, mismatched = (
        agreement.aligned(predictions, present, eval_split.config)
        for predictions, _, present in (exchange.matched, exchange.mismatched)
    )
    known = ~np.isnan(matched.agreement) & ~np.isnan(mismatched.agreement)
    groups = None if eval_split.groups is None else eval_split.groups[exchange.rows]

    def flagged(agreement: np.ndarray, unit: str) -> Metric:
        if threshold is None:
            return Metric(None, int(known.sum()), unit, reason=reason)
        chosen = None if groups is None else groups[known]
        return ood_scores.share(agreement[known] < threshold, unit, chosen, resamples, seed)

    return Rates(
        flagged(mismatched.agreement, _UNIT),
        flagged(matched.agreement, "share of matched rows"),
        _odd_one_out(name, mismatched, groups, resamples, seed),
    )


def _odd_one_out(
    name: str, found: agreement.Aligned, groups: np.ndarray | None, resamples: int, seed: int
) -> Metric:
    """How often the exchanged input is the one that agrees least with the others."""
    odd = found.odd_one_out()
    decided = odd >= 0
    if not decided.any() or name not in found.names:
        return Metric(None, 0, _UNIT, reason="no row has three inputs that are aligned")
    hits = odd[decided] == found.names.index(name)
    chosen = None if groups is None else groups[decided]
    return ood_scores.share(hits, _UNIT, chosen, resamples, seed)
