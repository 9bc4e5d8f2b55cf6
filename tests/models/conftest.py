"""A small BERT to fine-tune."""

import pytest


@pytest.fixture(scope="session")
def bert():
    """`bert.model()`, `bert.rows()`: see `peft_models.Bert`."""
    import pretrained_case
    from peft_models import Bert

    return Bert(pretrained_case.text_preset())
