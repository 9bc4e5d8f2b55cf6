"""What teachers can teach a model; a teacher that cannot is refused before anything is trained."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

from multimodal_tf.config import Config, EmbeddingHead, Head
from multimodal_tf.config.heads import LabelledHead
from multimodal_tf.config.spelling import spelling
from multimodal_tf.data.cache.rows import row_outputs
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.ingest.record_settings import check_records
from multimodal_tf.data.taught import Lesson, Taught
from multimodal_tf.data.teacher_files import TeacherFiles
from multimodal_tf.schema import Classes, Schema
from multimodal_tf.training.teacher.model import TeacherModel, vector_widths

_SPLITS = ("train", "validation")


@dataclasses.dataclass(frozen=True)
class Lessons:
    """The teachers of a configuration, each with what it teaches by head."""

    teachers: Sequence[tuple[TeacherModel, Mapping[str, Lesson]]] = ()

    @property
    def heads(self) -> list[str]:
        """Names of the heads that are taught."""
        return list(dict.fromkeys(name for _, lessons in self.teachers for name in lessons))

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of each teacher's files, by its folder."""
        return {model.folder: model.digest for model, _ in self.teachers}

    @contextlib.contextmanager
    def taught(
        self, records: PathLike, cache: bool | PathLike, progress: bool
    ) -> Iterator[Taught | None]:
        """The predictions for the training and validation rows, during the block.

        Args:
            records, cache, progress: as for `row_outputs`.
        """
        with contextlib.ExitStack() as stack:
            found = [
                (
                    stack.enter_context(row_outputs(model, records, _SPLITS, cache, progress)),
                    lessons,
                )
                for model, lessons in self.teachers
            ]
            yield Taught(found) if found else None


def find_lessons(config: Config, schema: Schema, records: PathLike) -> Lessons:
    """What the teachers of a configuration teach its heads.

    Args:
        config, schema: of the model that learns.
        records: folder of ingested records.

    Raises:
        ValueError: a teacher is no model, reads what the records do not hold, has none of the
            heads, or its classes, quantiles or vectors are others.
    """
    if config.teacher is None:
        return Lessons()
    found = []
    for model in config.teacher.models:
        files = TeacherFiles(model)
        try:
            found.append(_of_teacher(files, config, schema, records))
        except ValueError as error:
            raise ValueError(f"teacher.model {model}: {error}") from error
    return Lessons(found)


def check_folder(config: Config, run_dir: pathlib.Path) -> None:
    """Checks that a training does not overwrite its teacher.

    Raises:
        ValueError: a teacher is the run that the training would write.
    """
    for model in () if config.teacher is None else config.teacher.models:
        if pathlib.Path(model).resolve() == run_dir.resolve():
            raise ValueError(
                "teacher.model must be another folder than the one that the training writes, "
                f"received {model!r} for both"
            )


def _of_teacher(
    files: TeacherFiles, config: Config, schema: Schema, records: PathLike
) -> tuple[TeacherModel, dict[str, Lesson]]:
    theirs, stats = files.config, files.schema
    try:
        check_records(theirs.model_copy(update={"heads": {}, "teacher": None}), records)
    except ValueError as error:
        raise ValueError(
            f"it cannot predict these rows, because the records lack what it reads ({error}, with "
            "this teacher in the configuration)"
        ) from error
    lessons, widths = {}, {}
    for name, other in _names(config, theirs).items():
        head = config.heads[name]
        if isinstance(head, EmbeddingHead):
            widths[other] = _vector_width(files, theirs, other, name)
            columns = list(range(widths[other]))
        else:
            columns = _columns(name, head, schema, other, theirs, stats)
            shape = theirs.heads[other].output_shape(len(_classes(stats, other)))
            widths[other] = shape[0] if shape else 1
        lessons[name] = Lesson(other, columns)
    return TeacherModel(files, theirs, widths), lessons


def _names(config: Config, theirs: Config) -> dict[str, str]:
    """The teacher's name of each head that it teaches.

    Where the configuration leaves it open: those of equal name and target type.
    """
    given = None if config.teacher is None else config.teacher.taught_by()
    if given is not None:
        return given
    teachable = {
        name: name
        for name, head in config.heads.items()
        if isinstance(head, LabelledHead | EmbeddingHead)
        and name in theirs.heads
        and theirs.heads[name].target_type == head.target_type
        and isinstance(theirs.heads[name], LabelledHead | EmbeddingHead)
    }
    if not teachable:
        raise ValueError(
            f"it must have a head of the model's, {sorted(config.heads)}, with the same type of "
            f"target, received {sorted(theirs.heads)}"
        )
    return teachable


def _vector_width(files: TeacherFiles, theirs: Config, other: str, name: str) -> int:
    widths = vector_widths(files)
    head = theirs.heads.get(other)
    if other not in widths or not (head is None or isinstance(head, EmbeddingHead)):
        raise ValueError(
            f"heads.{name} is taught by a vector, one of {sorted(widths)}, received {other!r}"
        )
    return widths[other]


def _columns(
    name: str, head: Head, schema: Schema, other: str, theirs: Config, stats: Schema
) -> list[int]:
    """The columns of a teacher's output in the order of a head's own."""
    taught = theirs.heads.get(other)
    if taught is None or taught.target_type != head.target_type:
        kind = "none" if taught is None else f"one of type {taught.type}"
        raise ValueError(
            f"heads.{name} of type {head.type} needs a head {other!r} of the teacher with the same "
            f"type of target, received {kind}"
        )
    match head.target_type:
        case "class" | "classes":
            return _class_columns(name, _classes(schema, name), _classes(stats, other))
        case "number":
            return _number_columns(name, head, taught)
        case "text" | "image" | None:
            raise ValueError(f"heads.{name} of type {head.type} cannot be taught")
        case _:
            assert_never(head.target_type)


def _class_columns(name: str, own: list[str], theirs: list[str]) -> list[int]:
    """The teacher's columns of the model's classes, which must be the same."""
    for lacking, whose, other in (
        (sorted({*own} - {*theirs}), "the teacher", theirs),
        (sorted({*theirs} - {*own}), "the model", own),
    ):
        if lacking:
            raise ValueError(
                f"heads.{name}: the teacher must have the classes that the training rows have, "
                f"received {whose} without {lacking[0]!r}, with {len(other)} classes"
            )
    return [theirs.index(one) for one in own]


def _number_columns(name: str, head: Head, taught: Head) -> list[int]:
    levels, theirs = (getattr(one, "quantiles", None) for one in (head, taught))
    if levels is None:
        # the point prediction
        return [taught.point_index]
    if theirs != levels:
        raise ValueError(
            f"heads.{name}: the teacher must predict the same quantiles {levels}, received {theirs}"
        )
    return list(range(len(levels)))


def _classes(schema: Schema, name: str) -> list[str]:
    stats = schema.heads.get(name)
    # a model of an earlier version may write 1.0
    return [spelling(one) for one in stats.names] if isinstance(stats, Classes) else []
