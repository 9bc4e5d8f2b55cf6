"""The page of an evaluation: tiles, findings, and the metrics of each head."""

import datetime
import os
from collections.abc import Iterator
from typing import get_args

import numpy as np

from multimodal_tf.config.heads import LossHead
from multimodal_tf.evaluation.evaluate import Evaluation
from multimodal_tf.metrics.clustered import share
from multimodal_tf.metrics.metric import ClassMetrics, HeadMetrics, Metric
from multimodal_tf.report import page
from multimodal_tf.report.confusion_map import confusion_map
from multimodal_tf.report.findings import Finding, ranked

# the score of a head is the first of these that it has
_SCORES = ("average_precision_macro", "accuracy", "mae")
_DESCRIPTION = (
    "Every metric on the rows of this split whose label is known. Precision, recall and F1 of a "
    "class are of the rows that are predicted as it, or bear it."
)
_WITHOUT_LABELS = (
    "Every metric on the rows of this split that have what the head learns from; it needs no "
    "labels."
)
# types of heads that learn without labels
_OBJECTIVES = {
    head.model_fields["type"].default for head in get_args(LossHead) if head.target_type is None
}
_OF_CLASSES = ("precision", "recall", "f1", "average_precision", "auroc")


def save_evaluation_page(evaluation: Evaluation, out: str | os.PathLike[str]) -> page.Page:
    """Writes an evaluation as one HTML page, with its data as JSON and CSV.

    Args:
        evaluation: from `evaluate`, or `Evaluation.load`.
        out: folder for `index.html`, `report.json` and `data/`; an earlier page is replaced.

    Raises:
        FileExistsError: `out` holds other files.
        ValueError: `out` is not on a disk of this machine, or no head has metrics.
    """
    if not evaluation.heads:
        raise ValueError("the evaluation must have a head with metrics, received none")
    written = evaluation_page(evaluation)
    page.save(written, out)
    return written


def evaluation_page(evaluation: Evaluation) -> page.Page:
    """A tile and a section for each head, and at most five findings over all of them."""
    heads = evaluation.heads
    findings = [each for name, head in heads.items() for each in _findings(name, head)]
    drawn = "rows" if evaluation.group is None else f"groups of {evaluation.group}"
    resamples = f"{evaluation.level:.0%}, {evaluation.resamples:,} bootstrap resamples of {drawn}"
    made_with = {
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        "split": f"{evaluation.split}, {evaluation.rows:,} rows",
        "intervals": resamples if evaluation.resamples else "none",
        "seed": str(evaluation.seed),
    }
    if evaluation.note:
        findings.append(Finding(f"{evaluation.note[:1].upper()}{evaluation.note[1:]}.", 0.5))
    return page.Page(
        f"Evaluation: {evaluation.split}",
        ranked(findings) or [_plain(name, head) for name, head in heads.items()][:5],
        [_section(name, head) for name, head in heads.items()],
        made_with,
        [_tile(name, head) for name, head in heads.items()],
    )


def _score(head: HeadMetrics) -> tuple[str, Metric]:
    """The metric that stands for the head."""
    # of a head that chooses one class this is accuracy, whatever else it has
    names = ("accuracy",) if _chooses(head) else _SCORES
    name = next((name for name in names if name in head.metrics), next(iter(head.metrics)))
    return name, head.metrics[name]


def _chooses(head: HeadMetrics) -> bool:
    """Whether a row has one class: the confusion matrix then counts rows by class and class."""
    return bool(head.confusion) and np.ndim(head.confusion) == 2


def _majority(head: HeadMetrics) -> tuple[str, float] | None:
    """The most frequent class of the rows, and its share."""
    if not _chooses(head) or not head.n:
        return None
    name = max(head.classes, key=lambda each: head.classes[each].n)
    return name, head.classes[name].n / head.n


def _tile(name: str, head: HeadMetrics) -> page.Tile:
    metric, value = _score(head)
    details = []
    majority = _majority(head)
    if majority is not None:
        details.append(f"majority class of these rows {majority[1]:.3f}")
    worst = _poor(head)
    if worst:
        details.append(f"worst class {worst[0][0]}, recall {worst[0][1].shown}")
    left_out = head.missing + sum(head.unseen.values())
    if left_out:
        details.append(f"{left_out:,} rows left out")
    return page.Tile(f"{metric.replace('_', ' ')} of {name}", value, name, details)


def _poor(head: HeadMetrics) -> list[tuple[str, Metric]]:
    """Classes whose recall, with its whole interval, is below that of all rows, the lowest first.

    A class of one row is none of them.
    """
    if not _chooses(head) or not head.n:
        return []
    whole = sum(counts[at] for at, counts in enumerate(head.confusion)) / head.n
    found = []
    for at, (name, counts) in enumerate(zip(head.classes, head.confusion)):
        rows = sum(counts)
        if rows:
            recall = share(np.arange(rows) < counts[at], np.arange(rows))
            if recall.high is not None and recall.high < whole:
                found.append((name, recall))
    return sorted(found, key=lambda of: of[1].number)


def _findings(name: str, head: HeadMetrics) -> Iterator[Finding]:
    metric, value = _score(head)
    majority = _majority(head)
    if majority is not None and value.value is not None and value.value <= majority[1]:
        yield Finding(
            f"{name}: the model is no better than always predicting {majority[0]}: {metric} "
            f"{value.shown} against {majority[1]:.3f}.",
            1.0,
        )
    for label, recall in _poor(head)[:1]:
        yield Finding(
            f"{name}: of {recall.n:,} rows of class {label}, {recall.number:.0%} are found, of all "
            f"rows {value.number:.0%}.",
            recall.n / head.n * (value.number - recall.number),
        )
    if _chooses(head):
        yield from _confusion(name, head)
    unseen = sum(head.unseen.values())
    if unseen:
        some = ", ".join(list(head.unseen)[:3])
        yield Finding(
            f"{name}: {unseen:,} rows have a class that training never saw ({some}), and do not "
            "count.",
            unseen / (head.n + unseen),
        )


def _confusion(name: str, head: HeadMetrics) -> Iterator[Finding]:
    """The most frequent confusion, if it is more than one row."""
    counts = np.array(head.confusion)
    errors = int(counts.sum() - np.trace(counts))
    np.fill_diagonal(counts, 0)
    truth, predicted = np.unravel_index(counts.argmax(), counts.shape)
    most, names = int(counts[truth, predicted]), list(head.classes)
    if most > 1:
        yield Finding(
            f"{name}: the most frequent confusion: {names[truth]} is predicted as "
            f"{names[predicted]}, in {most} of {errors} errors.",
            most / head.n,
        )


def _plain(name: str, head: HeadMetrics) -> str:
    metric, value = _score(head)
    return f"{metric.replace('_', ' ').capitalize()} of {name}: {value}."


def _section(name: str, head: HeadMetrics) -> page.Section:
    rows: list[list[page.Cell]] = [
        [metric.replace("_", " "), value] for metric, value in head.metrics.items()
    ]
    columns = [page.Column("metric"), page.Column("value", "number")]
    blocks: list[page.Block] = [page.Table(f"Metrics of {name}", columns, rows)]
    if head.classes:
        blocks.append(_classes_table(name, head.classes))
    if _chooses(head):
        blocks.append(confusion_map(list(head.classes), np.array(head.confusion)))
    if head.missing or head.unseen:
        unseen = sum(head.unseen.values())
        blocks.append(
            page.Note(
                f"Left out: {head.missing:,} rows without a label, {unseen:,} rows with a class "
                "that training never saw."
            )
        )
    description = _WITHOUT_LABELS if head.type in _OBJECTIVES else _DESCRIPTION
    return page.Section(name, description, blocks, [_plain(name, head)])


def _classes_table(name: str, classes: dict[str, ClassMetrics]) -> page.Table:
    # of some heads alone
    names = [
        each
        for each in _OF_CLASSES
        if any(getattr(one, each, None) is not None for one in classes.values())
    ]
    columns = [page.Column("class"), page.Column("n", "number", "rows")]
    columns += [page.Column(each.replace("_", " "), "number") for each in names]
    rows: list[list[page.Cell]] = [
        [label, one.n, *(getattr(one, each) for each in names)] for label, one in classes.items()
    ]
    return page.Table(f"Classes of {name}", columns, rows)
