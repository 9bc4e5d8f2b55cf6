"""`build_model`: the only place where towers, fusion and heads meet."""

import contextlib
import random

import keras

from multimodal_tf.config import (
    FUSED,
    FUSED_OF,
    PRESENT,
    Config,
    DecisionFusion,
    HybridFusion,
)
from multimodal_tf.config.names import embedding_layers
from multimodal_tf.models import heads, input_layers, loss_weighting
from multimodal_tf.models.distributed_model import DistributedModel
from multimodal_tf.models.fusion import decision, fuse, fusion_explanations, reads_tokens
from multimodal_tf.models.presence import AnyPresent
from multimodal_tf.schema import Schema, check_schema


def build_model(config: Config, schema: Schema) -> keras.Model:
    """Builds the model that the configuration describes.

    Its weights are a function of the configuration and its seed: Python's random generator, from
    which Keras draws the seeds of initialisers and dropout, is seeded while the model is built and
    put back afterwards.

    Args:
        config: what the model is.
        schema: what the training split taught: vocabularies, means, classes.

    Returns:
        A functional `keras.Model`. It takes a dict by name (image float32 `(batch, height, width,
        channels)` 0 to 1, audio float32 `(batch, samples)` -1 to 1, text int32 `(batch,
        max_tokens)`, category int32 `(batch,)`, number and boolean float32 `(batch,)`, date int32
        `(batch, 2)`) and, with `config.fusion.presence`, float32 `(batch,)` flags `{name}_present`:
        where one is 0, that input has no influence, whatever its values. It answers a dict by head:
        `models.heads.output`. Layer `{name}_embedding` gives an input's vector,
        `tabular_embedding` that of all columns that this tower reads, `fused` the fused one.

    Raises:
        ValueError: settings contradict each other, or the schema does not belong to the
        configuration.

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
        inputs, present = input_layers.inputs(config)
        flags = input_layers.flags(
            config,
            {
                name: input_layers.with_dropout(config.fusion, flag, name)
                for name, flag in present.items()
            },
        )
        with_tokens = reads_tokens(config.fusion)
        encodings = input_layers.encodings(config, schema, inputs, flags, with_tokens)
        outputs = _answers(config, schema, encodings, flags)
        everything = inputs | {name + PRESENT: flag for name, flag in present.items()}
        model = _model(config, everything, outputs, "multimodal", loss_weighting.model_of(config))
    input_layers.regularize(model, config)
    return model


def build_towers(config: Config, schema: Schema) -> keras.Model:
    """The towers of `build_model` alone, with the same names and first weights: tokens, masks and
    vectors, for heads of one's own.

    Only a recurrent layer, which keeps all its states here, has a name of its own: `{name}_lstm` or
    `{name}_gru`.

    Args:
        config, schema: as `build_model`.

    Returns:
        A functional `keras.Model` with the inputs of `build_model`'s. It answers a dict by input
        (and `tabular`, for the tower over several columns) of dicts: `tokens` `(batch, length,
        dim)`, `mask` bool `(batch, length)`, `vector` `(batch, dim)`; zeros and False in rows where
        the input is absent.

    Raises:
        ValueError: as `build_model`.
    """
    check_schema(config, schema)
    with _seeded(config.seed):
        inputs, present = input_layers.inputs(config)
        flags = input_layers.flags(
            config,
            {
                name: input_layers.with_dropout(config.fusion, flag, name)
                for name, flag in present.items()
            },
        )
        encodings = input_layers.encodings(config, schema, inputs, flags, with_tokens=True)
        outputs = {name: encoding._asdict() for name, encoding in encodings.items()}
        model = _model(
            config,
            inputs | {name + PRESENT: flag for name, flag in present.items()},
            outputs,
            "towers",
        )
    input_layers.regularize(model, config)
    return model


def compile_arguments(config: Config, schema: Schema) -> dict:
    """What `model.compile` needs besides an optimizer: `loss`, `loss_weights` and
    `weighted_metrics`, dicts by head.

    Targets and sample weights are dicts by head; a row whose label is missing has weight 0 there
    and counts neither in the loss nor in the metrics. The objects are new in every call; under
    `tf.distribute`, call it inside the scope.

    Example:
        >>> model.compile("adam", **compile_arguments(config, schema))  # doctest: +SKIP
    """
    return heads.compile_arguments(config.heads, schema)


def embeddings(model: keras.Model) -> keras.Model:
    """The same layers and inputs as `model`, a model of `build_model`, but its vectors as outputs.

    Returns:
        A `keras.Model` that answers a dict: `{name}` -> `(batch, dim)` for every input (`tabular`
        for all that this tower reads), zero where it is absent (if the model has presence inputs),
        and `fused`; where heads read different inputs, also `fused_of_{head}`, by the first head
        that reads these. A decision fusion has no fused vector.
    """
    layers = {layer.name: layer.output for layer in model.layers}
    names = embedding_layers(layers, model.input, model.output)
    outputs = {name: layers[layer] for name, layer in names.items()}
    return keras.Model(model.input, outputs, name="embeddings")


def explanations(model: keras.Model) -> keras.Model | None:
    """The same layers and inputs as `model`, a model of `build_model`, but what its fusion can tell
    of a row as outputs.

    Returns:
        None where it can tell nothing (concatenation, sum, mean, product, bilinear, low-rank
        tensor). Else a `keras.Model` that answers a dict, in which an absent input has 0 (unless a
        learned vector stands in for it); inputs are in the order of `Config.vectors()`:

        - `weights` `(batch, inputs)`: of a weighted sum, the learned weights; of attention, those
          of the row; of gates, each input's mean; of self-attention and bottlenecks, the share of
          an input in what the learned tokens of the last block attend to. All but gates add up to
          1;
        - `attention_{input}` `(batch, tokens)`: of bottlenecks, how much those of the last block
          attend to each token, the mean over heads;
        - `attention_{input}_from_{other}` `(batch, tokens of other)`: of cross-modal attention, how
          much the input's tokens attend to each of the other's, the mean over heads;
        - `{head}_from_{input}`: of a decision or hybrid fusion, what the input alone answers, as
          `models.heads.output`, also where it is absent; `{head}_from_fused`: of a hybrid one, what
          the fused vector answers; `{head}_weights`: their learned weights, that of the fused
          vector last; in a row without any input those of all.

        Where heads read different inputs, `weights` and `attention...` of a fusion over some only
        begin with `fused_of_{head}_`.
    """
    found = fusion_explanations.readouts(model)
    return keras.Model(model.input, found, name="explanations") if found else None


def _answers(config, schema, encodings, flags):
    """Each head's answer; heads that read the same inputs share one fusion."""
    names, met, answers = _fusions(config), {}, {}
    vectors = {own: encoding.vector for own, encoding in encodings.items()}
    for name, head in config.heads.items():
        stats = schema.heads.get(name)
        # it compares two vectors, whatever the fusion
        if head.compares_inputs:
            answers[name] = heads.output(
                head,
                stats,
                [vectors[own] for own in head.inputs],
                name,
                [flags[own] for own in head.inputs] if flags else None,
            )
            continue
        read = _read(config, head)
        present = {own: flags[own] for own in read if flags}
        if read not in met:
            met[read] = _meet(
                config.fusion, {own: encodings[own] for own in read}, present, names[read]
            )
        fused, any_present = met[read]
        decides = isinstance(config.fusion, DecisionFusion | HybridFusion)
        # an embedding head has no prediction to combine
        if decides and head.target_type is not None:
            members = {own: vectors[own] for own in read} | (
                {} if fused is None else {FUSED: fused}
            )
            there = present | ({FUSED: any_present} if present and fused is not None else {})
            answers[name] = decision.decide(
                config.fusion, head, stats, members, there, any_present, name
            )
        else:
            answers[name] = heads.output(head, stats, fused, name, any_present)
    return answers


def _fusions(config):
    """What the fusions are called, by the inputs that they read: `fused` if that is all, or if
    there is only one fusion.
    """
    first: dict = {}
    for name, head in config.heads.items():
        if not head.compares_inputs:
            first.setdefault(_read(config, head), name)
    every = tuple(config.vectors())
    return {
        read: FUSED if read == every or len(first) == 1 else FUSED_OF + name
        for read, name in first.items()
    }


def _read(config, head):
    """The vectors that a head reads, in the order of `Config.vectors()`."""
    return tuple(own for own in config.vectors() if head.inputs is None or own in head.inputs)


def _meet(fusion, encodings, present, name):
    """`(fused, anyone)`: the fused vector, None of a decision fusion, and whether any of the inputs
    is there, None without presence.
    """
    over = getattr(fusion, "over", fusion)
    fused = None if isinstance(over, DecisionFusion) else fuse(over, encodings, present, name)
    return fused, AnyPresent(name=f"{name}_any", dtype="float32")(
        list(present.values())
    ) if present else None


def _model(config, inputs, outputs, name, make=DistributedModel):
    """The model, unless a layer of one input's tower is called as another input or head is."""
    try:
        return make(inputs, outputs, name=name)
    except ValueError as error:
        for room in ("inputs", "heads"):
            for own in getattr(config, room):
                if f'"{own}" is used' in str(error):
                    message = f"{room}.{own}: a layer of another input's tower is called so: choose another name and give the table's in `column`"
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
