"""Rows of a table in a notebook: pictures, players, short texts, reasons, and bounds."""

import base64
import io
import re

import media
import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image

import multimodal_tf as mm
from multimodal_tf.data.describe import preview as preview_module
from multimodal_tf.data.describe.table_description import Description

EVIL = "<script>alert('taken')</script>"


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    (folder / "owl.png").write_bytes(media.random_image(size=(400, 200)))
    (folder / "broken.png").write_bytes(media.random_image()[:60])
    (folder / "owl.wav").write_bytes(media.random_audio(seconds=7.0, rate=44_100))
    (folder / "owl.mp4").write_bytes(media.video_bytes(4))
    frame = pd.DataFrame(
        {
            "photo": ["owl.png", "broken.png", "gone.png", ""],
            "cry": ["owl.wav", "owl.wav", None, f"{EVIL}.wav"],
            "film": ["owl.mp4", "owl.mp4", "", "owl.mp4"],
            "frames": [[media.random_image(seed) for seed in range(3)]] * 4,
            "title": [EVIL, "red " * 100, "", "an\x00 owl\nat night"],
            "price": [1.5, 2, None, 3],
            "label": ["owl", "oak", "owl", "oak"],
        }
    )
    return mm.read_table(frame, root=folder)


@pytest.fixture(scope="module")
def shown(table):
    return mm.preview(table)


def cells(shown, column):
    index = list(shown.columns).index(column)
    return [row.cells[index] for row in shown.rows]


def sources(html, tag):
    return re.findall(rf'<{tag} [^>]*src="data:([^;"]*);base64,([^"]*)"', html)


def test_pictures_are_thumbnails(shown):
    (kind, data), *_ = sources(shown._repr_html_(), "img")
    assert kind == "image/webp"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (128, 64)
    assert cells(shown, "photo")[0].shown.note == "400 x 200"


def test_sounds_and_films_have_players(shown):
    html = shown._repr_html_()
    sounds, films = sources(html, "audio"), sources(html, "video")
    assert len(sounds) == 2
    assert len(films) == 3
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sounds[0][1])))
    assert len(samples) / rate == pytest.approx(5, abs=0.01)
    assert rate <= 11_025
    assert films[0][0] == "video/mp4"
    assert cells(shown, "cry")[0].shown.note == "the first 5 of 7.0 s"


def test_a_film_of_frames_is_an_animation(shown):
    cell = cells(shown, "frames")[0].shown
    assert Image.open(io.BytesIO(base64.b64decode(cell.data))).n_frames == 3
    assert (cell.tag, cell.note) == ("img", "3 frames")


def test_broken_cells_have_the_reason_of_ingest_and_missing_ones_say_so(shown, table):
    photos = cells(shown, "photo")
    assert "no such file" in photos[2].reason
    assert photos[1].reason
    assert [cell.shown is None for cell in photos] == [False, True, True, True]
    described = {each.column: each for each in mm.describe(table).columns}
    reasons = [each.reason for each in described["photo"].rejections]
    # with the path that was tried
    assert reasons == [photos[1].reason, f"{photos[2].reason} ({table.root / 'gone.png'})"]
    html = shown._repr_html_()
    assert html.count("<em>missing</em>") == 5
    assert photos[2].reason in html


def test_texts_are_short_and_never_markup(shown):
    html = shown._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "\x00" not in html
    long = cells(shown, "title")[1].text
    assert len(long) == 160
    assert long.endswith("…")
    assert set(re.findall(r'src="([a-z]+):', html)) == {"data"}
    assert "http" not in html


def test_a_terminal_has_a_line_a_row(shown):
    lines = repr(shown).split("\n")
    assert len(lines) == 5
    assert lines[1].startswith("row 0: photo: [image 400 x 200], cry: [audio the first 5")
    assert "photo: gone.png (no such file)" in lines[3]


def test_all_of_it_is_bounded(table, monkeypatch):
    assert len(mm.preview(table, rows=1).rows) == 1
    monkeypatch.setattr(preview_module, "_BUDGET", 30_000)
    html = mm.preview(table)._repr_html_()
    assert sum(
        len(data) for tag in ("img", "audio", "video") for _, data in sources(html, tag)
    ) <= (30_000)
    wide = mm.read_table(pd.DataFrame(np.zeros((2, 60))))
    assert mm.preview(wide).title.endswith("the first 2 rows, 40 of 60 columns")


@pytest.mark.parametrize("rows", [0, 101])
def test_other_arguments_are_refused(table, rows):
    with pytest.raises(ValueError, match=f"rows must be from 1 to 100, received {rows}"):
        mm.preview(table, rows=rows)
    with pytest.raises(FileNotFoundError, match="there is no table shop.csv"):
        mm.preview("shop.csv")
    with pytest.raises(ValueError, match="a table must be a path or a pandas DataFrame"):
        mm.preview(3)


def test_a_description_shows_its_columns_and_rows(table):
    description = mm.describe(table)
    html = description._repr_html_()
    assert "4 rows, all looked at" in html
    assert "2 of 3 cells open as audio clips" in html
    assert len(sources(html, "img")) == 5
    assert len(sources(html, "audio")) == 2
    assert "<script" not in html
    # read from a file it has no table to show rows of
    read = Description.model_validate_json(description.model_dump_json())
    assert read == description
    assert "<img" not in read._repr_html_()
    assert "the first 4 rows" in html
    assert "the first 4 rows" not in read._repr_html_()
    assert "no such file" in read._repr_html_()
