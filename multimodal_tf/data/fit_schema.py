"""Learns the schema from the training records: vocabularies, classes, means."""

from collections.abc import Mapping
from typing import TypeAlias

from multimodal_tf.config import Config, CountHead, Head
from multimodal_tf.config.heads import ImageHead, TextHead, with_column
from multimodal_tf.data import record_files
from multimodal_tf.data.column_stats import (
    ROWS,
    Learner,
    RunningMoments,
    TrainingColumn,
    ValueCounts,
    count_labels,
    count_values,
)
from multimodal_tf.data.filesystem import Path, PathLike
from multimodal_tf.data.kinds import kind_of
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.target_images import TargetImages
from multimodal_tf.data.target_stats import TargetStats
from multimodal_tf.schema import Classes, HeadStats, InputStats, Schema

HeadLearner: TypeAlias = RunningMoments | ValueCounts | TargetStats | TargetImages


def fit_schema(config: Config, records: PathLike) -> Schema:
    """Reads the training records once, and once more for each text with subwords or vectors.

    Memory holds a batch of rows and each distinct word, value, class and target text.

    Args:
        config: `Config`.
        records: folder where ingest wrote its manifest and shards.

    Returns:
        `Schema`: for a text its tokenizer, with vectors where the configuration asks for them; for
        a category all its values; for a number its mean and standard deviation, for a vector those
        of each component, for a date those of days since 1970-01-01 (0 and 1 where no row has a
        value); for a head its classes with their counts, its mean and standard deviation, the
        tokens of its texts, or the mean of its images.

    Raises:
        FileNotFoundError: there is no manifest.
        ValueError: the training split is empty, the variance of a number is too large, a head has
            no label or only one class, the order of a head's classes is not known, all its
            texts are longer than its `max_tokens`, or as `train_subwords.fit_subwords`,
            `word_vectors.skip_gram` and `word_vectors.read_vectors`.
    """
    manifest = Manifest.load(records)
    rows = manifest.rows("train")
    if not rows:
        raise ValueError(
            f"the training split of {manifest.table} must have rows, received none of the table's"
            f" {manifest.table_rows}"
        )
    shards, heads = manifest.shards("train"), with_column(config.heads)
    of_inputs = {name: kind_of(one).learner() for name, one in config.inputs.items()}
    of_heads = {name: _head_learner(name, head) for name, head in heads.items()}
    for serialized in record_files.read(shards, ROWS):
        _, inputs, labels = record_files.parse(config, serialized)
        for name, cells in inputs.items():
            learner = of_inputs[name]
            if learner is not None:
                learner.add(cells)
        for name, head_learner in of_heads.items():
            head_learner.add(labels[name])
    return Schema(
        rows=rows,
        inputs=_input_stats(config, of_inputs, shards),
        heads={
            name: _head_stats(config, name, head, of_heads[name]) for name, head in heads.items()
        },
    )


def _input_stats(
    config: Config, learners: Mapping[str, Learner | None], shards: list[Path]
) -> dict[str, InputStats]:
    return {
        name: learner.stats(TrainingColumn(config, name, shards))
        for name, learner in learners.items()
        if learner is not None
    }


def _head_learner(name: str, head: Head) -> HeadLearner:
    if isinstance(head, ImageHead):
        return TargetImages(head)
    if isinstance(head, TextHead):
        return TargetStats(f"heads.{name}", head)
    if head.target_type == "number":
        # a rate is no difference from a mean
        return RunningMoments(is_centred=not isinstance(head, CountHead))
    return ValueCounts(count_values if head.target_type == "class" else count_labels)


def _head_stats(config: Config, name: str, head: Head, learner: HeadLearner) -> HeadStats:
    title = f"the head {name!r} (column {config.column(name)!r})"
    if isinstance(learner, TargetStats | TargetImages):
        return learner.stats(title)
    if isinstance(learner, RunningMoments):
        if not learner.rows:
            raise ValueError(
                f"{title} must have a number in some row of the training split, received none"
            )
        return learner.moments(title)
    classes = learner.classes()
    if not classes.names:
        raise ValueError(
            f"{title} must have a label in some row of the training split, received none"
        )
    if len(classes.names) == 1 and head.target_type == "class":
        raise ValueError(
            f"{title} must have two classes or more in the training split, received only"
            f" {classes.names[0]!r}"
        )
    return _in_order(f"heads.{name}.classes", head, classes)


def _in_order(field: str, head: Head, classes: Classes) -> Classes:
    """The classes in the head's order, also those that it declares and no training row has."""
    counts = dict(zip(classes.names, classes.counts))
    try:
        wanted = head.class_order(counts)
    except ValueError:
        raise ValueError(
            f"{field} must give the order of classes that are not all numbers, received"
            f" {classes.names}"
        ) from None
    unknown = [name for name in counts if name not in wanted]
    if unknown:
        raise ValueError(
            f"{field} must name every class of the training split, received {wanted} without"
            f" {unknown[0]!r}"
        )
    return Classes(names=wanted, counts=[counts.get(name, 0) for name in wanted], rows=classes.rows)
