"""How a target tells that a file was read wrongly."""


class DisagreementError(Exception):
    """Two ways that read the same file differ."""

    outcome = "disagreement"


class WrongError(DisagreementError):
    """What the package reads is not what other programs read."""

    outcome = "wrong"
