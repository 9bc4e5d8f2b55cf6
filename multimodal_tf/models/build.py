"""`build_model`: the only place where towers, fusion and heads meet."""

import contextlib
import random

import keras

from multimodal_tf.config import EMBEDDING, FUSED, PRESENT, TABULAR, Config
from multimodal_tf.models import encode, heads
from multimodal_tf.models.fitting import check_schema
from multimodal_tf.models.fusion import concatenation
from multimodal_tf.schema import Schema


def build_model(config: Config, schema: Schema) -> keras.Model:
    """Builds the model that the configuration describes.

    Its weights are a function of the configuration and its seed: Python's random generator, from which Keras draws the seeds of
    initialisers and dropout, is seeded while the model is built and put back afterwards.

    Args:
        config: what the model is.
        schema: what the training split taught: vocabularies, means, classes.

    Returns:
        A functional `keras.Model`. It takes a dict by name (image float32 `(batch, height, width, channels)` 0 to 1, audio float32
        `(batch, samples)` -1 to 1, text int32 `(batch, max_tokens)`, category int32 `(batch,)`, number and boolean float32
        `(batch,)`, date int32 `(batch, 2)`) and, with `config.fusion.presence`, float32 `(batch,)` flags `{name}_present`: where one is 0,
        that input has no influence, whatever its values. It answers a dict by head: `models.heads.output`. Layer `{name}_embedding` gives
        an input's vector, `tabular_embedding` that of all columns that this tower reads, `fused` the fused one.

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
    check_schema(config, schema)
    with _seeded(config.seed):
        inputs, present = encode.inputs(config)
        flags = encode.flags(config, {name: encode.with_dropout(config.fusion, flag, name) for name, flag in present.items()})
        encodings = encode.encodings(config, schema, inputs, flags, encode.TOWERS | encode.PLAIN)
        vectors = {name: encoding.vector for name, encoding in encodings.items()}
        fused = concatenation(config.fusion, vectors, {name: flags[name] for name in vectors if flags})
        outputs = {name: heads.output(head, schema.heads[name], fused, name) for name, head in config.heads.items()}
        model = _model(config, inputs | {name + PRESENT: flag for name, flag in present.items()}, outputs, "multimodal")
    encode.regularize(model, config)
    return model


def build_towers(config: Config, schema: Schema) -> keras.Model:
    """The towers of `build_model` alone, with the same names and first weights: tokens, masks and vectors, for heads of one's own.

    Only a recurrent layer, which keeps all its states here, has a name of its own: `{name}_lstm` or `{name}_gru`.

    Args:
        config, schema: as `build_model`.

    Returns:
        A functional `keras.Model` with the inputs of `build_model`'s. It answers a dict by input (and `tabular`, for the tower over several
        columns) of dicts: `tokens` `(batch, length, dim)`, `mask` bool `(batch, length)`, `vector` `(batch, dim)`; zeros and False in rows
        where the input is absent.

    Raises:
        ValueError: as `build_model`.
    """
    check_schema(config, schema)
    with _seeded(config.seed):
        inputs, present = encode.inputs(config)
        flags = encode.flags(config, {name: encode.with_dropout(config.fusion, flag, name) for name, flag in present.items()})
        encodings = encode.encodings(config, schema, inputs, flags, encode.TOWERS)
        outputs = {name: encoding._asdict() for name, encoding in encodings.items()}
        model = _model(config, inputs | {name + PRESENT: flag for name, flag in present.items()}, outputs, "towers")
    encode.regularize(model, config)
    return model


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
        A `keras.Model` that answers a dict: `{name}` -> `(batch, dim)` for every input (`tabular` for all that this tower reads), zero
        where it is absent (if the model has presence inputs), and `fused`.
    """
    names = {layer.name: layer.output for layer in model.layers}
    vectors = {name: names[name + EMBEDDING] for name in [*model.input, TABULAR] if name + EMBEDDING in names}
    return keras.Model(model.input, vectors | {FUSED: names[FUSED]}, name="embeddings")


def _model(config, inputs, outputs, name):
    """The model, unless a layer of one input's tower is called as another input or head is."""
    try:
        return keras.Model(inputs, outputs, name=name)
    except ValueError as error:
        for room in ("inputs", "heads"):
            for own in getattr(config, room):
                if f'"{own}" is used' in str(error):
                    message = (
                        f"{room}.{own}: a layer of another input's tower is called so: choose another name and give the table's in `column`"
                    )
                    raise ValueError(message) from error
        raise


@contextlib.contextmanager
def _seeded(seed):
    """Seeds what Keras draws its seeds from (`keras.random`'s default seed), and puts it back."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
