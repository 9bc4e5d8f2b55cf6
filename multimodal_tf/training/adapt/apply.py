"""An adaptation of the configuration, done to a model."""

import contextlib

import keras

from multimodal_tf.config import Adaptation
from multimodal_tf.models import paths
from multimodal_tf.training.adapt.add import adapters, lora
from multimodal_tf.training.adapt.freeze import GradualUnfreezing, biases_only, freeze, head_only, nothing, trained, unfreeze


def adapt(model: keras.Model, adaptation: Adaptation) -> list[keras.callbacks.Callback]:
    """Does to a model what a configuration says. Compile it afterwards.

    Args:
        model: a functional `keras.Model` of outputs by name; changed in place.
        adaptation: `config.Adaptation`. Its `rates` are for the optimizer: `learning_rate_factors(model, adaptation.rates)`.

    Returns:
        Callbacks for `model.fit`: `GradualUnfreezing` where there are `stages`.

    Raises:
        ValueError: a pattern matches no layer or none that it can be for, a layer is named in `freeze` and in `also` or `stages`, or in two
            stages, a stage or a rate is for layers of which nothing is trained, or nothing would be; the sentence names the field.

    Example:
        >>> from multimodal_tf.config import LoRA
        >>> adapt(model, Adaptation(train="heads", lora=[LoRA(layers=["title_network/*/query_dense"], rank=4)]))  # doctest: +SKIP
    """
    _check(model, adaptation)
    {"all": lambda model: None, "heads": head_only, "biases": biases_only, "nothing": nothing}[adaptation.train](model)
    freeze(model, *adaptation.freeze)
    unfreeze(model, *adaptation.also, *_staged(adaptation))
    for number, one in enumerate(adaptation.lora):
        with _named("lora", number):
            lora(model, *one.layers, rank=one.rank, alpha=one.alpha)
    for number, bottleneck in enumerate(adaptation.adapters):
        with _named("adapters", number):
            adapters(model, *bottleneck.layers, units=bottleneck.units, activation=bottleneck.activation, shared=bottleneck.shared)
    _check_trained(model, adaptation)
    return [GradualUnfreezing(adaptation.stages, adaptation.stage_epochs)] if adaptation.stages else []


def _staged(adaptation):
    return [pattern for stage in adaptation.stages for pattern in stage]


@contextlib.contextmanager
def _named(kind, number):
    """Errors begin with the field of the configuration."""
    field = f"adaptation.{kind}.{number}"
    try:
        yield
    except ValueError as error:
        said = str(error)
        inner = said.removeprefix(f"{kind}.")  # such as `layers: must match ...`
        raise ValueError(f"{field}: {said}" if inner == said else f"{field}.{inner}") from error


def _check(model, adaptation):
    """Before anything is changed: whether all patterns match, and whether what is frozen is to be trained as well."""
    for field in ("lora", "adapters"):
        for number, one in enumerate(getattr(adaptation, field)):
            paths.matched(model, one.layers, f"adaptation.{field}.{number}.layers")
    frozen = paths.within(model, adaptation.freeze, "adaptation.freeze")
    for field, patterns in (("also", adaptation.also), ("stages", _staged(adaptation))):
        both = [path for path in paths.matched(model, patterns, f"adaptation.{field}") if path in frozen]
        if both:
            raise ValueError(f"adaptation.{field}: must not name a layer that adaptation.freeze freezes, received {both[0]!r} in both")
    seen: set = set()
    for stage in adaptation.stages:
        found = paths.within(model, stage, "adaptation.stages")
        both = [path for path in found if path in seen and found[path].weights]
        if both:
            raise ValueError(f"adaptation.stages: a layer must be in one stage, received {both[0]!r} in two")
        seen.update(found)


def _check_trained(model, adaptation):
    """When all is done: whether something is trained, in each stage, and wherever a rate is for."""
    now = trained(model)
    if not now:
        raise ValueError(f"adaptation: must leave something to train, received {adaptation.model_dump(exclude_defaults=True)}")
    for field, groups in (("stages", adaptation.stages), ("rates", [[pattern] for pattern in adaptation.rates])):
        for patterns in groups:
            found = paths.within(model, patterns, f"adaptation.{field}").values()
            if not any(id(weight) in now for layer in found for weight in layer.weights):
                raise ValueError(f"adaptation.{field}: must match a layer that is trained, received {patterns}, of which nothing is")
