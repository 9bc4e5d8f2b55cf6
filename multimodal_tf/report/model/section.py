"""A section of the model report with its sentences for the summary."""

import dataclasses

from multimodal_tf.metrics.metric import Metric
from multimodal_tf.report.page import Note, Section


@dataclasses.dataclass(frozen=True)
class ReportSection:
    """A section of the page, and sentences about it for the summary at the top."""

    section: Section
    sentences: tuple[str, ...] = ()


def note_section(title: str, description: str, text: str) -> ReportSection:
    """A section that consists of one note, such as the reason why there is nothing to show."""
    return ReportSection(Section(title, description, [Note(text)]))


def in_sentence(metric: Metric) -> str:
    """A metric in a sentence that has named its unit: value, interval and n."""
    return f"{metric.shown} {metric.interval}, n = {metric.n:,}"


def listed(names: list[str]) -> str:
    """Names as an enumeration.

    Example:
        >>> listed(["photo", "title", "price"])
        'photo, title and price'
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
