"""A teacher: a trained model whose predictions a model learns beside the labels."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

import pydantic
from pydantic import Field

from multimodal_tf.config.heads import EmbeddingHead, Head, LabelledHead
from multimodal_tf.config.inputs import Input
from multimodal_tf.config.loss_weighting import FixedWeights, LossWeighting
from multimodal_tf.config.names import Positive, Strict, Temperature

Models = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=100)]


class Teacher(Strict):
    """A trained model that teaches this one: knowledge distillation.

    `model` is the folder of a run or of an exported SavedModel, or a list of them, whose
    predictions are averaged. It may read inputs that this model does not have; the records must
    hold them, and `ingest` adds them. Every row is taught in which the teacher sees an input, also
    without a label.

    `heads` are those that are taught; null: all that the teacher has, too. A mapping gives the
    teacher's own name of each: its head or, for an embedding head, one of the vectors that it
    serves by `embed`, such as `fused`. The loss of the predictions is a Kullback-Leibler divergence
    at `temperature` for classes, times its square; a squared error over the variance for numbers;
    one less the cosine for embeddings. It is added to that of the labels, times `weight`.

    Example:
        >>> Teacher(model="runs/large", heads=["label"]).models
        ['runs/large']

    Source: Hinton, Vinyals and Dean 2015, arXiv:1503.02531.
    """

    model: Annotated[str, Field(min_length=1)] | Models
    heads: Annotated[list[str], Field(min_length=1)] | dict[str, str] | None = None
    # of the teacher's loss, beside that of the labels, which is 1
    weight: Positive = 1.0
    temperature: Temperature = 2.0
    inputs: dict[str, Input] = Field(
        {}, description="inputs that the teacher alone reads; `ingest` fills them in"
    )

    @pydantic.field_validator("model", mode="before")
    @classmethod
    def _folders(cls, model: Any) -> Any:
        if not _names([model] if isinstance(model, str) else model):
            raise ValueError(
                "must be the folder of a run or of an exported SavedModel, or a list of such "
                f"folders, received {model!r:.80}"
            )
        return model

    @pydantic.field_validator("heads", mode="before")
    @classmethod
    def _heads(cls, heads: Any) -> Any:
        names = [*heads, *heads.values()] if isinstance(heads, Mapping) else heads
        if heads is not None and not _names(names):
            raise ValueError(
                "must be a list of heads, or a mapping of heads to the teacher's own names, "
                f"received {heads!r:.80}"
            )
        return heads

    @pydantic.model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.models)) < len(self.models):
            raise ValueError(f"model must name each teacher once, received {self.models}")
        return self

    @property
    def models(self) -> list[str]:
        """The folders of the teachers."""
        return [self.model] if isinstance(self.model, str) else list(self.model)

    def taught_by(self) -> dict[str, str] | None:
        """The teacher's name of each head that is taught; None: those that it has, too."""
        return {name: name for name in self.heads} if isinstance(self.heads, list) else self.heads


def _names(value: Any) -> bool:
    """Whether it is a list of one text or more, none of them empty."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, str) and one for one in value)
    )


def check_teacher(
    teacher: Teacher, heads: Mapping[str, Head], inputs: Mapping[str, Any], weighting: LossWeighting
) -> None:
    """Checks a teacher against the rest of a configuration.

    Raises:
        ValueError: a head does not exist, or is none that a teacher teaches, or there is no such
            head, or learned weights of losses meet an embedding, or an input of the teacher alone
            has a name of the model.
    """
    if not any(isinstance(head, LabelledHead | EmbeddingHead) for head in heads.values()):
        raise ValueError(
            "teacher: needs a head of labels or an embedding, which it teaches, received heads "
            f"{sorted(heads)}"
        )
    for name in teacher.taught_by() or {}:
        head = heads.get(name)
        if head is None:
            raise ValueError(f"teacher.heads must be of {sorted(heads)}, received {name!r}")
        if not isinstance(head, LabelledHead | EmbeddingHead):
            raise ValueError(
                "teacher.heads must be heads of labels or embeddings, received "
                f"{name!r} of type {head.type}"
            )
        if isinstance(head, EmbeddingHead) and not isinstance(weighting, FixedWeights):
            raise ValueError(
                f"teacher.heads: the embedding {name!r} needs loss_weighting fixed, received "
                f"{weighting.type}"
            )
    both = sorted({*teacher.inputs} & {*inputs, *heads})
    if both:
        raise ValueError(
            "teacher.inputs must not have names of the model's inputs or heads, received "
            f"{both[0]!r}"
        )
