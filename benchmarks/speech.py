"""Speech to text: spoken numbers and words, voices held out, by CTC and by an attention decoder.

`python -m benchmarks.speech` (about 25 minutes on two cores; needs Debian's `espeak-ng`). Training,
validation and test have different voices. Prints word and character error rates of the test voices,
with intervals, and the seconds of each training. Other decoders, seeds or sizes:
`--decoders ctc --seeds 1 --clips 1000`.
"""

import argparse
import concurrent.futures
import pathlib
import subprocess
import tempfile
import time

import numpy as np
import pandas as pd

import multimodal_tf as mm

# fmt: off
WORDS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "twenty", "thirty", "forty", "fifty", "hundred", "thousand",
    "red", "green", "blue", "house", "garden", "window", "river", "bread", "water", "music",
]
# fmt: on
DIALECTS = ["en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-029"]
# variants of espeak-ng, which change the voice
VOICES = {
    "train": ["m1", "m2", "m4", "m5", "m6", "m8", "f1", "f3", "f4", "Alex", "Alicia", "Andy"]
    + ["Gene", "Hugo", "Lee", "Mario", "adam", "linda"],
    "validation": ["f5", "Denis"],
    "test": ["f2", "m3", "m7", "Michael"],
}
SHARES = {"train": 1.0, "validation": 0.06, "test": 0.1}
RATE, SECONDS, LETTERS = 8000, 2.4, 32
METRICS = ("wer", "cer", "exact_match")


def spoken(variant, seed):
    """One to three words, and espeak-ng's WAV bytes of them."""
    random = np.random.default_rng(seed)
    text = " ".join(random.choice(WORDS, random.integers(1, 4)))
    voice = f"{random.choice(DIALECTS)}+{variant}"
    pitch, speed = random.integers(30, 71), random.integers(140, 200)
    command = ["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(speed), "--stdout", text]
    return text, subprocess.run(command, check=True, capture_output=True).stdout


def table_of(clips):
    """Spoken rows, `clips` of them for training."""
    rows = []
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        for number, (split, variants) in enumerate(VOICES.items()):
            count = max(len(variants), round(SHARES[split] * clips))
            voices = [variants[one % len(variants)] for one in range(count)]
            seeds = [[number, one] for one in range(count)]
            for voice, (text, clip) in zip(voices, threads.map(spoken, voices, seeds)):
                rows.append({"split": split, "voice": voice, "clip": clip, "words": text})
    return pd.DataFrame(rows)


def config_of(decoder, seed, epochs):
    """A small CRNN; the head reads its tokens."""
    tower = mm.CRNNTower(filters=[16, 32, 32], mel_bins=32, hop_ms=12.5, time_pools=1, units=64)
    head = (
        mm.TextHead(decoder="ctc", inputs=["clip"], max_tokens=LETTERS)
        if decoder == "ctc"
        else mm.TextHead(decoder=decoder, inputs=["clip"], max_tokens=LETTERS)
    )
    return mm.Config(
        inputs={"clip": mm.AudioInput(sample_rate=RATE, seconds=SECONDS, tower=tower)},
        heads={"words": head},
        split=mm.Split(column="split"),
        training=mm.Training(epochs=epochs, batch_size=32, learning_rate=4e-3, patience=None),
        seed=seed,
    )


def result(decoder, seed, epochs, table, folder):
    """Metrics of the test voices, epochs and seconds of one training."""
    config, records = config_of(decoder, seed, epochs), folder / "records"
    if not records.exists():
        mm.ingest(mm.read_table(table), config, records)
    schema, begin = mm.Schema.load(records / "schema.json"), time.perf_counter()
    run = mm.fit(config, schema, records, folder / f"{decoder}_{seed}", verbose=2)
    seconds = time.perf_counter() - begin
    found = mm.evaluate(run.model, config, schema, records, seed=seed).heads["words"].metrics
    metrics = {name: found[name] for name in METRICS}
    print(decoder, seed, {name: one.value for name, one in metrics.items()}, flush=True)
    return metrics | {"seconds": seconds}


def page(results):
    """A line a decoder and seed."""
    lines = [f"| decoder | seed | {' | '.join(METRICS)} | seconds |", "|---|---|---|---|---|---|"]
    for (decoder, seed), found in results.items():
        metrics = [found[name] for name in METRICS]
        cells = [f"{one.value:.3f} ({one.low:.3f} .. {one.high:.3f})" for one in metrics]
        lines.append(f"| {decoder} | {seed} | {' | '.join(cells)} | {found['seconds']:.0f} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decoders", nargs="+", default=["ctc", "transformer"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--clips", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        table = table_of(given.clips)
        print(f"{len(table)} clips spoken in {time.perf_counter() - begin:.0f} s", flush=True)
        results = {
            (decoder, seed): result(decoder, seed, given.epochs, table, pathlib.Path(folder))
            for decoder in given.decoders
            for seed in given.seeds
        }
    print(page(results))


if __name__ == "__main__":
    main()
