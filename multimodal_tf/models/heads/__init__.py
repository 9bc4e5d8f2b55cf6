"""Heads of a model: output layers, priors, losses and Keras metrics, one file a head.

Losses keep Keras' reduction `sum_over_batch_size`: the weighted losses of all rows, divided by the
number of all rows. So a row of weight 0 adds nothing, a class weight means the same in every batch,
and any batching and any number of replicas give the same total. Keras' `mean_with_sample_weight`
divides by the batch's sum of weights instead: class weights then cancel out in small batches
(entirely in a batch of one), and replicas with different numbers of labels are averaged wrongly.
A head whose label is often missing would pull less: `loss_weight` corrects this by the share of
rows that bear the label in the training split.

Every head is float32 under mixed precision too: a loss needs more digits than a convolution.
"""

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

import keras

from multimodal_tf.config import (
    AlignmentHead,
    ClassificationHead,
    CountHead,
    EmbeddingHead,
    Head,
    ImageHead,
    MaskedHead,
    MatchingHead,
    MultiLabelHead,
    OrderHead,
    OrdinalHead,
    QuantileHead,
    RegressionHead,
    TextHead,
    TokenMatchingHead,
    ViewsHead,
)
from multimodal_tf.config.heads import GeneratingHead, LossHead, with_loss
from multimodal_tf.models.heads import (
    alignment,
    classification,
    count,
    embedding,
    image,
    masked,
    matching,
    multi_label,
    order,
    ordinal,
    quantile,
    regression,
    text,
    token_matching,
    views,
)
from multimodal_tf.models.heads.interface import HeadModule
from multimodal_tf.models.heads.prior import PriorFallback
from multimodal_tf.models.reread import Reread
from multimodal_tf.schema import Classes, Images, Moments, Schema, Texts

Stats = Classes | Moments | Texts | Images | None


def module_of(head: Head) -> HeadModule:
    """The module with the layers, prior, loss and metrics of a head.

    Example:
        >>> module_of(EmbeddingHead()).__name__
        'multimodal_tf.models.heads.embedding'
    """
    match head:
        case ClassificationHead():
            return classification
        case OrdinalHead():
            return ordinal
        case MultiLabelHead():
            return multi_label
        case RegressionHead():
            return regression
        case CountHead():
            return count
        case QuantileHead():
            return quantile
        case TextHead():
            return text
        case ImageHead():
            return image
        case MatchingHead():
            return matching
        case TokenMatchingHead():
            return token_matching
        case AlignmentHead():
            return alignment
        case OrderHead():
            return order
        case MaskedHead():
            return masked
        case ViewsHead():
            return views
        case EmbeddingHead():
            return embedding
        case _:
            assert_never(head)


def output(
    head: Head,
    stats: Stats,
    x: keras.KerasTensor | Sequence[keras.KerasTensor] | Sequence[Reread] | text.Read | image.Read,
    name: str,
    any_present: keras.KerasTensor | Sequence[keras.KerasTensor] | None = None,
) -> keras.KerasTensor:
    """Adds the output layers of one head.

    Args:
        head: a head of the configuration.
        stats: what the schema holds for it: `Classes`, or `Moments` for a number; else None.
        x: `(batch, dim)`, the fused vector; of a head that compares inputs
            (`head.compares_inputs`) a list of their vectors, in the order of `head.inputs`; of one
            that reads changed cells (`head.rereads_inputs`) a list of `Reread`; of one that
            generates a text or an image (`head.generates`) a `text.Read` or an `image.Read`.
        name: of the last layer.
        any_present: float32 `(batch,)`, 1 where any of the head's inputs is present, 0 where the
            output is to be the prior; of a head that compares inputs a list of their flags.
            None: every row has an input, or the head rereads them or generates a text.

    Returns:
        float32: classification and ordinal `(batch, classes)`, sums to 1; multi-label `(batch,
        classes)`, each 0 to 1; regression `(batch, 1)`, count `(batch, 1)`, above 0, and quantile
        `(batch, quantiles)`, rising, in the label's own unit; embedding `(batch, dim)`, of length
        1, or 0 where no input is present; matching `(batch, 2, head.dim + 1)`: the scalar product
        of two vectors, of one row or of two, is the logit of their belonging together, zeros where
        one input is missing; alignment `(batch, inputs, head.dim + 2)`: a vector of length 1 for
        each input, then scale and shift of the logits, zeros where the input is missing; order
        and masked `(batch, 3)`: the row's loss, its hits, and of how many, zeros where it teaches
        nothing; text `(batch, 4)`, as `TargetScores` says, image `(batch, 4)`, as `ImageScores`
        says; views `(batch, 2, head.dim + 2)`: as alignment, of two views of one cell;
        token matching `(batch, 2, 3)`: logits of the row's pair and of two mismatched ones, and 1
        for each that counts, zeros where an input is missing.
    """
    return module_of(head).output(head, stats, x, name, any_present)


def target_input(head: GeneratingHead, name: str) -> keras.KerasTensor:
    """The Keras input of the target of a head that generates a text or an image."""
    match head:
        case TextHead():
            return text.target_input(head, name)
        case ImageHead():
            return image.target_input(head, name)
        case _:
            assert_never(head)


def prior(head: Head, stats: Stats, width: int = 0) -> list[float]:
    """The output of a head in a row without any input: it depends on the training split only.

    Classes get their shares of the training rows, a number its mean, quantiles those of a normal
    distribution, an embedding (of `width`) zeros.

    Returns:
        list of float, one row of what `output` returns.

    Example:
        >>> prior(ClassificationHead(), Classes(names=["cat", "dog"], counts=[1, 3]))
        [0.25, 0.75]
    """
    return module_of(head).prior(head, stats, width)


def with_prior(
    head: Head, stats: Stats, combined: keras.KerasTensor, any_present: keras.KerasTensor, name: str
) -> keras.KerasTensor:
    """A prediction that was combined from several, and the prior where no input is present.

    Args:
        head: as `output`.
        stats: as `output`.
        combined: float32, of the shape that `output` returns.
        any_present: float32 `(batch,)`, 1 where any input is present.
        name: of the layer.

    Returns:
        The shape of `combined`.
    """
    fallback = PriorFallback(prior(head, stats, combined.shape[-1]), dtype="float32", name=name)
    return fallback(combined, any_present)


def loss(head: Head, stats: Stats) -> keras.losses.Loss | None:
    """The loss of one head, for targets of `data.targets` and outputs of `output`.

    None for an embedding.
    """
    return module_of(head).loss(head, stats)


def loss_weight(head: LossHead, stats: Stats, rows: int) -> float:
    """The weight of one head's loss: `head.weight` over the share of `rows` that bear its label.

    Args:
        head: as `output`.
        stats: as `output`.
        rows: of the training split.
    """
    return head.weight * (rows / stats.rows if stats is not None and stats.rows else 1.0)


def metrics(head: Head) -> list[keras.metrics.Metric]:
    """The metrics of one head, weighted ones: a row of weight 0 does not count."""
    return module_of(head).metrics(head)


def compile_arguments(heads: Mapping[str, Head], schema: Schema) -> dict[str, dict[str, Any]]:
    """`loss`, `loss_weights` and `weighted_metrics` for `model.compile`, dicts by head.

    Heads without a loss are not in them.

    Args:
        heads: by name.
        schema: `Schema`.
    """
    learning = with_loss(heads)
    stats = {name: schema.heads.get(name) for name in learning}
    return {
        "loss": {name: loss(head, stats[name]) for name, head in learning.items()},
        "loss_weights": {
            name: loss_weight(head, stats[name], schema.rows) for name, head in learning.items()
        },
        "weighted_metrics": {name: metrics(head) for name, head in learning.items()},
    }
