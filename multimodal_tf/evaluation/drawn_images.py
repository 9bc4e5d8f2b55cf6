"""The images that a model draws for single rows: the best and the worst of a split."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from multimodal_tf.config.names import SEED
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.predicted_images import in_steps
from multimodal_tf.evaluation.predictor import BATCH, Arrays, Predictor


@dataclasses.dataclass(frozen=True)
class DrawnImage:
    """The image of one row.

    Attributes:
        index: of the row in the `EvalSplit`.
        error: squared error of a pixel's channel, 0 to 1.
        target, drawn: PNG files.
        samples: by seed, as `drawn`; empty where the head does not sample.
    """

    index: int
    error: float
    target: bytes
    drawn: bytes
    samples: dict[int, bytes]


def drawn_images(
    predictor: Predictor, eval_split: EvalSplit, each: int, seeds: tuple[int, ...]
) -> tuple[list[DrawnImage], list[DrawnImage]]:
    """The rows of the least and of the greatest squared error, in this order.

    Args:
        predictor: of a Keras model.
        eval_split: rows of the split, read for an image head.
        each: rows of each list, at most; with few rows the second list is the shorter one.
        seeds: of the samples.

    Returns:
        `(best, worst)`, no row in both; empty where no row with an input has a target.
    """
    name, model = eval_split.head, _model(predictor)
    chosen = np.flatnonzero(eval_split.known & eval_split.present.any(axis=1))
    generator = model.generating()
    sampler = model.sampling() if predictor.config.heads[name].samples else None
    of_batches = [
        _errors(_drawn(model, generator, name, _inputs(predictor, eval_split, at)), eval_split, at)
        for at in np.split(chosen, range(BATCH, len(chosen), BATCH))
        if len(at)
    ]
    order = np.argsort(np.concatenate([np.zeros(0), *of_batches]), kind="stable")

    def of_rows(rows: np.ndarray) -> list[DrawnImage]:
        inputs = _inputs(predictor, eval_split, rows)
        drawn = _drawn(model, generator, name, inputs)
        samples = {
            seed: _files(
                _drawn(
                    model,
                    sampler,
                    name,
                    inputs | {SEED: tf.fill([len(rows)], tf.constant(seed, tf.int64))},
                )
            )
            for seed in (seeds if sampler else ())
        }
        errors, targets = _errors(drawn, eval_split, rows), _files(eval_split.labels[rows])
        return [
            DrawnImage(int(row), float(errors[at]), targets[at], file, _at(samples, at))
            for at, (row, file) in enumerate(zip(rows, _files(drawn)))
        ]

    ends = order[:each], order[::-1][: max(0, min(each, len(order) - each))]
    best, worst = (of_rows(chosen[rows]) if len(rows) else [] for rows in ends)
    return best, worst


def _at(samples: dict[int, list[bytes]], index: int) -> dict[int, bytes]:
    return {seed: files[index] for seed, files in samples.items()}


def _errors(drawn: np.ndarray, eval_split: EvalSplit, rows: np.ndarray) -> np.ndarray:
    """The squared error of each row's image."""
    difference = (drawn.astype(np.float32) - eval_split.labels[rows]) / 255
    errors: np.ndarray = np.mean(np.square(difference), axis=(1, 2, 3))
    return errors


def _files(pixels: np.ndarray) -> list[bytes]:
    """PNG files of uint8 `(rows, height, width, channels)`."""
    files: list[bytes] = tf.io.encode_png(pixels.astype(np.uint8)).numpy().tolist()
    return files


def _model(predictor: Predictor) -> Any:
    if predictor.model is None:
        raise ValueError("predictor must be of a Keras model, received one of a SavedModel")
    return predictor.model


def _inputs(predictor: Predictor, eval_split: EvalSplit, rows: np.ndarray) -> dict[str, Any]:
    """The model's inputs for some rows."""
    raw: Arrays = {name: cells[rows] for name, cells in eval_split.raw.items()}
    preprocessor = Preprocessor(predictor.config, predictor.schema)
    return dict(preprocessor.model_inputs(preprocessor.features(raw)[0]))


def _drawn(model: Any, generator: Any, name: str, inputs: dict[str, Any]) -> np.ndarray:
    """Images as they are served, in 256 steps."""
    outputs = model.outputs_of(inputs, training=False, model=generator)
    pixels: np.ndarray = in_steps(tf.convert_to_tensor(outputs[name])).numpy()
    return pixels
