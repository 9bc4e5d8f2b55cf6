"""The score on validation rows that chooses the epoch whose weights are kept."""

from collections.abc import Mapping

from multimodal_tf.config.heads import Head

# the total of the heads' losses, as Keras calls it
VAL_LOSS = "val_loss"


def monitors(heads: Mapping[str, Head]) -> dict[str, tuple[str, str]]:
    """Head and score by the name that `training.monitor` gives them, `val_{head}_{score}`.

    Example:
        >>> from multimodal_tf.config import RegressionHead
        >>> monitors({"price": RegressionHead()})
        {'val_price_mae': ('price', 'mae')}
    """
    return {
        f"val_{name}_{score}": (name, score)
        for name, head in heads.items()
        for score in head.monitors
    }


def check_monitor(monitor: str, heads: Mapping[str, Head]) -> None:
    """Checks that a head has the score that chooses an epoch.

    Raises:
        ValueError: none has.
    """
    known = [VAL_LOSS, *monitors(heads)]
    if monitor not in known:
        raise ValueError(
            f"training.monitor must be one of {', '.join(known)}, received {monitor!r}, "
            "which no head has"
        )
