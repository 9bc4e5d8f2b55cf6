"""The score on validation rows that chooses the epoch whose weights are kept."""

from collections.abc import Mapping

from multimodal_tf.config.heads import Head, with_loss

# the total of the heads' losses, as Keras calls it
VAL_LOSS = "val_loss"
_RETRIEVAL = "mean_average_precision"


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


def chosen_monitor(monitor: str | None, heads: Mapping[str, Head]) -> str:
    """The name of the score that chooses an epoch.

    An alignment that knows its training rows by heart is too sure of other pairs: its loss grows
    while its ranks still improve. Views of one cell soon all find each other, and their loss goes
    on to tell better epochs from worse.

    Args:
        monitor: `training.monitor`; None: the default of these heads.

    Example:
        >>> from multimodal_tf.config import AlignmentHead
        >>> chosen_monitor(None, {"space": AlignmentHead(inputs=["photo", "title"])})
        'val_space_mean_average_precision'
    """
    if monitor is not None:
        return monitor
    learned = list(with_loss(heads).items())
    if len(learned) == 1 and learned[0][1].aligns_inputs:
        return f"val_{learned[0][0]}_{_RETRIEVAL}"
    return VAL_LOSS


def check_monitor(monitor: str | None, heads: Mapping[str, Head]) -> None:
    """Checks that a head has the score that chooses an epoch.

    Raises:
        ValueError: none has.
    """
    known = [VAL_LOSS, *monitors(heads)]
    if monitor is not None and monitor not in known:
        raise ValueError(
            f"training.monitor must be one of {', '.join(known)}, received {monitor!r}, "
            "which no head has"
        )
