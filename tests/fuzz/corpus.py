"""Small valid files of every format that the package reads: what `make fuzz` mutates.

`python -m fuzz.corpus FOLDER` writes them, a folder for each target.
"""

import contextlib
import gzip
import io
import json
import lzma
import pathlib
import sqlite3
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import soundfile
from PIL import Image

from fuzz import corpus_av, corpus_files
from fuzz.corpus_text import CONFIGURATIONS, TEXTS, VALUES

Files = dict[str, bytes]

_RATE = 8000
# formats of Pillow that hold any image, with the mode that they take
_PLAIN = {
    "PPM": "RGB", "TGA": "RGB", "JPEG2000": "RGB", "AVIF": "RGB", "DDS": "RGBA", "ICO": "RGBA",
    "PCX": "RGB", "SGI": "RGB", "QOI": "RGB", "IM": "RGB", "MSP": "1", "XBM": "1", "SPIDER": "F",
    "BLP": "P", "ICNS": "RGBA", "DIB": "RGB", "MPO": "RGB",
}  # fmt: skip
_TIFF = (
    "raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group3", "group4", "tiff_ccitt",
    "lzma", "zstd",
)  # fmt: skip


def image(seed: int = 0, size: tuple[int, int] = (40, 30)) -> Image.Image:
    """A gradient with noise, RGBA, partly transparent; `size` is `(width, height)`."""
    width, height = size
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 60, (height, width, 4))
    pixels[..., 0] += np.linspace(0, 190, width, dtype=int)
    pixels[..., 1] += np.linspace(0, 190, height, dtype=int)[:, None]
    pixels[..., 3] = np.where(np.arange(width) < width // 2, 255, 120)
    return Image.fromarray(pixels.astype(np.uint8))


def saved(picture: Image.Image, kind: str, mode: str, **options: Any) -> bytes:
    """The file of an image; "" where this Pillow cannot write it."""
    file = io.BytesIO()
    try:
        picture.convert(mode).save(file, kind, **options)
    except (OSError, ValueError, KeyError):
        return b""
    return file.getvalue()


def images() -> Files:
    """Every format that Pillow writes, and the variants of those that the graph decodes."""
    one, two = image(), image(1)
    exif = Image.Exif()
    exif[0x0112] = 6
    more: dict[str, Any] = {"save_all": True, "append_images": [two, one]}
    files = {
        "baseline.jpg": saved(one, "JPEG", "RGB", quality=60),
        "progressive.jpg": saved(one, "JPEG", "RGB", progressive=True),
        "grey.jpg": saved(one, "JPEG", "L"),
        "cmyk.jpg": saved(one, "JPEG", "CMYK"),
        "turned.jpg": saved(one, "JPEG", "RGB", exif=exif),
        "restarts.jpg": saved(one, "JPEG", "RGB", restart_marker_blocks=2),
        "sampled.jpg": saved(image(size=(320, 240)), "JPEG", "RGB", subsampling=2, quality=20),
        "interlaced.gif": saved(one, "GIF", "RGB", interlace=1),
        "animated.gif": saved(one, "GIF", "RGBA", duration=[20, 500, 90], disposal=2, **more),
        "still.gif": saved(one, "GIF", "P", interlace=0, transparency=3),
        "lossy.webp": saved(one, "WEBP", "RGB", quality=50),
        "lossless.webp": saved(one, "WEBP", "RGB", lossless=True),
        "alpha.webp": saved(one, "WEBP", "RGBA", quality=50, alpha_quality=50),
        "turned.webp": saved(one, "WEBP", "RGB", exif=exif),
        "animated_alpha.webp": saved(one, "WEBP", "RGBA", duration=90, **more),
        "animated.webp": saved(
            one, "WEBP", "RGB", save_all=True, append_images=[two.convert("RGB")], duration=90
        ),
        "turned.png": saved(one, "PNG", "RGBA", exif=exif),
        "animated.png": saved(one, "PNG", "RGBA", **more),
        "transparent.png": saved(one, "PNG", "P", transparency=bytes(range(200))),
        "key.png": saved(one, "PNG", "RGB", transparency=(9, 9, 9)),
        "floats.tif": saved(one, "TIFF", "F"),
        "integers.tif": saved(one, "TIFF", "I"),
        "tiles.tif": saved(one, "TIFF", "RGB", tile=(16, 16)),
        "pages.tif": saved(one, "TIFF", "RGB", **more),
    }
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        grey = one.convert("L") if mode == "I;16" else one
        files[f"{mode.replace(';', '_')}.png"] = saved(grey, "PNG", mode)
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        files[f"{mode}.bmp"] = saved(one, "BMP", mode)
    for compression in _TIFF:
        mode = "1" if compression in ("group3", "group4", "tiff_ccitt") else "RGB"
        files[f"{compression}.tif"] = saved(one, "TIFF", mode, compression=compression)
    for kind, mode in _PLAIN.items():
        files[f"plain.{kind.lower()}"] = saved(one, kind, mode)
    return {name: data for name, data in files.items() if data}


def sound(channels: int = 1, seconds: float = 0.2) -> npt.NDArray[np.float64]:
    """A tone with noise: float64 `(samples, channels)`."""
    generator = np.random.default_rng(channels)
    times = np.arange(round(_RATE * seconds))[:, None]
    tone = 0.4 * np.sin(times * np.linspace(0.1, 0.5, channels))
    return tone + generator.normal(0, 0.02, tone.shape)


def sounds() -> Files:
    """What libsndfile writes in all its subtypes, and PyAV's codecs in their containers."""
    files = {}
    for kind in soundfile.available_formats():
        if kind == "RAW":
            continue
        for subtype in soundfile.available_subtypes(kind):
            for channels in (1, 2) if subtype.startswith("PCM") else (1,):
                file = io.BytesIO()
                try:
                    soundfile.write(file, sound(channels), _RATE, format=kind, subtype=subtype)
                except (soundfile.LibsndfileError, ValueError, TypeError):
                    continue
                files[f"{kind.lower()}_{subtype.lower()}_{channels}.{kind.lower()}"] = (
                    file.getvalue()
                )
    return files | corpus_av.sounds()


def waves() -> Files:
    """The WAV files among the sounds."""
    return {name: data for name, data in sounds().items() if data[8:12] == b"WAVE"}


def videos() -> Files:
    """PyAV's codecs in their containers, and GIFs."""
    return corpus_av.videos() | gifs()


def gifs() -> Files:
    """The GIFs among the images."""
    return {name: data for name, data in images().items() if name.endswith(".gif")}


def tables() -> Files:
    """Every format of a table with every type of cell, some of them compressed."""
    rows = 12
    frame = pd.DataFrame(
        {
            "title": ["red, bird", 'a "b"', "的\nline", "", "é"] * 2 + ["x", "y"],
            "price": np.linspace(-3, 1e9, rows),
            "count": range(rows),
            "new": [True, False, None] * 4,
            "when": pd.date_range("2026-11-30", periods=rows, freq="37h", tz="UTC"),
            "label": ["a", "b", "c"] * 4,
        }
    )
    nested = frame.assign(vector=[[float(i), 2.5] * 4 for i in range(rows)], photo=[b"\xff"] * rows)
    lines = "".join(
        json.dumps(row | {"vector": [1, 2.5], "more": {"path": "a.png"}}, default=str) + "\n"
        for row in frame.to_dict("records")
    ).encode()
    csv = frame.to_csv(index=False).encode()
    files = {
        "plain.csv": csv,
        "windows.csv": b"\xef\xbb\xbf" + csv.replace(b"\n", b"\r\n"),
        "plain.tsv": frame.to_csv(index=False, sep="\t").encode(),
        "plain.jsonl": lines,
        "packed.csv.gz": gzip.compress(csv, mtime=0),
        "packed.ndjson.gz": gzip.compress(lines, mtime=0),
        "utf16.csv": frame.to_csv(index=False, sep=";").encode("utf-16"),
        "packed.csv": lzma.compress(csv),
        "plain.json": frame.to_json(orient="records", date_format="iso").encode(),
    }
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        nested.drop(columns="vector").astype({"when": str}).to_sql("shop", connection, index=False)
        files["plain.db"] = connection.serialize()
    workbook = io.BytesIO()
    frame.astype({"when": str}).to_excel(workbook, index=False)
    files["plain.xlsx"] = workbook.getvalue()
    for compression in ("none", "snappy", "gzip", "zstd"):
        file = io.BytesIO()
        nested.to_parquet(file, compression=compression, row_group_size=5)
        files[f"{compression}.parquet"] = file.getvalue()
    return files


def texts() -> Files:
    """Cells of texts, in several scripts."""
    return {f"{number}.txt": text.encode() for number, text in enumerate(TEXTS)}


def values() -> Files:
    """Cells of numbers, booleans, dates, categories and vectors, as text."""
    return {f"{number}.txt": text.encode() for number, text in enumerate(VALUES)}


def configurations() -> Files:
    """Configurations of every kind of input and head, in YAML and JSON."""
    return {name: text.encode() for name, text in CONFIGURATIONS.items()}


# what is fuzzed, and the valid files to start from
SEEDS: dict[str, Callable[[], Files]] = {
    "image": images,
    "gif": gifs,
    "wave": waves,
    "sound": sounds,
    "video": videos,
    "table": tables,
    "configuration": configurations,
    "text": texts,
    "value": values,
    **corpus_files.SEEDS,
}


def ending(name: str) -> str:
    """A file's name from its first point on: what it is."""
    return name[name.index(".") :]


def _written(folder: pathlib.Path) -> Iterator[str]:
    for kind, make in SEEDS.items():
        files = make()
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / kind / name).write_bytes(data)
        yield f"{kind}: {len(files)} files, {sum(map(len, files.values()))} bytes"


if __name__ == "__main__":
    for line in _written(pathlib.Path(sys.argv[1])):
        print(line)
