"""The guard of an exported model: whether it fits the model, and what it serves of each row."""

from collections.abc import Mapping

import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.config.heads import comparing, input_pairs, prediction_keys
from multimodal_tf.scoring.agreement import agreement, cosine
from multimodal_tf.scoring.guard import AGREEMENT, COMPARED, OOD_SCORE, REVIEW, Guard
from multimodal_tf.scoring.ood import Energy, MaximumSoftmax, Score, score_input
from multimodal_tf.scoring.presence import vectors_present


def check(guard: Guard, config: Config, widths: Mapping[str, int]) -> None:
    """Checks that a guard fits a model.

    Args:
        guard: the guard.
        config: of the model.
        widths: of the model's embeddings, by name.

    Raises:
        ValueError: the model has no such embedding, or one of another width, no such head that
            chooses one class, no head that compares inputs though there is an
            `agreement_threshold`, or a head has a served key of the guard.
    """
    _check_score(guard.score, config, widths)
    if guard.agreement_threshold is not None and not comparing(config.heads):
        types = [f"{name} ({head.type})" for name, head in config.heads.items()]
        raise ValueError(
            "guard.agreement_threshold needs a head that compares inputs, "
            f"received {', '.join(types)}"
        )
    taken = next((key for key in guard.keys if key in prediction_keys(config.heads)), None)
    if taken is not None:
        raise ValueError(
            f"a guard serves {', '.join(guard.keys)}, so no head's key can have such a name, "
            f"received {taken!r}"
        )


def judge(
    guard: Guard,
    outputs: Mapping[str, tf.Tensor],
    vectors: Mapping[str, tf.Tensor],
    status: Mapping[str, tf.Tensor],
    config: Config,
) -> dict[str, tf.Tensor]:
    """The served outputs of a guard for a batch.

    Args:
        guard: the guard.
        outputs: the model's, float32 by head.
        vectors: embeddings, float `(batch, dim)` by name.
        status: `valid` bool `(batch,)` and `present` bool `(batch, inputs)`.
        config: of the model.

    Returns:
        dict: `ood_score` float32 `(batch,)`; with an agreement threshold `agreement` float32
        `(batch,)`, -1 to 1, and `compared` bool `(batch,)`: a pair of inputs is present; `review`
        bool `(batch,)`: the row is not valid, beyond a threshold, or a score is NaN. Where nothing
        is compared, nothing disagrees: the agreement is 1. A score that is not finite is served as
        the largest float32, such an agreement as -1.
    """
    ood_score = guard.score(tf.cast(score_input(guard.score, outputs, vectors), tf.float32))
    fine = status["valid"] & (ood_score <= guard.threshold)
    ood_score = tf.where(tf.math.is_finite(ood_score), ood_score, tf.float32.max)
    if guard.agreement_threshold is None:
        return {OOD_SCORE: ood_score, REVIEW: ~fine}
    cosines, known = _compared(outputs, status["present"], config)
    agreed = agreement(cosines, known)
    compared = tf.reduce_any(known, axis=1)
    fine &= ~compared | (agreed >= guard.agreement_threshold)
    agreed = tf.where(tf.math.is_finite(agreed), agreed, -1.0)
    agreed = tf.where(compared, agreed, 1.0)
    return {OOD_SCORE: ood_score, AGREEMENT: agreed, COMPARED: compared, REVIEW: ~fine}


def _check_score(score: Score, config: Config, widths: Mapping[str, int]) -> None:
    if isinstance(score, MaximumSoftmax | Energy):
        choosing = [name for name, head in config.heads.items() if head.target_type == "class"]
        if score.head not in choosing:
            raise ValueError(
                f"guard.score.head must be a head that chooses one class {choosing}, "
                f"received {score.head!r}"
            )
    elif score.embedding not in widths:
        raise ValueError(
            f"guard.score.embedding must be one of the model's {sorted(widths)}, "
            f"received {score.embedding!r}"
        )
    elif score.width != widths[score.embedding]:
        own = f"the model's {score.embedding!r} is {widths[score.embedding]} wide"
        raise ValueError(
            f"guard.score must be fitted on this model's embeddings: {own}, "
            f"received a score of width {score.width}"
        )


def _compared(
    outputs: Mapping[str, tf.Tensor], present: tf.Tensor, config: Config
) -> tuple[tf.Tensor, tf.Tensor]:
    """Cosines between compared inputs, and whether both are present, `(batch, pairs)` each."""
    cosines, known = [], []
    for name, head in comparing(config.heads).items():
        for pair in input_pairs(head):
            columns = config.vector_columns(pair)
            known.append(tf.reduce_all(vectors_present(present, columns), axis=1))
            # the numbers behind each vector are not its own: they scale and shift the logit
            first, second = (
                outputs[name][:, head.inputs.index(own), : head.vector_end] for own in pair
            )
            cosines.append(cosine(first, second))
    return tf.stack(cosines, axis=1), tf.stack(known, axis=1)
