"""Numbers and categories: one small Dense layer each."""

from functools import partial

from keras import layers

from multimodal_tf.models.chain import chain

RESERVED = 1  # index 0 is an unknown value


def number(part, x, name, last, moments):
    """The tower of a number.

    Args:
        part: `config.NumberInput`.
        x: float32 `(batch,)`, in the column's unit.
        name, last: as `models.towers` says.
        moments: `schema.Moments` of the training split.

    Returns:
        `(batch, part.tower.dim)` in the compute dtype.
    """
    # float32 under mixed precision too: 1e6 +- 1 would be all the same in bfloat16 before it is normalised
    normalization = partial(layers.Normalization, axis=None, mean=moments.mean, variance=moments.std**2, dtype="float32")
    steps = {"column": partial(layers.Reshape, (1,), dtype="float32"), "normalization": normalization}
    return chain(x, steps | {"dense": partial(layers.Dense, part.tower.dim, activation="relu")}, name, last)


def category(part, x, name, last, values):
    """The tower of a category.

    Args:
        part: `config.CategoryInput`.
        x: int32 `(batch,)`; 0 is an unknown value.
        name, last: as `models.towers` says.
        values: int. Number of values that the training split has.

    Returns:
        `(batch, part.tower.dim)` in the compute dtype.
    """
    dim = part.tower.dim
    steps = {
        "values": partial(layers.Embedding, values + RESERVED, dim),
        "dense": partial(layers.Dense, dim, activation="relu"),
    }
    return chain(x, steps, name, last)
