"""The endpoint that gives the probability of a text that the request holds."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from multimodal_tf.config import Config, TextHead
from multimodal_tf.config.heads import scoring
from multimodal_tf.config.names import LOG_PROBABILITY, TARGET
from multimodal_tf.data.tokenizers.target_texts import TargetTokens
from multimodal_tf.schema import Schema, Texts
from multimodal_tf.serving import endpoints, finite


def target_tokens(config: Config, schema: Schema) -> dict[str, TargetTokens]:
    """The tokenizer of each head that scores texts; a module that calls one must track it."""
    stats = {name: schema.heads.get(name) for name in scoring(config.heads)}
    return {name: TargetTokens(one) for name, one in stats.items() if isinstance(one, Texts)}


def score(
    model: keras.Model,
    prepare: endpoints.Prepare,
    config: Config,
    tokens: Mapping[str, TargetTokens],
) -> endpoints.Endpoint:
    """The function behind `score`: the log probability of given texts.

    Args:
        model: `scoring` of the model.
        prepare: the result of `endpoints.preparation`.
        config: of the model.
        tokens: the result of `target_tokens`.

    Returns:
        A function of raw cells and by head `{head}_target` string `(batch,)`, UTF-8 in NFC, that
        returns `{head}_log_probability` float32 `(batch,)`, in nats, of the text with its end, and
        the status. "" is the empty text. A text of more than `max_tokens` tokens is never written:
        that is an `error`, and the probability is that of a text that begins with its first
        `max_tokens + 1` tokens. A row without any input is not valid and gets 0.
    """
    heads = scoring(config.heads)

    def function(raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        inputs, status = prepare({name: raw[name] for name in config.inputs})
        reasons = {}
        for name, of_text in tokens.items():
            ids, whole = _ids(raw[name + TARGET], of_text, heads[name])
            inputs = inputs | {name + TARGET: ids}
            most = heads[name].max_tokens
            reasons[name] = tf.where(whole, "", f"{name}: the text has more than {most} tokens")
        logs = {
            name + LOG_PROBABILITY: tf.cast(output, tf.float32)[:, 1]
            for name, output in endpoints.call(model, inputs).items()
        }
        logs, not_finite = finite.replaced(logs)
        return logs | finite.with_reasons(status, reasons | not_finite)

    return function


def _ids(texts: tf.Tensor, tokens: TargetTokens, head: TextHead) -> tuple[tf.Tensor, tf.Tensor]:
    """Token ids `(batch, max_tokens + 1)`, and whether they are the whole text."""
    spaced = tf.strings.strip(tf.strings.regex_replace(texts, r"\s+", " "))
    ids, end = tokens(spaced, head.max_tokens), tokens.end
    ends_at_once = end * tf.one_hot(0, head.max_tokens + 1, dtype=tf.int32)
    ids = tf.where((spaced == "")[:, tf.newaxis], ends_at_once, ids)
    return ids, tf.reduce_any(ids == end, axis=1)
