"""What a teacher's folder says of it: a run or an exported SavedModel, its configuration, a digest.

No model is loaded here.
"""

import hashlib
import pathlib

from multimodal_tf.config import Config
from multimodal_tf.config.saved_model.files import (
    ASSETS,
    CONFIG_FILE,
    SCHEMA_FILE,
    TEMPERATURE_FILE,
)
from multimodal_tf.schema import Schema

# of a run, as `training.run_dir` writes it
_RUN, _RUN_FILES = "run.json", ("model.keras", "config.yaml", "schema.json")
_GRAPH = "saved_model.pb"


class TeacherFiles:
    """A teacher's folder.

    Args:
        model: the folder of a run or of an exported SavedModel.

    Raises:
        ValueError: it is neither.
    """

    def __init__(self, model: str) -> None:
        self.model, self.path = model, pathlib.Path(model)
        self.is_run = (self.path / _RUN).is_file()
        if self.is_run:
            self._files = [self.path / name for name in _RUN_FILES]
        else:
            assets = [self.path / ASSETS / name for name in (CONFIG_FILE, SCHEMA_FILE)]
            self._files = [self.path / _GRAPH, *assets]
        lacking = next((one for one in self._files if not one.is_file()), None)
        if lacking is not None:
            raise ValueError(
                "teacher.model must be the folder of a finished run or of an exported SavedModel, "
                f"received {model!r} without {lacking.relative_to(self.path)}"
            )

    @property
    def config(self) -> Config:
        """The teacher's configuration."""
        return Config.load(self._files[1])

    @property
    def schema(self) -> Schema:
        """The teacher's schema."""
        return Schema.load(self._files[2])

    @property
    def digest(self) -> str:
        """SHA-256 of all that its predictions depend on, in hexadecimal."""
        files = list(self._files)
        if not self.is_run:
            beside = (self.path / folder for folder in ("variables", "assets"))
            files += sorted(one for folder in beside for one in folder.rglob("*") if one.is_file())
            files += [one for one in [self.path / ASSETS / TEMPERATURE_FILE] if one.is_file()]
        found = hashlib.sha256()
        for file in files:
            with file.open("rb") as content:
                of_file = hashlib.file_digest(content, "sha256").hexdigest()
            found.update(f"{file.relative_to(self.path)} {of_file}\n".encode())
        return found.hexdigest()


def with_teacher_inputs(config: Config) -> Config:
    """The configuration with `teacher.inputs`: those of its teachers that it does not read itself.

    Raises:
        ValueError: a teacher is no model, or an input has the name of a head.

    Example:
        >>> from multimodal_tf.config import ClassificationHead, NumberInput
        >>> heads = {"label": ClassificationHead()}
        >>> config = Config(inputs={"price": NumberInput()}, heads=heads)
        >>> with_teacher_inputs(config) is config
        True
    """
    if config.teacher is None:
        return config
    found = dict(config.teacher.inputs)
    for model in config.teacher.models:
        for name, one in TeacherFiles(model).config.inputs.items():
            if name not in config.inputs:
                found.setdefault(name, one)
    fields = config.teacher.model_dump() | {
        "inputs": {name: one.model_dump() for name, one in found.items()}
    }
    # checked as a whole
    return Config.model_validate(config.model_dump() | {"teacher": fields})
