"""The guard of a served model: which rows a person should review."""

import dataclasses
import math

from multimodal_tf.scoring.ood import Energy, MaximumSoftmax, Score

# served outputs: the score, the mean cosine of compared inputs, whether any were compared, and
# whether to review
OOD_SCORE, AGREEMENT, COMPARED, REVIEW = "ood_score", "agreement", "compared", "review"
SERVED = (OOD_SCORE, AGREEMENT, COMPARED, REVIEW)


@dataclasses.dataclass(frozen=True)
class Guard:
    """An out-of-distribution score and its threshold, and a threshold of cross-modal agreement.

    `evaluation.fit_guard.fit_guard` fits one; an exported model applies it.

    Args:
        score: gives `ood_score`. It reads an embedding, or the model's own probabilities before
            any temperature.
        threshold: the highest `ood_score` of a row that needs no review.
        agreement_threshold: the lowest `agreement` of a row that needs no review: the mean cosine
            between compared inputs. None: `agreement` and `compared` are not served.

    Raises:
        ValueError: a threshold is not finite.

    Example:
        >>> Guard(MaximumSoftmax("label"), threshold=0.5).keys
        ('ood_score', 'review')
    """

    score: Score
    threshold: float
    agreement_threshold: float | None = None

    def __post_init__(self) -> None:
        for name in ("threshold", "agreement_threshold"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ValueError(f"guard.{name} must be a finite number, received {value}")

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the served outputs."""
        return (OOD_SCORE, REVIEW) if self.agreement_threshold is None else SERVED

    @property
    def embedding(self) -> str | None:
        """The embedding that the score reads; None where it reads probabilities."""
        return getattr(self.score, "embedding", None)

    def described(self) -> dict[str, str | float | None]:
        """Name, source and thresholds of the score, for a JSON file."""
        score = self.score
        reads = (
            {"head": score.head}
            if isinstance(score, MaximumSoftmax | Energy)
            else {"embedding": score.embedding}
        )
        thresholds = {
            "threshold": self.threshold,
            "agreement_threshold": self.agreement_threshold,
        }
        return {"score": type(score).__name__, **reads, **thresholds}
