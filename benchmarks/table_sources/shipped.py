"""Tables from data sets of the package: digits, and Debian's `tuxpaint-stamps-default`.

The digits of `digits_table` lack a tenth of their cells. Two tables are made harder: one lacks
40 %, one has 200 rows.
"""

import numpy as np
import pandas

from benchmarks.table_sources.source import GROUP, LABEL, Source, sampled
from multimodal_tf.data.datasets import digits_table, stamps_table
from multimodal_tf.data.datasets.stamps import ROOT

DIGITS = {"image": "image", "sound": "audio", "text": "text"}
# of all cells, including the tenth that is missing in the data set
MISSING = 0.4
FEW = 200


def stamps(columns):
    frame = pandas.concat(stamps_table().chunks())
    return frame[[*columns, LABEL, GROUP]]


def digits():
    frame = pandas.concat(digits_table().chunks())
    return frame[[*DIGITS, LABEL]]


def with_gaps(frame):
    """Removes cells in a random order until `MISSING` of all are gone; a row keeps one input."""
    there = frame[[*DIGITS]].notna().to_numpy(copy=True)
    excess = round(MISSING * there.size) - (~there).sum()
    for row, column in np.random.default_rng(0).permutation(np.argwhere(there)):
        if excess and there[row].sum() > 1:
            there[row, column] = False
            excess -= 1
    return pandas.concat([frame[[*DIGITS]].where(there, None), frame[LABEL]], axis=1)


SOURCES = [
    Source(
        "stamps",
        "drawing or photo of a thing with its description; one of 16 folders",
        "accuracy",
        {"image": "image", "description": "text"},
        lambda folder: stamps(["image", "description"]),
        ROOT,
    ),
    Source(
        "stamps-sound",
        "as stamps, with the spoken French name, a weak input",
        "accuracy",
        {"image": "image", "description": "text", "sound": "audio"},
        lambda folder: stamps(["image", "description", "sound"]),
        ROOT,
    ),
    Source(
        "digits",
        "handwritten, spoken and written digit, each degraded; one of ten",
        "accuracy",
        DIGITS,
        lambda folder: digits(),
    ),
    Source(
        "digits-gaps",
        "as digits, 40 % of the cells missing",
        "accuracy",
        DIGITS,
        lambda folder: with_gaps(digits()),
    ),
    Source(
        "digits-few",
        "as digits, 200 rows",
        "accuracy",
        DIGITS,
        lambda folder: sampled(digits(), FEW),
    ),
]
