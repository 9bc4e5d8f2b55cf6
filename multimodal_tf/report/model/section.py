"""A section of the model report, with its tiles and its findings for the top of the page."""

import dataclasses
from collections.abc import Iterable

from multimodal_tf.metrics.metric import Metric
from multimodal_tf.report.findings import Finding
from multimodal_tf.report.page import Block, Note, Section, Tile


@dataclasses.dataclass(frozen=True)
class ReportSection:
    """A section of the page, its tiles, and its findings for the summary at the top."""

    section: Section
    tiles: tuple[Tile, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the section says in words."""
        return tuple(self.section.sentences)


def report_section(
    title: str,
    description: str,
    blocks: list[Block],
    sentences: Iterable[str] = (),
    tiles: Iterable[Tile] = (),
    findings: Iterable[Finding] = (),
) -> ReportSection:
    """A section with what goes to the top of the page."""
    section = Section(title, description, blocks, tuple(sentences))
    return ReportSection(section, tuple(tiles), tuple(findings))


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
