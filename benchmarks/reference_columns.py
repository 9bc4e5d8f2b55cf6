"""Towers of columns written by hand, as `benchmarks.reference_towers`."""

import numpy as np
import pandas
import tensorflow as tf
from keras import layers, ops

from benchmarks.reference_towers import attention

# values of a category, and width of its embedding
VALUES, WIDTH = 100, 16
# of a number, and of dates in days since 1970-01-01
MOMENTS = {"mean": 5.0, "variance": 4.0}
# days since 1970-01-01 in the calendar
DAYS = 10_000


def number(input_config, x, mean, variance):
    x = layers.Normalization(axis=None, mean=mean, variance=variance)(layers.Reshape((1,))(x))
    return layers.Dense(input_config.tower.dim, activation="relu")(x)


class Calendar(layers.Layer):
    """Hand-written features of dates: pandas' calendar as a table, and points on circles."""

    def __init__(self):
        super().__init__()
        days = pandas.date_range("1970-01-01", periods=DAYS)
        columns = [
            days.dayofweek,
            [7] * DAYS,
            days.day - 1,
            days.days_in_month,
            days.dayofyear - 1,
            365 + days.is_leap_year,
        ]
        self.table = tf.constant(list(zip(*columns)), "float32")

    def call(self, x):
        day = ops.cast(x[:, 1], "float32") / 86_400
        calendar = tf.gather(self.table, x[:, 0])
        elapsed = (ops.cast(x[:, 0], "float32") - MOMENTS["mean"] + day) / MOMENTS[
            "variance"
        ] ** 0.5
        turns = [
            day,
            *((calendar[:, column] + day) / calendar[:, column + 1] for column in (0, 2, 4)),
        ]
        return ops.stack(
            [elapsed, *(curve(turn * 2 * np.pi) for turn in turns for curve in (ops.sin, ops.cos))],
            axis=1,
        )

    def compute_output_shape(self, shape):
        return (shape[0], 9)


def date(input_config, x):
    return layers.Dense(input_config.tower.dim, activation="relu")(Calendar()(x))


def category(input_config, x):
    return layers.Dense(input_config.tower.dim, activation="relu")(
        layers.Embedding(VALUES + 1, input_config.tower.dim)(x)
    )


def mlp(tower, numbers, categories, numbers_present, categories_present):
    """Dense layers over columns.

    Numbers, categories and their flags are lists of Keras tensors `(batch,)`.
    """
    x = layers.Normalization(
        axis=-1,
        mean=[MOMENTS["mean"]] * len(numbers),
        variance=[MOMENTS["variance"]] * len(numbers),
    )(side(numbers))
    sides = [layers.Multiply()([x, side(numbers_present)])]
    for values, flag in zip(categories, categories_present):
        sides.append(
            layers.Multiply()(
                [layers.Embedding(VALUES + 1, WIDTH)(values), layers.Reshape((1,))(flag)]
            )
        )
    x = layers.Concatenate()([*sides, side([*numbers_present, *categories_present])])
    for units in tower.hidden:
        x = layers.Dropout(tower.dropout)(layers.Dense(units, activation="relu")(x))
    return x


def side(columns):
    return layers.Concatenate()([layers.Reshape((1,))(column) for column in columns])


class ClassToken(layers.Layer):
    """Prepends a learned token."""

    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), name="token")

    def call(self, tokens):
        return ops.concatenate(
            [ops.repeat(self.token, ops.shape(tokens)[0], axis=0), tokens], axis=1
        )


def feature_transformer(tower, numbers, categories, numbers_present, categories_present):
    """As `mlp`."""
    count = len(numbers)
    x = layers.Normalization(
        axis=-1, mean=[MOMENTS["mean"]] * count, variance=[MOMENTS["variance"]] * count
    )(side(numbers))
    tokens = [layers.EinsumDense("bn,nu->bnu", (count, tower.units), bias_axes="nu")(x)]
    tokens += [
        layers.Reshape((1, tower.units))(layers.Embedding(VALUES + 1, tower.units)(values))
        for values in categories
    ]
    mask = (
        ops.concatenate(
            [
                ops.ones_like(side(numbers_present[:1])),
                side([*numbers_present, *categories_present]),
            ],
            axis=1,
        )
        > 0.5
    )
    return attention(tower, ClassToken()(layers.Concatenate(axis=1)(tokens)), mask)[:, 0]
