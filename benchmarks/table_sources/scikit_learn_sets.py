"""Tables of numbers that scikit-learn brings."""

import pandas
from sklearn import datasets

from benchmarks.table_sources.source import LABEL, Source


def diabetes(folder):
    """442 patients, ten measures; the progression of the disease after a year."""
    found = datasets.load_diabetes(as_frame=True, scaled=False)
    frame = found.data.assign(**{LABEL: found.target.astype(float)})
    return frame.assign(sex=frame["sex"].map({1.0: "one", 2.0: "other"}))


def breast_cancer(folder):
    found = datasets.load_breast_cancer(as_frame=True)
    names = {name: name.replace(" ", "_") for name in found.data.columns}
    return found.data.rename(columns=names).assign(
        **{LABEL: pandas.Series(found.target_names[found.target])}
    )


SOURCES = [
    Source(
        "diabetes",
        "nine numbers and a category of a patient; the disease's progression",
        "r2",
        {
            name: "category" if name == "sex" else "number"
            for name in datasets.load_diabetes().feature_names
        },
        diabetes,
    ),
    Source(
        "cancer",
        "30 numbers of a cell's picture; malignant or not",
        "accuracy",
        {name.replace(" ", "_"): "number" for name in datasets.load_breast_cancer().feature_names},
        breast_cancer,
    ),
]
