"""Heads without labels that compare the vectors of several inputs of a row."""

from typing import ClassVar, Literal, Self

import pydantic
from pydantic import Field

from multimodal_tf.config.heads.bases import RETRIEVAL_SCORES, BaseHead
from multimodal_tf.config.inputs import Input
from multimodal_tf.config.names import (
    AttentionHeads,
    Depth,
    NonNegative,
    QueueLength,
    Temperature,
    Width,
)


class MatchingHead(BaseHead):
    """Whether two inputs of a row belong together, such as a text and an image.

    It needs no labels: the two inputs of every row match, and mismatched pairs are drawn from the
    batch. Where one of the two is missing, the probability is 0.5 and the row teaches nothing.

    It is no case of `AlignmentHead`, though it resembles its loss `sigmoid`: it is a classifier of
    pairs. Matching and mismatched pairs count equally whatever the batch, so that its sigmoid is a
    probability, 0.5 by chance, which is served and judged as one. The sigmoid of an alignment
    contains the share of pairs that match in a batch, and is no probability of anything in service.
    """

    compares_inputs = True
    # index in an output's last axis where the vector ends
    vector_end: ClassVar[int] = -1

    type: Literal["matching"] = "matching"
    weight: NonNegative = 1.0
    inputs: list[str] = Field(min_length=2, max_length=2)
    # width of the vectors that are compared
    dim: Width = 32

    def output_shape(self, classes: int) -> tuple[int, ...]:
        """Two vectors, with a last number that holds scale and shift of the logit."""
        return (2, self.dim + 1)


class TokenMatchingHead(BaseHead):
    """Whether two inputs of a row belong together, by attention between their tokens.

    It needs no labels: the two inputs of every row match. Mismatched pairs are hard: a row's input
    with another of the batch that resembles its own partner, never one with an equal cell. Where
    one of the two is missing, the probability is 0.5 and the row teaches nothing.

    Source: image-text matching of Li et al. 2021, arXiv:2107.07651 (ALBEF).
    """

    rereads_inputs = True
    reads_tokens = True

    type: Literal["token_matching"] = "token_matching"
    weight: NonNegative = 1.0
    inputs: list[str] = Field(min_length=2, max_length=2)
    # width of the tokens that attend to each other; `depth` blocks of attention each way
    dim: Width = 64
    heads: AttentionHeads = 4
    depth: Depth = 1

    @pydantic.model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.dim % self.heads:
            raise ValueError(f"heads must divide dim ({self.dim}), received {self.heads}")
        return self

    def input_problem(self, own: Input | None) -> str:
        """It must have a tower of its own, with tokens."""
        if own is None:
            return "must be an input with a tower of its own, received several columns"
        # strings have no fingerprint in the graph
        if own.model_dtype == "string":
            return "must be a text with tokens, received the tokenizer none"
        return ""

    def output_shape(self, classes: int) -> tuple[int, ...]:
        """Logits of the row's pair and of two mismatched ones, and which of them count."""
        return (2, 3)


class AlignmentHead(BaseHead):
    """Vectors of two or more inputs in one space, near each other where the inputs are of one row.

    It needs no labels: the inputs of a row attract each other, those of other rows of the batch
    repel. Rows with an equal cell attract each other too. A missing input does neither; a row takes
    part in a pair of inputs where it has both.

    `loss`: "infonce", the cross-entropy of finding a row's other input in the batch; "sigmoid", a
    binary cross-entropy for each pair of rows (SigLIP), which prefers small batches; "distance",
    the mean squared distance of a row's vectors, which nothing repels: towers that learn may then
    give the same vector to every row.
    """

    monitors = RETRIEVAL_SCORES
    compares_inputs = True
    aligns_inputs = True
    # index in an output's last axis where the vector ends
    vector_end: ClassVar[int] = -2

    type: Literal["alignment"] = "alignment"
    weight: NonNegative = 1.0
    inputs: list[str] = Field(min_length=2)
    # width of the space
    dim: Width = 64
    loss: Literal["infonce", "sigmoid", "distance"] = "infonce"
    # divides the cosines, learned from this value on; null: 0.07, of the loss "sigmoid" 0.1
    temperature: Temperature | None = None
    # rows of the batches before that repel as well, with the vectors that they had then; 0: none
    queue: QueueLength = 0

    @pydantic.model_validator(mode="after")
    def _distance_has_neither(self) -> Self:
        if self.loss == "distance" and (self.temperature is not None or self.queue):
            field = "queue" if self.queue else "temperature"
            raise ValueError(
                f"{field} needs the loss infonce or sigmoid, "
                f"received {getattr(self, field)} with the loss distance"
            )
        return self

    @property
    def initial_temperature(self) -> float:
        """`temperature`, or that of the loss: of Radford et al. 2021 or of Zhai et al. 2023."""
        return self.temperature or (0.1 if self.loss == "sigmoid" else 0.07)

    @property
    def compared_cells(self) -> list[str]:
        """Its inputs."""
        return self.inputs

    def output_shape(self, classes: int) -> tuple[int, ...]:
        """A vector of length 1 for each input, and behind it scale and shift of the logit."""
        return (len(self.inputs), self.dim + 2)
