"""How the towers' vectors meet."""

from typing import Literal

import pydantic
from pydantic import PositiveInt

from multimodal_tf.config.names import Fraction, Strict


class ConcatenationFusion(Strict):
    """The towers' vectors side by side, then Dense layers, if any (`models.fusion`). Without any, each head adds up what each input says,
    which suits small tables. `dropout` acts on the vectors side by side and on every Dense layer.

    With `presence`, an absent input's vector is zero, with zero gradient, and the flags are concatenated too. Without, the model is the
    plain graph of Keras tutorials: it has no presence inputs, and an absent input is all zeros. `modality_dropout` is the share of rows in
    which training treats a present input as absent, so that no input learns to lean on the others.
    """

    type: Literal["concatenation"] = "concatenation"
    presence: bool = True
    hidden: list[PositiveInt] = []
    dropout: Fraction = 0.5
    modality_dropout: Fraction = 0.0

    @pydantic.model_validator(mode="after")
    def _consistent(self):
        if self.modality_dropout and not self.presence:
            raise ValueError(f"fusion.modality_dropout needs fusion.presence, received {self.modality_dropout} with presence false")
        return self
