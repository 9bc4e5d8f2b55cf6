"""Numbers, categories, booleans and dates: a small Dense layer each, or one tower over all of them."""

from functools import partial
from typing import Any, NamedTuple

import keras
from keras import layers, ops

from multimodal_tf.models.chain import chain
from multimodal_tf.models.presence import ZeroWhereAbsent
from multimodal_tf.models.random_in_training import RandomInTraining
from multimodal_tf.models.towers.date_parts import DateParts
from multimodal_tf.models.towers.encoding import AllTokens, Encoding, TokenAt, projection
from multimodal_tf.models.towers.transformer import encoder
from multimodal_tf.schema import Moments

# index 0 is an unknown value
RESERVED = 1

# so that false is -1 and true is 1
_EVEN = Moments(mean=0.5, std=0.5)


class TableColumn(NamedTuple):
    """One column as a tower over several reads it.

    Attributes:
        part: the input's configuration.
        learned: what the schema holds for it.
        x: its Keras tensor: float32 `(batch,)` of a number or boolean, int32 `(batch,)` of a
        category, int32 `(batch, 2)` of a date.
        present: float32 `(batch,)`, 1 or 0; None if the model does not know presence.
    """

    part: Any
    stats: Any
    x: Any
    present: Any


@keras.saving.register_keras_serializable("multimodal_tf")
class SomeUnknown(RandomInTraining):
    """In training, a random share of a category's values counts as unknown, so that there is
    something to learn about an unknown one.

    Otherwise its embedding would stay as it was drawn, and an unseen value would say something at
    random.

    Args:
        rate: float, 0 to 1 (exclusive). Share of the rows.
        seed: int or None.

    Call:
        `x` is int `(batch,)`. Returns the same, with more zeros in training.

    Source: Iyyer et al. 2015, «Deep Unordered Composition Rivals Syntactic Methods for Text
    Classification», word dropout.
    """

    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate

    def change(self, x):
        kept = keras.random.uniform(ops.shape(x), seed=self.seed_generator) >= self.rate
        return ops.where(kept, x, ops.zeros_like(x))

    def get_config(self):
        return super().get_config() | {"rate": self.rate}


@keras.saving.register_keras_serializable("multimodal_tf")
class SideBySide(layers.Layer):
    """Single numbers as the columns of a matrix.

    Call:
        `columns` is a list of `(batch,)`. Returns `(batch, columns)`.
    """

    def call(self, columns):
        return ops.stack(columns, axis=1)

    def compute_output_shape(self, shapes):
        return (shapes[0][0], len(shapes))


@keras.saving.register_keras_serializable("multimodal_tf")
class ClassToken(layers.Layer):
    """A learned token before the others.

    Call:
        `tokens` is `(batch, length, dim)`. Returns `(batch, 1 + length, dim)`.

    Source: Devlin et al. 2019, arXiv:1810.04805.
    """

    def build(self, shape):
        self.token = self.add_weight(
            shape=(1, 1, shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="token",
        )

    def call(self, tokens):
        first = ops.broadcast_to(
            ops.cast(self.token, tokens.dtype), (ops.shape(tokens)[0], 1, tokens.shape[-1])
        )
        return ops.concatenate([first, tokens], axis=1)

    def compute_output_shape(self, shape):
        return (shape[0], shape[1] + 1, shape[2])


@keras.saving.register_keras_serializable("multimodal_tf")
class ColumnMask(layers.Layer):
    """The mask of a class token, which is always there, and one token a column.

    Call:
        `present` is float `(batch, columns)`, 1 or 0. Returns bool `(batch, 1 + columns)`.
    """

    def call(self, present):
        return ops.pad(present > 0.5, [[0, 0], [1, 0]], constant_values=True)

    def compute_output_spec(self, present):
        return keras.KerasTensor((present.shape[0], present.shape[1] + 1), "bool")


def column(part, stats, x, present, name, last):
    """The tower of one number, category, boolean or date; `part.tower` is `config.DenseTower`.

    A number is normalised by the training split's moments, a boolean is -1 or 1, a category an
    embedding of `part.tower.dim` numbers, a date is `DateParts`; then comes a Dense layer.

    Args:
        part: `config.NumberInput`, `CategoryInput`, `BooleanInput` or `DateInput`.
        learned: `schema.Moments` of a number or date, `schema.Vocabulary` of a category, None for a
        boolean.
        x: as `TableColumn` says; 0 is a category's unknown value.
        present, name, last: as `models.towers` says.

    Returns:
        `Encoding` of one token, which is the vector `(batch, part.tower.dim)`.
    """
    steps = _features(part, stats, part.tower.dim) | {
        "dense": partial(layers.Dense, part.tower.dim, activation="relu")
    }
    return _one_token(chain(x, steps, name, last), name)


def mlp(tower, columns, name, last):
    """Dense layers over all columns of a row: what each is as in `column`, zeros where it is
    absent, and the flags of presence.

    Args:
        tower: `config.MLPTower`.
        columns: dict of name to `TableColumn`, not empty; all know presence or none does.
        name, last: as `models.towers` says; layers of one column begin with its own name.

    Returns:
        `Encoding` of one token, which is the vector `(batch, dim)`, `dim` being `tower.dim` or the
        last of `tower.hidden`.

    Source: Gorishniy et al. 2021, arXiv:2106.11959, section 3.1.
    """
    measured, others = _sorted(columns)
    sides = [_numbers(measured, name)] if measured else []
    for own, one in others.items():
        features = chain(one.x, _features(one.part, one.stats, one.part.tower.dim), own, None)
        sides.append(
            features
            if one.present is None
            else ZeroWhereAbsent(name=f"{own}_feature")(features, one.present)
        )
    flags = _flags(columns, name)
    sides += [] if flags is None else [flags]
    row = layers.Concatenate(name=f"{name}_concatenation")(sides) if len(sides) > 1 else sides[0]
    steps = {}
    for number, units in enumerate(tower.hidden, start=1):
        steps[f"dense_{number}"] = partial(layers.Dense, units, activation="relu")
        steps |= (
            {f"dropout_{number}": partial(layers.Dropout, tower.dropout)}
            if tower.dropout > 0
            else {}
        )
    return _one_token(
        chain(row, steps | (projection(tower) if tower.dim is not None else {}), name, last), name
    )


def feature_transformer(tower, columns, name, last):
    """Self-attention over one token a column and a class token, which becomes the vector; absent
    columns are not seen.

    Args:
        tower: `config.FeatureTransformerTower`.
        columns, name, last: as `mlp`.

    Returns:
        `Encoding`: the class token, then numbers and booleans, then categories and dates, each in
        the order of the configuration; the vector's dim is `tower.dim` or `tower.units`.

    Source: Gorishniy et al. 2021, arXiv:2106.11959, section 3.3.
    """
    measured, others = _sorted(columns)
    tokens = [_number_tokens(measured, tower.units, name)] if measured else []
    for own, one in others.items():
        steps = _features(one.part, one.stats, tower.units)
        steps |= (
            {} if one.part.type == "category" else {"dense": partial(layers.Dense, tower.units)}
        )
        tokens.append(
            chain(one.x, steps | {"token": partial(layers.Reshape, (1, tower.units))}, own, None)
        )
    joined = (
        layers.Concatenate(axis=1, name=f"{name}_concatenation")(tokens)
        if len(tokens) > 1
        else tokens[0]
    )
    flags = _flags(measured | others, name)
    mask = None if flags is None else ColumnMask(name=f"{name}_mask")(flags)
    seen = encoder(tower, ClassToken(name=f"{name}_class")(joined), mask, name)
    vector = chain(seen, {"pool": partial(TokenAt, "first")} | projection(tower), name, last)
    return Encoding(seen, AllTokens(name=f"{name}_mask")(seen) if mask is None else mask, vector)


def _features(part, stats, width):
    """The steps from a column's values to float `(batch, features)`; those of a category are
    `width` many.
    """
    if part.type == "category":
        unknown = {"unknown": partial(SomeUnknown, part.unknown)} if part.unknown > 0 else {}
        return unknown | {"values": partial(layers.Embedding, len(stats.words) + RESERVED, width)}
    # float32 under mixed precision too: 1e6 +- 1 would be all the same in bfloat16 before it is
    # normalised
    if part.type == "date":
        return {"parts": partial(DateParts, stats.mean, stats.std, dtype="float32")}
    moments = _EVEN if part.type == "boolean" else stats
    normalization = partial(
        layers.Normalization, axis=None, mean=moments.mean, variance=moments.std**2, dtype="float32"
    )
    return {
        "column": partial(layers.Reshape, (1,), dtype="float32"),
        "normalization": normalization,
    }


def _sorted(columns):
    """Numbers and booleans, which are computed together, and the others; values hidden where they
    are absent.
    """
    measured = {
        name: column
        for name, column in columns.items()
        if column.part.type in ("number", "boolean")
    }
    others = {
        name: _hidden(column, name) for name, column in columns.items() if name not in measured
    }
    return measured, others


def _hidden(column, name):
    if column.present is None:
        return column
    return column._replace(
        x=ZeroWhereAbsent(name=f"{name}_value", dtype="float32")(column.x, column.present)
    )


def _numbers(columns, name):
    """Numbers and booleans, normalised, zero where they are absent: float32 `(batch, columns)`;
    together, since there may be hundreds.
    """
    moments = [
        _EVEN if column.part.type == "boolean" else column.stats for column in columns.values()
    ]
    mean, variance = [one.mean for one in moments], [one.std**2 for one in moments]
    x = SideBySide(name=f"{name}_numbers", dtype="float32")(
        [column.x for column in columns.values()]
    )
    x = layers.Normalization(
        axis=-1, mean=mean, variance=variance, name=f"{name}_normalization", dtype="float32"
    )(x)
    flags = _flags(columns, name, "numbers_present")
    return (
        x
        if flags is None
        else ZeroWhereAbsent(name=f"{name}_numbers_there", dtype="float32")(x, flags)
    )


def _number_tokens(columns, units, name):
    """Each number times a vector of its own, plus another: `(batch, columns, units)`."""
    tokens = layers.EinsumDense(
        "bn,nu->bnu", (len(columns), units), bias_axes="nu", name=f"{name}_number_tokens"
    )
    return tokens(_numbers(columns, name))


def _flags(columns, name, what="flags"):
    """Presence of the columns: float32 `(batch, columns)`; None if the model does not know it."""
    flags = [column.present for column in columns.values()]
    return None if flags[0] is None else SideBySide(name=f"{name}_{what}", dtype="float32")(flags)


def _one_token(vector, name):
    tokens = layers.Reshape((1, vector.shape[-1]), name=f"{name}_token")(vector)
    return Encoding(tokens, AllTokens(name=f"{name}_mask")(tokens), vector)
