"""Whether a schema and a configuration are of one table."""

from multimodal_tf.config import CharacterTokenizer, NgramTokenizer, NoTokenizer, WordTokenizer
from multimodal_tf.schema import Classes, Moments, Subwords, Vocabulary

_STATS: dict = {
    "category": Vocabulary,
    "number": Moments,
    "date": Moments,
    "classification": Classes,
    "multi_label": Classes,
    "ordinal": Classes,
    "regression": Moments,
    "quantile": Moments,
    # what the schema holds for each type; for a text it depends on the tokenizer; nothing for
    # others
}
_FEWEST_CLASSES = {"classification": 2, "ordinal": 2, "multi_label": 1}


def check_schema(config, schema):
    """Whether the schema belongs to the configuration.

    Raises:
        ValueError: it does not; the sentence names the input or head.
    """
    for name, part in config.inputs.items():
        _check_learnt("inputs", name, part, schema.inputs.get(name))
    for name, head in config.heads.items():
        stats, least = schema.heads.get(name), _FEWEST_CLASSES.get(head.type)
        _check_learnt("heads", name, head, stats)
        if least is not None and len(stats.names) < least:
            raise ValueError(
                f"heads.{name}: a {head.type} needs {least} or more classes in the training split, column {config.column(name)!r} "
                f"has {stats.names}"
            )
        if head.type == "ordinal" and head.classes is not None and head.classes != stats.names:
            raise ValueError(
                f"heads.{name}.classes: must be those of the schema, {stats.names}, received {head.classes}: ingest again"
            )


def _check_learnt(room, name, part, stats):
    kind = _kind(part)
    if kind is not None and not isinstance(stats, kind):
        received = "nothing" if stats is None else stats.type
        raise ValueError(
            f"{room}.{name}: the schema must hold {kind.__name__.lower()} for a {part.type}, received {received}: "
            "configuration and schema are not of one table"
        )
    if part.type == "text" and kind is not None and part.tokenizer.type != stats.tokenizer:
        raise ValueError(
            f"{room}.{name}.tokenizer: must be {stats.tokenizer!r}, which the schema was learned with, received {part.tokenizer.type!r}"
        )


def _kind(part):
    if part.type != "text":
        return _STATS.get(part.type)
    if isinstance(part.tokenizer, NgramTokenizer | NoTokenizer):
        return None
    return (
        Vocabulary if isinstance(part.tokenizer, WordTokenizer | CharacterTokenizer) else Subwords
    )
