"""The heads of a model, one file for each family: what a model predicts or learns from.

What other rooms need to know of a head stands in its class as a fact (a class variable, a property
or a method), so that they do not branch on its type.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeAlias

from pydantic import Field

from multimodal_tf.config.heads.comparing import AlignmentHead, MatchingHead, TokenMatchingHead
from multimodal_tf.config.heads.embedding import EmbeddingHead
from multimodal_tf.config.heads.image import ImageHead
from multimodal_tf.config.heads.objectives import MaskedHead, OrderHead
from multimodal_tf.config.heads.of_labels import (
    ClassificationHead,
    CountHead,
    MultiLabelHead,
    OrdinalHead,
    QuantileHead,
    RegressionHead,
    nearest_to_median,
)
from multimodal_tf.config.heads.text import TextHead
from multimodal_tf.config.heads.views import ViewsHead
from multimodal_tf.config.inputs import Input
from multimodal_tf.config.names import TARGET

__all__ = [
    "AlignmentHead",
    "ClassificationHead",
    "ColumnHead",
    "CountHead",
    "EmbeddingHead",
    "GeneratingHead",
    "Head",
    "ImageHead",
    "LabelledHead",
    "LossHead",
    "MaskedHead",
    "MatchingHead",
    "MultiLabelHead",
    "ObjectiveHead",
    "OrderHead",
    "OrdinalHead",
    "PairHead",
    "QuantileHead",
    "RegressionHead",
    "TextHead",
    "ViewsHead",
    "TokenMatchingHead",
    "cell_tensors",
    "check_inputs",
    "comparing",
    "generating",
    "input_pairs",
    "labelled",
    "learns_without_labels",
    "objectives",
    "scoring",
    "nearest_to_median",
    "output_key",
    "prediction_keys",
    "served",
    "with_column",
    "with_loss",
]

# heads that read a column of labels
LabelledHead = (
    ClassificationHead | OrdinalHead | MultiLabelHead | RegressionHead | CountHead | QuantileHead
)
# heads that read a column of the table
ColumnHead: TypeAlias = LabelledHead | TextHead | ImageHead
# heads whose prediction is a text or an image
GeneratingHead: TypeAlias = TextHead | ImageHead
# heads that compare inputs
PairHead: TypeAlias = MatchingHead | AlignmentHead
# heads whose target is drawn from the cells of their own inputs
ObjectiveHead: TypeAlias = OrderHead | MaskedHead | ViewsHead
# heads with a loss and metrics
LossHead = LabelledHead | TextHead | ImageHead | PairHead | TokenMatchingHead | ObjectiveHead
Head = Annotated[LossHead | EmbeddingHead, Field(discriminator="type")]


def with_column(heads: Mapping[str, Head]) -> dict[str, ColumnHead]:
    """The heads that read a column of the table.

    Example:
        >>> list(with_column({"caption": TextHead(), "vector": EmbeddingHead()}))
        ['caption']
    """
    return {name: head for name, head in heads.items() if isinstance(head, ColumnHead)}


def generating(heads: Mapping[str, Head]) -> dict[str, GeneratingHead]:
    """The heads whose prediction is a text or an image.

    Example:
        >>> list(generating({"caption": TextHead(), "label": ClassificationHead()}))
        ['caption']
    """
    return {name: head for name, head in heads.items() if isinstance(head, GeneratingHead)}


def scoring(heads: Mapping[str, Head]) -> dict[str, TextHead]:
    """The heads of texts that give the probability of a text, token by token.

    Example:
        >>> heads = {"caption": TextHead(), "said": TextHead(decoder="ctc", inputs=["clip"])}
        >>> list(scoring(heads))
        ['caption']
    """
    return {
        name: head
        for name, head in heads.items()
        if isinstance(head, TextHead) and head.decoder != "ctc"
    }


def cell_tensors(inputs: Mapping[str, Any], heads: Iterable[str]) -> dict[str, Any]:
    """The inputs of a model that cells fill: all but the targets of heads that generate.

    Args:
        inputs: of the model, by key.
        heads: names of the model's heads.

    Example:
        >>> list(cell_tensors({"photo": 1, "caption_target": 2}, ["caption"]))
        ['photo']
    """
    targets = {name + TARGET for name in heads}
    return {name: tensor for name, tensor in inputs.items() if name not in targets}


def labelled(heads: Mapping[str, Head]) -> dict[str, LabelledHead]:
    """The heads that read a column of classes or numbers.

    Example:
        >>> list(labelled({"label": ClassificationHead(), "vector": EmbeddingHead()}))
        ['label']
    """
    return {name: head for name, head in heads.items() if isinstance(head, LabelledHead)}


def with_loss(heads: Mapping[str, Head]) -> dict[str, LossHead]:
    """The heads that have a loss and metrics.

    Example:
        >>> list(with_loss({"label": ClassificationHead(), "vector": EmbeddingHead()}))
        ['label']
    """
    return {name: head for name, head in heads.items() if isinstance(head, LossHead)}


def objectives(heads: Mapping[str, Head]) -> dict[str, LossHead]:
    """The heads that learn without labels.

    Example:
        >>> order = OrderHead(inputs=["title"])
        >>> list(objectives({"label": ClassificationHead(), "order": order}))
        ['order']
    """
    return {name: head for name, head in with_loss(heads).items() if head.target_type is None}


def comparing(heads: Mapping[str, Head]) -> dict[str, PairHead]:
    """The heads that compare inputs.

    Example:
        >>> list(comparing({"pair": MatchingHead(inputs=["a", "b"]), "vector": EmbeddingHead()}))
        ['pair']
    """
    return {name: head for name, head in heads.items() if isinstance(head, PairHead)}


def input_pairs(head: LossHead) -> list[tuple[str, str]]:
    """All pairs of the inputs that a head names.

    Example:
        >>> input_pairs(AlignmentHead(inputs=["photo", "title", "clip"]))
        [('photo', 'title'), ('photo', 'clip'), ('title', 'clip')]
    """
    return list(itertools.combinations(head.inputs or (), 2))


def served(heads: Mapping[str, Head]) -> dict[str, Head]:
    """The heads that an exported model answers.

    Example:
        >>> order = OrderHead(inputs=["title"])
        >>> list(served({"label": ClassificationHead(), "order": order}))
        ['label']
    """
    return {name: head for name, head in heads.items() if head.served}


def learns_without_labels(heads: Mapping[str, Head]) -> bool:
    """Whether rows without any label teach one of the heads.

    Example:
        >>> learns_without_labels({"label": ClassificationHead(), "vector": EmbeddingHead()})
        False
    """
    return bool(objectives(heads))


def prediction_keys(heads: Mapping[str, Head]) -> list[str]:
    """All keys of the served predictions and of the columns that `Client.predict` gives.

    Example:
        >>> prediction_keys({"price": QuantileHead()})
        ['price', 'price_low', 'price_high', 'price_quantiles']
    """
    return [name + ending for name, head in heads.items() for ending in ("", *head.endings)]


def output_key(name: str, head: Head) -> str:
    """The served key that holds a head's whole output, or all that is served of it.

    Example:
        >>> output_key("label", ClassificationHead()), output_key("price", RegressionHead())
        ('label_probabilities', 'price')
    """
    return name + head.endings[-1] if head.endings else name


def check_inputs(
    heads: Mapping[str, Head], vectors: Sequence[str], inputs: Mapping[str, Input]
) -> None:
    """Checks that the heads read inputs that exist, each once, and of a kind that they can read.

    Args:
        heads: by name.
        vectors: names of the vectors that fusion reads, `Config.vectors()`.
        inputs: by name.

    Raises:
        ValueError: a head names another input, one twice, or one that it cannot read.
    """
    for name, head in heads.items():
        chosen = head.inputs or []
        wrong = next((one for one in chosen if one not in vectors), None)
        if wrong is not None:
            raise ValueError(
                f"heads.{name}.inputs: must name inputs that have a tower of their own {vectors}, "
                f"received {wrong!r}"
            )
        if len(set(chosen)) < len(chosen):
            raise ValueError(f"heads.{name}.inputs: must name each input once, received {chosen}")
        for own in chosen:
            problem = head.input_problem(inputs.get(own))
            if problem:
                raise ValueError(f"heads.{name}.inputs: {own!r} {problem}")
        context = getattr(head, "context", [])
        others = [one for one in vectors if one not in chosen]
        if len(set(context)) < len(context) or not {*context} <= {*others}:
            raise ValueError(
                f"heads.{name}.context: must name inputs that have a tower of their own, other "
                f"than those in inputs, each once {others}, received {context}"
            )
