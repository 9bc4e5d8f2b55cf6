"""Heads without labels that teach the towers of their inputs: objectives.

Their target is drawn in the graph from the cells themselves, anew in every epoch. Nothing of them
is served. A run that has only such heads is a pretraining: `train --from` continues from its towers
with other heads.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from multimodal_tf.config.heads.bases import BaseHead
from multimodal_tf.config.inputs import ImageInput, Input, TextInput
from multimodal_tf.config.names import NonNegative, Width

# pixels along the side of a picture that has four patches
_SMALLEST = 4


class Objective(BaseHead):
    """What objectives over one input have in common."""

    rereads_inputs = True
    served = False
    # the accuracy of a guess; None: there is no accuracy, or it depends on the rows
    chance: ClassVar[float | None] = None
    # name of the share of hits
    metric: ClassVar[str] = "accuracy"

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


class MaskedHead(Objective):
    """What is hidden of a text, a picture or a sound, predicted from the rest.

    It needs no labels: tokens of a text, patches of a picture or spans of a sound, drawn anew in
    every epoch, are hidden from the tower, and predicted from its tokens and its vector. Of a text
    80 % of the hidden tokens are masked, 10 % replaced by others, 10 % stay, whole words where the
    tokenizer knows them; what is predicted is the token. Of a picture or sound it is the pixels of
    the patch or the log-mel spectrogram of the span, normalized within it.

    With `context` the prediction also attends to the tokens of other inputs of the row, which are
    whole (joint modelling). A missing one has no influence.

    Source: texts: Devlin et al. 2019, arXiv:1810.04805; pictures: Xie et al. 2022,
    arXiv:2111.09886, He et al. 2022, arXiv:2111.06377; sounds: Baevski et al. 2020,
    arXiv:2006.11477; several inputs: Li et al. 2019, arXiv:1908.03557.
    """

    reads_tokens = True
    metric = "score"

    type: Literal["masked"] = "masked"
    context: list[str] = Field([], description="names of other inputs that help to predict")
    share: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="of a cell, that is hidden; null: text 0.15, image 0.6, sound 0.5"
    )
    # width of the layer before the prediction, and of the attention to other inputs
    dim: Width = 128

    def input_problem(self, own: Input | None) -> str:
        """It must be a text with tokens that a vocabulary numbers, a picture or a sound."""
        if isinstance(own, TextInput):
            if own.tokenizer.type in ("none", "ngrams"):
                return (
                    "must be a text with a tokenizer whose tokens can be predicted, received "
                    f"{own.tokenizer.type}"
                )
            if own.max_tokens < 2 and not self.context:
                return f"must have max_tokens of 2 or more, received {own.max_tokens}"
            return ""
        if isinstance(own, ImageInput) and min(own.height, own.width) < _SMALLEST:
            size = f"{own.height} x {own.width}"
            return f"must have a height and width of {_SMALLEST} or more, received {size}"
        if own is not None and own.is_changeable:
            return ""
        received = "several columns" if own is None else own.type
        return f"must be a text, image or sound, of which parts can be hidden, received {received}"
