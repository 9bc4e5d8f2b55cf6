"""Models of two heads with a loss, whose loss weights are learned."""

import contract

from multimodal_tf.config import (
    ClassificationHead,
    ConcatenationFusion,
    Config,
    DenseTower,
    EmbeddingHead,
    GradNormWeights,
    NumberInput,
    RegressionHead,
    UncertaintyWeights,
)
from multimodal_tf.models import build_model, compile_arguments

INPUTS = {
    "price": NumberInput(tower=DenseTower(dim=4)),
    "weight": NumberInput(tower=DenseTower(dim=4)),
}
HEADS = {
    "zone": ClassificationHead(label_smoothing=0),
    "cost": RegressionHead(weight=0.5),
    "vector": EmbeddingHead(),
}
KINDS = {"uncertainty": UncertaintyWeights(), "gradnorm": GradNormWeights()}


def configuration(loss_weighting, heads=HEADS):
    return Config(
        inputs=INPUTS,
        heads=heads,
        loss_weighting=loss_weighting,
        fusion=ConcatenationFusion(hidden=[6], dropout=0),
    )


def ready(loss_weighting, optimizer="adam", run_eagerly=True):
    """`(model, config, rows, targets)`: a compiled model and eight rows."""
    config = configuration(loss_weighting)
    model = build_model(config, contract.schema_of(config))
    model.compile(
        optimizer, run_eagerly=run_eagerly, **compile_arguments(config, contract.schema_of(config))
    )
    return model, config, contract.rows_of(config, 8), contract.targets_of(config, 8)
