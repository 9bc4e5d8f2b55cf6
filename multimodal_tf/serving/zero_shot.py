"""Classes that an exported model chooses by their names alone: zero-shot classification."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.config.heads import prediction_keys
from multimodal_tf.config.saved_model.files import ASSETS, ZERO_SHOT_FILE
from multimodal_tf.data.kinds.cell import read_value
from multimodal_tf.data.requests import request_spec
from multimodal_tf.data.table import Table
from multimodal_tf.scoring.zero_shot import class_probabilities
from multimodal_tf.serving.columns import column

Tensors: TypeAlias = dict[str, tf.Tensor]

# behind the head's name: the served class, the probabilities of all, and the client's of the class
CLASS, PROBABILITIES, PROBABILITY = "_class", "_class_probabilities", "_class_probability"


@dataclasses.dataclass(frozen=True)
class ZeroShot:
    """Classes that a model with an alignment head chooses by texts, without a label.

    A row's class is the one whose text is nearest to the row's other inputs, in the mean over
    those that are present.

    Args:
        classes: names of two classes or more.
        prompt: the text of a class, with its name in place of `{}`.
        head: the alignment head; None: the only one with a text.
        input: its text; None: the only one.

    Raises:
        ValueError: there are fewer than two classes, two are equal, one has no letter, or `prompt`
            lacks `{}`.

    Example:
        >>> ZeroShot(["cat", "dog"], prompt="a photo of a {}").prompts
        ['a photo of a cat', 'a photo of a dog']
    """

    classes: Sequence[str]
    prompt: str = "{}"
    head: str | None = None
    input: str | None = None

    def __post_init__(self) -> None:
        names = list(self.classes)
        if len(names) < 2:
            raise ValueError(f"classes must be 2 or more, received {names}")
        empty = next((name for name in names if not name.strip()), None)
        if empty is not None:
            raise ValueError(f"a class must have a name, received {empty!r}")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"classes must differ, received {twice!r} twice")
        if self.prompt.count("{}") != 1:
            raise ValueError(
                f"prompt must hold {{}} once, for the name of a class, received {self.prompt!r}"
            )

    @property
    def prompts(self) -> list[str]:
        """The text of each class."""
        return [self.prompt.replace("{}", name) for name in self.classes]

    def resolved(self, config: Config) -> tuple[str, str]:
        """The head and its text.

        Raises:
            ValueError: the model has none, or several and none is named, or the named one is
                another, or a served key of the classes is a head's.
        """
        texts = {
            name: [own for own in head.inputs or [] if _is_text(config, own)]
            for name, head in config.heads.items()
            if head.aligns_inputs
        }
        fit = [name for name, own in texts.items() if own]
        head = _chosen(self.head, fit, "zero_shot.head", "an alignment head with a text")
        own = _chosen(self.input, texts[head], "zero_shot.input", f"a text of {head!r}")
        keys = [head + ending for ending in (CLASS, PROBABILITIES, PROBABILITY)]
        taken = next((key for key in keys if key in prediction_keys(config.heads)), None)
        if taken is not None:
            raise ValueError(
                f"classes are served as {', '.join(keys)}, so no head's key can have such a name, "
                f"received {taken!r}"
            )
        return head, own


class Classifier:
    """`ZeroShot` of one model: the vectors of its prompts, and what is served of a row.

    Args:
        zero_shot: the classes.
        model: functional `keras.Model`.
        config: of the model.
        prepare: raw cells to the model's inputs and the status of each row.

    Raises:
        ValueError: as `ZeroShot.resolved`, or a prompt cannot be read.
    """

    def __init__(
        self,
        zero_shot: ZeroShot,
        model: keras.Model,
        config: Config,
        prepare: Callable[[Tensors], tuple[Tensors, Tensors]],
    ) -> None:
        self.head, self._input = zero_shot.resolved(config)
        self.classes, self.prompts = list(zero_shot.classes), zero_shot.prompts
        self._index = (config.heads[self.head].inputs or []).index(self._input)
        cells = _only(config, self._input, self.prompts)
        output = model(prepare(cells)[0], training=False)[self.head][:, self._index].numpy()
        unread = np.flatnonzero(~output.any(axis=1))
        if len(unread):
            raise ValueError(
                f"the text of a class must be one that {self._input!r} can read, "
                f"received {self.prompts[unread[0]]!r}"
            )
        self._vectors, self._scale = output[:, :-2], float(output[0, -2])

    def __call__(self, output: tf.Tensor) -> Tensors:
        """What is served of the head's output `(batch, inputs, dim + 2)`.

        Returns:
            `{head}_class` string `(batch,)`, "" where no other input is present, and
            `{head}_class_probabilities` float32 `(batch, classes)`, equal there.
        """
        others = [index for index in range(output.shape[1]) if index != self._index]
        vectors = tf.gather(output[:, :, :-2], others, axis=1)
        probabilities, known = class_probabilities(vectors, self._vectors, self._scale)
        chosen = tf.gather(tf.constant(self.classes), tf.argmax(probabilities, axis=1))
        return {
            self.head + CLASS: tf.where(known, chosen, ""),
            self.head + PROBABILITIES: probabilities,
        }

    def described(self) -> dict[str, object]:
        """For the file beside the model."""
        return {
            "head": self.head,
            "input": self._input,
            "classes": self.classes,
            "prompts": self.prompts,
        }


def classes_of(table: Table, column: str) -> list[str]:
    """The different texts of a column, in order.

    Args:
        table: `Table`.
        column: its name.

    Raises:
        ValueError: there is no such column, or fewer than two different texts.
    """
    found = {
        read_value(cell)
        for chunk in table.chunks(columns=[column])
        for cell in chunk[column]
        if cell is not None
    }
    if len(found) < 2:
        raise ValueError(
            f"{table.name}: column {column!r} must have two classes or more, "
            f"received {sorted(found)}"
        )
    return sorted(found)


def columns(head: str, served: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The columns that `Client.predict` gives of the classes by texts."""
    return {
        head + CLASS: column(served[head + CLASS]),
        head + PROBABILITY: served[head + PROBABILITIES].max(axis=1),
    }


def load(path: str | os.PathLike[str]) -> tuple[str, list[str]] | None:
    """The head and the classes of an exported model; None where it has none.

    Raises:
        ValueError: the file does not hold them, as JSON.
    """
    file = pathlib.Path(path) / ASSETS / ZERO_SHOT_FILE
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        head, classes = content["head"], content["classes"]
    except (ValueError, RecursionError, KeyError, TypeError):
        head, classes = None, None
    texts = [head, *classes] if isinstance(classes, list) else [None]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(
            f"{file} is damaged, export the model again: it must hold a head and its classes, as"
            " JSON"
        )
    return head, classes


def _is_text(config: Config, name: str) -> bool:
    return name in config.inputs and config.inputs[name].type == "text"


def _chosen(named: str | None, fit: Sequence[str], field: str, what: str) -> str:
    if named is None and len(fit) == 1:
        return fit[0]
    if named is None or named not in fit:
        raise ValueError(f"{field} must be {what}, one of {list(fit)}, received {named!r}")
    return named


def _only(config: Config, name: str, texts: Sequence[str]) -> Tensors:
    """Rows that have the texts alone."""
    cells = {}
    for own, one in config.inputs.items():
        spec = request_spec(one)
        missing = "" if spec.dtype == tf.string else np.nan
        cells[own] = tf.fill([len(texts), *spec.shape[1:]], tf.constant(missing, spec.dtype))
    return cells | {name: tf.constant(texts)}
