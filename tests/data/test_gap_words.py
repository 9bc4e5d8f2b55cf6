"""Words for gaps: found where numbers have them, and missing wherever cells are read."""

import pathlib

import numpy as np
import pandas as pd
import pytest

from multimodal_tf.config import Config
from multimodal_tf.data import record_files
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.ingest.record_settings import check_records
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.kinds import read_cell
from multimodal_tf.data.table import read_table

ROWS = 60
PENGUINS = pd.DataFrame(
    {
        "mass": ["NA" if n % 5 == 0 else str(3000 + n * 7.5) for n in range(ROWS)],
        "wing": ["?" if n % 7 == 0 else str(170 + n) for n in range(ROWS)],
        "sex": [("male", "female", "NA")[n % 3] for n in range(ROWS)],
        "label": [("adelie", "gentoo")[n % 2] for n in range(ROWS)],
    }
)


def test_describe_finds_them_and_says_so() -> None:
    described = describe(read_table(PENGUINS), presets=False)
    mass, wing, sex, _ = described.columns
    assert described.missing == ["?", "NA"] == described.config().missing
    assert "'?', 'NA' stand for gaps among the numbers of 'mass', 'wing'" in described.reading
    assert "so in all columns, also in 'sex'" in described.reading
    assert [one.type for one in (mass, wing, sex)] == ["number", "number", "category"]
    assert (mass.missing, wing.missing, sex.missing, sex.distinct) == (12, 9, 20, 2)
    assert not any(column.rejected for column in described.columns)


def test_a_country_stays_where_no_number_has_gaps() -> None:
    frame = pd.DataFrame(
        {
            "country": ["NA", "DE", "FR", "NA"] * 10,
            "size": [str(n * 1.5) for n in range(40)],
            "label": ["a", "b"] * 20,
        }
    )
    described = describe(read_table(frame), presets=False)
    assert described.missing == []
    assert described.reading == ""
    assert described.columns[0].distinct == 3


@pytest.mark.parametrize("word", ["N/A", "-", "null", "None", "missing", "unknown", "n/a", "--"])
def test_other_words(word: str) -> None:
    cells = [word if n % 5 == 0 else f"{n * 1.5}" for n in range(40)]
    labels = ["a", "b"] * 20
    frame = pd.DataFrame({"size": cells, "label": labels})
    described = describe(read_table(frame), presets=False)
    assert (described.missing, described.columns[0].type) == ([word], "number")
    # of a label, too
    described = describe(
        read_table(frame), label="size", types={"label": "category"}, presets=False
    )
    assert (described.missing, described.columns[0].type) == ([word], "regression")


def test_ingest_reads_them_as_missing(tmp_path: pathlib.Path) -> None:
    table = read_table(PENGUINS)
    config = describe(table, presets=False).config()
    manifest = ingest(table, config, tmp_path, processes=1, progress=False)
    # row 35 has no input
    assert manifest.rejected == 1
    cells: dict[int, tuple[float, bytes]] = {}
    for split in ("train", "validation", "test"):
        for batch in record_files.read(manifest.shards(split), 100):
            rows, inputs, _ = record_files.parse(config, batch)
            for row, mass, sex in zip(rows.numpy(), inputs["mass"].numpy(), inputs["sex"].numpy()):
                cells[row] = mass, sex
    for row, mass, sex in PENGUINS[["mass", "sex"]].drop(35).itertuples():
        assert np.isnan(cells[row][0]) == (mass == "NA")
        assert cells[row][1] == (b"" if sex == "NA" else sex.encode())
        # as the client reads it
        assert (read_cell(sex, config.inputs["sex"], missing=config.missing) is None) == (
            sex == "NA"
        )
    check_records(config, tmp_path)
    other = config.model_copy(update={"missing": ["?"]})
    with pytest.raises(ValueError, match=r"missing: .* was ingested with \['\?', 'NA'\]"):
        check_records(other, tmp_path)


def test_words_have_one_spelling() -> None:
    config = Config.from_yaml(
        "{inputs: {size: {type: number}}, heads: {label: {type: classification}},"
        " missing: [-999, ' NA ', '?']}"
    )
    assert config.missing == ["-999", "NA", "?"]
    for gap in ("-999.0", -999, -999.0, np.float32(-999), "NA", " ? "):
        assert read_cell(gap, config.inputs["size"], missing=config.missing) is None
    assert read_cell("-998", config.inputs["size"], missing=config.missing) == -998.0
    with pytest.raises(ValueError, match="missing.1"):
        Config.model_validate(config.model_dump() | {"missing": ["NA", " "]})
