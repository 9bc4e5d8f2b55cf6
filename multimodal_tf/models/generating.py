"""The model that predicts texts and images, made of the layers of one that learns them."""

from typing import Any

import keras

from multimodal_tf.config.heads import cell_tensors
from multimodal_tf.config.names import LOG_PROBABILITY, SEED, embedding_layers
from multimodal_tf.models.decoders.ctc import CTCScores, CTCSearch
from multimodal_tf.models.decoders.images import DrawnImage, ImageScores, SampledImage
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
        without any of the head's inputs gets the training split's most frequent text. For an image
        head `{head}` is float32 `(batch, height, width, channels)`, 0 to 1; with a latent vector,
        the image of the vector 0. A row without any of its inputs gets the training split's mean.

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
        search = CTCSearch if isinstance(scores, CTCScores) else TextSearch
        found = search(scores, name=f"{name}_search")(*read)
        outputs[name], outputs[name + LOG_PROBABILITY] = found
    inputs = cell_tensors(model.input, model.output)
    return FrozenStartModel(inputs, outputs, name="generating")


def sampling(model: keras.Model) -> FrozenStartModel:
    """The functional model of a model's layers that draws its heads' predictions at random.

    Args:
        model: functional `keras.Model` of `build_model` with a head that samples, such as one of
            images with a latent vector.

    Returns:
        A functional `keras.Model`. Its inputs are those of `generating`, and `seed` int64
        `(batch,)`: a row's prediction depends on its inputs and its seed alone. Its outputs are
        those of `generating`, of the heads that sample.
    """
    seed = keras.Input((), dtype="int64", name=SEED)
    outputs: dict[str, Any] = {}
    for name in model.output:
        scores = scores_layer(model, name)
        if isinstance(scores, ImageScores) and scores.latent:
            _, *read = scores.input
            outputs[name] = SampledImage(scores, name=f"{name}_sampled")(seed, *read)
    inputs = cell_tensors(model.input, model.output)
    return FrozenStartModel({**inputs, SEED: seed}, outputs, name="sampling")


def scores_layer(model: keras.Model, name: str) -> TargetScores | CTCScores | ImageScores | None:
    """The last layer of a head of texts or images; None for other heads."""
    kinds = (TargetScores, CTCScores, ImageScores)
    found = {layer.name: layer for layer in model.layers if isinstance(layer, kinds)}
    return found.get(name)
