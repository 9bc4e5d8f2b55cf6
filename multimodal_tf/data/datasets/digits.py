"""The data set of the package: 1,797 digits, handwritten, spoken and in words, all degraded.

The handwriting is real (scikit-learn's `load_digits`, from the UCI repository); the voices are
espeak-ng's, in English, German and Spanish; the words are English, German, French, Spanish, Roman
or Japanese, some misspelt, some ambiguous («six ou sept»). About one cell in ten is missing.
`benchmarks/make_digits.py` made the file. No single input suffices: the test accuracy of
scikit-learn's models is 0.61 (image), 0.68 (sound) and 0.76 (text), and 0.97 with all three.
"""

import pathlib

from multimodal_tf.config import Config
from multimodal_tf.data.table import Table, read_table

_FILE = pathlib.Path(__file__).with_name("digits.parquet")
_CONFIG = _FILE.with_suffix(".yaml")


def digits_table() -> Table:
    """The embedded table.

    Returns:
        A table of 1,797 rows. Columns: `image` (PNG bytes, 20 x 20, grey), `sound` (WAV bytes, 8
        kHz, 8 bits, at most 0.45 s), `text`, `label` ("0" to "9"), `speaker` (espeak-ng's voice)
        and `split` (70 % train, 10 % validation, 20 % test, stratified). Missing cells are None;
        every row has at least one input.

    Example:
        >>> next(digits_table().chunks(rows=1)).loc[0, ["label", "split"]].tolist()
        ['0', 'train']
    """
    return read_table(_FILE)


def digits_config() -> Config:
    """A model over the three inputs of `digits_table` that trains in two minutes on two cores.

    Example:
        >>> digits_config().split.column
        'split'
    """
    return Config.load(_CONFIG)
