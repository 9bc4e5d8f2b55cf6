"""Numbers, categories, booleans and dates: a Dense layer for each, or one tower over all."""

from functools import partial
from typing import Any, TypeAlias, assert_never

import keras
from keras import KerasTensor, layers, ops

from multimodal_tf.config import (
    BooleanInput,
    CategoryInput,
    DateInput,
    DenseTower,
    FeatureTransformerTower,
    MLPTower,
    NumberInput,
)
from multimodal_tf.models.chain import Shape, Steps, chain
from multimodal_tf.models.layer import Layer
from multimodal_tf.models.presence import ZeroWhereMissing
from multimodal_tf.models.random_in_training import RandomInTraining
from multimodal_tf.models.regularize import regularize
from multimodal_tf.models.towers import wide
from multimodal_tf.models.towers.date_parts import DateParts
from multimodal_tf.models.towers.encoding import (
    AllTokens,
    Encoding,
    TokenAt,
    TowerInput,
    projection,
)
from multimodal_tf.models.towers.transformer import encoder
from multimodal_tf.schema import Moments

TabularInput: TypeAlias = NumberInput | CategoryInput | BooleanInput | DateInput
Columns: TypeAlias = list[TowerInput[TabularInput]]

# Index 0 is an unknown value.
RESERVED = 1

# False becomes -1, True 1.
_BOOLEAN_MOMENTS = Moments(mean=0.5, std=0.5)


@keras.saving.register_keras_serializable("multimodal_tf")
class UnknownDropout(RandomInTraining):
    """Replaces random values of a category by the unknown value in training.

    So the embedding of the unknown value is trained; otherwise it would keep its random initial
    value.

    Args:
        rate: float, 0 to 1 (exclusive). Fraction of the rows.
        seed: int or None.

    Call:
        `x` is int `(batch,)`. Returns the same shape, with more zeros in training.

    Source: Iyyer et al. 2015, «Deep Unordered Composition Rivals Syntactic Methods for Text
    Classification», word dropout.
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate

    def change(self, x: KerasTensor) -> KerasTensor:
        kept = keras.random.uniform(ops.shape(x), seed=self.seed_generator) >= self.rate
        return ops.where(kept, x, ops.zeros_like(x))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate}


@keras.saving.register_keras_serializable("multimodal_tf")
class StackColumns(Layer):
    """Stacks single numbers as the columns of a matrix.

    Call:
        `columns` is a list of `(batch,)`. Returns `(batch, columns)`.
    """

    def call(self, columns: list[KerasTensor]) -> KerasTensor:
        return ops.stack(columns, axis=1)

    def compute_output_shape(self, shapes: list[Shape]) -> Shape:
        return (shapes[0][0], len(shapes))


@keras.saving.register_keras_serializable("multimodal_tf")
class ClassToken(Layer):
    """Prepends a learned token.

    Call:
        `tokens` is `(batch, length, dim)`. Returns `(batch, 1 + length, dim)`.

    Source: Devlin et al. 2019, arXiv:1810.04805.
    """

    def build(self, shape: Shape) -> None:
        self.token = self.add_weight(
            shape=(1, 1, shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="token",
        )

    def call(self, tokens: KerasTensor) -> KerasTensor:
        first = ops.broadcast_to(
            ops.cast(self.token, tokens.dtype), (ops.shape(tokens)[0], 1, tokens.shape[-1])
        )
        return ops.concatenate([first, tokens], axis=1)

    def compute_output_shape(self, shape: tuple[int | None, int, int]) -> Shape:
        return (shape[0], shape[1] + 1, shape[2])


@keras.saving.register_keras_serializable("multimodal_tf")
class ColumnMask(Layer):
    """The mask of a class token, which is always valid, and one token per column.

    Call:
        `present` is float `(batch, columns)`, 1 or 0. Returns bool `(batch, 1 + columns)`.
    """

    def call(self, present: KerasTensor) -> KerasTensor:
        return ops.pad(present > 0.5, [[0, 0], [1, 0]], constant_values=True)

    def compute_output_spec(self, present: KerasTensor) -> KerasTensor:
        return KerasTensor((present.shape[0], present.shape[1] + 1), "bool")


def column(tower: DenseTower, given: TowerInput[TabularInput], last: str) -> Encoding:
    """A Dense layer over the features of one number, category, boolean or date.

    A number is standardized by the training split's moments, a boolean is -1 or 1, a category an
    embedding of `tower.dim` numbers, a date becomes `DateParts`.

    Args:
        tower, last: as in `models.towers`.
        given: its `stats` is `schema.Moments` of a number or date, `schema.Vocabulary` of a
            category, None of a boolean. Its `x` is float32 `(batch,)` of a number or boolean, int32
            `(batch,)` of a category (0 is an unknown value), int32 `(batch, 2)` of a date.

    Returns:
        `Encoding` of one token, which is the vector `(batch, tower.dim)`. If `tower.wide`, its
        `wide` is the standardized number, a column for each value of the category, or `DateParts`.
    """
    encoding = dense(tower, given.x, given.name, last, _features(given, tower.dim))
    if not tower.wide:
        return encoding
    return encoding._replace(wide=chain(given.x, _fixed(given), given.name, None))


def dense(
    tower: DenseTower,
    x: KerasTensor,
    name: str,
    last: str,
    features: Steps | None = None,
) -> Encoding:
    """A Dense layer over `features` of `x`; None: over `x`, float `(batch, numbers)`.

    Returns:
        `Encoding` of one token, which is the vector `(batch, tower.dim)`. If `tower.wide`, its
        `wide` is `x`.
    """
    last_step: Steps = {"dense": partial(layers.Dense, tower.dim, activation="relu")}
    encoding = _one_token(chain(x, (features or {}) | last_step, name, last), name)
    if not tower.wide or features is not None:
        return encoding
    return encoding._replace(wide=wide.side_by_side([x], name))


def mlp(tower: MLPTower, columns: Columns, name: str, last: str) -> Encoding:
    """Dense layers over all columns of a row.

    Their input is the features of each column, as in `column`, zeros if it is missing, and the
    presence flags.

    Args:
        tower: as in `models.towers`.
        columns: as `given` of `column`; not empty; all have presence flags, or none has.
        name: str. The layers over all columns begin with it.
        last: as in `models.towers`.

    Returns:
        `Encoding` of one token, which is the vector `(batch, dim)`: `tower.dim`, or the last of
        `tower.hidden` if null. If `tower.wide`, its `wide` is that of each column, side by side.

    Source: Gorishniy et al. 2021, arXiv:2106.11959, section 3.1.
    """
    numeric, others = _split(columns)
    features = [_numbers(numeric, name)] if numeric else []
    for one in others:
        own_tower = one.config.tower
        x = chain(one.x, _features(one, own_tower.dim), one.name, None)
        regularize(one.x, [x], own_tower.l2)
        if one.present is not None:
            x = ZeroWhereMissing(name=f"{one.name}_feature")(x, one.present)
        features.append(x)
    flags = _flags(columns, name)
    if flags is not None:
        features.append(flags)
    row = _joined(features, name, axis=-1)
    steps: Steps = {}
    for number, units in enumerate(tower.hidden, start=1):
        steps[f"dense_{number}"] = partial(layers.Dense, units, activation="relu")
        if tower.dropout > 0:
            steps[f"dropout_{number}"] = partial(layers.Dropout, tower.dropout)
    if tower.dim is not None:
        steps |= projection(tower)
    vector = chain(row, steps, name, last)
    regularize(row, [vector], tower.l2)
    encoding = _one_token(vector, name)
    if not tower.wide:
        return encoding
    fixed = [_fixed_column(column) for column in columns]
    return encoding._replace(wide=_joined(fixed, f"{name}_wide", axis=-1))


def feature_transformer(
    tower: FeatureTransformerTower, columns: Columns, name: str, last: str
) -> Encoding:
    """Self-attention over one token per column and a class token, which becomes the vector.

    Missing columns are masked.

    Args:
        tower, columns, name, last: as `mlp`.

    Returns:
        `Encoding`: the class token, then numbers and booleans, then categories and dates, each in
        the order of the configuration; the vector's dim is `tower.dim`, or `tower.units` if null.

    Source: Gorishniy et al. 2021, arXiv:2106.11959, section 3.3.
    """
    numeric, others = _split(columns)
    tokens = [_number_tokens(numeric, tower.units, name)] if numeric else []
    for one in others:
        steps = _features(one, tower.units)
        if not isinstance(one.config, CategoryInput):
            steps["dense"] = partial(layers.Dense, tower.units)
        steps["token"] = partial(layers.Reshape, (1, tower.units))
        tokens.append(chain(one.x, steps, one.name, None))
        regularize(one.x, tokens[-1:], one.config.tower.l2)
    joined = _joined(tokens, name, axis=1)
    flags = _flags(numeric + others, name)
    mask = None if flags is None else ColumnMask(name=f"{name}_mask")(flags)
    encoded = encoder(tower, ClassToken(name=f"{name}_class")(joined), mask, name)
    pooled: Steps = {"pool": partial(TokenAt, "first")}
    vector = chain(encoded, pooled | projection(tower), name, last)
    if mask is None:
        mask = AllTokens(name=f"{name}_mask")(encoded)
    return Encoding(encoded, mask, vector)


def _features(given: TowerInput[TabularInput], width: int) -> Steps:
    """The steps from a column's values to float `(batch, features)`, `width` of a category."""
    # In float32 under mixed precision too: bfloat16 would round 1e6 + 1 to 1e6 before it is
    # standardized.
    match config := given.config:
        case CategoryInput():
            embedding = partial(layers.Embedding, len(given.stats.words) + RESERVED, width)
            if config.unknown > 0:
                unknown = partial(UnknownDropout, config.unknown)
                return {"unknown": unknown, "values": embedding}
            return {"values": embedding}
        case DateInput():
            stats = given.stats
            return {"parts": partial(DateParts, stats.mean, stats.std, dtype="float32")}
        case NumberInput() | BooleanInput():
            moments = _moments(given)
            normalization = partial(
                layers.Normalization,
                axis=None,
                mean=moments.mean,
                variance=moments.std**2,
                dtype="float32",
            )
            column = partial(layers.Reshape, (1,), dtype="float32")
            return {"column": column, "normalization": normalization}
        case _:
            assert_never(config)


def _fixed(given: TowerInput[TabularInput]) -> Steps:
    """The steps from a column's values to fixed features of the length of `wide`."""
    if isinstance(given.config, CategoryInput):
        count = len(given.stats.words) + RESERVED
        steps: Steps = {"known": partial(wide.KnownValue, count, dtype="float32")}
    else:
        # layers of their own, since a layer's name is given once
        steps = {f"fixed_{step}": make for step, make in _features(given, 0).items()}
    return steps | {"fixed": partial(layers.Rescaling, wide.LENGTH, dtype="float32")}


def _fixed_column(given: TowerInput[TabularInput]) -> KerasTensor:
    """The same as one tensor, zero where the column is missing."""
    x = chain(given.x, _fixed(given), given.name, None)
    if given.present is None:
        return x
    return ZeroWhereMissing(name=f"{given.name}_fixed_zeroed", dtype="float32")(x, given.present)


def _moments(given: TowerInput[TabularInput]) -> Moments:
    """The moments of what the model reads of the column."""
    moments: Moments = given.stats
    if isinstance(given.config, BooleanInput):
        return _BOOLEAN_MOMENTS
    return moments.model_copy(update={"mean": moments.mean - moments.centre})


def _split(columns: Columns) -> tuple[Columns, Columns]:
    """Numbers and booleans, which are computed together; and the others, zero if missing."""
    numeric, others = [], []
    for column in columns:
        if isinstance(column.config, NumberInput | BooleanInput):
            numeric.append(column)
        else:
            others.append(_hidden(column))
    return numeric, others


def _hidden(column: TowerInput[TabularInput]) -> TowerInput[TabularInput]:
    if column.present is None:
        return column
    x = ZeroWhereMissing(name=f"{column.name}_value", dtype="float32")(column.x, column.present)
    return column._replace(x=x)


def _numbers(columns: Columns, name: str) -> KerasTensor:
    """Numbers and booleans, standardized, zero if missing: float32 `(batch, columns)`.

    One layer for all, since there may be hundreds.
    """
    moments = [_moments(column) for column in columns]
    mean, variance = [one.mean for one in moments], [one.std**2 for one in moments]
    x = StackColumns(name=f"{name}_numbers", dtype="float32")([column.x for column in columns])
    x = layers.Normalization(
        axis=-1, mean=mean, variance=variance, name=f"{name}_normalization", dtype="float32"
    )(x)
    flags = _flags(columns, name, "numbers_present")
    if flags is None:
        return x
    return ZeroWhereMissing(name=f"{name}_numbers_zeroed", dtype="float32")(x, flags)


def _number_tokens(columns: Columns, units: int, name: str) -> KerasTensor:
    """Each number times a learned vector, plus a learned bias: `(batch, columns, units)`."""
    tokens = layers.EinsumDense(
        "bn,nu->bnu", (len(columns), units), bias_axes="nu", name=f"{name}_number_tokens"
    )
    return tokens(_numbers(columns, name))


def _flags(columns: Columns, name: str, what: str = "flags") -> KerasTensor | None:
    """Presence of the columns: float32 `(batch, columns)`; None if the model does not know it."""
    flags = [column.present for column in columns]
    if flags[0] is None:
        return None
    return StackColumns(name=f"{name}_{what}", dtype="float32")(flags)


def _joined(tensors: list[KerasTensor], name: str, axis: int) -> KerasTensor:
    if len(tensors) == 1:
        return tensors[0]
    return layers.Concatenate(axis=axis, name=f"{name}_concatenation")(tensors)


def _one_token(vector: KerasTensor, name: str) -> Encoding:
    tokens = layers.Reshape((1, vector.shape[-1]), name=f"{name}_token")(vector)
    return Encoding(tokens, AllTokens(name=f"{name}_mask")(tokens), vector)
