"""`build_model`: the only place where towers, fusion and heads meet."""

import contextlib
import random

import keras

from multimodal_tf.config import (
    EMBEDDING,
    FUSED,
    PRESENT,
    AudioInput,
    BagTower,
    CategoryInput,
    Config,
    ImageInput,
    NumberInput,
    TextInput,
)
from multimodal_tf.models import heads
from multimodal_tf.models.fusion import concatenation
from multimodal_tf.models.presence import ModalityDropout, ZeroWhereAbsent
from multimodal_tf.models.towers import audio, image, tabular, text
from multimodal_tf.schema import Classes, Moments, Schema, Vocabulary

_LEARNT = {
    "text": Vocabulary,
    "category": Vocabulary,
    "number": Moments,
    "classification": Classes,
    "multi_label": Classes,
    "regression": Moments,
}  # what the schema holds for each type; nothing for others
_FEWEST_CLASSES = {"classification": 2, "multi_label": 1}


def build_model(config: Config, schema: Schema) -> keras.Model:
    """Builds the model that the configuration describes.

    Its weights are a function of the configuration and its seed: Python's random generator, from which Keras draws the seeds of
    initialisers and dropout, is seeded while the model is built and put back afterwards.

    Args:
        config: what the model is.
        schema: what the training split taught: vocabularies, means, classes.

    Returns:
        A functional `keras.Model`. It takes a dict by name (image float32 `(batch, height, width, channels)` 0 to 1, audio float32
        `(batch, samples)` -1 to 1, text int32 `(batch, max_tokens)`, category int32 `(batch,)`, number float32 `(batch,)`) and, with
        `config.fusion.presence`, float32 `(batch,)` flags `{name}_present`: where one is 0, that input has no influence, whatever its
        values. It answers a dict by head: `models.heads.output`. Layer `{name}_embedding` gives an input's vector, `fused` the fused one.

    Raises:
        ValueError: settings contradict each other, or the schema does not belong to the configuration.

    Example:
        >>> from multimodal_tf.config import ClassificationHead, CategoryInput
        >>> from multimodal_tf.schema import Classes, Vocabulary
        >>> config = Config(inputs={"colour": CategoryInput()}, heads={"label": ClassificationHead()})
        >>> classes = Classes(names=["no", "yes"], counts=[1, 1])
        >>> schema = Schema(rows=2, inputs={"colour": Vocabulary(words=["red"])}, heads={"label": classes})
        >>> build_model(config, schema).output["label"].shape
        (None, 2)
    """
    _check_schema(config, schema)
    with _seeded(config.seed):
        inputs = {name: _input(part, name) for name, part in config.inputs.items()}
        present = {name: keras.Input((), name=name + PRESENT, dtype="float32") for name in inputs} if config.fusion.presence else {}
        counting = {name: _with_dropout(config.fusion, flag, name) for name, flag in present.items()}
        vectors = {name: _vector(config, schema, x, counting.get(name), name) for name, x in inputs.items()}
        fused = concatenation(config.fusion, vectors, counting)
        outputs = {name: heads.output(head, schema.heads[name], fused, name) for name, head in config.heads.items()}
        return keras.Model(inputs | {name + PRESENT: flag for name, flag in present.items()}, outputs, name="multimodal")


def compile_arguments(config: Config, schema: Schema) -> dict:
    """What `model.compile` needs besides an optimizer: `loss`, `loss_weights` and `weighted_metrics`, dicts by head.

    Targets and sample weights are dicts by head; a row whose label is missing has weight 0 there and counts neither in the loss nor
    in the metrics. The objects are new in every call; under `tf.distribute`, call it inside the scope.

    Example:
        >>> model.compile("adam", **compile_arguments(config, schema))  # doctest: +SKIP
    """
    tasks = {name: (head, schema.heads[name]) for name, head in config.heads.items()}
    return {
        "loss": {name: heads.loss(*task) for name, task in tasks.items()},
        "loss_weights": {name: heads.loss_weight(*task, schema.rows) for name, task in tasks.items()},
        "weighted_metrics": {name: heads.metrics(*task) for name, task in tasks.items()},
    }


def embeddings(model: keras.Model) -> keras.Model:
    """The same layers and inputs as `model`, a model of `build_model`, but its vectors as outputs.

    Returns:
        A `keras.Model` that answers a dict: `{name}` -> `(batch, dim)` for every input, zero where it is absent (if the model has presence
        inputs), and `fused`.
    """
    names = {layer.name: layer.output for layer in model.layers}
    vectors = {name: names[name + EMBEDDING] for name in model.input if name + EMBEDDING in names}
    return keras.Model(model.input, vectors | {FUSED: names[FUSED]}, name="embeddings")


@contextlib.contextmanager
def _seeded(seed):
    """Seeds what Keras draws its seeds from (`keras.random`'s default seed), and puts it back."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def _input(part, name):
    match part:
        case ImageInput():
            return keras.Input((part.height, part.width, part.channels), name=name, dtype="float32")
        case AudioInput():
            return keras.Input((part.samples,), name=name, dtype="float32")
        case TextInput():
            return keras.Input((part.max_tokens,), name=name, dtype="int32")
        case CategoryInput():
            return keras.Input((), name=name, dtype="int32")
        case NumberInput():
            return keras.Input((), name=name, dtype="float32")


def _with_dropout(fusion, present, name):
    if fusion.modality_dropout == 0:
        return present
    return ModalityDropout(fusion.modality_dropout, name=f"{name}_modality_dropout", dtype="float32")(present)


def _vector(config, schema, x, present, name):
    """One input's vector; where the model knows presence, the value is hidden from the tower and the vector is zero if absent."""
    part, learnt = config.inputs[name], schema.inputs.get(name)
    if present is None:
        return _tower(part, learnt, x, None, name, name + EMBEDDING)
    # float32 under mixed precision too: the layers behind say themselves what they can do without
    x = ZeroWhereAbsent(name=f"{name}_value", dtype="float32")(x, present)
    vector = _tower(part, learnt, x, present, name, f"{name}_vector")
    return ZeroWhereAbsent(name=name + EMBEDDING)(vector, present)


def _tower(part, learnt, x, present, name, last):
    match part:
        case ImageInput():
            return image.cnn(part, x, present, name, last)
        case AudioInput():
            return audio.spectrogram_cnn(part, x, present, name, last)
        case TextInput():
            tower = text.bag if isinstance(part.tower, BagTower) else text.lstm
            return tower(part, x, name, last, len(learnt.words))
        case CategoryInput():
            return tabular.category(part, x, name, last, len(learnt.words))
        case NumberInput():
            return tabular.number(part, x, name, last, learnt)


def _check_schema(config, schema):
    for name, part in config.inputs.items():
        _check_learnt("inputs", name, part, schema.inputs.get(name))
    for name, head in config.heads.items():
        learnt, least = schema.heads.get(name), _FEWEST_CLASSES.get(head.type)
        _check_learnt("heads", name, head, learnt)
        if least is not None and len(learnt.names) < least:
            raise ValueError(
                f"heads.{name}: a {head.type} needs {least} or more classes in the training split, column {config.column(name)!r} "
                f"has {learnt.names}"
            )


def _check_learnt(room, name, part, learnt):
    kind = _LEARNT.get(part.type)
    if kind is not None and not isinstance(learnt, kind):
        received = "nothing" if learnt is None else learnt.type
        raise ValueError(
            f"{room}.{name}: the schema must hold {kind.__name__.lower()} for a {part.type}, received {received}: "
            "configuration and schema are not of one table"
        )
