"""Applies a PEFT configuration to a model."""

import contextlib
from collections.abc import Iterator

import keras

from multimodal_tf.config import Peft
from multimodal_tf.models.peft import layer_paths
from multimodal_tf.training.peft.add import add_adapters, add_lora
from multimodal_tf.training.peft.freeze import (
    freeze,
    freeze_all,
    train_biases_only,
    train_head_only,
    trained_ids,
    unfreeze,
)
from multimodal_tf.training.peft.gradual_unfreezing import GradualUnfreezing


def apply_peft(model: keras.Model, peft: Peft) -> list[keras.callbacks.Callback]:
    """Applies a PEFT configuration to a model. Compile the model afterwards.

    Args:
        model: a functional `keras.Model` with a dict of outputs; changed in place.
        peft: `config.Peft`. Its `learning_rate_factors` are for the optimizer
            (`layerwise_learning_rates`).

    Returns:
        Callbacks for `model.fit`: `GradualUnfreezing` if there are `stages`.

    Raises:
        ValueError: a pattern matches no layer, or no suitable one; a layer is both in `freeze` and
            in `unfreeze` or `stages`, or in two stages; no layer of a stage or of a learning rate
            factor is trained, or none at all. The message names the field.

    Example:
        >>> from multimodal_tf.config import LoRA
        >>> lora = LoRA(layers=["title_network/*/query_dense"], rank=4)
        >>> apply_peft(model, Peft(train="heads", lora=[lora]))  # doctest: +SKIP
    """
    _check_patterns(model, peft)
    match peft.train:
        case "heads":
            train_head_only(model)
        case "biases":
            train_biases_only(model)
        case "none":
            freeze_all(model)
        case "all":
            pass
    freeze(model, *peft.freeze)
    unfreeze(model, *peft.unfreeze, *_staged(peft))
    for index, lora in enumerate(peft.lora):
        with _field_in_errors("lora", index):
            add_lora(model, *lora.layers, rank=lora.rank, alpha=lora.alpha)
    for index, adapters in enumerate(peft.adapters):
        with _field_in_errors("adapters", index):
            add_adapters(
                model,
                *adapters.layers,
                units=adapters.units,
                activation=adapters.activation,
                shared=adapters.shared,
            )
    _check_trained(model, peft)
    return [GradualUnfreezing(peft.stages, peft.stage_epochs)] if peft.stages else []


def _staged(peft: Peft) -> list[str]:
    return [pattern for stage in peft.stages for pattern in stage]


@contextlib.contextmanager
def _field_in_errors(kind: str, index: int) -> Iterator[None]:
    """Makes error messages begin with the field of the configuration."""
    field = f"peft.{kind}.{index}"
    try:
        yield
    except ValueError as error:
        message = str(error)
        # such as `layers: must match ...`
        inner = message.removeprefix(f"{kind}.")
        separator = ": " if inner == message else "."
        raise ValueError(f"{field}{separator}{inner}") from error


def _check_patterns(model: keras.Model, peft: Peft) -> None:
    """Checks, before the model is changed, that patterns match and do not contradict each other."""
    for index, lora in enumerate(peft.lora):
        layer_paths.matched(model, lora.layers, f"peft.lora.{index}.layers")
    for index, adapters in enumerate(peft.adapters):
        layer_paths.matched(model, adapters.layers, f"peft.adapters.{index}.layers")
    frozen = layer_paths.within(model, peft.freeze, "peft.freeze")
    for field, patterns in (("unfreeze", peft.unfreeze), ("stages", _staged(peft))):
        for path in layer_paths.matched(model, patterns, f"peft.{field}"):
            if path in frozen:
                raise ValueError(
                    f"peft.{field}: must not name a layer that peft.freeze freezes, "
                    f"received {path!r} in both"
                )
    seen: set[str] = set()
    for stage in peft.stages:
        found = layer_paths.within(model, stage, "peft.stages")
        for path, layer in found.items():
            if path in seen and layer.weights:
                raise ValueError(
                    f"peft.stages: a layer must be in one stage, received {path!r} in two"
                )
        seen.update(found)


def _check_trained(model: keras.Model, peft: Peft) -> None:
    """Checks that something is trained, also in each stage and for each learning rate factor."""
    trained = trained_ids(model)
    if not trained:
        raise ValueError(
            "peft: must leave something to train, "
            f"received {peft.model_dump(exclude_defaults=True)}"
        )
    factors = [[pattern] for pattern in peft.learning_rate_factors]
    for field, groups in (("stages", peft.stages), ("learning_rate_factors", factors)):
        for patterns in groups:
            found = layer_paths.within(model, patterns, f"peft.{field}").values()
            if not any(id(weight) in trained for layer in found for weight in layer.weights):
                raise ValueError(
                    f"peft.{field}: must match a layer that is trained, received {patterns}, "
                    "of which nothing is"
                )
