"""Several trained models as one: their mean prediction, and how far they disagree on a row."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from multimodal_tf.config import Config, EmbeddingHead, Head
from multimodal_tf.config.heads import generating, prediction_keys
from multimodal_tf.config.names import DISAGREEMENT, SERVED, embedding_layers
from multimodal_tf.data.trained import Trained
from multimodal_tf.data.units import centre_of
from multimodal_tf.schema import Classes, Schema
from multimodal_tf.serving.served_heads import served_config

Tensors = dict[str, Any]
_PREDICTIONS, _VECTORS = "predictions", "vectors"
# of the logarithm of a probability
_LEAST = 1e-30


class Ensemble(NamedTuple):
    """A model of several, with the configuration and schema that it is exported with."""

    model: keras.Model
    config: Config
    schema: Schema


def ensemble(members: Sequence[Trained]) -> Ensemble:
    """One model that predicts the mean of several.

    Probabilities, numbers and quantiles are averaged, embeddings stand side by side, divided by the
    square root of their number; heads that only teach are left out.
    Equal weights that nothing trains, such as those of frozen towers, are shared from then on, so
    that they are saved once.

    Args:
        members: two or more, such as `load_run` gives, with the same inputs, heads, classes and
            learned statistics, as of trainings on the same records. Towers and fusions may differ.

    Returns:
        `Ensemble` of a functional `keras.Model` with the members' inputs, the outputs of
        `build_model` by head, layers `{name}_embedding` and `fused` with the members' vectors side
        by side, and for each head of labels a layer `{head}_disagreement` `(batch,)`: of classes
        the mean Kullback-Leibler divergence of the members' probabilities from their mean, in nats
        (of several labels its mean over the labels); of numbers the standard deviation of the point
        predictions, in the label's unit. 0 where all agree.

    Raises:
        ValueError: there are fewer than two, a head compares inputs, or they do not fit together.

    Example:
        >>> ensemble([load_run(f"runs/{seed}") for seed in range(3)])  # doctest: +SKIP

    Source: Lakshminarayanan et al. 2017, arXiv:1612.01474; the divergence is the mutual information
    of prediction and member (Depeweg et al. 2018, arXiv:1710.07283).
    """
    _check(members)
    config, schema = served_config(members[0].config), _mean_schema(members)
    _share_fixed_weights([one.model for one in members])
    inputs = {
        name: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=name)
        for name, tensor in members[0].model.input.items()
    }
    found = [_whole(one.model, f"member_{i}")(inputs) for i, one in enumerate(members)]
    vectors = {
        name: keras.layers.Concatenate(name=layer, dtype="float32")(
            [one[_VECTORS][name] for one in found]
        )
        for name, layer in _common_vectors(members).items()
    }
    outputs = {}
    for name, head in config.heads.items():
        predictions = [one[_PREDICTIONS][name] for one in found]
        beside = list(vectors.values())
        if head.target_type is not None:
            beside.append(Disagreement(head, name=name + DISAGREEMENT)(predictions))
        mean = _side_by_side if isinstance(head, EmbeddingHead) else _mean
        outputs[name] = KeepBeside(name=name, dtype="float32")([mean(predictions), *beside])
    return Ensemble(keras.Model(inputs, outputs, name="ensemble"), config, schema)


def disagreements(model: keras.Model, config: Config) -> Tensors:
    """The layers of a model that say how far the members of an ensemble disagree, by served key."""
    keys = [name + DISAGREEMENT for name in config.heads]
    layers = {layer.name: layer for layer in model.layers if isinstance(layer, Disagreement)}
    return {key: layers[key].output for key in keys if key in layers}


class KeepBeside(keras.layers.Layer):
    """Returns the first of several tensors; the others stay a part of the model."""

    def call(self, tensors: Sequence[Any]) -> Any:
        return ops.cast(tensors[0], "float32")


class Disagreement(keras.layers.Layer):
    """How far several predictions of a head are apart, `(batch,)`; see `ensemble`.

    Args:
        head: the head of the configuration.
    """

    def __init__(self, head: Head, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        self.head = head

    def call(self, predictions: Sequence[Any]) -> Any:
        members = ops.stack([ops.cast(one, "float32") for one in predictions])
        if self.head.target_type == "number":
            return ops.std(members[:, :, self.head.point_index], axis=0)
        if self.head.target_type == "class":
            return ops.mean(_divergence(members, axis=-1), axis=0)
        both = ops.stack([members, 1 - members], axis=-1)
        return ops.mean(_divergence(both, axis=-1), axis=(0, -1))


def _divergence(members: Any, axis: int) -> Any:
    """Kullback-Leibler divergence of each member's probabilities from their mean, at least 0."""
    mean = ops.mean(members, axis=0, keepdims=True)
    logs = [ops.log(ops.maximum(one, _LEAST)) for one in (members, mean)]
    return ops.maximum(ops.sum(members * (logs[0] - logs[1]), axis=axis), 0.0)


def _mean(predictions: Sequence[Any]) -> Any:
    return ops.mean(ops.stack(list(predictions)), axis=0)


def _side_by_side(vectors: Sequence[Any]) -> Any:
    return ops.concatenate(list(vectors), axis=-1) / len(vectors) ** 0.5


def _whole(model: keras.Model, name: str) -> keras.Model:
    """The predictions and vectors of a member, computed in one pass."""
    layers = {layer.name: layer.output for layer in model.layers}
    vectors = {own: layers[layer] for own, layer in _vectors(model).items()}
    return keras.Model(model.input, {_PREDICTIONS: model.output, _VECTORS: vectors}, name=name)


def _vectors(model: keras.Model) -> dict[str, str]:
    return embedding_layers([layer.name for layer in model.layers], model.input, model.output)


def _common_vectors(members: Sequence[Trained]) -> dict[str, str]:
    found = [_vectors(one.model) for one in members]
    return {name: layer for name, layer in found[0].items() if all(name in one for one in found)}


def _mean_schema(members: Sequence[Trained]) -> Schema:
    """The first schema; thresholds that were fitted are the members' mean."""
    schema = members[0].schema
    heads = dict(schema.heads)
    for name, stats in heads.items():
        fitted = [getattr(one.schema.heads[name], "thresholds", None) for one in members]
        if isinstance(stats, Classes) and all(one is not None for one in fitted):
            mean = [sum(several) / len(several) for several in zip(*fitted)]
            heads[name] = stats.model_copy(update={"thresholds": mean})
    return schema.model_copy(update={"heads": heads})


def _share_fixed_weights(models: Sequence[keras.Model]) -> None:
    """Lets equal weights that nothing trains be one variable."""
    first: dict[tuple[Any, ...], Any] = {}
    for model in models:
        for weight in model.non_trainable_weights:
            array = ops.convert_to_numpy(weight)
            # a seed or a count is no weight to share
            if array.size < 2 or array.dtype.kind in "iu":
                continue
            content = hashlib.sha256(array.tobytes()).digest()
            kept = first.setdefault((array.shape, str(weight.dtype), content), weight)
            if kept is not weight:
                # Keras has no public way to let two of its variables share one of TensorFlow's
                weight._value = kept._value


def _check(members: Sequence[Trained]) -> None:
    if len(members) < 2:
        raise ValueError(f"an ensemble needs two runs or more, received {len(members)}")
    first = served_config(members[0].config)
    made = [(name, head.type) for name, head in generating(first.heads).items()]
    if made:
        name, kind = made[0]
        raise ValueError(
            f"an ensemble averages predictions, and {kind}s have no average, received the head "
            f"{name!r} of type {kind}"
        )
    comparing = [name for name, head in first.heads.items() if head.compares_inputs]
    if comparing:
        raise ValueError(
            "an ensemble averages predictions, which heads that compare inputs do not make, "
            f"received the head {comparing[0]!r} of type {first.heads[comparing[0]].type}"
        )
    taken = {*prediction_keys(first.heads), *SERVED}
    twice = next((name for name in first.heads if name + DISAGREEMENT in taken), None)
    if twice is not None:
        raise ValueError(
            f"an ensemble serves {twice + DISAGREEMENT!r}, so no head's key can have this name"
        )
    for number, member in enumerate(members[1:], start=2):
        for what, own, other in _compared(members[0], member):
            if own != other:
                raise ValueError(
                    f"the runs of an ensemble must have the same {what}, received {own} in run 1"
                    f" and {other} in run {number}"
                )


def _compared(one: Trained, other: Trained) -> Iterator[tuple[str, Any, Any]]:
    """What must be equal in two members: what it is, and each one's."""
    own, theirs = served_config(one.config), served_config(other.config)
    yield "inputs", _types(own.inputs), _types(theirs.inputs)
    yield "heads", _types(own.heads), _types(theirs.heads)
    yield "fusion.presence", own.fusion.presence, theirs.fusion.presence
    yield "vectors of their fusion", own.vectors(), theirs.vectors()
    for name, head in own.heads.items():
        for field in ("quantiles", "separator", "threshold", "inputs"):
            first, second = (getattr(each, field, None) for each in (head, theirs.heads[name]))
            yield f"heads.{name}.{field}", first, second
        stats = (each.schema.heads.get(name) for each in (one, other))
        first, second = (getattr(each, "names", None) for each in stats)
        yield f"classes of {name}", first, second
        first, second = (centre_of(each.schema.heads.get(name)) for each in (one, other))
        yield f"centre of {name}", first, second
    for name, read in own.inputs.items():
        settings, others = (
            each.model_dump(exclude={"tower", "augmentation", "column"})
            for each in (read, theirs.inputs[name])
        )
        for field, value in settings.items():
            yield f"inputs.{name}.{field}", value, others[field]
        yield f"inputs.{name}.column", own.column(name), theirs.column(name)
        learned = one.schema.inputs.get(name), other.schema.inputs.get(name)
        same = learned[0] == learned[1]
        # a vocabulary is too long for a message
        yield f"learned statistics of {name}", "some", "some" if same else "others"


def _types(fields: Mapping[str, Any]) -> dict[str, str]:
    return {name: one.type for name, one in fields.items()}
