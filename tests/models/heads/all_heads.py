"""A configuration with every kind of head."""

from multimodal_tf.config import (
    AlignmentHead,
    ClassificationHead,
    ConcatenationFusion,
    Config,
    CountHead,
    DenseTower,
    EmbeddingHead,
    GRUTower,
    ImageHead,
    MaskedHead,
    MatchingHead,
    MultiLabelHead,
    NumberInput,
    OrderHead,
    OrdinalHead,
    QuantileHead,
    RegressionHead,
    TextHead,
    TextInput,
    TokenMatchingHead,
    ViewsHead,
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
    "order": OrderHead(inputs=["note"]),
    "views": ViewsHead(inputs=["note"], dim=3),
    "hidden": MaskedHead(inputs=["note"], context=["price"], dim=4),
    "caption": TextHead(
        dim=4, heads=2, depth=1, mlp_units=4, max_tokens=4, dropout=0, inputs=["price", "note"]
    ),
    "drawing": ImageHead(height=5, width=6, channels=1, filters=[4, 3], latent=2),
    "tokens": TokenMatchingHead(inputs=["note", "price"], dim=4, heads=2),
}
NOTE = TextInput(max_tokens=6, tower=GRUTower(units=4, embedding_dim=4, dropout=0))
CONFIG = Config(
    inputs=INPUTS | {"note": NOTE},
    heads=HEADS,
    fusion=ConcatenationFusion(dropout=0, hidden=[6]),
)
