"""The names that a configuration gives and takes, and what every part of it has in common."""

import contextlib
import re
from typing import TYPE_CHECKING, Annotated

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
# and `Client.predict` gives the likeliest class's own in the column `label_probability`
PROBABILITY = "_probability"
# a served quantile head `price` has all its quantiles in `price_quantiles`
QUANTILES = "_quantiles"
# and `Client.predict` gives the bounds of its interval in the columns `price_low` and `price_high`
LOW, HIGH = "_low", "_high"
# what the served signature answers besides the heads
SERVED = ("valid", "error", "present")
# the column with a row's number in a table of predictions
ROW = "row"
# the tower of an input `photo` ends in a layer `photo_embedding`
EMBEDDING = "_embedding"
# and has its tokens in a layer `photo_tokens`
TOKENS = "_tokens"
# the tower over several numbers, categories, dates and booleans is called so
TABULAR = "tabular"
# and the fusion in a layer of this name; the endpoint `embed` answers inputs, FUSED and `error`
FUSED = "fused"
# where heads read different inputs, the fusion of some is called after the first head that reads
# these
FUSED_OF = f"{FUSED}_of_"

Fraction = Annotated[float, Field(ge=0, lt=1)]


def sentence(error: pydantic.ValidationError) -> str:
    """What is wrong with a configuration: each fault's field, the rule and what was received."""
    return "; ".join(map(_fault, error.errors()))


# fields that hold one of several kinds
_CHOICES = ("tabular", "loss_weighting", "fusion", "tower", "frame", "over", "tokenizer", "vectors")


def _fault(fault):
    # our own rules already say what was received
    ours = fault["type"] == "value_error"
    said = (
        str(fault["ctx"]["error"]) if ours else f"{fault['msg']}, received {fault['input']!r:.80}"
    )
    return ": ".join(filter(None, [".".join(_path(fault["loc"])), said]))


def _path(places):
    """A fault's field as one writes it: pydantic also names the kind that a field holds."""
    for number, place in enumerate(places):
        of_a_name = number == 2 and places[0] in ("inputs", "heads")
        if not of_a_name and not (number and places[number - 1] in _CHOICES):
            yield str(place)


@contextlib.contextmanager
def _in_words(part):
    """What is made or changed in Python is refused in the words in which YAML is."""
    try:
        yield
    except pydantic.ValidationError as error:
        raise ValueError(f"{part.__name__}: {sentence(error)}") from error


class _InWords(_Metaclass):
    def __call__(self, *args, **kwargs):
        with _in_words(self):
            return super().__call__(*args, **kwargs)


class Strict(pydantic.BaseModel, metaclass=_InWords):
    """A part of the configuration: unknown fields are refused, and assignment is validated like
    construction.
    """

    model_config = pydantic.ConfigDict(extra="forbid", validate_assignment=True)

    def __setattr__(self, name, value):
        with _in_words(type(self)):
            super().__setattr__(name, value)
