"""Makes `multimodal_tf/data/datasets/digits.parquet`: handwritten, spoken and written digits.

Each is degraded. Needs scikit-learn and SciPy (of the project), and the program espeak-ng 1.51
(Debian: `apt install espeak-ng`). It takes about a minute, can be run from anywhere, and always
writes the same bytes:

    python benchmarks/make_digits.py
"""

import io
import pathlib
import subprocess
import sys

import numpy as np
import pandas
import soundfile
from PIL import Image
from scipy.ndimage import gaussian_filter, zoom
from scipy.signal import lfilter, resample_poly
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedShuffleSplit

TARGET = (
    pathlib.Path(__file__).parents[1] / "multimodal_tf" / "data" / "datasets" / "digits.parquet"
)
SEED = 20_000
# fraction of missing cells of each input
MISSING = 0.1
RATE = 8_000
# what espeak-ng writes
SPOKEN_RATE = 22_050
# 0.45 s, the longest clip
SAMPLES = 3_600

WORDS = {
    "en": "zero one two three four five six seven eight nine",
    "de": "null eins zwei drei vier fünf sechs sieben acht neun",
    "fr": "zéro un deux trois quatre cinq six sept huit neuf",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve",
    "roman": "N I II III IV V VI VII VIII IX",
    "ja": "〇 一 二 三 四 五 六 七 八 九",
}
OR = {"en": "or", "de": "oder", "fr": "ou", "es": "o", "roman": "/", "ja": "か"}
PHRASES = {
    "en": ["{}", "number {}", "the digit {}", "it says {}, I think", "room {}"],
    "de": ["{}", "Nummer {}", "die Ziffer {}", "da steht wohl {}", "Zimmer {}"],
    "fr": ["{}", "numéro {}", "le chiffre {}", "c'est {}, je crois", "chambre {}"],
    "es": ["{}", "número {}", "la cifra {}", "creo que es {}", "cuarto {}"],
    "roman": ["{}", "no. {}", "chapter {}", "Kapitel {}", "chap. {}"],
    "ja": ["{}", "{}番", "数字の{}", "たぶん{}です", "{}号室"],
}
KEYS = "abcdefghijklmnopqrstuvwxyz"
SPOKEN = {"en-us": "en", "en-gb-scotland": "en", "de": "de", "es": "es"}
VARIANTS = ["m1", "m3", "m5", "m7", "f1", "f2", "f4", "f5", "croak", "klatt2"]


def main():
    images, labels = load_digits(return_X_y=True)
    random = np.random.default_rng(SEED)
    rows = []
    for pixels, label in zip(images.reshape(-1, 8, 8), labels):
        voice = f"{random.choice(list(SPOKEN))}+{random.choice(VARIANTS)}"
        cells = {
            "image": handwritten(pixels / 16, random),
            "sound": spoken(label, voice, random),
            "text": written(label, random),
        }
        gone = random.random(3) < MISSING
        # A row without any input would be useless for training.
        gone[random.integers(3)] &= not gone.all()
        rows.append(
            {
                **{name: None if g else cell for (name, cell), g in zip(cells.items(), gone)},
                "label": str(label),
                "speaker": voice,
            }
        )
    table = pandas.DataFrame(rows)
    table["split"] = splits(labels)
    table.to_parquet(TARGET, index=False, compression="zstd", compression_level=19)
    print(f"{TARGET}: {len(table)} rows, {TARGET.stat().st_size / 1e6:.2f} MB")
    return 0


def splits(labels):
    """70 % train, 10 % validation, 20 % test, stratified by digit."""
    names = np.array(["train"] * len(labels), dtype=object)
    rest, test = next(
        StratifiedShuffleSplit(1, test_size=0.2, random_state=SEED).split(labels, labels)
    )
    names[test] = "test"
    inner = StratifiedShuffleSplit(1, test_size=0.125, random_state=SEED)
    names[rest[next(inner.split(rest, labels[rest]))[1]]] = "validation"
    return names


def handwritten(pixels, random):
    """An 8 x 8 image in 0..1 as a 20 x 20 grey PNG: shifted, blurred, partly covered and noisy.

    The degree differs between images.
    """
    severity = random.random()
    field = np.zeros((20, 20))
    top, left = random.integers(1, 4, 2)
    field[top : top + 16, left : left + 16] = np.clip(zoom(pixels, 2, order=1), 0, 1)
    field = gaussian_filter(field, 0.3 + 1.2 * severity * random.random())
    size = round(2 + 8 * severity)
    row, column = random.integers(0, 21 - size, 2)
    field[row : row + size, column : column + size] = random.random()
    field = field * (1 - 0.3 * severity) + random.normal(0, 0.03 + 0.3 * severity, field.shape)
    file = io.BytesIO()
    # 16 greys, like the source
    Image.fromarray((np.clip(field, 0, 1) * 15).round().astype(np.uint8) * 17).save(
        file, "PNG", optimize=True
    )
    return file.getvalue()


def speak(word, voice, pitch, speed):
    """The samples of a word at `RATE`, silence trimmed, peak 1."""
    command = ["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(speed), "--stdout", word]
    sound, rate = soundfile.read(
        io.BytesIO(subprocess.run(command, check=True, capture_output=True).stdout)
    )
    if rate != SPOKEN_RATE:
        raise ValueError(f"espeak-ng must speak at {SPOKEN_RATE} Hz, received {rate}")
    sound = resample_poly(sound, RATE // 50, SPOKEN_RATE // 50)
    loud = np.flatnonzero(np.abs(sound) > 0.02 * np.abs(sound).max())
    sound = sound[loud[0] : loud[-1] + 1]
    return sound / np.abs(sound).max()


def spoken(label, voice, random):
    """A digit as WAV, 8 kHz and 8 bits, with noise and another speaker's babble.

    Its start or end is cut off.
    """
    severity = random.random()
    sound = speak(
        WORDS[SPOKEN[voice.split("+")[0]]].split()[label],
        voice,
        random.integers(20, 80),
        random.integers(190, 280),
    )
    lost = int(len(sound) * 0.35 * severity * random.random())
    sound = sound[lost:] if random.random() < 0.6 else sound[: len(sound) - lost]
    sound = sound[:SAMPLES]
    # falls with frequency, as speech does
    noise = lfilter([1], [1, -0.7], random.normal(size=len(sound)))
    other = speak(random.choice(WORDS["fr"].split()), f"fr+{random.choice(VARIANTS)}", 50, 250)
    noise = noise / noise.std() + random.random() * np.resize(other, len(sound)) / other.std()
    decibels = 20 - 26 * severity
    mixed = sound / sound.std() + noise / noise.std() * 10 ** (-decibels / 20)
    file = io.BytesIO()
    # quiet: fewer bits to compress
    soundfile.write(file, mixed / np.abs(mixed).max() * 0.35, RATE, subtype="PCM_U8", format="WAV")
    return file.getvalue()


def written(label, random):
    """A number in words, in one of several languages and phrases.

    It is clean, misspelt, or one of two that it could be.
    """
    language = random.choice(list(WORDS))
    words = WORDS[language].split()
    kind = random.random()
    word = words[label]
    if kind < 0.22:
        pair = [word, words[random.choice([other for other in range(10) if other != label])]]
        random.shuffle(pair)
        word = f" {OR[language]} ".join(pair)
    elif kind < 0.44:
        word = misspelt(word, random, 1 + int(random.random() * 2))
    phrase = random.choice(PHRASES[language]).format(word)
    return phrase.upper() if random.random() < 0.1 else phrase


def misspelt(word, random, faults):
    letters = list(word)
    for _ in range(faults):
        at = random.integers(len(letters))
        fault = random.integers(4)
        if fault == 0 and len(letters) > 1:
            del letters[at]
        elif fault == 1:
            letters[at] = random.choice(list(KEYS))
        elif fault == 2:
            letters[at] = "_"
        elif at + 1 < len(letters):
            letters[at : at + 2] = letters[at + 1], letters[at]
    return "".join(letters)


if __name__ == "__main__":
    sys.exit(main())
