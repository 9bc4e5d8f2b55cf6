"""The names that a configuration gives and takes, and what every part of it has in common."""

import re
from typing import Annotated

import pydantic
from pydantic import Field

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
PRESENT = "_present"  # an input `photo` has its presence flag in the model's input `photo_present`
PROBABILITIES = "_probabilities"  # a served classification head `label` has its probabilities in `label_probabilities`
PROBABILITY = "_probability"  # and `Client.predict` gives the likeliest class's own in the column `label_probability`
QUANTILES = "_quantiles"  # a served quantile head `price` has all its quantiles in `price_quantiles`
LOW, HIGH = "_low", "_high"  # and `Client.predict` gives the bounds of its interval in the columns `price_low` and `price_high`
SERVED = ("valid", "error", "present")  # what the served signature answers besides the heads
ROW = "row"  # the column with a row's number in a table of predictions
EMBEDDING = "_embedding"  # the tower of an input `photo` ends in a layer `photo_embedding`
TOKENS = "_tokens"  # and has its tokens in a layer `photo_tokens`
TABULAR = "tabular"  # the tower over several numbers, categories, dates and booleans is called so
FUSED = "fused"  # and the fusion in a layer of this name; the endpoint `embed` answers inputs, FUSED and `error`

Fraction = Annotated[float, Field(ge=0, lt=1)]


class Strict(pydantic.BaseModel):
    """A part of the configuration: unknown fields are refused, and assignment is validated like construction."""

    model_config = pydantic.ConfigDict(extra="forbid", validate_assignment=True)
