"""The texts that `Client.score` takes."""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.config.heads import scoring
from multimodal_tf.config.names import TARGET
from multimodal_tf.config.spelling import canonical


def check(texts: object, config: Config, is_served: bool, rows: int) -> None:
    """Checks that there is a text for each row and head.

    Args:
        texts: as `Client.score` takes them.
        config: of the model.
        is_served: whether it was exported with the endpoint `score`.
        rows: their number.

    Raises:
        ValueError: there is not.
    """
    heads = list(scoring(config.heads)) if is_served else []
    if not heads:
        raise ValueError(
            "the model must have a head of texts, not of decoder ctc, and be exported anew where "
            f"it has, received {list(config.heads)}"
        )
    if not isinstance(texts, Mapping) or not texts or not {*texts} <= {*heads}:
        given = list(texts) if isinstance(texts, Mapping) else type(texts).__name__
        raise ValueError(f"texts must be lists by head, of {heads}, received {given}")
    for name, one in texts.items():
        if isinstance(one, str) or not all(isinstance(text, str) for text in one):
            raise ValueError(f"texts[{name!r}] must be a list of str, received {one!r:.80}")
        if len(one) != rows:
            raise ValueError(f"texts[{name!r}] must be {rows}, one a row, received {len(one)}")


def targets(texts: Mapping[str, Sequence[str]], config: Config, rows: int) -> dict[str, tf.Tensor]:
    """The tensors of the endpoint `score`, string `(rows,)`; "" for heads without texts."""
    found = {}
    for name in scoring(config.heads):
        cells = [canonical(one) for one in texts.get(name, [""] * rows)]
        found[name + TARGET] = tf.constant(cells, tf.string)
    return found
