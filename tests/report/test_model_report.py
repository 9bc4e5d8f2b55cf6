"""The whole model report, for a small model whose titles contain the class."""

import copy
import functools
import json
import sys
import types

import numpy as np
import pytest
import small_table
import title_table
from chromium import COMPLAINTS, SCHEMES, STICKS_OUT, TOO_FAINT, WIDTHS
from title_table import CONFIG, FEW

from multimodal_tf import cli
from multimodal_tf.models.build import build_model
from multimodal_tf.report.model import model_report
from multimodal_tf.report.page import HeatMap, Lines, Note

TITLES = [
    "Modality contributions",
    "Robustness to corruptions",
    "Cross-modal alignment",
    "Out-of-distribution detection",
    "Cross-modal retrieval",
    "Calibration",
    "Errors",
    "Explanations of single rows",
]


def test_a_planted_leak_is_found(report):
    assert report.contributions.share["title"].value > 0.9
    assert any(
        sentence.startswith("The model relies almost entirely on title")
        for sentence in report.page.summary
    )
    assert report.contributions.drop["title"].value > 0.3 > report.contributions.drop["price"].value


def test_the_most_damaging_corruption_is_of_the_title(report):
    [sentence] = [
        sentence for sentence in report.page.summary if sentence.startswith("The most damaging")
    ]
    assert " of title: " in sentence


def test_the_number_of_corrupted_rows_is_shown(report):
    notes = [each.text for each in report.page.sections[1].blocks if isinstance(each, Note)]
    assert notes == [
        f"8 of the {report.contributions.n} rows with a label were corrupted, a sample."
    ]
    assert len(report.robustness.clean) == 8


def test_the_page_opens_with_tiles_and_at_most_five_findings(report, report_folder):
    names = [tile.name for tile in report.page.tiles]
    assert names[:3] == ["accuracy of label", "share of each input", "worst damage"]
    assert {"out-of-distribution AUROC", "expected calibration error"} == set(names[3:])
    score = report.page.tiles[0]
    assert score.value.value == report.contributions.all.value
    assert [detail.split(" ")[0] for detail in score.details] == ["majority", "best"]
    assert report.page.tiles[1].value.startswith("title ")
    assert 1 <= len(report.page.summary) <= 5
    beside = json.loads((report_folder / "page" / "report.json").read_text())
    assert [tile["name"] for tile in beside["tiles"]] == names
    assert beside["sections"][0]["sentences"]


def test_corruptions_are_a_heat_map_and_the_three_worst_are_curves(report):
    section = report.page.sections[1]
    (heat,) = [each for each in section.blocks if isinstance(each, HeatMap)]
    (curves,) = [each for each in section.blocks if isinstance(each, Lines)]
    assert len(heat.rows) == sum(len(of) for of in report.robustness.scores.values())
    assert list(heat.columns) == list("012345")
    clean = report.robustness.clean.mean()
    assert [row[0] for row in heat.values] == pytest.approx([clean] * len(heat.rows))
    assert {row[0] for row in heat.shades} == {0}
    assert max(max(row) for row in heat.shades) == 1
    assert 1 <= len(curves.lines) <= 3
    means = [np.mean([metric.value for metric in line.metrics[1:]]) for line in curves.lines]
    assert means == sorted(means)


def test_every_section_is_on_the_page_and_in_its_data(report, report_folder):
    titles = [section.title for section in report.page.sections]
    assert titles == TITLES
    html = (report_folder / "page" / "index.html").read_text()
    assert all(title in html for title in titles)
    beside = json.loads((report_folder / "page" / "report.json").read_text())
    assert [section["title"] for section in beside["sections"]] == titles
    assert list((report_folder / "page" / "data").glob("*.csv"))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_in_a_browser(report_folder, browser, width, scheme):
    browser.open((report_folder / "page" / "index.html").as_uri(), width, scheme)
    assert [event for event in browser.events if event["method"] in COMPLAINTS] == []
    headings = browser.run(
        "[...document.querySelectorAll('main > section h2')].map(each => each.textContent)"
    )
    assert headings[1:] == TITLES
    assert browser.run(
        "[...document.querySelectorAll('main > section')].every(each => each.clientHeight > 100)"
    )
    assert browser.run(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )
    assert browser.run(STICKS_OUT) == []
    assert browser.run(TOO_FAINT) == []


def test_a_head_of_numbers_without_the_table_draws_rows_and_the_page_says_so(
    predictor, records, tmp_path
):
    found = model_report(predictor, records, tmp_path / "report", head="age", **FEW)
    assert found.contributions.n > 5
    sentences = found.page.sections[0].sentences
    assert any("negative absolute error" in sentence.lower() for sentence in sentences)
    tile = found.page.tiles[0]
    assert tile.name == "mean absolute error of age"
    assert tile.value.low <= tile.value.value <= tile.value.high
    assert tile.value.value == -found.contributions.all.value > 0
    assert tile.details[0].startswith("without any input ")
    assert found.page.made_with["intervals"] == "95 %, 50 bootstrap resamples of rows"
    assert found.page.made_with["table"].endswith(", which could not be read")


def test_a_head_of_several_labels_draws_the_groups_of_the_split(
    predictor, records, table, tmp_path
):
    grouped = copy.copy(predictor)
    grouped.config = CONFIG.model_copy(
        update={"split": CONFIG.split.model_copy(update={"group": "colour"})}
    )
    found = model_report(grouped, records, tmp_path / "report", head="tags", table=table, **FEW)
    assert found.page.tiles[0].name == "average precision of tags"
    assert any("average precision" in each.lower() for each in found.page.sections[0].sentences)
    shares = found.contributions.share.values()
    assert all(
        0 <= bound <= 1 for each in [found.contributions.all] for bound in (each.low, each.high)
    )
    assert found.robustness.unit == "average precision"
    assert all(each.value is None or abs(each.value) < 3 for each in shares)
    assert found.page.made_with["intervals"] == "95 %, 50 bootstrap resamples of groups of colour"
    assert found.contributions.groups < found.contributions.n
    assert found.contributions.n > 5


def test_a_model_of_one_input_and_a_baseline_are_compared(predictor, records, tmp_path):
    config = CONFIG.model_copy(update={"inputs": {"title": CONFIG.inputs["title"]}})
    schema = predictor.schema
    title = types.SimpleNamespace(model=build_model(config, schema), config=config, schema=schema)
    found = model_report(
        predictor,
        records,
        tmp_path / "report",
        unimodal={"title": title},
        baseline=predictor,
        **FEW,
    )
    inputs, damage = found.page.sections[:2]
    shown = block(inputs, "Inputs")
    assert shown.columns[-1].name == "unimodal, trained alone"
    assert [row[-1] is None for row in shown.rows] == [False, True, True]
    summary = block(damage, "Robustness by input")
    names = [column.name for column in summary.columns]
    effective = [row[names.index("effective robustness")].value for row in summary.rows]
    # against itself
    assert effective == pytest.approx([0.0] * len(effective))


def block(section, title):
    return next(each for each in section.blocks if getattr(each, "title", "") == title)


def test_an_input_missing_in_all_rows_is_reported(predictor, tmp_path):
    frame = title_table.frame()
    frame.loc[frame["split"] == "test", "price"] = np.nan
    small_table.ingested(tmp_path / "records", CONFIG, frame)
    found = model_report(predictor, tmp_path / "records", tmp_path / "report", **FEW)
    assert (
        found.page.summary[0] == "No row of the test split has price, so nothing is known about it."
    )


@pytest.mark.slow
def test_the_command_writes_the_same_report_of_a_run_and_of_its_saved_model(
    title_run, records, report, tmp_path, monkeypatch, capsys
):
    few = functools.partial(model_report, resamples=FEW["resamples"])
    monkeypatch.setattr("multimodal_tf.report.model.model_report", few)
    table = tmp_path / "table.parquet"
    title_table.frame().to_parquet(table)
    for model in (title_run / "run", title_run / "saved" / "1"):
        out = tmp_path / model.name
        words = ["report", model, records, "--out", out, "--table", table, "--corrupted", "8"]
        monkeypatch.setattr(sys, "argv", ["multimodal-tf", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code
        assert "The model relies almost entirely on title" in capsys.readouterr().out
        assert (out / "index.html").is_file()
    run, saved = (
        json.loads((tmp_path / name / "report.json").read_text()) for name in ("run", "1")
    )
    assert saved["summary"] == run["summary"] == list(report.page.summary)
    assert saved["sections"][0]["title"] == "Modality contributions"
    assert saved["sections"][0] == run["sections"][0]
