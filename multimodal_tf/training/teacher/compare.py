"""Whether a teacher knew more than the model that it taught."""

import keras
import numpy as np

from multimodal_tf.config import Config
from multimodal_tf.data.cache import FrozenCells
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.taught import Taught
from multimodal_tf.schema import Schema
from multimodal_tf.scoring.monitored import LOWER
from multimodal_tf.training.validation_rows import HeadRows, ValidationRows, score

# by type of target, what is compared
_SCORES = {"class": "accuracy", "classes": "average_precision", "number": "mae"}


def teacher_note(
    model: keras.Model,
    config: Config,
    schema: Schema,
    records: PathLike,
    taught: Taught | None,
    frozen: FrozenCells | None = None,
) -> str:
    """A sentence where a teacher is no better than the model on the labelled validation rows.

    The model is the one that was taught. What it would have reached alone is not known without
    another training; where the teacher is not even better than this, it can hardly have helped.

    Args:
        model: trained.
        config, schema: of the model.
        records: folder of ingested records.
        taught: the teachers' predictions; None: there was no teacher.
        frozen: as for `load_split`.

    Returns:
        "" where the teacher is better, or nothing can be compared.
    """
    names = [name for name in (taught.heads if taught else ()) if config.heads[name].target_type]
    if taught is None or not names:
        return ""
    rows = ValidationRows(model, config, schema, records, names, frozen)
    worse = []
    labelled = rows.known()
    for name, own in rows.predicted().items():
        head = config.heads[name]
        kind = _SCORES[head.target_type or "class"]
        predictions, teaches = taught.predictions("validation", name)
        bears = labelled[name]
        chosen = teaches[bears]
        if not chosen.any():
            continue
        ours = score(kind, head, HeadRows(own.targets[chosen], own.predictions[chosen]))
        theirs = score(kind, head, HeadRows(own.targets[chosen], predictions[bears][chosen]))
        better = theirs < ours if kind in LOWER else theirs > ours
        if not better and np.isfinite([ours, theirs]).all():
            worse.append(f"{name}: {kind} {theirs:.4g} against {ours:.4g}")
    if not worse:
        return ""
    return (
        "on the validation rows the teacher is no better than the model that it taught "
        f"({'; '.join(worse)}): compare with a training without it"
    )
