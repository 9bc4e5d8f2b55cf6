"""Whether ingest and the served graph call the same cells broken."""

from test_preprocessor import BROKEN, CONFIG, preprocessor, raw, with_cell

from multimodal_tf.data.kinds import kind_of


def test_sound_cells_have_no_problem():
    for name, cells in raw().items():
        assert {kind_of(CONFIG.inputs[name]).problem(cell) for cell in cells.numpy().tolist()} == {
            ""
        }


def test_missing_is_no_problem():
    for name, input_config in CONFIG.inputs.items():
        assert kind_of(input_config).problem(float("nan") if name == "price" else b"") == ""


def test_the_reason_is_the_graphs():
    for name, value, _ in BROKEN:
        _, errors = preprocessor().features(with_cell(raw(), name, 0, value))
        assert (
            f"{name}: {kind_of(CONFIG.inputs[name]).problem(value)}".encode() == errors.numpy()[0]
        )


def test_the_answer_does_not_depend_on_what_came_before():
    input_config = CONFIG.inputs["photo"]
    good = raw()["photo"].numpy()[0]
    assert [
        kind_of(input_config).problem(good),
        kind_of(input_config).problem(good[:150]),
        kind_of(input_config).problem(good),
    ] == [
        "",
        "damaged image",
        "",
    ]
