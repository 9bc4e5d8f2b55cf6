"""The objective of two views of one cell."""

from typing import ClassVar, Literal

from pydantic import Field

from multimodal_tf.config.heads.bases import RETRIEVAL_SCORES
from multimodal_tf.config.heads.objectives import Objective
from multimodal_tf.config.inputs import Input, TextInput
from multimodal_tf.config.names import Fraction, QueueLength, Temperature, Width


class ViewsHead(Objective):
    """Vectors of two views of a cell, near each other and far from those of other cells.

    It needs no labels. A view is the cell changed at random: an image cropped, turned and in other
    colours, a sound shifted, louder or softer, with noise and silent spans, a text without some of
    its tokens. The input's `augmentation`, where it has one, says what is changed and how much; the
    tower then reads a view in its place. Views are drawn from validation rows too, the same in
    every epoch. Rows with an equal cell attract each other; a row whose cell is missing teaches
    nothing.

    Each view is compared with both views of all rows of the batch but itself (SimCLR). With
    `momentum` the second view is read by a copy of the tower that follows it and is not trained,
    and first views are compared with second views, of this batch and of the `queue` (MoCo).

    Source: Chen et al. 2020, arXiv:2002.05709; He et al. 2020, arXiv:1911.05722.
    """

    monitors = RETRIEVAL_SCORES
    # index in an output's last axis where the vector ends
    vector_end: ClassVar[int] = -2

    type: Literal["views"] = "views"
    # width of the vectors that are compared
    dim: Width = 64
    # divides the cosines; it is not learned
    temperature: Temperature = 0.1
    # rows of the batches before that repel as well, with the vectors that they had then; 0: none
    queue: QueueLength = 0
    momentum: Fraction = Field(
        0.0,
        description="share of its weights that the copy keeps in a step, such as 0.99; 0: no copy",
    )

    def input_problem(self, own: Input | None) -> str:
        """It must be an image, a sound or a text, of which there are views."""
        if own is None or not own.is_changeable:
            kind = "several columns" if own is None else own.type
            return f"must be an image, a sound or a text, which have views, received {kind}"
        if isinstance(own, TextInput) and own.tokenizer.type == "none":
            return "must be a text with tokens, received the tokenizer none"
        if isinstance(own, TextInput) and own.max_tokens < 2:
            return f"must have max_tokens of 2 or more, received {own.max_tokens}"
        return ""

    @property
    def compared_cells(self) -> list[str]:
        """Its input twice, once for each view."""
        return [*self.inputs, *self.inputs]

    def output_shape(self, classes: int) -> tuple[int, ...]:
        """A vector of length 1 for each view, and behind it scale and shift of the logit."""
        return (2, self.dim + 2)
