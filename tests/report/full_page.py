"""A page with every kind of block, with hostile and foreign texts."""

import media
import numpy as np
from PIL import Image

from multimodal_tf.metrics.metric import Metric
from multimodal_tf.report import page as mp

EVIL = "<script>document.title = 'taken'</script>"
EVIL_FILE = 'photos/"><img src=x onerror="document.title=\'taken\'"><script>.png'
HEBREW, CHINESE = "נעליים אדומות", "红色的鞋子"
NAMES = [
    "boots",
    "sandals",
    "slippers",
    "trainers",
    "wellingtons",
    "a rather long name of a class",
    HEBREW,
    CHINESE,
]


def metric(value, n=471, unit="accuracy", width=0.04):
    return Metric(value, n, unit, value - width, value + width)


def image(size=(320, 200), mode="RGB", kind="PNG"):
    pixels = Image.linear_gradient("L").resize(size)
    return mp.Image(media.image_bytes(pixels, kind, mode))


def audio(seconds=1.0, rate=16_000, channels=1, subtype="PCM_16"):
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
    samples = np.stack([wave] * channels, axis=1)
    return mp.AudioClip(media.audio_bytes(samples, rate, subtype=subtype))


def curve(name, start, drop):
    return mp.Line(name, range(6), [metric(start - drop * x) for x in range(6)])


def shares():
    known = {
        "all inputs": metric(0.847),
        "without title": metric(0.512),
        "AUROC": Metric(None, 3, "AUROC", reason="one class only"),
    }
    parts = {
        "title": metric(0.71, unit="share"),
        "photo": metric(0.22, unit="share"),
        "voice": metric(-0.03, unit="share"),
    }
    without = {"title": metric(0.51), "photo": metric(0.79, 470), EVIL: metric(0.84, 12)}
    blocks = [
        mp.Metrics("On all rows", known),
        mp.Bars("Share of each input", parts),
        mp.Bars("Accuracy without it", without),
    ]
    return mp.Section(
        "Contributions",
        "The title carries the model.",
        [*blocks, mp.Note(f"Shares add up to 1. {'x' * 300}")],
    )


def robustness():
    x = np.linspace(0.05, 0.95, 10)
    reliability = mp.Line("boots", x, [metric(each**1.2, 47, "share right") for each in x])
    risk = mp.Line(
        "risk",
        np.linspace(0.01, 1, 100),
        [metric(0.3 * each, unit="errors") for each in np.linspace(0.01, 1, 100)],
    )
    photo = [
        curve(name, 0.85, 0.02 * (i + 1))
        for i, name in enumerate(["Gaussian noise", "blur", "JPEG", "rotation", "occlusion"])
    ]
    blocks = [
        mp.Lines("Photo", "severity", photo, span=(0, 1)),
        mp.Lines(
            "Title", "severity", [curve("typos", 0.85, 0.12), curve(EVIL, 0.85, 0.03)], span=(0, 1)
        ),
        mp.Lines(
            "Reliability",
            "probability",
            [reliability],
            mp.Reference("perfectly calibrated", (0, 0), (1, 1)),
            (0, 1),
        ),
        mp.Lines("Risk and coverage", "coverage", [risk]),
    ]
    return mp.Section(
        "Robustness", "Accuracy drops most with typos: by half at severity 3.", blocks
    )


def classes():
    random = np.random.default_rng(0)
    counts = (np.eye(8) * random.integers(20, 60, 8) + random.integers(0, 6, (8, 8))).astype(int)
    rows = [
        [name, metric(recall, n, "recall"), n]
        for name, recall, n in zip(NAMES, random.uniform(0.4, 0.95, 8), range(5, 85, 10))
    ]
    rows.append([EVIL, Metric(None, 0, "recall", reason="no rows"), None])
    columns = [
        mp.Column("class"),
        mp.Column("recall", "number"),
        mp.Column("support", "number", "rows"),
    ]
    heat = mp.HeatMap(
        "Confusions", NAMES, NAMES, counts, "true class", "predicted class", "rows", by_row=True
    )
    return mp.Section(
        "Classes",
        "Sandals are taken for slippers.",
        [mp.Table("Recall by class", columns, rows), heat],
        ["Boots are found best.", f"The class {EVIL} has no rows."],
    )


def slices():
    numbers = [
        *(mp.Column(f"metric {i}", "number") for i in range(5)),
        mp.Column("share", "number", "%", 1),
    ]
    columns = [mp.Column("slice"), mp.Column("file"), *numbers]
    rows = [
        [f"{HEBREW} {row}", EVIL_FILE, *(metric(0.5 + 0.05 * row) for _ in range(5)), 3.25 * row]
        for row in range(5)
    ]
    return mp.Section(
        "Slices", f"One slice is named {EVIL}.", [mp.Table(f"Slices {EVIL}", columns, rows)]
    )


def highest_loss():
    cells = {"photo": image(), "title": f"Red shoes. {HEBREW} {EVIL}", "voice": audio()}
    examples = [
        mp.Example(
            EVIL_FILE, cells, "boots", "sandals", {"probability": "0.97", "loss": "4.61 nats"}
        ),
        mp.Example(
            "row 12",
            {"photo": None, "title": CHINESE * 200, "voice": audio(12.0, 44_100, 2)},
            "boots",
            "boots",
        ),
        mp.Example(
            "row 7",
            {"photo": image((8, 8)), "title": "x" * 300, "voice": mp.AudioClip(b"nothing")},
            "boots",
            EVIL,
        ),
        mp.Example(
            "row 4",
            {"photo": mp.Image(b"nothing"), "title": "", "voice": None},
            "slippers",
            "trainers",
        ),
    ]
    return mp.Section(
        "Highest loss", "Most of them have no photo.", [mp.Examples("Greatest loss", examples)]
    )


def full_page():
    """Every kind of block, hostile and foreign texts, and more than fits a narrow screen."""
    summary = [
        "The title carries the model: 71 % of its gain.",
        "Accuracy drops most with typos.",
        f"The class {EVIL} suffers most.",
    ]
    sections = [shares(), robustness(), classes(), slices(), highest_loss()]
    tiles = [
        mp.Tile("accuracy", metric(0.847), "Contributions", ["majority class 0.212", EVIL]),
        mp.Tile(f"share of {HEBREW}", "title 71 %", "Contributions"),
        mp.Tile("x" * 40, Metric(None, 3, "AUROC", reason="one class only"), "Robustness"),
    ]
    return mp.Page(
        f"Report on shoes {EVIL}",
        summary,
        sections,
        {"date": "2026-11-28", "multimodal_tf": "0.1.0", "table": EVIL_FILE},
        tiles,
    )


def page_of(*blocks):
    return mp.Page("A page", ["A sentence."], [mp.Section("A section", "A reading.", blocks)], {})
