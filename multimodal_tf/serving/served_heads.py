"""The part of a model that is served: without the heads that only teach."""

from typing import Any

import keras

from multimodal_tf.config import Config, FixedWeights
from multimodal_tf.config.heads import generating, served


def served_config(config: Config) -> Config:
    """The configuration with the heads that an exported model answers.

    Raises:
        ValueError: there are none.

    Example:
        >>> from multimodal_tf.config import EmbeddingHead, LSTMTower, OrderHead, TextInput
        >>> config = Config(
        ...     inputs={"title": TextInput(tower=LSTMTower())},
        ...     heads={"order": OrderHead(inputs=["title"]), "vector": EmbeddingHead()},
        ... )
        >>> list(served_config(config).heads)
        ['vector']
    """
    heads = served(config.heads)
    if len(heads) == len(config.heads):
        return config
    if not heads:
        name, head = next(iter(config.heads.items()))
        raise ValueError(
            "heads: an exported model must have one that answers, such as one of type embedding, "
            f"which needs no labels, received {list(config.heads)}: heads.{name} of type "
            f"{head.type} only teaches"
        )
    # learned weights may need a loss that is not there any more
    return config.model_copy(update={"heads": heads, "loss_weighting": FixedWeights()})


def served_model(model: keras.Model, config: Config) -> keras.Model:
    """The model with the outputs of these heads alone; of texts and images their predictions.

    Args:
        model: functional `keras.Model` with a dict of outputs.
        config: the result of `served_config`.
    """
    made = generating(config.heads)
    if not made and model.output.keys() == config.heads.keys():
        return model
    names = list(config.heads)
    if made:
        model = generator(model).generating()
        keys = [name + ending for name, head in made.items() for ending in head.endings]
        names += [key for key in keys if key in model.output]
    return keras.Model(model.input, {name: model.output[name] for name in names})


def generator(model: Any) -> Any:
    """The model, which has `generating`, `sampling` and `scoring`.

    Raises:
        ValueError: it is not of `build_model`.
    """
    if not hasattr(model, "generating"):
        raise ValueError(
            "a model with heads of texts or images must be of build_model, or loaded from what it "
            f"saved, received {type(model).__name__}"
        )
    return model
