"""JSON files that the package wrote: a damaged one is one sentence."""

import json
import pathlib
from typing import Any, TypeVar

import pydantic
import upath

from multimodal_tf.config.names import first_fault

_Model = TypeVar("_Model", bound=pydantic.BaseModel)


def read_object(path: pathlib.Path, what: str) -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        path: of the file.
        what: what it should be, such as "the record of a run".

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds something else.

    Example:
        >>> import tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "a.json")
        >>> _ = path.write_text("[1")
        >>> read_object(path, "the record of a run")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: ...a.json is not the record of a run: ...
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    # a file of many brackets
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not {what}: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} is not {what}: it must be a JSON object")
    return found


def read_model(path: pathlib.Path | upath.UPath, model: type[_Model], what: str) -> _Model:
    """The pydantic model that a JSON file holds; arguments and errors as `read_object`."""
    try:
        return model.model_validate_json(path.read_text(encoding="utf-8"))
    except (pydantic.ValidationError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not {what}: {first_fault(error)}") from error
