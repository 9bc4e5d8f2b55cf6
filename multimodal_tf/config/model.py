"""What a model is: one validated configuration, as Python objects or as the same thing in YAML or
JSON.

Names: an input's name is the key of the model's `Input`, of its tower and of the served signature.
TensorFlow Serving takes only letters, digits and underscores there, so a column of another spelling
keeps its spelling in `column`.
"""

import json
import keyword
import pathlib
from collections.abc import Iterable
from typing import Annotated, Literal

import pydantic
import upath
import yaml
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from multimodal_tf.config.fusion import ConcatenationFusion, Fusion, check_fusion
from multimodal_tf.config.heads import Head, MatchingHead, check_inputs, prediction_keys
from multimodal_tf.config.inputs import TABULAR_TYPES, Input
from multimodal_tf.config.loss_weighting import FixedWeights, LossWeighting, check_loss_weighting
from multimodal_tf.config.names import (
    EMBEDDING,
    FUSED,
    FUSED_OF,
    NAME,
    PRESENT,
    ROW,
    SERVED,
    TABULAR,
    TOKENS,
    Fraction,
    Strict,
    sentence,
)
from multimodal_tf.config.peft import Peft
from multimodal_tf.config.towers import TabularTower


class Split(Strict):
    """How rows fall into train, validation and test.

    `column` names a column that says it (`train`, `validation` or `val`, `test`). Otherwise rows
    are drawn by the seed: no value of the column `group` stands on two sides, and the values of the
    column `stratify` keep their proportions.
    """

    column: str | None = None
    group: str | None = None
    stratify: str | None = None
    validation: Fraction = 0.1
    test: Fraction = 0.2

    @pydantic.model_validator(mode="after")
    def _consistent(self):
        if self.column is not None and (self.group is not None or self.stratify is not None):
            raise ValueError(
                "split.column gives the split, so split.group and split.stratify must be absent"
            )
        if self.validation + self.test >= 1:
            raise ValueError(
                f"split.validation + split.test must leave rows to train on, received {self.validation} + {self.test}"
            )
        return self


class Training(Strict):
    """How `training.fit` trains."""

    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: PositiveFloat = 3e-3
    weight_decay: NonNegativeFloat = 1e-4
    # sgd only
    momentum: Fraction = 0.9
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_epochs: NonNegativeFloat = 1.0
    epochs: PositiveInt = 40
    batch_size: PositiveInt = 32
    # epochs without a better validation loss before training stops; null: never
    patience: PositiveInt | None = None
    # over the rows of all replicas, where a strategy spreads them
    synchronized_batch_normalization: bool = False
    # between two checkpoints, or longer, so that they take a 50th of the time at most
    checkpoint_seconds: PositiveFloat = 60.0
    # batches between two checkpoints; null: `checkpoint_seconds` counts
    checkpoint_steps: PositiveInt | None = None


class Config(Strict):
    """The whole model: what comes in, how it meets, what is asked.

    Example:
        >>> from multimodal_tf.config import ClassificationHead, TextInput
        >>> config = Config(inputs={"title": TextInput()}, heads={"label": ClassificationHead()})
        >>> Config.from_yaml(config.to_yaml()) == config
        True
    """

    inputs: dict[str, Input] = Field(min_length=1)
    heads: dict[str, Head] = Field(min_length=1)
    tabular: TabularTower | None = Field(
        None,
        description="one tower over all numbers, categories, dates and booleans; null: one each",
    )
    fusion: Fusion = ConcatenationFusion()
    loss_weighting: LossWeighting = FixedWeights()
    split: Split = Split()
    training: Training = Training()
    peft: Peft | None = Field(
        None, description="what `fit` trains of the model, and adds to it; null: all of it, nothing"
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @pydantic.model_validator(mode="after")
    def _names(self):
        for name in [*self.inputs, *self.heads]:
            # Python's TensorFlow calls a signature by keywords
            if not NAME.fullmatch(name) or keyword.iskeyword(name) or name == "self":
                raise ValueError(
                    f"a name must be a letter followed by letters, digits or underscores and no Python keyword, received {name!r}: "
                    "choose such a name and give the table's spelling in `column`"
                )
        towers = [*self.inputs, TABULAR] if self.tabular is not None else [*self.inputs]
        own = [
            *towers,
            *(name + suffix for name in towers for suffix in (PRESENT, EMBEDDING, TOKENS)),
            FUSED,
        ]
        own += [FUSED_OF + head for head in self.heads]
        served = [*prediction_keys(self.heads), *SERVED, ROW]
        for taken, where in (
            ([*own, "error"], "input keys"),
            (served, "head keys"),
            ([*own, *self.heads], "layers"),
        ):
            twice = sorted({key for key in taken if taken.count(key) > 1})
            if twice:
                raise ValueError(
                    f"two {where} would be called {twice[0]!r}: choose another name and give the table's in `column`"
                )
        return self

    @pydantic.model_validator(mode="after")
    def _fusion_answers_heads(self):
        check_fusion(self.fusion, self.heads)
        return self

    @pydantic.model_validator(mode="after")
    def _tabular_has_columns(self):
        if self.tabular is not None and not self.tabular_inputs():
            raise ValueError(
                f"tabular: a {self.tabular.type} needs an input of type {', '.join(TABULAR_TYPES)}, received {list(self.inputs)}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _heads_fit(self):
        check_inputs(self.heads, self.vectors())
        check_loss_weighting(self.loss_weighting, self.heads, self.fusion, self.vectors())
        return self

    def tabular_inputs(self):
        """Names of the inputs that the tower `tabular` reads; none where there is no such tower."""
        return (
            [name for name, part in self.inputs.items() if part.type in TABULAR_TYPES]
            if self.tabular is not None
            else []
        )

    def vectors(self):
        """Names of the vectors that fusion reads: every input's, but `tabular` in place of those
        that this tower reads.
        """
        together = self.tabular_inputs()
        return [name for name in self.inputs if name not in together] + (
            [TABULAR] if together else []
        )

    def vector_inputs(self) -> dict[str, list[str]]:
        """By vector that fusion reads: the inputs behind it, one or those of the tower `tabular`."""
        together = self.tabular_inputs()
        return {name: [name] if name in self.inputs else together for name in self.vectors()}

    def vector_columns(self, names: Iterable[str]) -> list[list[int]]:
        """By vector: the indices of the inputs behind it, in the order of `inputs`."""
        order, behind = list(self.inputs), self.vector_inputs()
        return [[order.index(own) for own in behind[name]] for name in names]

    def head_vectors(self, head: str) -> list[str]:
        """Names of the vectors that a head reads."""
        return self.heads[head].inputs or self.vectors()

    def matching_heads(self) -> dict[str, MatchingHead]:
        """The heads that align two inputs, by name."""
        return {name: head for name, head in self.heads.items() if isinstance(head, MatchingHead)}

    def column(self, name):
        """The table's column that an input or head of this name reads."""
        part = self.inputs[name] if name in self.inputs else self.heads[name]
        # matching and embedding heads read none
        column = getattr(part, "column", None)
        return name if column is None else column

    def to_yaml(self):
        """The configuration as YAML text."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    @classmethod
    def from_yaml(cls, text):
        """The configuration in a YAML or JSON text (JSON is YAML).

        Raises:
            ValueError: the text is not YAML, or breaks a rule; one line per fault, with the field
            and what was received.
        """
        try:
            return cls.model_validate(yaml.safe_load(text))
        except (yaml.YAMLError, RecursionError) as error:
            raise ValueError(
                f"the configuration is not YAML: {' '.join(str(error).split())}"
            ) from error
        except pydantic.ValidationError as error:
            raise ValueError(f"the configuration is wrong: {sentence(error)}") from error

    @classmethod
    def load(cls, path):
        """Reads a `.yaml` or `.json` file; errors as `from_yaml`, with the file's name."""
        try:
            return cls.from_yaml(upath.UPath(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def save(self, path):
        """Writes YAML, or JSON where `path` ends in `.json`."""
        path = pathlib.Path(path)
        text = (
            json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False)
            if path.suffix == ".json"
            else self.to_yaml()
        )
        path.write_text(text, encoding="utf-8")
