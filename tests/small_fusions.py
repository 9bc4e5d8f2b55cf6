"""Small inputs, every fusion of them, and rows with gaps."""

import contract
import numpy as np

from multimodal_tf.config import (
    AttentionFusion,
    AudioInput,
    BagTower,
    BilinearFusion,
    BottleneckFusion,
    CategoryInput,
    ClassificationHead,
    ConcatenationFusion,
    Config,
    ConvTower,
    CrossModalFusion,
    DecisionFusion,
    DenseTower,
    GatedFusion,
    HybridFusion,
    ImageInput,
    LowRankTensorFusion,
    MeanFusion,
    MultiLabelHead,
    NumberInput,
    ProductFusion,
    RegressionHead,
    SelfAttentionFusion,
    SpectrogramTower,
    SumFusion,
    TextInput,
    WeightedSumFusion,
)

SMALL = DenseTower(dim=4)
TWO = {"price": NumberInput(tower=SMALL), "colour": CategoryInput(tower=SMALL, unknown=0)}
WORDS = {
    name: TextInput(max_tokens=4, tower=BagTower(embedding_dim=5, dim=3, dropout=0))
    for name in ("title", "note")
}
PHOTO = ImageInput(height=8, width=8, channels=1, tower=ConvTower(filters=[4, 4], dim=6))
CLIP = AudioInput(
    sample_rate=4000, seconds=0.1, tower=SpectrogramTower(filters=[4], mel_bins=8, dim=6)
)
# one, many and masked tokens
MIXED = {"photo": PHOTO, "title": WORDS["title"], "price": TWO["price"]}
ALL = {"photo": PHOTO, "title": WORDS["title"], "clip": CLIP, **TWO}
PLAIN = {"hidden": [], "dropout": 0, "dim": 6}
BLOCKS = PLAIN | {"heads": 2, "mlp_units": 8, "block_dropout": 0}
FUSIONS = {
    "concatenation": ConcatenationFusion(hidden=[8], dropout=0),
    "sum": SumFusion(**PLAIN),
    "mean": MeanFusion(**PLAIN),
    "product": ProductFusion(**PLAIN),
    "weighted sum": WeightedSumFusion(**PLAIN),
    "attention": AttentionFusion(**PLAIN | {"hidden": [5]}),
    "gated": GatedFusion(**PLAIN),
    "bilinear": BilinearFusion(**PLAIN),
    "low-rank tensor": LowRankTensorFusion(**PLAIN, rank=2),
    "self-attention": SelfAttentionFusion(**BLOCKS),
    "bottleneck": BottleneckFusion(**BLOCKS, depth=1, bottlenecks=2),
    "cross-modal": CrossModalFusion(**BLOCKS),
}
HEADS = {"kind": ClassificationHead(), "tags": MultiLabelHead(), "cost": RegressionHead()}
# every kind of input and three heads
WHOLE = Config(inputs=ALL, heads=HEADS, fusion=ConcatenationFusion(hidden=[8], dropout=0), seed=7)
OF_TOKENS = ("bottleneck", "cross-modal")
LEVELS = {
    "decision, mean": DecisionFusion(dropout=0),
    "decision, stacking": DecisionFusion(dropout=0, combine="stacking"),
    "hybrid": HybridFusion(dropout=0, combine="weights", over=FUSIONS["attention"]),
}


def configuration(fusion, inputs=TWO, heads=None):
    return Config(inputs=inputs, heads=heads or {"label": ClassificationHead()}, fusion=fusion)


def of(kind):
    """The configuration of a fusion, on texts where it reads tokens."""
    return configuration((FUSIONS | LEVELS)[kind].model_copy(), WORDS if kind in OF_TOKENS else TWO)


def with_gaps(config):
    """`(rows, flags)`: four rows with both inputs, the first, the second, and none."""
    rows, flags = contract.rows_of(config, 4), np.array([[1, 1], [1, 0], [0, 1], [0, 0]], bool)
    for name, present in zip(config.inputs, flags.T):
        rows = contract.without(rows, name, ~present)
    return rows, flags
