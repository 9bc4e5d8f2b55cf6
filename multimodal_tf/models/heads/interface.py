"""What every module of `models.heads` provides."""

from typing import Any, Protocol

import keras


class HeadModule(Protocol):
    """The parts of a model that depend on the type of a head.

    A module implements it: `classification`, `regression` and so on. `head` is of the module's own
    class in `config.heads`, `stats` what the schema holds for it (`Classes`, `Moments` or None).
    """

    def output(
        self, head: Any, stats: Any, x: Any, name: str, any_present: Any = None
    ) -> keras.KerasTensor:
        """Adds the output layers; see `models.heads.output`."""

    def prior(self, head: Any, stats: Any, width: int) -> list[float]:
        """The output of a row without any input; see `models.heads.prior`."""

    def loss(self, head: Any, stats: Any) -> keras.losses.Loss | None:
        """The loss; None where nothing is to be learned."""

    def metrics(self, head: Any) -> list[keras.metrics.Metric]:
        """The metrics that `fit` and `evaluate` print."""
