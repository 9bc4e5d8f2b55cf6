"""`Config`: one validated configuration of a model, as Python objects, YAML or JSON.

An input's name is the key of the model's `Input`, of its tower and of the served signature.
TensorFlow Serving takes only letters, digits and underscores there, so a column of another spelling
keeps its spelling in `column`.
"""

import collections
import itertools
import json
import keyword
import math
import os
import pathlib
import re
from collections.abc import Iterable
from typing import Annotated, Any, Self

import pydantic
import upath
import yaml
from pydantic import Field

from multimodal_tf.config.fusion import ConcatenationFusion, Fusion, check_fusion
from multimodal_tf.config.heads import Head, check_inputs, prediction_keys
from multimodal_tf.config.inputs import TABULAR_TYPES, Input
from multimodal_tf.config.loss_weighting import FixedWeights, LossWeighting, check_loss_weighting
from multimodal_tf.config.monitor import check_monitor
from multimodal_tf.config.names import (
    ALIGNED,
    BYTES,
    EMBEDDING,
    FUSED,
    FUSED_OF,
    NAME,
    PRESENT,
    ROW,
    SEED,
    SERVED,
    TABULAR,
    TARGET,
    TOKENS,
    Strict,
    sentence,
)
from multimodal_tf.config.peft import Peft, check_pruning
from multimodal_tf.config.spelling import as_text
from multimodal_tf.config.split import Split
from multimodal_tf.config.teacher import Teacher, check_teacher
from multimodal_tf.config.towers import TabularTower
from multimodal_tf.config.training import Training
from multimodal_tf.config.yaml_text import load_yaml, read_yaml_file

# a path in place of a text
_FILE = re.compile(r"[^\n{]+\.(yaml|yml|json)", re.IGNORECASE)
# numbers in the tensors of one batch: 16 GiB
_LARGEST_BATCH = 2**32


class Config(Strict):
    """A whole model: its inputs, fusion and heads, and how it is trained.

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
    missing: Annotated[
        list[
            Annotated[str, pydantic.BeforeValidator(as_text), Field(min_length=1, max_length=100)]
        ],
        Field(max_length=1000, description="words that stand for gaps in all columns: NA, ?"),
    ] = []
    split: Split = Split()
    training: Training = Training()
    peft: Peft | None = Field(
        None, description="what `fit` trains of the model, and adds to it; null: all of it, nothing"
    )
    teacher: Teacher | None = Field(
        None, description="a trained model whose predictions it learns, too; null: labels alone"
    )
    max_unreadable: Annotated[float, Field(ge=0, le=1)] = Field(
        0.2,
        description="share of an input's cells that may be broken: of a table with more, `ingest`"
        " refuses the whole",
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @pydantic.model_validator(mode="after")
    def _names_are_valid(self) -> Self:
        for name in [*self.inputs, *self.heads]:
            # Python's TensorFlow calls a signature by keywords
            if not NAME.fullmatch(name) or keyword.iskeyword(name) or name == "self":
                raise ValueError(
                    "a name must be a letter followed by letters, digits or underscores and no "
                    f"Python keyword, received {name!r}: "
                    "choose such a name and give the table's spelling in `column`"
                )
        for name in self.heads:
            if name.endswith(BYTES):
                raise ValueError(
                    f"a head's name must not end in {BYTES}, which TensorFlow Serving's REST takes"
                    f" for base64, received {name!r}: choose another name and give the table's in"
                    " `column`"
                )
        return self

    @pydantic.model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        towers = [*self.inputs, TABULAR] if self.tabular is not None else [*self.inputs]
        endings = (PRESENT, EMBEDDING, TOKENS)
        own = [*towers, *(name + ending for name in towers for ending in endings), FUSED]
        own += [FUSED_OF + head for head in self.heads]
        own += [name + TARGET for name, head in self.heads.items() if head.generates]
        own += [SEED] if any(head.samples for head in self.heads.values()) else []
        own += [head + ALIGNED + one for head in self.heads for one in towers]
        served = [*prediction_keys(self.heads), *SERVED, ROW]
        for taken, what in (
            ([*own, "error"], "input keys"),
            (served, "head keys"),
            ([*own, *self.heads], "layers"),
        ):
            twice = sorted(key for key, count in collections.Counter(taken).items() if count > 1)
            if twice:
                raise ValueError(
                    f"two {what} would be called {twice[0]!r}: "
                    "choose another name and give the table's in `column`"
                )
        return self

    @pydantic.model_validator(mode="after")
    def _arguments_differ_by_more_than_case(self) -> Self:
        # those of the served functions, which TensorFlow takes in lower case
        arguments = sorted(
            (name + ending for name in self.inputs for ending in ("", PRESENT)),
            key=lambda name: (name.lower(), name),
        )
        for first, second in itertools.pairwise(arguments):
            if first.lower() == second.lower():
                raise ValueError(
                    f"two input keys would be called {first!r} and {second!r}, which differ only in"
                    " case: choose another name and give the table's in `column`"
                )
        return self

    @pydantic.model_validator(mode="after")
    def _fusion_fits_heads(self) -> Self:
        check_fusion(self.fusion, self.heads)
        return self

    @pydantic.model_validator(mode="after")
    def _tabular_has_columns(self) -> Self:
        if self.tabular is not None and not self.tabular_inputs():
            raise ValueError(
                f"tabular: a {self.tabular.type} needs an input of type "
                f"{', '.join(TABULAR_TYPES)}, received {list(self.inputs)}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _batch_fits(self) -> Self:
        read = self.inputs | {
            name + TARGET: one.cell_input for name, one in self.heads.items() if one.cell_input
        }
        sizes = {name: math.prod(one.model_shape) for name, one in read.items()}
        values = self.training.batch_size * sum(sizes.values())
        if values > _LARGEST_BATCH:
            name = max(sizes, key=lambda name: sizes[name])
            raise ValueError(
                f"training.batch_size rows of all inputs must have at most {_LARGEST_BATCH:,}"
                f" numbers, received {values:,}: lower it, or the size of {name!r}, which has"
                f" {sizes[name]:,} in each row"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _heads_are_valid(self) -> Self:
        check_inputs(self.heads, self.vectors(), self.inputs)
        check_monitor(self.training.monitor, self.heads)
        check_pruning(self.training.pruning, self.peft)
        check_loss_weighting(self.loss_weighting, self.heads, self.fusion, self.vectors())
        if self.teacher is not None:
            check_teacher(self.teacher, self.heads, self.inputs, self.loss_weighting)
        return self

    def tabular_inputs(self) -> list[str]:
        """Names of the inputs that the tower `tabular` reads; none where there is no such tower."""
        if self.tabular is None:
            return []
        return [name for name, one in self.inputs.items() if one.is_tabular]

    def vectors(self) -> list[str]:
        """Names of the vectors that the fusion reads: every input's, or `tabular`'s.

        `tabular` stands last, in place of the inputs that this tower reads.
        """
        together = self.tabular_inputs()
        return [name for name in self.inputs if name not in together] + (
            [TABULAR] if together else []
        )

    def vector_inputs(self) -> dict[str, list[str]]:
        """The inputs behind each vector that the fusion reads: one, or those of `tabular`."""
        together = self.tabular_inputs()
        return {name: [name] if name in self.inputs else together for name in self.vectors()}

    def vector_columns(self, names: Iterable[str]) -> list[list[int]]:
        """The indices in `inputs` of the inputs behind each vector."""
        order, behind = list(self.inputs), self.vector_inputs()
        return [[order.index(own) for own in behind[name]] for name in names]

    def head_vectors(self, head: str) -> list[str]:
        """Names of the vectors that a head reads."""
        return self.heads[head].inputs or self.vectors()

    def column(self, name: str) -> str:
        """The table's column that an input or head of this name reads."""
        settings: Any = self.inputs[name] if name in self.inputs else self.heads[name]
        # some heads read none
        column: str | None = getattr(settings, "column", None)
        return name if column is None else column

    def taught_by(self, models: list[str]) -> Self:
        """The configuration with these folders of teachers; their other settings stay.

        Raises:
            ValueError: a rule of `Teacher` is broken.
        """
        fields = {} if self.teacher is None else self.teacher.model_dump()
        return type(self).model_validate(
            self.model_dump() | {"teacher": fields | {"model": models}}
        )

    def to_yaml(self) -> str:
        """The configuration as YAML text."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    @classmethod
    def from_yaml(cls, text: str | os.PathLike[str]) -> Self:
        """The configuration in a YAML or JSON text (JSON is YAML), or in such a file: as `load`.

        Args:
            text: of several lines; what ends in .yaml, .yml or .json is the path of a file.

        Raises:
            ValueError: the text is not YAML or more than `load_yaml` reads, or breaks a rule; one
                clause per fault, with the field and what was received.
        """
        if isinstance(text, os.PathLike) or _FILE.fullmatch(text.strip()):
            return cls.load(pathlib.Path(text))
        try:
            fields = load_yaml(text)
        except ValueError as error:
            raise ValueError(f"the configuration is not YAML: {error}") from error
        try:
            return cls.model_validate(fields)
        except pydantic.ValidationError as error:
            raise ValueError(f"the configuration is wrong: {sentence(error, cls)}") from error

    @classmethod
    def load(cls, path: str | pathlib.Path | upath.UPath) -> Self:
        """Reads a `.yaml` or `.json` file; errors as in `from_yaml`, with the file's name."""
        try:
            return cls.from_yaml(read_yaml_file(path))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def save(self, path: str | pathlib.Path) -> None:
        """Writes YAML, or JSON where `path` ends in `.json`."""
        path = pathlib.Path(path)
        if path.suffix == ".json":
            text = json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False)
        else:
            text = self.to_yaml()
        path.write_text(text, encoding="utf-8")


def check_config(config: object) -> None:
    """Checks an argument that must be a configuration.

    Raises:
        ValueError: it is something else, such as the path of a file.
    """
    if not isinstance(config, Config):
        raise ValueError(
            f"config must be a Config, such as Config.load(path), received {config!r:.80}"
        )
