"""The table of `export --classes-of` is read as other tables are."""

import pytest
from typer.testing import CliRunner

from multimodal_tf.cli.app import app
from multimodal_tf.serving import zero_shot


@pytest.mark.filterwarnings("ignore")
def test_its_encoding_and_delimiter_can_be_given(tmp_path, monkeypatch):
    path = tmp_path / "kinds.csv"
    path.write_bytes("kind;note\nf\xfcr,x;1\nb;2\n".encode("cp1252"))
    seen = []
    monkeypatch.setattr(zero_shot, "ZeroShot", lambda classes, prompt: seen.append(classes))
    options = ["--classes-of", "kind", "--classes-table", str(path)]
    given = ["--encoding", "cp1252", "--delimiter", ";"]
    # there is no such run: the classes are read before
    CliRunner().invoke(
        app, ["export", str(tmp_path / "run"), str(tmp_path / "1"), *options, *given]
    )
    assert [sorted(one) for one in seen] == [["b", "f\xfcr,x"]]
