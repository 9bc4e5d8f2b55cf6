"""Do the probabilities mean what they say, and which answers had better be withheld?"""

import numpy as np

from multimodal_tf.evaluation.eval_split import EvalSplit, Told
from multimodal_tf.evaluation.row_scores import ACCURACY, unit_of
from multimodal_tf.metrics import calibration
from multimodal_tf.metrics.clustered import group_codes, share, weighted_metrics
from multimodal_tf.report.model.contributions import page_figure
from multimodal_tf.report.page import (
    Block,
    Column,
    Figures,
    Line,
    Lines,
    Note,
    Reference,
    Section,
    Table,
)

TITLE = "Can its probabilities be trusted?"
_READING = (
    "Of rows that are answered with a confidence of 0.8, eight of ten should be right: errors of calibration say how far that fails. An "
    "error over bins is above 0 for a perfect model too, the more so the fewer the rows."
)
_NAMES = {
    "ece": "expected calibration error",
    "adaptive_ece": "adaptive calibration error",
    "overconfidence": "overconfidence",
    "brier": "Brier score",
}
_UNITS = {
    "ece": "gap of confidence and accuracy",
    "adaptive_ece": "gap of confidence and accuracy",
    "overconfidence": "share",
}
_LOG_LOSS = ("log loss", "nats")
_COVERAGES = (0.5, 0.8, 0.9, 1.0)
# of the curve of risk, at most
_POINTS = 60


def calibration_section(eval_split: EvalSplit, resamples: int, seed: int) -> Told:
    """Calibration errors, the reliability diagram, the temperature that validation rows ask for,
    and risk by coverage.

    Args:
        examined: `EvalSplit`.
        resamples: int. For the intervals that draw rows, or groups of them; 0: none of these.
        seed: int.

    Returns:
        `Told`; its section is one Note for a head that does not choose one class, and where fewer
        than two rows have a label.
    """
    if unit_of(eval_split.config, eval_split.head) != ACCURACY:
        return Told(
            Section(
                TITLE,
                _READING,
                [
                    Note(
                        "The head does not choose one class, so it has no confidence to be judged by."
                    )
                ],
            )
        )
    if eval_split.known.sum() < 2 or eval_split.predictions[eval_split.head].shape[1] < 2:
        return Told(
            Section(
                TITLE,
                _READING,
                [
                    Note(
                        "Calibration needs two rows with a label, and a head that knows two classes."
                    )
                ],
            )
        )
    labels, probabilities = (
        eval_split.labels[eval_split.known],
        eval_split.predictions[eval_split.head][eval_split.known],
    )
    groups = None if eval_split.groups is None else eval_split.groups[eval_split.known]
    found = calibration.calibration(
        labels, probabilities, resamples=resamples, seed=seed, groups=groups
    )
    blocks: list[Block] = [
        Figures(
            "Calibration",
            {
                _NAMES[name]: _figure(name, figure, found.n)
                for name, figure in found.metrics.items()
            },
        ),
        _diagram("Reliability, bins of equal width", found.bins),
        _diagram("Reliability, bins of equally many rows", found.adaptive_bins),
    ]
    mended, sentences = _temperature(
        eval_split, labels, probabilities, groups, found, resamples, seed
    )
    right, confidence = probabilities.argmax(axis=1) == labels, probabilities.max(axis=1)
    risks = calibration.risk_coverage(1.0 - right, confidence, resamples, seed, groups)
    blocks += [*mended, *_risk(risks, right, confidence, group_codes(groups, len(right)))]
    return Told(Section(TITLE, _READING, blocks), (_sentence(found), *sentences, *_withheld(risks)))


def _figure(name, figure, n):
    return page_figure(figure, n, _UNITS.get(name, "squared distance"))


def _diagram(title, bins):
    figures = [page_figure(one.accuracy, one.n, "accuracy") for one in bins]
    line = Line("rows by confidence", [one.confidence for one in bins], figures)
    return Lines(
        title,
        "mean confidence of the bin",
        [line],
        Reference("as it should be", (0, 0), (1, 1)),
        span=(0, 1),
    )


def _temperature(
    eval_split, labels, probabilities, groups, before, resamples, seed
) -> tuple[list[Block], tuple[str, ...]]:
    """What one temperature, fitted on validation rows, mends on these rows."""
    validation = eval_split.validation
    if validation is None or validation.known.sum() < 2:
        return [Note("There are no validation rows with labels to fit a temperature on.")], ()
    try:
        fitted = calibration.Temperature.fit(
            validation.labels[validation.known],
            validation.predictions[eval_split.head][validation.known],
        )
    except ValueError as error:
        return [Note(f"No temperature could be fitted: {error}.")], ()
    if fitted.value.reason:
        return [
            Note(
                f"No temperature could be fitted on {fitted.n} validation rows: {fitted.value.reason}."
            )
        ], ()
    after = calibration.calibration(
        labels, fitted(probabilities), resamples=resamples, seed=seed, groups=groups
    )
    rows = [
        [
            _NAMES[name],
            _figure(name, before.metrics[name], before.n),
            _figure(name, after.metrics[name], after.n),
        ]
        for name in before.metrics
    ]
    rows.append(
        [
            _LOG_LOSS[0],
            *(
                _log_loss(labels, said, groups, resamples, seed)
                for said in (probabilities, fitted(probabilities))
            ),
        ]
    )
    title = f"With a temperature of {fitted.value.value:.2f}, fitted on {fitted.n} validation rows"
    table = Table(
        title,
        [Column("figure"), Column("as it is", "number"), Column("with the temperature", "number")],
        rows,
    )
    own = page_figure(fitted.value, fitted.n, "above 1: too sure")
    return [Figures("Temperature", {"temperature": own}), table], (_mended(fitted, before, after),)


def _mended(fitted, before, after):
    was, now = before.metrics["ece"].value, after.metrics["ece"].value
    does = "would bring" if now < was else "would not mend its calibration: it would bring"
    return (
        f"A temperature of {fitted.value.value:.2f}, fitted on {fitted.n} validation rows, {does} "
        f"the expected calibration error from {was:.3f} to {now:.3f} (n = {after.n})."
    )


def _log_loss(labels, probabilities, groups, resamples, seed):
    losses = calibration.log_losses(labels, probabilities)
    codes = group_codes(groups, len(losses))
    found = weighted_metrics(
        lambda weights: {"mean": weights @ losses / weights.sum()}, codes, resamples, seed
    )
    return page_figure(found["mean"], len(losses), _LOG_LOSS[1])


def _risk(risks, right, confidence, codes) -> list[Block]:
    def wrong(place):
        """The share of wrong answers among those given."""
        given = confidence >= risks.threshold[place]
        return page_figure(
            share(~right[given], codes[given]), int(given.sum()), "share of wrong answers"
        )

    places = np.unique(
        np.linspace(0, len(risks.coverage) - 1, min(_POINTS, len(risks.coverage))).astype(int)
    )
    figures = [wrong(place) for place in places]
    line = Line("the surest answers first", [risks.coverage[place] for place in places], figures)
    rows = []
    for wanted in _COVERAGES:
        place = int(np.searchsorted(risks.coverage, wanted - 1e-9))
        rows.append([risks.coverage[place], risks.threshold[place], wrong(place)])
    columns = [
        Column("share of rows answered", "number"),
        Column("confidence at least", "number"),
        Column("wrong among them", "number"),
    ]
    return [
        Lines("Wrong answers by how many are given", "share of rows that are answered", [line]),
        Figures(
            "Risk",
            {
                "area under the curve of risk": page_figure(
                    risks.aurc, risks.n, "mean share of wrong answers"
                )
            },
        ),
        Table("Answering only where it is sure", columns, rows),
    ]


def _sentence(found):
    over = page_figure(found.metrics["overconfidence"], found.n, _UNITS["overconfidence"])
    # without an interval nothing tells a gap from chance
    if over.low is None or over.high is None:
        return f"Confidence less accuracy is {over}."
    if over.low > 0:
        kind = "Its probabilities are too sure"
    elif over.high < 0:
        kind = "Its probabilities are not sure enough"
    else:
        kind = "Its probabilities are about as sure as they should be"
    return f"{kind}: confidence less accuracy is {over}."


def _withheld(risks):
    place = int(np.searchsorted(risks.coverage, 0.8 - 1e-9))
    # no threshold parts the rows, or there is nothing to win
    if place == len(risks.coverage) - 1 or not risks.risk[-1]:
        return ()
    n = round(risks.coverage[place] * risks.n)
    return (
        f"If it answers the {risks.coverage[place]:.0%} of rows of which it is surest, {risks.risk[place]:.1%} of the answers are wrong "
        f"(n = {n}), instead of {risks.risk[-1]:.1%} (n = {risks.n}).",
    )
