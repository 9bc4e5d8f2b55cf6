"""What a fusion can say of a row: how it weighed the inputs, where it looked, what each input alone
would have answered.
"""

import itertools

import keras
from keras import layers, ops

from multimodal_tf.config import EMBEDDING, FUSED, FUSED_OF, TABULAR
from multimodal_tf.models.fusion.vectors import Stack


@keras.saving.register_keras_serializable("multimodal_tf")
class MeanGate(layers.Layer):
    """An input's mean gate.

    Call:
        `gates` is `(batch, inputs, dim)`. Returns `(batch, inputs)`.
    """

    def call(self, gates):
        return ops.mean(gates, axis=2)

    def compute_output_shape(self, shape):
        return shape[:2]


class _OfScores(layers.Layer):
    def compute_mask(self, scores, previous_mask=None):
        # Keras' own mask, which the scores may bear, ends here
        return None


@keras.saving.register_keras_serializable("multimodal_tf")
class AttentionOfLearned(_OfScores):
    """How much the learned tokens, which are the last, attend to each of the others.

    Args:
        count: int. Learned tokens.

    Call:
        `scores` is `(batch, heads, length + count, length + count)`, attention of each token to
        each. Returns `(batch, length)`, the mean over heads and learned tokens; with what goes to
        the learned ones a row adds up to 1.
    """

    def __init__(self, count, **kwargs):
        super().__init__(**kwargs)
        self.count = count

    def call(self, scores):
        return ops.mean(scores[:, :, -self.count :, : -self.count], axis=(1, 2))

    def compute_output_shape(self, shape):
        return (shape[0], None if shape[3] is None else shape[3] - self.count)

    def get_config(self):
        return super().get_config() | {"count": self.count}


@keras.saving.register_keras_serializable("multimodal_tf")
class AttentionBetween(_OfScores):
    """How much one input's vector and tokens attend to each of another's.

    Call:
        `scores` is `(batch, heads, length, other length)`, `there` bool `(batch, length)`,
        `other_there` bool `(batch, other length)`. Returns `(batch, other length)`, the mean over
        heads and the tokens that are there; zeros where one of the inputs is absent.
    """

    def call(self, scores, there, other_there):
        scores = ops.mean(scores, axis=1)
        there = ops.cast(ops.expand_dims(there, -1), scores.dtype)
        mean = ops.sum(scores * there, axis=1) / ops.maximum(ops.sum(there, axis=1), 1)
        return ops.where(other_there, mean, ops.zeros_like(mean))

    def compute_output_shape(self, scores_shape, there_shape, other_there_shape):
        # Keras 3.15 takes the scores for `(batch, heads, length, length)`
        return other_there_shape


@keras.saving.register_keras_serializable("multimodal_tf")
class Shares(layers.Layer):
    """Numbers of 0 or more, divided by their sum; zeros where all are.

    Call:
        `x` is `(batch, inputs)`. Returns the same shape.
    """

    def call(self, x):
        total = ops.sum(x, axis=1, keepdims=True)
        return x / ops.where(total > 0, total, ops.ones_like(total))

    def compute_output_shape(self, shape):
        return shape


@keras.saving.register_keras_serializable("multimodal_tf")
class TotalOverTokens(layers.Layer):
    """The sum over tokens.

    Call:
        `x` is `(batch, length)`. Returns `(batch,)`.
    """

    def call(self, x):
        return ops.sum(x, axis=1)

    def compute_output_shape(self, shape):
        return shape[:1]


@keras.saving.register_keras_serializable("multimodal_tf")
class WithoutVector(layers.Layer):
    """All but the first, which is not a token but the input's vector.

    Call:
        `x` is `(batch, 1 + length)`. Returns `(batch, length)`.
    """

    def call(self, x):
        return x[:, 1:]

    def compute_output_shape(self, shape):
        return (shape[0], None if shape[1] is None else shape[1] - 1)


def readouts(model):
    """Everything that can be read out of a model of `build_model`, found by the names of its
    layers.

    Returns:
        dict of name to Keras tensor; see `models.build.explanations`. Empty if there is nothing.
    """
    made = {layer.name: layer for layer in model.layers}
    owners = [own for own in [*model.input, TABULAR] if own + EMBEDDING in made]
    found: dict = {}
    for before, fused in [
        ("", FUSED),
        *((f"{FUSED_OF}{head}_", FUSED_OF + head) for head in model.output),
    ]:
        found |= {before + name: tensor for name, tensor in _of_fusion(made, owners, fused).items()}
    for head in model.output:
        if f"{head}_weights" in made:
            found[f"{head}_weights"] = made[f"{head}_weights"].output
        members = (f"{head}_from_{own}" for own in [*owners, FUSED])
        found |= {member: made[member].output for member in members if member in made}
    return found


def _of_fusion(made, owners, name):
    if f"{name}_weights" in made:
        return {"weights": made[f"{name}_weights"].output}
    if f"{name}_gates" in made:
        return {"weights": MeanGate()(made[f"{name}_gates"].output)}
    if f"{name}_token" in made:
        scores = _scores(_last(made, f"{name}_block_{{}}_attention"))
        return {"weights": Shares()(AttentionOfLearned(1)(scores))}
    if f"{name}_bottlenecks" in made:
        return _of_bottleneck(made, owners, name)
    return _between(made, owners, name)


def _of_bottleneck(made, owners, name):
    """Attention of the last block's bottlenecks to each input's tokens, and each input's share of
    it.
    """
    count = made[f"{name}_bottlenecks"].count
    last = {
        own: _last(made, f"{name}_{own}_block_{{}}_attention")
        for own in owners
        if f"{name}_{own}_projected" in made
    }
    attention = {own: AttentionOfLearned(count)(_scores(layer)) for own, layer in last.items()}
    totals = [TotalOverTokens()(x) for x in attention.values()]
    return {"weights": Shares()(Stack()(totals))} | {
        f"attention_{own}": WithoutVector()(x) for own, x in attention.items()
    }


def _between(made, owners, name):
    """Attention of each input's tokens to each other input's, in the last block of the pair."""
    found = {}
    for own, other in itertools.permutations(owners, 2):
        layer = _last(made, f"{name}_{own}_from_{other}_{{}}_attention")
        if layer is not None:
            masks = (made[f"{name}_{one}_mask"].output for one in (own, other))
            found[f"attention_{own}_from_{other}"] = WithoutVector()(
                AttentionBetween()(_scores(layer), *masks)
            )
    return found


def _last(made, pattern):
    """The layer of the highest number; None if there is none."""
    *_, last = (
        None,
        *itertools.takewhile(made.__contains__, map(pattern.format, itertools.count(1))),
    )
    return made.get(last)


def _scores(attention):
    _, scores = attention.output
    return scores
