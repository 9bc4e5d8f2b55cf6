"""A DataFrame whose CSV no spreadsheet runs."""

import pandas as pd

from multimodal_tf.config.formulas import escape


def escape_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with its texts and the names of its columns escaped, for `to_csv`."""
    texts = {
        name: [escape(cell) for cell in frame[name]]
        for name in frame
        if not pd.api.types.is_numeric_dtype(frame[name])
    }
    return frame.assign(**{str(name): cells for name, cells in texts.items()}).rename(
        columns=escape
    )
