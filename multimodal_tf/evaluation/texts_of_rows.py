"""The target and the predicted text of rows that were read for an `EvalSplit`."""

from collections.abc import Iterator, Mapping

import tensorflow as tf

from multimodal_tf.data.pipeline import load_raw
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.evaluation.eval_records import EvalRecords
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.predicted_texts import predicted_texts
from multimodal_tf.evaluation.predictor import BATCH, Predictor


def texts_of_rows(
    predictor: Predictor,
    records: EvalRecords,
    rows: EvalSplit,
    features: Mapping[str, tf.Tensor],
) -> tuple[list[str], list[str]]:
    """The texts of each row.

    Args:
        predictor: of a run.
        records: of the split.
        rows: read for a text head.
        features: that were read with them.

    Returns:
        `(targets, predicted)`; a target is "" where there is none.
    """
    found: dict[int, str] = {}
    for numbers, _, labels in load_raw(predictor.config, records.folder, rows.split, BATCH):
        found |= zip(numbers.numpy().tolist(), map(bytes.decode, labels[rows.head].numpy()))
    batches = _inputs(predictor, features, len(rows.rows))
    texts = predicted_texts(predictor.model, predictor.config, predictor.schema, batches)
    return [found[number] for number in rows.rows.tolist()], texts[rows.head]


def _inputs(
    predictor: Predictor, features: Mapping[str, tf.Tensor], rows: int
) -> Iterator[dict[str, tf.Tensor]]:
    """The model's inputs, from decoded cells."""
    preprocessor = Preprocessor(predictor.config, predictor.schema)
    for start in range(0, rows, BATCH):
        batch = {name: one[start : start + BATCH] for name, one in features.items()}
        yield preprocessor.model_inputs(batch)
