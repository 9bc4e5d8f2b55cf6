"""A small BERT to fine-tune."""

import pytest


@pytest.fixture(scope="session")
def bert(pretrained):
    """`bert.model()`, `bert.rows()`: see `peft_models.Bert`."""
    from peft_models import Bert

    return Bert(pretrained.text_preset())
