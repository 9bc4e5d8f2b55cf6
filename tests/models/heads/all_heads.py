"""A configuration with every kind of head."""

from multimodal_tf.config import (
    AlignmentHead,
    ClassificationHead,
    ConcatenationFusion,
    Config,
    CountHead,
    DenseTower,
    EmbeddingHead,
    MatchingHead,
    MultiLabelHead,
    NumberInput,
    OrdinalHead,
    QuantileHead,
    RegressionHead,
)

NUMBER = NumberInput(tower=DenseTower(dim=4))
INPUTS = {"price": NUMBER, "weight": NUMBER}
# in an order that is not the alphabet's, which is Keras' own
HEADS = {
    "size": OrdinalHead(),
    "label": ClassificationHead(loss="focal"),
    "vector": EmbeddingHead(),
    "cost": QuantileHead(),
    "age": RegressionHead(),
    "visits": CountHead(),
    "pair": MatchingHead(inputs=["weight", "price"], dim=3),
    "space": AlignmentHead(inputs=["weight", "price"], dim=3),
    "tags": MultiLabelHead(),
}
CONFIG = Config(inputs=INPUTS, heads=HEADS, fusion=ConcatenationFusion(dropout=0, hidden=[6]))
