"""How a model is bent to a new task: what of it is trained, how fast, and what is added to it."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field, PositiveFloat, PositiveInt

from multimodal_tf.config.names import Strict

# over paths of layers: `models.peft.layer_paths`
Patterns = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


class LoRA(Strict):
    """A low-rank change of the kernels of all `Dense`, `EinsumDense` and `Embedding` layers that
    match, or are in what matches.

    Also on a frozen pretrained tower, whose dropout then acts in training. All other layers are
    trained as `Peft.train` says: with "heads" LoRA and the heads learn alone.
    """

    layers: Patterns
    rank: PositiveInt = 8
    # the change is scaled by alpha / rank; null: by 1
    alpha: PositiveFloat | None = None


class Adapters(Strict):
    """A bottleneck behind each layer that matches, or one that all of them share, which may be of
    several towers.
    """

    layers: Patterns
    units: PositiveInt = 16
    # a linear one can be merged
    activation: Literal["gelu", "relu", "tanh", "linear"] = "gelu"
    shared: bool = False


class Peft(Strict):
    """What `fit` does to the model before it trains it.

    `train` is what of the model itself is trained: `all` that its layers say, the `heads`, the
    `biases` (and the heads, which are new to a task), or `nothing`. `freeze` and `also` are layers
    that are not trained, and are, in spite of it. `stages` are layers that are trained
    only from a later epoch on: the first ones from `stage_epochs` on, the next after as many epochs
    again, and so on. `rates` multiply the learning rate of layers; where several patterns match
    one, the last counts.
    """

    train: Literal["all", "heads", "biases", "nothing"] = "all"
    freeze: list[str] = []
    also: list[str] = []
    lora: list[LoRA] = []
    adapters: list[Adapters] = []
    stages: list[Patterns] = []
    stage_epochs: PositiveInt = 1
    rates: dict[str, PositiveFloat] = {}

    @pydantic.model_validator(mode="after")
    def _consistent(self):
        for name, others in (("freeze", self.also), ("freeze", sum(self.stages, []))):
            both = sorted(set(getattr(self, name)) & set(others))
            if both:
                raise ValueError(
                    f"peft.freeze: must not name what `also` or `stages` trains, received {both}"
                )
        twice = sorted(
            {
                one
                for number, stage in enumerate(self.stages)
                for one in stage
                if one in sum(self.stages[:number], [])
            }
        )
        if twice:
            raise ValueError(
                f"peft.stages: a pattern must stand in one stage, received {twice} in two"
            )
        if self.train == "nothing" and not (self.also or self.lora or self.adapters):
            said = "stages alone, before whose first nothing would train" if self.stages else "none"
            raise ValueError(
                f"peft.train: nothing trains, then also, lora or adapters must say what does, received {said}"
            )
        return self
