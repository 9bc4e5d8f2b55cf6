"""What of a model is trained: chosen by patterns, or let loose step by step."""

import keras

from multimodal_tf.models.peft import layer_paths
from multimodal_tf.models.peft.attach import graft, train, trainable
from multimodal_tf.models.peft.layers import LowRank, LowRankRows

# what layers call what they add; the second is normalisations'
_BIASES = ("bias", "beta")


def freeze(model: keras.Model, *patterns: str) -> None:
    """Trains nothing in these layers any more. Compile the model afterwards.

    A batch normalisation without a trained weight keeps its statistics, and answers in training as
    it does in prediction.

    Args:
        model: a functional `keras.Model`; changed in place, here and in all functions of `adapt`.
        patterns: over paths of layers (`models.peft.layer_paths.layers`), such as `photo_*`; what
        is in a layer that matches is meant too.

    Raises:
        ValueError: a pattern matches no layer.

    Example:
        >>> x = keras.Input((2,))
        >>> model = keras.Model(x, keras.layers.Dense(1, name="label")(keras.layers.Dense(3, name="photo_dense")(x)))
        >>> freeze(model, "photo_*")
        >>> [weight.path for weight in model.trainable_weights]
        ['label/kernel', 'label/bias']
    """
    train(model, trained(model) - _ids(_within(model, patterns, "freeze")))


def unfreeze(model: keras.Model, *patterns: str) -> None:
    """Trains these layers, with all that is in them, besides those that are trained already; but
    not the kernels under LoRA.

    Args:
        model, patterns: as `freeze`.

    Raises:
        ValueError: a pattern matches no layer.
    """
    train(model, trained(model) | _ids(_within(model, patterns, "unfreeze")))


def nothing(model: keras.Model) -> None:
    """Trains nothing; what was added to layers neither."""
    train(model, set())


def head_only(model: keras.Model) -> None:
    """Trains the heads alone: the layers called as the model's outputs are, or `{output}_...`. What
    was added to layers stays trained.

    The fusion is not among them: where it is new, or its inputs are, `unfreeze(model, "fused*")`
    afterwards.

    Args:
        model: as `freeze`, of outputs by name.

    Raises:
        ValueError: the model's outputs have no names, or none of them has a weight.
    """
    train(model, _heads(model, "head_only") | _grafts(model) & trained(model))


def biases_only(model: keras.Model) -> None:
    """Trains all that layers add (biases, and the shifts of normalisations) and the heads. What was
    added to layers stays trained.

    Args:
        model: as `head_only`.

    Raises:
        ValueError: as `head_only`.

    Source: Ben Zaken et al. 2022, arXiv:2106.10199 («BitFit»).
    """
    could, every = _ids(trainable(model)), layer_paths.weights(model)
    biases = {
        id(weight) for path, weight in every.items() if path.split("/")[-1] in _BIASES
    } & could
    train(
        model,
        biases - _grafts(model) | _heads(model, "biases_only") | _grafts(model) & trained(model),
    )


def trained(model: keras.Model) -> set[int]:
    """The `id` of each weight that is trained now."""
    return _ids(model.trainable_weights)


def _heads(model, asked):
    if not isinstance(model.output, dict):
        raise ValueError(
            f"{asked}: the model's outputs must have names, received {type(model.output).__name__}"
        )
    could = _ids(trainable(model))
    found = {
        id(weight)
        for path, weight in layer_paths.weights(model).items()
        if layer_paths.owner(model, path) in model.output
    } & could
    if not found:
        raise ValueError(
            f"{asked}: must find layers called as the outputs are, received {list(model.output)}, none of which has a weight"
        )
    # weights of the model itself, such as those of the tasks' losses, belong to the heads
    return (
        found
        | {id(weight) for path, weight in layer_paths.weights(model).items() if "/" not in path}
        & could
    )


def _grafts(model):
    return {id(weight) for path, weight in layer_paths.weights(model).items() if "/graft/" in path}


def _within(model, patterns, field):
    """The trainable weights in layers that match, without the kernels that LoRA changes."""
    could, chosen = _ids(trainable(model)), []
    for layer in layer_paths.within(model, patterns, field).values():
        own = {
            id(weight) for inner in layer_paths.layers(layer).values() for weight in inner.weights
        }
        if not isinstance(graft(layer), LowRank | LowRankRows):
            chosen += [weight for weight in layer.weights if id(weight) not in own]
    return [weight for weight in chosen if id(weight) in could]


def _ids(weights):
    return {id(weight) for weight in weights}


class GradualUnfreezing(keras.callbacks.Callback):
    """Lets layers loose step by step, from the answers down to the inputs.

    Compile the model with everything trainable that is to be trained in the end: the optimizer must
    know it. When training begins, all stages are frozen; each lasts `epochs`, and the first is let
    loose after as many. What is in no stage is trained all the time. When training ends, the stages
    are trainable again, as they were.

    Args:
        stages: sequence of sequences of str: the patterns of each stage, as `freeze`; the first is
            let loose first.
        epochs: int > 0. Between two stages.

    Raises:
        ValueError: no stages, `epochs` below 1, or when training begins: a pattern matches no
        layer, or a stage has nothing trainable.

    Source: Howard and Ruder 2018, arXiv:1801.06146 («ULMFiT»), section 3.3.
    """

    def __init__(self, stages, epochs=1):
        super().__init__()
        if not stages or epochs < 1:
            raise ValueError(
                f"GradualUnfreezing: needs a stage and an epoch or more each, received {len(stages)} and {epochs}"
            )
        self.stages, self.epochs = [tuple(stage) for stage in stages], epochs
        self._weights: list[set[int]] = []
        self._whole: set[int] = set()

    def on_train_begin(self, logs=None):
        self._whole = trained(self.model)
        # Keras would build it in the first step, for what is trained there
        if not self.model.optimizer.built:
            with self.model.distribute_strategy.scope():
                self.model.optimizer.build(self.model.trainable_weights)
        self._weights = [
            _ids(_within(self.model, stage, "stages")) & self._whole for stage in self.stages
        ]
        for patterns, found in zip(self.stages, self._weights):
            if not found:
                raise ValueError(
                    f"stages: must hold something that is trainable when the model is compiled, received {list(patterns)}, which is frozen"
                )

    def on_epoch_begin(self, epoch, logs=None):
        waiting = self._weights[epoch // self.epochs :]
        now = self._whole.difference(*waiting)
        if now != trained(self.model):
            train(self.model, now)
            # the step is traced anew, without what is frozen
            self.model.make_train_function(force=True)

    def on_train_end(self, logs=None):
        train(self.model, self._whole)
