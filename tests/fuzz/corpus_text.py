"""Texts, values and configurations: what `make fuzz` mutates where no file is decoded."""

TEXTS = (
    "A red bird on a wire",
    "  Straße, naïve café — “quotes” ’s",
    "的 猫が好き 한국어 ไทย",
    "שלום العربية ‮rtl",
    "👩‍👩‍👧‍👦 🇩🇪 e\u0301 \u200b\ufeff",
    "İstanbul ſ ŉ ǰ ΐ ﬁ ẞ",
    "a" * 300,
    "\t\n \u00a0\u3000",
    "x\0y",
    "1 234,5 $",
    "<html>&amp;</html>",
)
VALUES = (
    "7.5",
    "-0",
    "3e38",
    "-3.4028235e38",
    "1e-45",
    "nan",
    "inf",
    "1_000",
    "٣٫٥",
    "true",
    "No",
    "1",
    "2026-11-30",
    "2026-11-30T12:30:59.25+05:30",
    "20261130T123059Z",
    "2026-W48-1",
    "2026-334",
    "0001-01-01T00:00:00",
    "9999-12-31T23:59:60-23:59",
    "2026-11-30 12:00 Europe/Berlin",
    "red",
    "dark blue",
    "[1, 2, 3, 4, 5, 6, 7, 8]",
    "[1e38, -1e38, 0, 0.5, 1e-40, 6, 7, 8]",
    "[null, null, null, null, null, null, null, null]",
    "[[1, 2, 3, 4, 5, 6, 7, 8]]",
)
_ALL = """\
inputs:
  photo: {type: image, height: 32, width: 48, channels: 3, tower: {type: cnn, filters: [4, 8]}}
  title: {type: text, max_tokens: 12, tokenizer: {type: words}}
  name:
    type: text
    tokenizer: {type: characters}
    tower: {type: gru, embedding_dim: 8, units: 6}
  sound: {type: audio, sample_rate: 8000, seconds: 1.5}
  clip: {type: video, frames: 4, height: 32, width: 32}
  price: {type: number}
  colour: {type: category, unknown: 0.1}
  new: {type: boolean}
  when: {type: date}
  vector: {type: vector, dim: 8}
heads:
  label: {type: classification}
  tags: {type: multi_label, separator: ","}
  age: {type: regression}
  visits: {type: count}
fusion: {type: concatenation, hidden: [16]}
split: {validation: 0.1, test: 0.1, group: owner}
training: {epochs: 3, batch_size: 8, learning_rate: 0.001}
"""
CONFIGURATIONS = {
    "all.yaml": _ALL,
    "anchors.yaml": _ALL.replace("price: {", "price: &a {").replace("{type: boolean}", "*a"),
    "small.json": '{"inputs": {"title": {"type": "text"}, "price": {"type": "number"}}, '
    '"heads": {"label": {"type": "classification"}}}',
    "small.yaml": "inputs:\n  title: {type: text}\nheads:\n  label: {type: classification}\n",
}
