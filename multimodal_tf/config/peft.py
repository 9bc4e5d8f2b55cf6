"""Parameter-efficient fine-tuning (PEFT): what of a model is trained, how fast, what is added."""

from typing import Annotated, Literal, Self

import pydantic
from pydantic import Field

from multimodal_tf.config.names import Positive, Repeats, Strict, Width

# over paths of layers: `models.peft.layer_paths`
Patterns = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


class LoRA(Strict):
    """Low-rank updates of the kernels of `Dense`, `EinsumDense` and `Embedding` layers.

    They are added to all such layers that match a pattern, or lie within a layer that matches. A
    frozen pretrained tower may match; its dropout is then active in training. `Peft.train` decides
    about all other layers: with "heads", only LoRA and the heads are trained.
    """

    layers: Patterns
    rank: Width = 8
    # the update is scaled by alpha / rank; null: by 1
    alpha: Positive | None = None


class Adapters(Strict):
    """A bottleneck after each layer that matches.

    With `shared`, all layers that match share one adapter. They may be of several towers.
    """

    layers: Patterns
    units: Width = 16
    # a linear adapter can be merged
    activation: Literal["gelu", "relu", "tanh", "linear"] = "gelu"
    shared: bool = False


class Peft(Strict):
    """What `fit` does to the model before training.

    `train` selects which of the model's own weights are trained: `all`, the `heads`, the `biases`
    (and the heads, which are new to a task), or `none`. Layers in `freeze` are not trained; layers
    in `unfreeze` are, whatever `train` says. `stages` are layers that are unfrozen gradually: the
    first stage after `stage_epochs` epochs, the next after as many epochs again, and so on.
    `learning_rate_factors` multiply the learning rate of layers; if several patterns match one
    layer, the last counts.
    """

    train: Literal["all", "heads", "biases", "none"] = "all"
    freeze: list[str] = []
    unfreeze: list[str] = []
    lora: list[LoRA] = []
    adapters: list[Adapters] = []
    stages: list[Patterns] = []
    stage_epochs: Repeats = 1
    learning_rate_factors: dict[str, Positive] = {}

    @pydantic.model_validator(mode="after")
    def _check_consistent(self) -> Self:
        staged = [pattern for stage in self.stages for pattern in stage]
        both = sorted({*self.freeze} & {*self.unfreeze, *staged})
        if both:
            raise ValueError(
                "peft.freeze: must not name layers that `unfreeze` or `stages` trains, "
                f"received {both}"
            )
        repeated = _in_several_stages(self.stages)
        if repeated:
            raise ValueError(
                f"peft.stages: a pattern must be in one stage only, received {repeated} in two"
            )
        if self.train == "none" and not (self.unfreeze or self.lora or self.adapters):
            # until the first stage is unfrozen, nothing would be trained
            received = "only stages" if self.stages else "none of these"
            raise ValueError(
                "peft.train: with none, unfreeze, lora or adapters must say what is trained, "
                f"received {received}"
            )
        return self


def _in_several_stages(stages: list[Patterns]) -> list[str]:
    seen: set[str] = set()
    repeated: set[str] = set()
    for stage in stages:
        repeated |= seen & {*stage}
        seen |= {*stage}
    return sorted(repeated)


def check_pruning(pruning: object, peft: Peft | None) -> None:
    """Checks that what is pruned is not changed by something beside it.

    Raises:
        ValueError: weights are pruned, and LoRA or adapters are added, or stages are unfrozen.
    """
    names = [] if peft is None else [n for n in ("lora", "adapters", "stages") if getattr(peft, n)]
    if pruning is not None and names:
        raise ValueError(
            "training.pruning: must not be combined with peft.lora, peft.adapters or peft.stages, "
            f"which train other weights than it prunes, received {', '.join(names)}"
        )
