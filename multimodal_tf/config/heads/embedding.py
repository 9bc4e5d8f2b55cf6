"""The head that serves the fused vector."""

from typing import Annotated, Literal

from pydantic import Field

from multimodal_tf.config.heads.bases import OWN_INPUTS, BaseHead


class EmbeddingHead(BaseHead):
    """The fused vector, of length 1, for a search by similarity; it has no labels and no loss.

    Zeros in a row without any of its inputs.
    """

    type: Literal["embedding"] = "embedding"
    inputs: Annotated[list[str], Field(min_length=1)] | None = Field(None, description=OWN_INPUTS)
