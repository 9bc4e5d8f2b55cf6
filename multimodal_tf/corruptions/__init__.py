"""Damage to the raw bytes of a row's inputs, at five severities, seeded: what the served model
meets is what is tested.

`image.ALL`, `text.ALL` and `audio.ALL` name what needs nothing but the cell; `corruptions_for` adds
what needs the training split or other sounds; `corrupted` runs one over the cells of an input.
"""

from multimodal_tf.corruptions import audio, columns, image, text
from multimodal_tf.corruptions.corruption import SEVERITIES, Corruption, corrupted

__all__ = [
    "SEVERITIES",
    "Corruption",
    "audio",
    "columns",
    "corrupted",
    "corruptions_for",
    "image",
    "text",
]


def corruptions_for(part, stats=None, pool=()) -> tuple[Corruption, ...]:
    """All corruptions of one input, `missing` last.

    Args:
        part: the input's configuration, such as `config.inputs["photo"]`.
        learned: what the training split taught of it, `schema.inputs[name]`; needed for a number, a
        date and a category.
        pool: for a sound: bytes of other sounds, such as those of the split; without at least two
        that are not silence there is no babble.

    Raises:
        ValueError: `stats` is None where it is needed, or a sound of the pool is broken.

    Example:
        >>> from multimodal_tf.config import NumberInput, TextInput
        >>> from multimodal_tf.schema import Moments
        >>> [each.name for each in corruptions_for(TextInput())]
        ['typos', 'deletion', 'swap', 'word_dropout', 'truncation', 'case', 'homoglyphs', 'missing']
        >>> [each.name for each in corruptions_for(NumberInput(), Moments(mean=0.0, std=1.0))]
        ['noise', 'missing']
    """
    if part.type in ("number", "date", "category") and stats is None:
        raise ValueError(f"a {part.type} needs what the schema holds of it, received None")
    return (*_of_its_own(part.type, stats, pool), columns.MISSING)


def _of_its_own(kind, stats, pool):
    if kind in ("image", "video"):
        return image.ALL
    if kind == "text":
        return text.ALL
    if kind == "audio":
        voices = audio.sounding(pool)
        return (*audio.ALL, audio.babble(voices)) if len(voices) > 1 else audio.ALL
    if kind == "boolean":
        return (columns.BOOLEAN_NOISE,)
    if kind == "category":
        return (columns.category_noise(stats.words),)
    return (columns.number_noise(stats.std) if kind == "number" else columns.date_noise(stats.std),)
