"""Names and name endings of the configuration and the model, and the base class of all settings."""

import contextlib
import difflib
import re
import typing
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pydantic
from pydantic import Field

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass as _Metaclass
else:
    # pydantic has no public name for it
    _Metaclass = type(pydantic.BaseModel)

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# an input `photo` has its presence flag in the model's input `photo_present`
PRESENT = "_present"
# a served classification head `label` has its probabilities in `label_probabilities`
PROBABILITIES = "_probabilities"
# `Client.predict` gives the predicted class's probability in the column `label_probability`
PROBABILITY = "_probability"
# a served quantile head `price` has all its quantiles in `price_quantiles`
QUANTILES = "_quantiles"
# `Client.predict` gives the bounds of its interval in the columns `price_low` and `price_high`
LOW, HIGH = "_low", "_high"
# a served text head `caption` has the logarithm of the text's probability in
# `caption_log_probability`
LOG_PROBABILITY = "_log_probability"
# in training, the model's input `caption_target` has the tokens, or the pixels, of its target
TARGET = "_target"
# the endpoint `sample` reads a number for each row from which its draws follow
SEED = "seed"
# an exported ensemble serves in `label_disagreement` how far its models are apart
DISAGREEMENT = "_disagreement"
# TensorFlow Serving's REST takes texts of outputs with this ending for base64
BYTES = "_bytes"
# outputs of the served signature besides those of the heads
SERVED = ("valid", "error", "present")
# the column with a row's number in a table of predictions
ROW = "row"
# the tower of an input `photo` ends in a layer `photo_embedding`
EMBEDDING = "_embedding"
# an alignment head `pair` has its vector of the input `photo` in the layer `pair_aligned_photo`
ALIGNED = "_aligned_"
# its tokens are the output of a layer `photo_tokens`
TOKENS = "_tokens"
# name of the tower over several numbers, categories, dates and booleans
TABULAR = "tabular"
# name of the layer with the fused vector; the endpoint `embed` gives inputs, FUSED and `error`
FUSED = "fused"
# where heads read different inputs, a fusion of some of them is named after the first head that
# reads these
FUSED_OF = f"{FUSED}_of_"

# Every number has bounds that no real model comes near, so that a slip is one sentence before
# memory or time are spent on it.
Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, le=1e30)]
NonNegative = Annotated[float, Field(ge=0, le=1e30)]
# at most ten minutes
Milliseconds = Annotated[float, Field(gt=0, le=600_000)]
# units, filters and other widths of a layer
Width = Annotated[int, Field(gt=0, le=16_384)]
# between the two Dense layers of a transformer's block
MLPWidth = Annotated[int, Field(gt=0, le=65_536)]
# widths of one layer after another
Widths = Annotated[list[Width], Field(min_length=1, max_length=200)]
# layers or blocks
Depth = Annotated[int, Field(gt=0, le=200)]
AttentionHeads = Annotated[int, Field(gt=0, le=1024)]
# kernels, strides, patches, bins, windows of words
Span = Annotated[int, Field(gt=0, le=8192)]
# tokens that a tokenizer knows
VocabularySize = Annotated[int, Field(gt=0, le=10_000_000)]
SubwordCount = Annotated[int, Field(ge=300, le=10_000_000)]
# height or width of an image
Side = Annotated[int, Field(gt=0, le=16_384)]
# of a source; TensorFlow's decoders count pixels in 32 bits
Pixels = Annotated[int, Field(gt=0, le=2**31 - 1)]
# of logits: the scale is its inverse
Temperature = Annotated[float, Field(ge=0.01, le=100)]
# rows that are kept in memory
QueueLength = Annotated[int, Field(ge=0, le=10_000_000)]
# epochs, batches
Repeats = Annotated[int, Field(gt=0, le=1_000_000_000)]
# YAML may name the column 0 by a number
ColumnName = Annotated[
    str, pydantic.BeforeValidator(lambda name: str(name) if type(name) is int else name)
]
# types of the entries of `schema.Schema`
StatsType = Literal[
    "vocabulary", "subwords", "moments", "vector_moments", "classes", "texts", "images"
]


def embedding_layers(
    layers: Collection[str], inputs: Iterable[str], heads: Iterable[str]
) -> dict[str, str]:
    """The layers of a model whose outputs are its embeddings, by the embedding's name.

    Args:
        layers: names of the model's layers.
        inputs: names of the model's inputs, or of the vectors that its fusion reads.
        heads: names of the heads.

    Returns:
        dict: `{input}` and `tabular` to `{input}_embedding`; `fused`, `fused_of_{head}` to the
        layers of the same name; `{head}_aligned_{input}`, the vectors of an alignment head, too.
        Embeddings without a layer are left out.

    Example:
        >>> embedding_layers(["photo", "photo_embedding", "fused"], ["photo"], ["label"])
        {'photo': 'photo_embedding', 'fused': 'fused'}
    """
    read, found = [*inputs, TABULAR], list(heads)
    wanted = {name: name + EMBEDDING for name in read}
    wanted |= {name: name for name in (FUSED, *(FUSED_OF + head for head in found))}
    wanted |= {name: name for name in (head + ALIGNED + own for head in found for own in read)}
    return {name: layer for name, layer in wanted.items() if layer in layers}


def sentence(error: pydantic.ValidationError, settings: type | None = None) -> str:
    """One sentence per fault of a configuration: the field, the rule and what was received.

    Args:
        settings: what was validated, to name the field that an unknown one may have meant.
    """
    return "; ".join(_fault(fault) + _meant(fault, settings) for fault in error.errors())


def _meant(fault: Any, settings: type | None) -> str:
    """A question after an unknown field that is like one that there is."""
    if fault["type"] != "extra_forbidden":
        return ""
    *outer, name = fault["loc"]
    close = difflib.get_close_matches(str(name), _fields(settings, outer), n=1)
    return f": did you mean {close[0]!r}?" if close else ""


def _fields(settings: Any, path: Sequence[int | str]) -> list[str]:
    """The fields of the settings at a path; of a union those of the member that its type names."""
    found = [settings]
    for key in path:
        inner = []
        for one in found:
            fields = getattr(one, "model_fields", {})
            if key in fields:
                inner += _models(fields[key].annotation)
            elif "type" in fields and fields["type"].default == key:
                inner.append(one)
            elif not isinstance(key, str) or key not in _types(found):
                # a name of an input or head, or a place in a list
                inner.append(one)
        found = inner
    return [name for one in found for name in getattr(one, "model_fields", {})]


def _types(models: Sequence[Any]) -> set[Any]:
    fields = [getattr(one, "model_fields", {}) for one in models]
    return {each["type"].default for each in fields if "type" in each}


def _models(annotation: Any) -> list[Any]:
    """The settings in a type, such as the members of a union or the values of a dict."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [model for one in typing.get_args(annotation) for model in _models(one)]


def first_fault(error: pydantic.ValidationError | UnicodeDecodeError) -> str:
    """Why a JSON file is not what it should be; the first fault is enough for a damaged file."""
    return str(error) if isinstance(error, UnicodeDecodeError) else _fault(error.errors()[0])


# fields that hold one member of a union, whose type pydantic adds to a fault's location
_UNIONS = ("tabular", "loss_weighting", "fusion", "tower", "frame", "over", "tokenizer", "vectors")


def _fault(fault: Any) -> str:
    # our own rules already say what was received
    if fault["type"] == "value_error":
        message = str(fault["ctx"]["error"])
    else:
        message = f"{fault['msg']}, received {fault['input']!r:.80}"
    return ": ".join(filter(None, [".".join(_path(fault["loc"])), message]))


def _path(loc: Sequence[int | str]) -> Iterator[str]:
    """A fault's field as it is written in YAML, without the types that pydantic adds."""
    for index, key in enumerate(loc):
        is_type = (index == 2 and loc[0] in ("inputs", "heads")) or (
            index > 0 and loc[index - 1] in _UNIONS
        )
        if not is_type:
            yield str(key)


@contextlib.contextmanager
def _one_sentence(settings: type) -> Iterator[None]:
    """Turns pydantic's error into the sentence that a fault in YAML gives."""
    try:
        yield
    except pydantic.ValidationError as error:
        raise ValueError(f"{settings.__name__}: {sentence(error, settings)}") from error


class _StrictMetaclass(_Metaclass):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with _one_sentence(self):
            return super().__call__(*args, **kwargs)


class Strict(pydantic.BaseModel, metaclass=_StrictMetaclass):
    """Base class of all settings: it refuses unknown fields and validates assignments."""

    model_config = pydantic.ConfigDict(
        extra="forbid", validate_assignment=True, allow_inf_nan=False
    )

    def __setattr__(self, name: str, value: Any) -> None:
        with _one_sentence(type(self)):
            super().__setattr__(name, value)
