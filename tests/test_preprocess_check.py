"""Whether ingest and the served graph call the same cells broken."""

from test_preprocess_rows import BROKEN, CONFIG, preprocessor, raw, with_cell

from multimodal_tf.data.kinds.check import problem


def test_sound_cells_have_no_problem():
    for name, cells in raw().items():
        assert {problem(CONFIG.inputs[name], cell) for cell in cells.numpy().tolist()} == {""}


def test_missing_is_no_problem():
    for name, part in CONFIG.inputs.items():
        assert problem(part, float("nan") if name == "price" else b"") == ""


def test_the_reason_is_the_graphs():
    for name, value, _ in BROKEN:
        _, errors = preprocessor().features(with_cell(raw(), name, 0, value))
        assert f"{name}: {problem(CONFIG.inputs[name], value)}".encode() == errors.numpy()[0]


def test_the_answer_does_not_depend_on_what_came_before():
    part = CONFIG.inputs["photo"]
    good = raw()["photo"].numpy()[0]
    assert [problem(part, good), problem(part, good[:150]), problem(part, good)] == [
        "",
        "damaged image",
        "",
    ]
