"""Heads without labels that teach the towers of their inputs: objectives.

Their target is drawn in the graph from the cells themselves, anew in every epoch. Nothing of them
is served. A run that has only such heads is a pretraining: `train --from` continues from its towers
with other heads.
"""

from typing import ClassVar, Literal

from pydantic import Field

from multimodal_tf.config.heads.bases import BaseHead
from multimodal_tf.config.inputs import Input, TextInput
from multimodal_tf.config.names import NonNegative


class Objective(BaseHead):
    """What objectives over one input have in common."""

    rereads_inputs = True
    served = False
    # the accuracy of a guess; None: there is no accuracy, or it depends on the rows
    chance: ClassVar[float | None] = None

    weight: NonNegative = 1.0
    inputs: list[str] = Field(min_length=1, max_length=1)

    def output_shape(self, classes: int) -> tuple[int, ...]:
        """The row's loss, its hits, and of how many: `losses.RowLoss` reads the first."""
        return (3,)


class OrderHead(Objective):
    """Whether the halves of a text stand in their order.

    It needs no labels: in about half of the rows, drawn anew in every epoch, the second half of the
    tokens is put before the first, and the head says from the tower's vector of the text in which.
    A text of fewer than two tokens, or of two equal halves, teaches nothing.

    Source: Lan et al. 2019, arXiv:1909.11942, section 3.1 (ALBERT's sentence order), here of halves
    of one text.
    """

    chance = 0.5

    type: Literal["order"] = "order"

    def input_problem(self, own: Input | None) -> str:
        """It must be a text, of two tokens or more, whose tower reads their order."""
        if not isinstance(own, TextInput):
            return f"must be a text, received {'several columns' if own is None else own.type}"
        if own.tokenizer.type == "none":
            return "must be a text with tokens, received the tokenizer none"
        if own.max_tokens < 2:
            return f"must have max_tokens of 2 or more, received {own.max_tokens}"
        if own.tower.type == "bag":
            return "must have a tower that reads the order of its tokens, received bag"
        return ""
