"""Shared by the tests from table to predictions: what the commands make of a shop's table."""

import sys

import pytest
import shop as shop_table

from multimodal_tf import cli
from multimodal_tf.config import Config
from multimodal_tf.serving.client import Client
from multimodal_tf.training.run_dir import load_run


@pytest.fixture(scope="session")
def command():
    """`command(*words)`: the exit code of a command line, in this process."""

    def run(*words):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["multimodal-tf", *map(str, words)])
            try:
                cli.main()
            except SystemExit as stop:
                return stop.code
        return 0

    return run


@pytest.fixture(scope="session")
def shop(once, command):
    """The folder of all that the commands make of `shop.texts`, in their order.

    `table.csv`, `described.yaml`, `config.yaml` with the other heads, `records`, `run`,
    `metrics.json`, `report` of the head `visits`, `saved/1` with a guard, `predictions.csv`.
    """

    def make(folder):
        table, described, config = (
            folder / name for name in ("table.csv", "described.yaml", "config.yaml")
        )
        records, run, saved = folder / "records", folder / "run", folder / "saved" / "1"
        shop_table.texts().to_csv(table, index=False)
        types = [f"--type={column}={kind}" for column, kind in shop_table.TYPES.items()]
        ingest = ["ingest", table, "--config", config, "--out", records, "--processes", "1"]
        assert command("describe", table, "--out", described, *types) == 0
        _write_config(described, config)
        assert command(*ingest) == 0
        assert command("train", records, "--out", run) == 0
        assert command("evaluate", run, records, "--out", folder / "metrics.json") == 0
        report = ["report", run, records, "--out", folder / "report", "--head", "visits"]
        report += ["--rows", "12", "--corrupted", "6"]
        assert command(*report) == 0
        assert command("export", run, saved, "--guard") == 0
        assert command("predict", saved, table, "--out", folder / "predictions.csv") == 0

    return once("shop", make)


def _write_config(described, config):
    settings = Config.load(described).model_dump()
    settings["heads"] |= shop_table.HEADS
    settings["inputs"]["title"]["tower"] |= {"embedding_dim": 8, "dropout": 0}
    settings["fusion"] = {"hidden": [16], "dropout": 0, "modality_dropout": 0.05}
    settings["training"] |= {"epochs": 6, "batch_size": 16, "learning_rate": 0.05}
    Config.model_validate(settings).save(config)


@pytest.fixture(scope="session")
def shop_run(shop):
    """The trained run of the shop, loaded."""
    return load_run(shop / "run")


@pytest.fixture(scope="session")
def shop_client(shop):
    """The client of the shop's SavedModel."""
    return Client(shop / "saved" / "1")
