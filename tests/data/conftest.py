"""Shared by the tests of data: the reason why a cell is refused."""

import pytest

from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.kinds import read_cell


@pytest.fixture(scope="session")
def reason():
    """`reason(value, input_config, root)`: why the cell is refused."""

    def of(value, input_config, root="."):
        with pytest.raises(CellError) as caught:
            read_cell(value, input_config, root)
        return str(caught.value)

    return of
