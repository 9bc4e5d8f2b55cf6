"""The schema's file."""

import pytest

from multimodal_tf.schema import Classes, Moments, Schema, Vocabulary


def test_file_round_trip(tmp_path):
    schema = Schema(
        rows=3,
        inputs={"title": Vocabulary(words=["crow", "鸟"]), "price": Moments(mean=1.5, std=0.1)},
        heads={
            "label": Classes(names=["a", "b"], counts=[1, 2]),
            "rating": Moments(mean=0.0, std=1.0),
        },
    )
    schema.save(tmp_path / "schema.json")
    assert Schema.load(tmp_path / "schema.json") == schema


@pytest.mark.parametrize("text", ["", "[]", '{"rows": "many"}'])
def test_another_file_is_refused_by_name(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="other.json is not a schema"):
        Schema.load(path)
