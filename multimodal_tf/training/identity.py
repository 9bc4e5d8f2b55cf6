"""What must be equal for a training, search or cross-validation to be continued."""

import hashlib
import json
import pathlib
from collections.abc import Collection, Mapping
from typing import Any

from multimodal_tf.config import Config
from multimodal_tf.config.json_files import read_object
from multimodal_tf.data import atomic
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.schema import Schema

Identity = dict[str, Any]

# fields of `training` that do not change the result
_WITHOUT_EFFECT = {"checkpoint_seconds", "checkpoint_steps"}


def training_identity(
    config: Config,
    schema: Schema,
    manifest: Manifest,
    arguments: Collection[str],
    strategy: str,
    teachers: Mapping[str, str] = {},
) -> Identity:
    """What an interrupted training and the one that resumes it must share.

    Args:
        config, schema: of the training.
        manifest: of its records.
        arguments: names of the arguments of `fit` that the configuration does not hold.
        strategy: its name and number of replicas.
        teachers: digests of the teachers, by folder.
    """
    settings = config.model_dump(mode="json")
    without_effect = {*_WITHOUT_EFFECT}
    if config.training.schedule == "constant":
        # of these, more or fewer may follow the same ones
        without_effect.add("epochs")
    settings["training"] = {
        name: value for name, value in settings["training"].items() if name not in without_effect
    }
    return {
        "data": manifest.hash,
        "schema": hashlib.sha256(schema.model_dump_json().encode()).hexdigest(),
        "arguments": list(arguments),
        "strategy": strategy,
        "configuration": settings,
    } | ({"teacher": dict(teachers)} if teachers else {})


def check_resumable(ours: Identity, theirs: Identity, checkpoints: pathlib.Path) -> None:
    """Checks that the checkpoints in a folder are of this training.

    Args:
        ours: the identity of this training.
        theirs: the identity in the checkpoints.
        checkpoints: the checkpoints' folder, in that of the run.

    Raises:
        ValueError: they are of another training; the message names the first difference.
    """
    for name, value in ours.items():
        # None: the checkpoint is of a version that did not write this field
        before = theirs.get(name)
        if value == before:
            continue
        what = name
        if isinstance(value, dict):
            what = f"{name}.{_first_difference(value, before or {})}"
        elif name == "strategy":
            what = f"{name} ({before!r}, received {value!r})"
        raise ValueError(
            f"{checkpoints.parent} holds an interrupted training that differs in {what}: "
            f"pass the same, or delete {checkpoints} to start anew"
        )


def _first_difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """The field in which two configurations differ, and its two values."""
    for name in {**ours, **theirs}:
        value, before = ours.get(name), theirs.get(name)
        if isinstance(value, dict) and isinstance(before, dict) and value != before:
            return f"{name}.{_first_difference(value, before)}"
        if value != before:
            return f"{name} ({before!r}, received {value!r})"
    return ""


def check_same(path: pathlib.Path, identity: Identity, what: str, lengthy: str) -> None:
    """Checks that a folder holds nothing, or the search or cross-validation that is continued.

    Args:
        path: of the JSON file with the folder's identity. A missing file is accepted.
        identity: what the file must hold.
        what: what the folder holds, for the message.
        lengthy: the field whose values are too long for the message.

    Raises:
        ValueError: the folder holds another one; the message names the first difference.
    """
    if not path.is_file():
        return
    theirs = read_object(path, f"the description of a {what}")
    for name, value in identity.items():
        before = theirs.get(name)
        if before != value:
            values = "" if name == lengthy else f" ({before!r}, received {value!r})"
            raise ValueError(
                f"{path.parent} holds a {what} that differs in {name}{values}: "
                "choose another directory"
            )


def save_identity(path: pathlib.Path, identity: Identity) -> None:
    """Writes the JSON file that `check_same` reads."""
    atomic.write_text(path, json.dumps(identity, indent=1))
