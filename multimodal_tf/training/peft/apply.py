"""A PEFT configuration, done to a model."""

import contextlib

import keras

from multimodal_tf.config import Peft
from multimodal_tf.models.peft import layer_paths
from multimodal_tf.training.peft.add import adapters, lora
from multimodal_tf.training.peft.freeze import (
    GradualUnfreezing,
    biases_only,
    freeze,
    head_only,
    nothing,
    trained,
    unfreeze,
)


def adapt(model: keras.Model, peft: Peft) -> list[keras.callbacks.Callback]:
    """Does to a model what a configuration says. Compile it afterwards.

    Args:
        model: a functional `keras.Model` of outputs by name; changed in place.
        peft: `config.Peft`. Its `rates` are for the optimizer: `learning_rate_factors(model,
        peft.rates)`.

    Returns:
        Callbacks for `model.fit`: `GradualUnfreezing` where there are `stages`.

    Raises:
        ValueError: a pattern matches no layer or none that it can be for, a layer is named in
            `freeze` and in `also` or `stages`, or in two stages, a stage or a rate is for layers of
            which nothing is trained, or nothing would be; the sentence names the field.

    Example:
        >>> from multimodal_tf.config import LoRA
        >>> adapt(model, Peft(train="heads", lora=[LoRA(layers=["title_network/*/query_dense"], rank=4)]))  # doctest: +SKIP
    """
    _check(model, peft)
    {"all": lambda model: None, "heads": head_only, "biases": biases_only, "nothing": nothing}[
        peft.train
    ](model)
    freeze(model, *peft.freeze)
    unfreeze(model, *peft.also, *_staged(peft))
    for number, one in enumerate(peft.lora):
        with _named("lora", number):
            lora(model, *one.layers, rank=one.rank, alpha=one.alpha)
    for number, bottleneck in enumerate(peft.adapters):
        with _named("adapters", number):
            adapters(
                model,
                *bottleneck.layers,
                units=bottleneck.units,
                activation=bottleneck.activation,
                shared=bottleneck.shared,
            )
    _check_trained(model, peft)
    return [GradualUnfreezing(peft.stages, peft.stage_epochs)] if peft.stages else []


def _staged(peft):
    return [pattern for stage in peft.stages for pattern in stage]


@contextlib.contextmanager
def _named(kind, number):
    """Errors begin with the field of the configuration."""
    field = f"peft.{kind}.{number}"
    try:
        yield
    except ValueError as error:
        said = str(error)
        # such as `layers: must match ...`
        inner = said.removeprefix(f"{kind}.")
        raise ValueError(f"{field}: {said}" if inner == said else f"{field}.{inner}") from error


def _check(model, peft):
    """Before anything is changed: whether all patterns match, and whether what is frozen is to be
    trained as well.
    """
    for field in ("lora", "adapters"):
        for number, one in enumerate(getattr(peft, field)):
            layer_paths.matched(model, one.layers, f"peft.{field}.{number}.layers")
    frozen = layer_paths.within(model, peft.freeze, "peft.freeze")
    for field, patterns in (("also", peft.also), ("stages", _staged(peft))):
        both = [
            path for path in layer_paths.matched(model, patterns, f"peft.{field}") if path in frozen
        ]
        if both:
            raise ValueError(
                f"peft.{field}: must not name a layer that peft.freeze freezes, received {both[0]!r} in both"
            )
    seen: set = set()
    for stage in peft.stages:
        found = layer_paths.within(model, stage, "peft.stages")
        both = [path for path in found if path in seen and found[path].weights]
        if both:
            raise ValueError(
                f"peft.stages: a layer must be in one stage, received {both[0]!r} in two"
            )
        seen.update(found)


def _check_trained(model, peft):
    """When all is done: whether something is trained, in each stage, and wherever a rate is for."""
    now = trained(model)
    if not now:
        raise ValueError(
            f"peft: must leave something to train, received {peft.model_dump(exclude_defaults=True)}"
        )
    for field, groups in (
        ("stages", peft.stages),
        ("rates", [[pattern] for pattern in peft.rates]),
    ):
        for patterns in groups:
            found = layer_paths.within(model, patterns, f"peft.{field}").values()
            if not any(id(weight) in now for layer in found for weight in layer.weights):
                raise ValueError(
                    f"peft.{field}: must match a layer that is trained, received {patterns}, of which nothing is"
                )
