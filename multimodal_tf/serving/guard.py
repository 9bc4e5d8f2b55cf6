"""What a served model says of a row besides its answers: how strange it is, whether its inputs
belong together, and whether a person should look.

Scores and limits are fitted elsewhere, such as by `evaluation.ood`. Here are their arrays, and the
same formulas in the graph.
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from multimodal_tf.config import FUSED, Config, MatchingHead
from multimodal_tf.config.heads import prediction_keys

# keys of the served answers
ANOMALY, CONSISTENCY, REVIEW = "anomaly", "consistency", "review"
# stands in for a probability of 0, whose logarithm is infinite
LEAST = np.finfo(np.float32).tiny


@dataclasses.dataclass(frozen=True, eq=False)
class Mahalanobis:
    """The squared Mahalanobis distance of an embedding to the nearest class, without unit: what
    `evaluation.ood.Mahalanobis` fits.

    Args:
        whitening: float `(dim, dim)`.
        centres: float `(classes, dim)`, whitened.
        embedding: which of the endpoint `embed`'s vectors is judged: `fused`, `fused_of_{head}`, or
        an input's name.

    Raises:
        ValueError: the shapes disagree, or a number is not finite.

    Example:
        >>> score = Mahalanobis(np.eye(2), np.array([[1.0, 1.0]]))
        >>> score(tf.constant([[1.0, 1.0], [4.0, 1.0]])).numpy().tolist()
        [0.0, 9.0]

    Source: Lee et al. 2018, arXiv:1807.03888, equation 2.
    """

    whitening: np.ndarray
    centres: np.ndarray
    embedding: str = FUSED

    def __post_init__(self):
        width = len(self.whitening)
        _check_matrix("guard.score.whitening", self.whitening, (width, width))
        _check_matrix("guard.score.centres", self.centres, (len(self.centres), width))

    @property
    def width(self) -> int:
        """Of the embedding."""
        return len(self.whitening)

    def __call__(self, vectors: tf.Tensor) -> tf.Tensor:
        """float32 `(batch,)` of float32 `(batch, dim)`."""
        # float64: a direction in which training rows hardly differ is stretched by thousands, and
        # then squared
        centres = tf.constant(self.centres, tf.float64)
        white = tf.matmul(tf.cast(vectors, tf.float64), tf.constant(self.whitening, tf.float64))
        to_each = (
            _squares(white)[:, None]
            - 2 * tf.matmul(white, centres, transpose_b=True)
            + _squares(centres)
        )
        return tf.cast(tf.maximum(tf.reduce_min(to_each, axis=1), 0), tf.float32)


@dataclasses.dataclass(frozen=True, eq=False)
class NearestNeighbour:
    """The distance of an embedding to the k-th nearest of some training rows, all made of length 1,
    0 to 2: what `evaluation.ood.NearestNeighbour` fits.

    Args:
        bank: float `(rows, dim)`, each of length 1 or 0.
        k: int, from 1 to the bank's rows.
        embedding: as in `Mahalanobis`.

    Raises:
        ValueError: `k` is out of range, a length is another, or a number is not finite.

    Example:
        >>> NearestNeighbour(np.eye(2), k=2)(tf.constant([[0.0, 3.0]])).numpy().round(4).tolist()
        [1.414199948310852]

    Source: Sun et al. 2022, arXiv:2204.06507.
    """

    bank: np.ndarray
    k: int
    embedding: str = FUSED

    def __post_init__(self):
        _check_matrix("guard.score.bank", self.bank, (len(self.bank), np.shape(self.bank)[-1]))
        if not 1 <= self.k <= len(self.bank):
            raise ValueError(
                f"guard.score.k must be from 1 to the {len(self.bank)} rows of the bank, received {self.k}"
            )
        lengths = np.linalg.norm(self.bank, axis=1)
        if (np.minimum(lengths, np.abs(lengths - 1)) > 1e-3).any():
            raise ValueError(
                f"guard.score.bank must have rows of length 1 or 0, received lengths up to {lengths.max():g}"
            )

    @property
    def width(self) -> int:
        """Of the embedding."""
        return self.bank.shape[1]

    def __call__(self, vectors: tf.Tensor) -> tf.Tensor:
        """float32 `(batch,)` of float32 `(batch, dim)`."""
        bank = tf.constant(self.bank, tf.float32)
        units = _units(vectors)
        squares = (
            _squares(units)[:, None] - 2 * tf.matmul(units, bank, transpose_b=True) + _squares(bank)
        )
        return tf.sqrt(tf.maximum(-tf.math.top_k(-squares, self.k).values[:, -1], 0))


@dataclasses.dataclass(frozen=True)
class MaximumSoftmax:
    """1 - the highest probability of a head that chooses one class.

    Example:
        >>> MaximumSoftmax("label")(tf.constant([[0.75, 0.25]])).numpy().tolist()
        [0.25]

    Source: Hendrycks and Gimpel 2017, arXiv:1610.02136.
    """

    head: str

    def __call__(self, probabilities: tf.Tensor) -> tf.Tensor:
        """float32 `(batch,)` of float32 `(batch, classes)`."""
        return 1 - tf.reduce_max(probabilities, axis=1)


@dataclasses.dataclass(frozen=True)
class Energy:
    """The energy of a head that chooses one class, nats, of logits whose mean over the classes is
    made 0.

    What all logits of a row have in common leaves no trace in its probabilities, and training does
    not move it. Without it the energy is the mean of the probabilities' logarithms.

    Example:
        >>> Energy("label")(tf.constant([[0.5, 0.5]])).numpy().round(4).tolist()
        [-0.6930999755859375]

    Source: Liu et al. 2020, arXiv:2010.03759, equation 4, temperature 1.
    """

    head: str

    def __call__(self, probabilities: tf.Tensor) -> tf.Tensor:
        """float32 `(batch,)` of float32 `(batch, classes)`."""
        return tf.reduce_mean(tf.math.log(tf.maximum(probabilities, LEAST)), axis=1)


@dataclasses.dataclass(frozen=True)
class Guard:
    """A score of strangeness with its limit, and of consistency with its threshold.

    Args:
        score: what gives `anomaly`, higher where stranger. It is of the model's own probabilities,
            before any temperature.
        limit: the highest `anomaly` that is no alarm, such as `evaluation.ood.limit` of validation
        rows.
        threshold: the least `consistency` that is no alarm, such as
            `evaluation.alignment.threshold`: the mean cosine between the vectors that the
            configuration's matching heads compare. None: no `consistency` is served.

    Raises:
        ValueError: `limit` or `threshold` is not finite.

    Example:
        >>> guard = Guard(MaximumSoftmax("label"), limit=0.5)
    """

    score: Mahalanobis | NearestNeighbour | MaximumSoftmax | Energy
    limit: float
    threshold: float | None = None

    def __post_init__(self):
        for name, number in (
            ("limit", self.limit),
            ("threshold", 0.0 if self.threshold is None else self.threshold),
        ):
            if not math.isfinite(number):
                raise ValueError(f"guard.{name} must be a finite number, received {number}")

    @property
    def keys(self) -> tuple[str, ...]:
        """Of what is served."""
        return (ANOMALY, REVIEW) if self.threshold is None else (ANOMALY, CONSISTENCY, REVIEW)

    @property
    def embedding(self) -> str | None:
        """The vector that is read; None where the answers do."""
        return getattr(self.score, "embedding", None)

    def described(self) -> dict:
        """What a person may want to know of it later, for JSON."""
        read = (
            {"head": self.score.head}
            if isinstance(self.score, MaximumSoftmax | Energy)
            else {"embedding": self.score.embedding}
        )
        return {
            "score": type(self.score).__name__,
            **read,
            "limit": self.limit,
            "threshold": self.threshold,
        }

    def check(self, config: Config, widths: dict[str, int]):
        """Whether it fits a model.

        Args:
            config: `Config` of the model.
            widths: of the model's embeddings, by name.

        Raises:
            ValueError: the model has no such embedding, or one of another width, no such head that
                chooses one class, no matching head though there is a `threshold`, or an answer of
                that name already.
        """
        _check_score(self.score, config, widths)
        if self.threshold is not None and not aligning(config):
            kinds = [f"{name} ({head.type})" for name, head in config.heads.items()]
            raise ValueError(
                f"guard.threshold needs a head of type matching, which aligns two inputs, received {', '.join(kinds)}"
            )
        taken = next((key for key in self.keys if key in prediction_keys(config.heads)), None)
        if taken is not None:
            raise ValueError(
                f"a guard answers {', '.join(self.keys)}, so no head's answer can have such a name, received {taken!r}"
            )

    def judge(
        self, outputs: dict, vectors: dict, status: dict, config: Config
    ) -> dict[str, tf.Tensor]:
        """What is served of a batch.

        Args:
            outputs: the model's, float32 by head.
            vectors: embeddings, float `(batch, dim)` by name.
            status: `valid` bool `(batch,)` and `present` bool `(batch, inputs)`.
            config: `Config` of the model.

        Returns:
            dict: `anomaly` float32 `(batch,)`; with a threshold `consistency` float32 `(batch,)`,
            -1 to 1, NaN where no matching head has both of its inputs; `review` bool `(batch,)`:
            the row is not valid, above the limit or below the threshold, or a score is no number.
        """
        if isinstance(self.score, MaximumSoftmax | Energy):
            anomaly = self.score(outputs[self.score.head])
        else:
            anomaly = self.score(tf.cast(vectors[self.score.embedding], tf.float32))
        fine = status["valid"] & (anomaly <= self.limit)
        if self.threshold is None:
            return {ANOMALY: anomaly, REVIEW: ~fine}
        consistency, compared = _agreement(outputs, status["present"], config)
        fine &= ~compared | (consistency >= self.threshold)
        return {ANOMALY: anomaly, CONSISTENCY: consistency, REVIEW: ~fine}


def aligning(config: Config) -> dict[str, MatchingHead]:
    """The heads whose two vectors can be compared."""
    return {name: head for name, head in config.heads.items() if isinstance(head, MatchingHead)}


def there(present: tf.Tensor, config: Config, names) -> tf.Tensor:
    """Which of the vectors that fusion reads are there, bool `(batch, names)`, from bool `(batch,
    inputs)`; the tower over several columns is where any of them is."""
    order, together = list(config.inputs), config.tabular_inputs()
    columns = [
        [order.index(one) for one in ([name] if name in order else together)] for name in names
    ]
    return tf.stack(
        [tf.reduce_any(tf.gather(present, places, axis=1), axis=1) for places in columns], axis=1
    )


def _check_score(score, config, widths):
    if isinstance(score, MaximumSoftmax | Energy):
        choosing = [name for name, head in config.heads.items() if head.target_type == "class"]
        if score.head not in choosing:
            raise ValueError(
                f"guard.score.head must be a head that chooses one class {choosing}, received {score.head!r}"
            )
    elif score.embedding not in widths:
        raise ValueError(
            f"guard.score.embedding must be one of the model's {sorted(widths)}, received {score.embedding!r}"
        )
    elif score.width != widths[score.embedding]:
        own = f"the model's {score.embedding!r} is {widths[score.embedding]} wide"
        raise ValueError(
            f"guard.score must be fitted on this model's embeddings: {own}, received a score of width {score.width}"
        )


def _agreement(outputs, present, config):
    """The mean cosine over the matching heads whose inputs are both there, and whether there is
    such a head.
    """
    cosines, pairs = [], []
    for name, head in aligning(config).items():
        pairs.append(tf.reduce_all(there(present, config, head.inputs), axis=1))
        # the last number of each is not the vector's: together they shift the logit
        both = _units(outputs[name][:, :, :-1])
        cosines.append(tf.reduce_sum(both[:, 0] * both[:, 1], axis=1))
    known = tf.stack(pairs, axis=1)
    total = tf.reduce_sum(tf.where(known, tf.stack(cosines, axis=1), 0.0), axis=1)
    # 0 / 0 is NaN
    return total / tf.reduce_sum(tf.cast(known, tf.float32), axis=1), tf.reduce_any(known, axis=1)


def _units(vectors):
    """Of length 1 on the last axis; zeros stay."""
    return tf.math.divide_no_nan(vectors, tf.norm(vectors, axis=-1, keepdims=True))


def _squares(vectors):
    return tf.reduce_sum(tf.square(vectors), axis=1)


def _check_matrix(name, matrix, shape):
    array = np.asarray(matrix)
    if array.shape != shape or 0 in shape or not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"{name} must be numbers of the shape {shape}, received {array.dtype} {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite numbers, received NaN or infinity")
