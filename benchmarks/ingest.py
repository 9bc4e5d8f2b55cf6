"""Rows per second and peak memory of ingest, as Markdown tables.

It runs with one process, with two, and on Apache Beam. Memory is measured for 1 x and 20 x the
rows.

    python -m benchmarks.ingest [--rows 2000] [--factor 20] [--repeats 3]

Rows have a 256 x 256 JPEG, a clip of one second (WAV, FLAC or MP3), a text and a class. Every run
is a process of its own with a new output folder, and the ways take turns. Beam's DirectRunner needs
the extra `beam`. Memory is that of the whole process tree, shared pages counted once (proportional
set size), sampled 20 times per second.
"""

import argparse
import importlib.util
import io
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import pandas as pd
import soundfile
from PIL import Image

from multimodal_tf.config import AudioInput, ClassificationHead, Config, ImageInput, TextInput
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.table import read_table

FILES = 120
ROWS_PER_SHARD = 200
BEAM = ["--runner=DirectRunner", "--default_sdk_harness_log_level=ERROR"]
# shards written at a time, and the arguments of `ingest`
WAYS = {
    "1 process": (1, {"processes": 1}),
    "2 processes": (2, {"processes": 2}),
    "Beam, 1 worker": (1, {"beam": [*BEAM, "--direct_running_mode=in_memory"]}),
    "Beam, 2 workers": (
        2,
        {"beam": [*BEAM, "--direct_running_mode=multi_processing", "--direct_num_workers=2"]},
    ),
}
CONFIG = Config(
    inputs={"photo": ImageInput(), "clip": AudioInput(seconds=1.0), "title": TextInput()},
    heads={"label": ClassificationHead()},
)


def make_files(root):
    """Writes the files that the rows of every table refer to in turn."""
    generator = np.random.default_rng(0)
    for number in range(FILES):
        pixels = np.asarray(Image.effect_noise((16, 16), 120).convert("RGB").resize((256, 256)))
        Image.fromarray(pixels).save(root / f"{number}.jpg", quality=90)
        kind = ("WAV", "FLAC", "MP3")[number % 3]
        file = io.BytesIO()
        tone = np.sin(np.arange(44_100) * generator.uniform(0.01, 0.1)) * 0.3
        soundfile.write(file, tone + generator.normal(0, 0.01, 44_100), 44_100, format=kind)
        (root / f"{number}.{kind.lower()}").write_bytes(file.getvalue())


def make_table(root, rows):
    """Writes a CSV of `rows` rows; returns its path."""
    numbers = np.arange(rows) % FILES
    frame = pd.DataFrame(
        {
            "photo": [f"{number}.jpg" for number in numbers],
            "clip": [f"{number}.{('wav', 'flac', 'mp3')[number % 3]}" for number in numbers],
            "title": [f"the photo of number {number}, once more" for number in numbers],
            "label": [f"class {number % 5}" for number in numbers],
        }
    )
    path = root / f"{rows}.csv"
    frame.to_csv(path, index=False)
    return path


def run_one(table, out, way):
    """Runs one ingest in this process and prints its seconds.

    They are the total, and the time between the ends of the first and the last shard.
    """
    at_a_time, options = WAYS[way]
    start = time.perf_counter()
    ingest(
        read_table(table),
        CONFIG,
        out,
        rows_per_shard=ROWS_PER_SHARD,
        progress=False,
        **options,
    )
    seconds = time.perf_counter() - start
    ends = sorted(path.stat().st_mtime for path in (pathlib.Path(out) / "parts").glob("*.json"))
    print(
        json.dumps(
            {
                "seconds": seconds,
                "steady": ends[-1] - ends[at_a_time - 1],
                "first_shards": at_a_time,
            }
        )
    )


def tree(pid):
    """The process and all its descendants."""
    found = [pid]
    for one in found:
        try:
            for task in pathlib.Path(f"/proc/{one}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        except OSError:
            # The process has ended.
            continue
    return found


def memory(pid):
    """Proportional set size of a process in MB; 0 if it has ended."""
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return int(text.partition("\nPss:")[2].split()[0]) / 1024


def measure(table, way):
    """Runs one ingest; returns its output and the peak memory of its processes in MB."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, __file__, "--one", str(table), out, way]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, sum(map(memory, tree(process.pid))))
            time.sleep(0.05)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
        rows = Manifest.load(out).kept
        return json.loads(process.stdout.read()) | {"peak": peak, "rows": rows}


def main():
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--factor", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", nargs=3, metavar=("TABLE", "OUT", "WAY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        run_one(*arguments.one)
        return
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        make_files(root)
        small, large = (
            make_table(root, arguments.rows),
            make_table(root, arguments.rows * arguments.factor),
        )
        installed = importlib.util.find_spec("apache_beam") is not None
        runs: dict[str, list] = {way: [] for way in WAYS if installed or not way.startswith("Beam")}
        for _ in range(arguments.repeats):
            for way, several in runs.items():
                several.append(measure(small, way))
        print_speed(runs, arguments.rows)
        print_memory([measure(table, "2 processes") for table in (small, large)])


def print_speed(runs, rows):
    """Prints the table of rows per second."""
    print(f"\n{rows} rows, median of {len(runs['1 process'])} runs (least to most)\n")
    print(
        "| | rows/s, whole run | rows/s once the workers have started | ratio to one process |"
        "\n|---|---|---|---|"
    )
    medians = {}
    for way, several in runs.items():
        whole = [run["rows"] / run["seconds"] for run in several]
        steady = [
            (run["rows"] - ROWS_PER_SHARD * run["first_shards"]) / run["steady"] for run in several
        ]
        medians[way] = statistics.median(whole), statistics.median(steady)
        ratio = [now / then for now, then in zip(medians[way], medians["1 process"])]
        cells = [
            f"{medians[way][index]:.0f} ({min(speeds):.0f} to {max(speeds):.0f})"
            for index, speeds in enumerate((whole, steady))
        ]
        print(f"| {way} | {cells[0]} | {cells[1]} | {ratio[0]:.2f}, {ratio[1]:.2f} |")


def print_memory(runs):
    """Prints the table of peak memory."""
    print("\n| rows (two processes) | peak memory, MB | ratio |\n|---|---|---|")
    for run in runs:
        print(f"| {run['rows']} | {run['peak']:.0f} | {run['peak'] / runs[0]['peak']:.3f} |")


if __name__ == "__main__":
    main()
