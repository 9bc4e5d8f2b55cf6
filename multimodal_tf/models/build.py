"""`build_model`: the only place where towers, fusion and heads meet."""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import keras

from multimodal_tf.config import (
    FUSED,
    FUSED_OF,
    Config,
    DecisionFusion,
    Head,
    HybridFusion,
    feature_fusion,
)
from multimodal_tf.config.heads import cell_tensors, generating
from multimodal_tf.config.heads.preset_decoder import reads_own_encoder
from multimodal_tf.config.names import TARGET, embedding_layers
from multimodal_tf.models import heads, input_layers, loss_weighting
from multimodal_tf.models.distributed_model import DistributedModel
from multimodal_tf.models.fusion import fuse
from multimodal_tf.models.fusion.decision import Decision, decide
from multimodal_tf.models.fusion.explanations import Fused
from multimodal_tf.models.fusion.vectors import beside_wide
from multimodal_tf.models.heads import image, text
from multimodal_tf.models.input_layers import Encodings, Tensors
from multimodal_tf.models.intermediate_outputs import Derived
from multimodal_tf.models.precision import precision
from multimodal_tf.models.presence import AnyPresent
from multimodal_tf.models.reread import Reread
from multimodal_tf.models.seeds import seeded
from multimodal_tf.schema import Schema, check_schema


def build_model(config: Config, schema: Schema) -> DistributedModel:
    """Builds the model that the configuration describes.

    Its weights are a function of the configuration and its seed, in any thread: the seeds of
    initialisers and dropout come from a generator of this call, and Python's own stays as it is.

    Args:
        config: what the model is.
        schema: what was learned from the training split: vocabularies, means, classes.

    Returns:
        A functional `keras.Model`. Its inputs are a dict by name, `(batch, *model_shape)` of
        `model_dtype` as the input's configuration says (pixels 0 to 1, waveforms -1 to 1, text
        int32 `(batch, max_tokens)`), and, with `config.fusion.presence`, float32 `(batch,)` flags
        `{name}_present`: where one is 0, that input has no influence, whatever its values; with
        text heads, int32 `{head}_target` `(batch, max_tokens + 1)`, with image heads uint8
        `(batch, height, width, channels)`, see `generating`. Its
        outputs are a dict by head, see `models.heads.output`. Layer `{name}_embedding` has an
        input's vector, `tabular_embedding` that of all columns that this tower reads, `fused` the
        fused vector.

    Raises:
        ValueError: settings contradict each other, or the schema does not belong to the
            configuration, or Keras' `image_data_format` is not `channels_last`.

    Example:
        >>> from multimodal_tf.config import CategoryInput, ClassificationHead
        >>> from multimodal_tf.schema import Classes, Vocabulary
        >>> config = Config(inputs={"hue": CategoryInput()}, heads={"label": ClassificationHead()})
        >>> classes = Classes(names=["no", "yes"], counts=[1, 1])
        >>> learned = {"hue": Vocabulary(words=["red"])}
        >>> schema = Schema(rows=2, inputs=learned, heads={"label": classes})
        >>> build_model(config, schema).output["label"].shape
        (None, 2)
    """
    _check_data_format()
    check_schema(config, schema)
    with seeded(config.seed), precision(config):
        encodings = input_layers.encode(config, schema, _reads_tokens(config))
        targets = {
            name: heads.target_input(head, name) for name, head in generating(config.heads).items()
        }
        outputs, explanations = _outputs(config, schema, encodings, targets)
        inputs = encodings.inputs | {name + TARGET: one for name, one in targets.items()}
        make = loss_weighting.model_of(config)
        model = _model(config, inputs, outputs, "multimodal", make)
    model.keep_explanations(explanations)
    model.built_from = settings_digest(config, schema)
    return model


def settings_digest(config: Config, schema: Schema) -> str:
    """A digest of all that `build_model` reads; the attribute `built_from` of what it returns."""
    settings = config.model_dump_json(
        exclude={"split", "training", "peft", "teacher", "max_unreadable"}
    )
    return hashlib.sha256(f"{settings} {schema.model_dump_json()}".encode()).hexdigest()


def build_towers(config: Config, schema: Schema) -> DistributedModel:
    """The towers of `build_model` alone, with the same names and initial weights, for own heads.

    Only a recurrent layer, which keeps all its states here, has a different name: `{name}_lstm` or
    `{name}_gru`.

    Args:
        config: as `build_model`.
        schema: as `build_model`.

    Returns:
        A functional `keras.Model` with the inputs of `build_model`'s. Its outputs are a dict by
        input (and `tabular`, for the tower over several columns) of dicts: `tokens` `(batch,
        length, dim)`, `mask` bool `(batch, length)`, `vector` `(batch, dim)`; zeros and False in
        rows where the input is missing.

    Raises:
        ValueError: as `build_model`.
    """
    _check_data_format()
    check_schema(config, schema)
    with seeded(config.seed), precision(config):
        encodings = input_layers.encode(config, schema, with_tokens=True)
        outputs = {
            name: {"tokens": one.tokens, "mask": one.mask, "vector": one.vector}
            for name, one in encodings.by_name.items()
        }
        return _model(config, encodings.inputs, outputs, "towers")


def compile_arguments(config: Config, schema: Schema) -> dict[str, Any]:
    """Arguments of `model.compile`: `loss`, `loss_weights` and `weighted_metrics`, dicts by head.

    Targets and sample weights are dicts by head; a row whose label is missing has weight 0 there
    and counts neither in the loss nor in the metrics. The objects are new in every call; under
    `tf.distribute`, call it inside the scope.

    Example:
        >>> model.compile("adam", **compile_arguments(config, schema))  # doctest: +SKIP
    """
    return heads.compile_arguments(config.heads, schema)


def embeddings(model: keras.Model) -> keras.Model:
    """A model with the layers and inputs of a `build_model` model, and its vectors as outputs.

    Returns:
        A `keras.Model` whose output is a dict: `{name}` -> `(batch, dim)` for every input
        (`tabular` for all that this tower reads), zero where it is missing (if the model has
        presence inputs), and `fused`; where heads read different inputs, also `fused_of_{head}`,
        after the first head that reads these. A decision fusion has no fused vector. An alignment
        head has its vectors, of length 1, in `{head}_aligned_{input}`.
    """
    layers = {layer.name: layer.output for layer in model.layers}
    names = embedding_layers(layers, model.input, model.output)
    outputs = {name: layers[layer] for name, layer in names.items()}
    return keras.Model(model.input, outputs, name="embeddings")


def explanations(model: DistributedModel) -> keras.Model | None:
    """A model with the layers and inputs of a `build_model` model, and explanations as outputs.

    It does not read the targets of text and image heads.

    Returns:
        None where the fusion explains nothing (concatenation, sum, mean, product, bilinear,
        low-rank tensor). Else a `keras.Model` whose output is a dict, in which a missing input has
        0 (unless a learned vector replaces it). Inputs are in the order of `Config.vectors()`:

        - `weights` `(batch, inputs)`: of a weighted sum, the learned weights; of attention, those
          of the row; of gates, each input's mean; of self-attention and bottlenecks, the share of
          an input in the attention of the last block's learned tokens. All but gates add up to 1;
        - `attention_{input}` `(batch, tokens)`: of bottlenecks, the attention of those of the last
          block to each token, the mean over heads;
        - `attention_{input}_from_{other}` `(batch, tokens of other)`: of cross-modal attention, the
          attention of the input's tokens to each of the other's, the mean over heads;
        - `{head}_from_{input}`: of a decision or hybrid fusion, the prediction from the input
          alone, as `models.heads.output`, also where it is missing; `{head}_from_fused`: of a
          hybrid one, that from the fused vector; `{head}_weights`: their learned weights, that of
          the fused vector last; in a row without any input those of all.

        Where heads read different inputs, the names of a fusion of some inputs only begin with
        `fused_of_{head}_`.
    """
    outputs = model.explanations()
    inputs = cell_tensors(model.input, model.output)
    return keras.Model(inputs, outputs, name="explanations") if outputs else None


def _check_data_format() -> None:
    """Keras' layers would take rows of pixels for channels."""
    found = keras.config.image_data_format()
    if found != "channels_last":
        raise ValueError(
            "image_data_format in keras.json or `keras.config.set_image_data_format` must be "
            f"channels_last, received {found!r}"
        )


class _Group(NamedTuple):
    """The inputs that some heads read, and their fusion.

    Attributes:
        read: names of the vectors, in the order of `Config.vectors()`.
        fused: None in a decision fusion.
        any_present: float32 `(batch,)`, whether any of them is present; None without presence.
    """

    read: tuple[str, ...]
    fused: Fused | None
    any_present: keras.KerasTensor | None


def _outputs(
    config: Config, schema: Schema, encodings: Encodings, targets: Tensors
) -> tuple[Tensors, dict[str, keras.KerasTensor | Derived]]:
    """Each head's prediction, and explanations; heads that read the same inputs share a fusion."""
    names = _fusion_names(config)
    groups: dict[tuple[str, ...], _Group] = {}
    outputs: Tensors = {}
    explained: dict[str, keras.KerasTensor | Derived] = {}
    for name, head in config.heads.items():
        stats = schema.heads.get(name)
        if head.compares_inputs:
            outputs[name] = _comparison(head, stats, encodings, name)
            continue
        if head.generates and not head.reads_fused:
            read = _read(config, head)
            present = {own: encodings.present[own] for own in read if encodings.present}
            of_inputs = {own: encodings.by_name[own] for own in read}
            own = [config.inputs.get(one) for one in read]
            own_encoder = reads_own_encoder(getattr(head, "decoder", None), own)
            given = text.Read(of_inputs, present, targets[name], own_encoder)
            outputs[name] = heads.output(head, stats, given, name)
            continue
        if head.rereads_inputs:
            inputs = [Reread.of(encodings, own) for own in head.inputs or ()]
            outputs[name] = heads.output(head, stats, inputs, name)
            continue
        read = _read(config, head)
        if read not in groups:
            group = groups[read] = _group(config, encodings, read, names[read])
            prefix = "" if names[read] == FUSED else f"{names[read]}_"
            if group.fused is not None:
                for key, output in group.fused.explanations.items():
                    explained[prefix + key] = output
        decision = _prediction(
            config, head, stats, encodings, groups[read], name, targets.get(name)
        )
        outputs[name] = decision.prediction
        explained |= decision.explanations
    return outputs, explained


def _comparison(head: Head, stats: Any, encodings: Encodings, name: str) -> keras.KerasTensor:
    """The output of a head that compares two vectors, whatever the fusion."""
    vectors = [encodings.by_name[own].vector for own in head.inputs or ()]
    flags = [encodings.present[own] for own in head.inputs or ()] if encodings.present else None
    return heads.output(head, stats, vectors, name, flags)


def _prediction(
    config: Config,
    head: Head,
    stats: Any,
    encodings: Encodings,
    group: _Group,
    name: str,
    target: keras.KerasTensor | None,
) -> Decision:
    fusion, fused = config.fusion, group.fused
    # an embedding head, or one that draws, has no prediction to combine
    if not isinstance(fusion, DecisionFusion | HybridFusion) or head.needs_fused:
        x = None if fused is None else fused.vector
        if x is not None and head.target_type is not None:
            wide = [encodings.by_name[own].wide for own in group.read]
            x = beside_wide(x, wide, f"{name}_wide")
        read = x if target is None else image.Read(x, target)
        return Decision(heads.output(head, stats, read, name, group.any_present), {})
    vectors = {
        own: beside_wide(one.vector, [one.wide], f"{name}_from_{own}_wide")
        for own, one in ((own, encodings.by_name[own]) for own in group.read)
    }
    present = {own: encodings.present[own] for own in group.read if encodings.present}
    if fused is not None:
        vectors[FUSED] = fused.vector
        if present:
            present[FUSED] = group.any_present
    return decide(fusion, head, stats, vectors, present, group.any_present, name)


def _fusion_names(config: Config) -> dict[tuple[str, ...], str]:
    """The name of each fusion, by the vectors that it reads.

    It is `fused` if these are all vectors, or if there is only one fusion.
    """
    first: dict[tuple[str, ...], str] = {}
    for name, head in config.heads.items():
        if head.reads_fused:
            first.setdefault(_read(config, head), name)
    every = tuple(config.vectors())
    return {
        read: FUSED if read == every or len(first) == 1 else FUSED_OF + name
        for read, name in first.items()
    }


def _reads_tokens(config: Config) -> bool:
    """Whether the fusion or a head reads the towers' tokens."""
    fusion = feature_fusion(config.fusion)
    of_fusion = fusion is not None and fusion.reads_tokens
    return of_fusion or any(head.reads_tokens for head in config.heads.values())


def _read(config: Config, head: Head) -> tuple[str, ...]:
    """The vectors that a head reads, in the order of `Config.vectors()`."""
    return tuple(own for own in config.vectors() if head.inputs is None or own in head.inputs)


def _group(config: Config, encodings: Encodings, read: tuple[str, ...], name: str) -> _Group:
    fusion, fused, any_present = feature_fusion(config.fusion), None, None
    present = {own: encodings.present[own] for own in read if encodings.present}
    if fusion is not None:
        fused = fuse(fusion, {own: encodings.by_name[own] for own in read}, present, name)
    if present:
        any_present = AnyPresent(name=f"{name}_any", dtype="float32")(list(present.values()))
    return _Group(read, fused, any_present)


def _model(
    config: Config,
    inputs: Tensors,
    outputs: dict[str, Any],
    name: str,
    make: Callable[..., DistributedModel] = DistributedModel,
) -> DistributedModel:
    """The model, unless a layer of one input's tower has the name of another input or head."""
    try:
        return make(inputs, outputs, name=name)
    except ValueError as error:
        for field in ("inputs", "heads"):
            for own in getattr(config, field):
                if f'"{own}" is used' in str(error):
                    raise ValueError(
                        f"{field}.{own}: a layer of another input's tower is called so: "
                        "choose another name and give the table's in `column`"
                    ) from error
        raise
