"""The model that predicts texts and images, made of the layers of one that learns them."""

from collections.abc import Mapping
from typing import Any

import keras

from multimodal_tf.config.heads import cell_tensors
from multimodal_tf.config.names import (
    LOG_PROBABILITY,
    PROBABILITIES,
    SEED,
    TARGET,
    embedding_layers,
)
from multimodal_tf.models.decoders.choices import ChosenText
from multimodal_tf.models.decoders.ctc import CTCScores, CTCSearch
from multimodal_tf.models.decoders.images import DrawnImage, ImageScores, SampledImage
from multimodal_tf.models.decoders.sampling import SampledText
from multimodal_tf.models.decoders.search import TextSearch
from multimodal_tf.models.decoders.teacher_forcing import TargetScores
from multimodal_tf.models.frozen_start_model import FrozenStartModel


class GeneratingModel(FrozenStartModel):
    """A model whose heads of texts and images can be turned from learning into predicting them."""

    def generating(self) -> FrozenStartModel:
        """The model with the same layers that predicts; see `models.generating`."""
        return generating(self)

    def sampling(self) -> FrozenStartModel:
        """The model with the same layers that draws predictions at random; see `sampling`."""
        return sampling(self)

    def scoring(self) -> FrozenStartModel:
        """The model with the same layers that scores given texts; see `scoring`."""
        return scoring(self)

    def without_generated(self) -> keras.Model:
        """The same layers without heads of texts and images and their targets; itself without any.

        Where no other head is left, the outputs are the vectors of the inputs.
        """
        outputs = {n: one for n, one in self.output.items() if scores_layer(self, n) is None}
        if len(outputs) == len(self.output):
            return self
        inputs = cell_tensors(self.input, self.output)
        if not outputs:
            layers = {layer.name: layer.output for layer in self.layers}
            names = embedding_layers(layers, inputs, ())
            outputs = {name: layers[layer] for name, layer in names.items()}
        return FrozenStartModel(inputs, outputs, name="without_generated")


def generating(model: keras.Model) -> FrozenStartModel:
    """The functional model of a model's layers that predicts its heads' texts and images.

    A model of `build_model` learns a text or an image: it also reads the target, and says how well
    it fits.
    This one does not read it. Both share their weights: what one learns, the other knows.

    Args:
        model: functional `keras.Model` of `build_model`.

    Returns:
        A functional `keras.Model`. Its inputs are the model's without `{head}_target`. Its outputs
        are the model's, but for a text head `{head}` int32 `(batch, max_tokens + 1)`, token ids up
        to the end and 0 behind it, and `{head}_log_probability` float32 `(batch,)`, in nats. A row
        without any of the head's inputs gets the training split's most frequent text. With
        `choices` also `{head}_probabilities` float32 `(batch, choices)`, which sum to 1. For an
        image head `{head}` is float32 `(batch, height, width, channels)`, 0 to 1; with a latent
        vector, the image of the vector 0. A row without any of its inputs gets the training split's
        mean.

    Example:
        >>> from multimodal_tf.config import Config, NumberInput, TextHead
        >>> from multimodal_tf.models import build_model
        >>> from multimodal_tf.schema import Moments, Schema, Texts, Vocabulary
        >>> head = TextHead(decoder="gru", dim=8, depth=1, max_tokens=3)
        >>> config = Config(inputs={"size": NumberInput()}, heads={"caption": head})
        >>> letters = Vocabulary(words=["a", "b"], tokenizer="characters")
        >>> texts = Texts(tokens=letters, rows=2, commonest="a", commonest_ids=[2], share=0.5)
        >>> learned = {"size": Moments(mean=0.0, std=1.0)}
        >>> schema = Schema(rows=2, inputs=learned, heads={"caption": texts})
        >>> generating(build_model(config, schema)).output["caption"].shape
        (None, 4)
    """
    outputs: dict[str, Any] = {}
    for name, output in model.output.items():
        scores = scores_layer(model, name)
        if scores is None:
            outputs[name] = output
            continue
        _, *read = scores.input
        if isinstance(scores, ImageScores):
            outputs[name] = DrawnImage(scores, name=f"{name}_drawn")(*read)
            continue
        if isinstance(scores, TargetScores) and scores.choices:
            found = ChosenText(scores, name=f"{name}_chosen")(*read)
            for ending, one in zip(("", LOG_PROBABILITY, PROBABILITIES), found):
                outputs[name + ending] = one
            continue
        search = CTCSearch if isinstance(scores, CTCScores) else TextSearch
        found = search(scores, name=f"{name}_search")(*read)
        outputs[name], outputs[name + LOG_PROBABILITY] = found
    inputs = cell_tensors(model.input, model.output)
    return FrozenStartModel(inputs, outputs, name="generating")


def sampling(model: keras.Model) -> FrozenStartModel:
    """The functional model of a model's layers that draws its heads' predictions at random.

    Args:
        model: functional `keras.Model` of `build_model` with a head that samples: one of texts, but
            not with `decoder: ctc`, or one of images with a latent vector.

    Returns:
        A functional `keras.Model`. Its inputs are those of `generating`, and `seed` int64
        `(batch,)`: a row's prediction depends on its inputs and its seed alone. Its outputs are
        those of `generating`, of the heads that sample.

    Raises:
        ValueError: no head samples.
    """
    seed = keras.Input((), dtype="int64", name=SEED)
    outputs: dict[str, Any] = {}
    for name in model.output:
        scores = scores_layer(model, name)
        if isinstance(scores, ImageScores) and scores.latent:
            _, *read = scores.input
            outputs[name] = SampledImage(scores, name=f"{name}_sampled")(seed, *read)
        if isinstance(scores, TargetScores) and not scores.choices:
            _, *read = scores.input
            found = SampledText(scores, name=f"{name}_sampled")(seed, *read)
            outputs[name], outputs[name + LOG_PROBABILITY] = found
    _check_some(
        outputs, "samples, of texts that it writes or of images with a latent vector", model
    )
    inputs = cell_tensors(model.input, model.output)
    return FrozenStartModel({**inputs, SEED: seed}, outputs, name="sampling")


def scoring(model: keras.Model) -> FrozenStartModel:
    """The functional model of a model's layers that gives the probability of given texts.

    Args:
        model: functional `keras.Model` of `build_model` with a head of texts, but not with
            `decoder: ctc`.

    Returns:
        A functional `keras.Model`. Its inputs are those of `generating`, and by head
        `{head}_target` int32 `(batch, max_tokens + 1)`, token ids with the end. Its outputs are, by
        head, float32 `(batch, 4)`, as `TargetScores` says; the second number is the log
        probability.

    Raises:
        ValueError: there is no such head.
    """
    outputs = {
        name: output
        for name, output in model.output.items()
        if isinstance(scores_layer(model, name), TargetScores)
    }
    _check_some(outputs, "gives the probability of a text, not of decoder ctc", model)
    inputs = cell_tensors(model.input, model.output)
    inputs |= {name + TARGET: model.input[name + TARGET] for name in outputs}
    return FrozenStartModel(inputs, outputs, name="scoring")


def _check_some(outputs: Mapping[str, Any], what: str, model: keras.Model) -> None:
    if not outputs:
        raise ValueError(f"the model must have a head that {what}, received {list(model.output)}")


def scores_layer(model: keras.Model, name: str) -> TargetScores | CTCScores | ImageScores | None:
    """The last layer of a head of texts or images; None for other heads."""
    kinds = (TargetScores, CTCScores, ImageScores)
    found = {layer.name: layer for layer in model.layers if isinstance(layer, kinds)}
    return found.get(name)
