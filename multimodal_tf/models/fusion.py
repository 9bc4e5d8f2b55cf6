"""Named vectors `(batch, dim)` and presence flags -> one vector."""

from functools import partial

from keras import layers

from multimodal_tf.config import FUSED
from multimodal_tf.models.chain import chain


def concatenation(fusion, vectors, present):
    """The towers' vectors and the presence flags side by side, then Dense layers.

    Args:
        fusion: `config.ConcatenationFusion`.
        vectors: dict of name to `(batch, dim)`, zero where the input is absent.
        present: dict of name to float32 `(batch,)`, 1 or 0; empty if the model has no presence inputs.

    Returns:
        `(batch, dim)`, finite also where every input is absent; the output of the layer `fused`.
    """
    sides = [*vectors.values(), *(layers.Reshape((1,), name=f"{name}_flag")(flag) for name, flag in present.items())]
    steps = _steps(fusion)
    if len(sides) == 1:
        return chain(sides[0], steps or {"identity": layers.Identity}, FUSED, FUSED)
    joined = layers.Concatenate(name=f"{FUSED}_concatenation" if steps else FUSED)(sides)
    return chain(joined, steps, FUSED, FUSED) if steps else joined


def _steps(fusion):
    steps = {"dropout_0": partial(layers.Dropout, fusion.dropout)} if fusion.dropout > 0 else {}
    for number, units in enumerate(fusion.hidden, start=1):
        steps[f"dense_{number}"] = partial(layers.Dense, units, activation="relu")
        if fusion.dropout > 0:
            steps[f"dropout_{number}"] = partial(layers.Dropout, fusion.dropout)
    return steps
