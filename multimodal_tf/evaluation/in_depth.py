"""The computations of a model report on one split, behind one progress bar."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Generic, TypeAlias, TypeVar

import tensorflow as tf

from multimodal_tf.data.progress import progress_bar
from multimodal_tf.data.table import Table
from multimodal_tf.evaluation import baselines, robustness
from multimodal_tf.evaluation.contributions import modality_contributions
from multimodal_tf.evaluation.eval_records import EvalRecords
from multimodal_tf.evaluation.eval_split import EvalSplit, check_labels
from multimodal_tf.evaluation.predictor import Model, Predictor
from multimodal_tf.evaluation.robustness import CorruptionScores
from multimodal_tf.metrics.metric import Metric
from multimodal_tf.metrics.shapley import Contributions, coalitions

# rows that OOD scores are fitted on, at most
MAX_FIT_ROWS = 5000

Result = TypeVar("Result")
# computes something on a split, with `resamples` and `seed`
Analysis: TypeAlias = Callable[[EvalSplit, int, int], Result]


@dataclasses.dataclass(frozen=True)
class Limits:
    """Rows of the split and rows to corrupt, at most; how intervals are drawn.

    Raises:
        ValueError: a number is out of range.
    """

    rows: int | None
    corrupted: int | None
    resamples: int
    seed: int

    def __post_init__(self) -> None:
        for name, least in {"rows": 2, "corrupted": 2, "resamples": 0, "seed": 0}.items():
            number = getattr(self, name)
            if number is not None and number < least:
                raise ValueError(f"{name} must be {least} or more, received {number}")


@dataclasses.dataclass(frozen=True)
class EvalSetup:
    """The model, its head to evaluate, the records, and the models that it is compared with."""

    predictor: Predictor
    head: str
    records: EvalRecords
    unimodal: Mapping[str, Predictor]
    baseline: Predictor | None

    @classmethod
    def open(
        cls,
        predictor: Predictor,
        head: str,
        records: str | os.PathLike[str],
        table: Table | None,
        unimodal: Mapping[str, Model] | None,
        baseline: Model | None,
    ) -> "EvalSetup":
        """Opens the records, and loads the other models.

        Args:
            predictor: `Predictor`.
            head: name of a head with a label.
            records: folder of the ingested records.
            table: as in `EvalRecords.open`.
            unimodal: by input, a model that was trained with this input only.
            baseline: another model, for effective robustness.

        Raises:
            FileNotFoundError: ingest has not ended in `records`, or there is no such model.
            ValueError: models, records, table and head do not fit together.
        """
        opened = EvalRecords.open(predictor, records, table)
        models = baselines.unimodal_models(unimodal or {}, predictor, head)
        other = None if baseline is None else baselines.baseline_model(baseline, predictor, head)
        return cls(predictor, head, opened, models, other)


@dataclasses.dataclass(frozen=True)
class InDepth(Generic[Result]):
    """What `evaluate_in_depth` computes.

    Args:
        eval_split: the rows, their predictions, and samples of the other splits.
        contributions: Shapley values and subsets of inputs.
        unimodal: by input, the metric of a model that was trained with this input only.
        robustness: row scores on corrupted cells.
        baseline_robustness: those of the baseline; None without one.
        analyses: results of the analyses, in their order.
    """

    eval_split: EvalSplit
    contributions: Contributions
    unimodal: Mapping[str, Metric]
    robustness: CorruptionScores
    baseline_robustness: CorruptionScores | None
    analyses: list[Result]


def evaluate_in_depth(
    setup: EvalSetup,
    split: str,
    limits: Limits,
    analyses: Mapping[str, Analysis[Result]],
    progress: bool = False,
) -> InDepth[Result]:
    """Predicts with every subset of inputs and with corrupted cells, then runs the analyses.

    Args:
        setup: `EvalSetup`.
        split: "train", "validation" or "test".
        limits: `Limits`.
        analyses: what else to compute on the split, by the name that the progress bar shows.
        progress: whether to show a progress bar.

    Raises:
        ValueError: fewer than two rows have labels, or a prediction is NaN.
    """
    predictor, resamples, seed = setup.predictor, limits.resamples, limits.seed
    with progress_bar("reading rows", "steps", shown=progress) as update:

        def step() -> None:
            update(advance=1)

        eval_split, features = setup.records.read(predictor, split, setup.head, limits.rows, seed)
        check_labels(eval_split)
        update(total=_steps(setup, eval_split) + len(analyses))
        eval_split = _with_other_splits(setup, eval_split, seed)
        update(description="subsets of inputs")
        found = modality_contributions(predictor, eval_split, features, resamples, seed, step)
        unimodal = {
            name: baselines.mean_score(one, eval_split, resamples, seed)
            for name, one in setup.unimodal.items()
        }
        update(description="corrupted rows")
        scores, of_baseline = _robustness(setup, eval_split, features, limits, step)
        results = []
        for name, analysis in analyses.items():
            update(description=name)
            results.append(analysis(eval_split, resamples, seed))
            step()
    return InDepth(eval_split, found, unimodal, scores, of_baseline, results)


def _robustness(
    setup: EvalSetup,
    eval_split: EvalSplit,
    features: Mapping[str, tf.Tensor],
    limits: Limits,
    step: Callable[[], None],
) -> tuple[CorruptionScores, CorruptionScores | None]:
    """Scores on corrupted cells: the model's and the baseline's."""
    scores = robustness.corruption_scores(
        setup.predictor, eval_split, features, limits.corrupted, limits.seed, step
    )
    if setup.baseline is None:
        return scores, None
    of_baseline = robustness.corruption_scores(
        setup.baseline,
        baselines.predicted_by(setup.baseline, eval_split),
        setup.baseline.features(eval_split.raw),
        limits.corrupted,
        limits.seed,
        step,
    )
    return scores, of_baseline


def _steps(setup: EvalSetup, eval_split: EvalSplit) -> int:
    """Number of steps of the progress bar before the analyses."""
    subsets = len(coalitions(list(setup.predictor.config.inputs)).present)
    corrupted = robustness.count_steps(robustness.corruptions_of(eval_split))
    return subsets + corrupted * (1 if setup.baseline is None else 2)


def _with_other_splits(setup: EvalSetup, eval_split: EvalSplit, seed: int) -> EvalSplit:
    train, validation = (
        setup.records.other(setup.predictor, name, eval_split, MAX_FIT_ROWS, seed)
        for name in ("train", "validation")
    )
    return dataclasses.replace(eval_split, train=train, validation=validation)
