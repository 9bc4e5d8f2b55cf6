"""From a table of sounds to the words of one SavedModel, with `decoder: ctc`."""

import types

import numpy as np
import pandas as pd
import pytest
from media import audio_bytes

import multimodal_tf as mm
from multimodal_tf.serving.skew import skew

pytestmark = pytest.mark.slow

RATE, LONG, ROWS = 4000, 0.1, 160
HERTZ = {"a": 400, "b": 800, "c": 1400}
TOWER = mm.CRNNTower(filters=[8, 8], mel_bins=16, units=24, time_pools=1)
CONFIG = mm.Config(
    inputs={"clip": mm.AudioInput(seconds=1, sample_rate=RATE, tower=TOWER)},
    heads={"words": mm.TextHead(decoder="ctc", inputs=["clip"], max_tokens=8)},
    training=mm.Training(epochs=12, batch_size=16, learning_rate=0.01),
)


def spoken(word, random):
    """A tone for each letter, with a pause behind it."""
    time = np.arange(int(LONG * RATE)) / RATE
    pause = np.zeros(len(time) // 2)
    tones = [np.concatenate([np.sin(2 * np.pi * HERTZ[one] * time), pause]) for one in word]
    samples = 0.5 * np.concatenate(tones)
    return audio_bytes(samples + random.normal(0, 0.01, len(samples)), RATE)


def table_of(rows, seed):
    random = np.random.default_rng(seed)
    words = ["".join(random.choice([*"abc"], random.integers(1, 6))) for _ in range(rows)]
    return pd.DataFrame({"clip": [spoken(one, random) for one in words], "words": words})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run over rows of which some teach nothing, and what was exported of it."""
    folder = tmp_path_factory.mktemp("spoken")
    table = table_of(ROWS, 0).astype(object)
    table.loc[3::20, "words"] = "aaaabbbbcccc"
    table.loc[5::20, "clip"] = None
    table.loc[7::20, "words"] = None
    table.loc[9::20, "clip"] = [audio_bytes(np.full(200, 0.5), RATE)] * 8
    table.loc[9::20, "words"] = "abcabcab"
    records = folder / "records"
    mm.ingest(mm.read_table(table), CONFIG, records, processes=1)
    schema = mm.Schema.load(records / "schema.json")
    with pytest.warns(UserWarning, match=r"heads.words: of \d+ training rows"):
        run = mm.fit(CONFIG, schema, records, folder / "run", verbose=0)
    path = mm.export_model(run.model, CONFIG, schema, folder / "words" / "1")
    return types.SimpleNamespace(folder=folder, records=records, schema=schema, run=run, path=path)


def test_new_sounds(made):
    table = table_of(20, 5)
    client = mm.Client(made.path)
    found = client.predict([*table[["clip"]].to_dict("records"), {}])
    right = [one == other for one, other in zip(found["words"], table["words"])]
    assert np.mean(right) > 0.8
    assert found["words"][20] == made.schema.heads["words"].commonest
    assert (found["words_log_probability"] <= 0).all()
    alone = client.predict(table[["clip"]].iloc[[3]].to_dict("records"))
    assert alone["words"][0] == found["words"][3]
    assert len(client.predict([])) == 0
    # a second of silence says something, whatever it is
    assert isinstance(
        client.predict([{"clip": audio_bytes(np.zeros(RATE), RATE)}])["words"][0], str
    )


def test_rows_that_teach_nothing_are_told(made):
    note = made.run.record.note
    assert "more tokens than max_tokens, 8, and" in note
    lost, cut, unaligned = (
        int(note.split(before)[1].split(" ")[0])
        for before in ("with a text and an input ", "teach nothing, ", "max_tokens, 8, and ")
    )
    assert lost == cut + unaligned
    assert 0 < cut <= 8
    assert 0 < unaligned <= 8


def test_nothing_to_learn_is_refused(made):
    tower = TOWER.model_copy(update={"hop_ms": 400.0, "time_pools": 0, "window_ms": 400.0})
    clip = CONFIG.inputs["clip"].model_copy(update={"tower": tower})
    config = CONFIG.model_copy(update={"inputs": {"clip": clip}})
    long = mm.Schema.model_validate(made.schema.model_dump())
    table = table_of(30, 2)
    table["words"] = [one + "abcba" for one in table["words"]]
    records = made.folder / "short"
    mm.ingest(mm.read_table(table), config, records, processes=1)
    with pytest.raises(ValueError, match="more time steps than the tower gives them: raise"):
        mm.fit(config, long, records, made.folder / "refused")
    assert not (made.folder / "refused").exists()


def test_served_as_evaluated(made):
    assert skew(made.run.model, CONFIG, made.schema, made.records, made.path)["words"] < 1e-3
    found = mm.evaluate(made.run.model, CONFIG, made.schema, made.records, resamples=20)
    values = {name: one.value for name, one in found.heads["words"].metrics.items()}
    assert values["cer"] < 0.3
    assert values["token_accuracy"] > 0.8
    assert values["log_perplexity"] > 0
