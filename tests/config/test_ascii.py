"""No command ends because its output cannot be shown."""

import io
import sys

import pytest

from multimodal_tf import cli


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_terminal_that_cannot_show_a_name(tmp_path, monkeypatch, encoding):
    table = tmp_path / "prix réel \udcff.csv"
    table.write_text("prix réel,label\n1.5,шар\n2,б\n", encoding="utf-8")
    written, errors = io.BytesIO(), io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(errors, encoding=encoding))
    monkeypatch.setattr(sys, "argv", ["multimodal-tf", "describe", str(table)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    sys.stdout.flush()
    sys.stderr.flush()
    assert (ended.value.code, errors.getvalue()) == (0, b"")
    name = "prix réel".encode(encoding, "backslashreplace")
    assert name in written.getvalue()
