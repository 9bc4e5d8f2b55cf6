"""Findings for the top of a page: what a reader may want to act on."""

import dataclasses
from collections.abc import Iterable

# findings at the top of the page
MOST = 5


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a reader may want to act on, in plain words.

    Args:
        text: a sentence.
        weight: what acting on it would change, 0 or more, as a share of the head's score: 0.02
            where two rows of a hundred would become right. Half of it where it depends on a
            decision or on damage that may not come.
    """

    text: str
    weight: float


def ranked(findings: Iterable[Finding]) -> list[str]:
    """The findings that would change most, that first.

    Example:
        >>> ranked([Finding("One class is poor.", 0.01), Finding("Contrast hurts.", 0.1)])
        ['Contrast hurts.', 'One class is poor.']
    """
    weighty = [finding for finding in findings if finding.weight > 0]
    return [each.text for each in sorted(weighty, key=lambda finding: -finding.weight)[:MOST]]
