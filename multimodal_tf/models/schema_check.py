"""Whether a schema and a configuration are of one table."""

from multimodal_tf.config import CharacterTokenizer, NgramTokenizer, NoTokenizer, WordTokenizer
from multimodal_tf.schema import Classes, Moments, Subwords, Vocabulary

_STATS: dict = {
    "category": Vocabulary,
    "number": Moments,
    "date": Moments,
    # what the schema holds for each type of input; for a text it depends on the tokenizer;
    # nothing for others
}
_TARGET_STATS: dict = {None: None, "class": Classes, "classes": Classes, "number": Moments}


def check_schema(config, schema):
    """Whether the schema belongs to the configuration.

    Raises:
        ValueError: it does not; the sentence names the input or head.
    """
    for name, part in config.inputs.items():
        _check_learnt("inputs", name, part, schema.inputs.get(name))
    for name, head in config.heads.items():
        stats = schema.heads.get(name)
        _check_learnt("heads", name, head, stats)
        if isinstance(stats, Classes) and len(stats.names) < head.min_classes:
            raise ValueError(
                f"heads.{name}: a {head.type} needs {head.min_classes} or more classes in the training split, column {config.column(name)!r} "
                f"has {stats.names}"
            )
        if head.declared_classes not in (None, getattr(stats, "names", None)):
            raise ValueError(
                f"heads.{name}.classes: must be those of the schema, {stats.names}, received {head.declared_classes}: ingest again"
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
    if hasattr(part, "target_type"):
        return _TARGET_STATS[part.target_type]
    if part.type != "text":
        return _STATS.get(part.type)
    if isinstance(part.tokenizer, NgramTokenizer | NoTokenizer):
        return None
    return (
        Vocabulary if isinstance(part.tokenizer, WordTokenizer | CharacterTokenizer) else Subwords
    )
