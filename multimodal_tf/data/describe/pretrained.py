"""Pretrained towers for the columns of a small table, where their weights can be had.

A frozen network and a linear head have few parameters to train. On small tables of pictures and
texts they are more accurate than a tower that learns from these rows alone
(`benchmarks/README.md`; Kornblith et al. 2019, arXiv:1805.08974). Pictures of at most 32 pixels are
no photos: networks of ImageNet are worse on them than a small CNN.
"""

import functools
from collections.abc import Iterable, Sequence

from multimodal_tf.config import Input, TextInput
from multimodal_tf.data.describe.column_description import ColumnDescription
from multimodal_tf.data.describe.kinds import KINDS
from multimodal_tf.data.describe.kinds.image import is_small
from multimodal_tf.data.describe.kinds.preset_towers import frozen_tower
from multimodal_tf.data.describe.sample import Column
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.presets.fetch import fetch_preset
from multimodal_tf.data.presets.find import find_presets
from multimodal_tf.data.presets.folder import PresetFolder
from multimodal_tf.data.presets.proposed import PROPOSED, Proposal
from multimodal_tf.data.presets.reader import TextReader

# up to so many rows with a value (rule of thumb)
ROWS = 30_000
# The share of a column's words that a tokenizer of one language must know whole. Of 43 English
# collections MiniLM's knows .79 to .96, of titles in 75 other languages 0 to .50
KNOWN_WORDS = 0.67
# letters beyond ASCII; from this share on a text is not English
_FOREIGN = 0.1
# of a text
_FEWEST_TOKENS, _MOST_TOKENS = 8, 256


class Pretrained:
    """The pretrained towers that `describe` may propose.

    Args:
        folder: as `presets` of `describe`; None: the environment's.
        fetch: whether what is missing is fetched into that folder.

    Raises:
        OSError: the folder is none.
        ValueError: it holds no usable preset, or there is none to fetch into.
    """

    def __init__(self, folder: PathLike | None, fetch: bool = False) -> None:
        self._presets = find_presets(folder, empty=fetch)
        self._into = self._presets.folder if fetch else None
        if fetch and self._into is None:
            raise ValueError("fetch needs presets, the folder to fetch into, received None")

    def set_towers(
        self, found: Sequence[ColumnDescription], columns: Sequence[Column], rows: int
    ) -> str:
        """Gives each column of media or texts that has few rows a frozen pretrained tower.

        Args:
            found: with the defaults that need no pretrained weights; changed.
            columns: the same columns, with their sampled cells.
            rows: of the table.

        Returns:
            What was looked for in vain and would be brought, in a sentence; "" where nothing was.

        Raises:
            OSError: the hub does not answer, or the folder cannot be written.
            ValueError: what came is no such preset, or a preset's tokenizer does not load.
        """
        missing: dict[str, Proposal] = {}
        for description, column in zip(found, columns):
            present = rows - description.missing
            if not _has_presets(description) or not 0 < present <= ROWS or is_small(description):
                continue
            texts = [
                str(cell.value)
                for cell in column.cells
                if cell.value is not None and not cell.reason
            ]
            chosen = _choose(description, self._presets.found, texts)
            while self._into is not None and isinstance(chosen, Proposal):
                self._presets.found.append(fetch_preset(chosen.name, self._into))
                chosen = _choose(description, self._presets.found, texts)
            if isinstance(chosen, Proposal):
                missing[column.name] = chosen
                continue
            description.input, preset = chosen
            description.tower = (
                f"frozen {preset.backbone}, pretrained ({preset.folder}): it pays up to {ROWS:,}"
                f" rows, here are {present:,}"
            )
        return self._sentence(missing) if missing else ""

    def _sentence(self, missing: dict[str, Proposal]) -> str:
        wanted = [one for one in PROPOSED if one in missing.values()]
        names = listed(f"{one.name} ({one.megabytes} MB, {one.reads})" for one in wanted)
        faults = "".join(f" ({fault})" for fault in self._presets.faults)
        return (
            f"No pretrained weights were found for {listed(map(repr, missing))} in"
            f" {listed(self._presets.looked)}{faults}: multimodal-tf presets FOLDER --fetch brings"
            f" {names}, frozen towers that are usually more accurate than those trained on up to"
            f" {ROWS:,} rows alone."
        )


def _has_presets(column: ColumnDescription) -> bool:
    return column.type in KINDS and bool(KINDS[column.type].preset_kind)


def listed(items: Iterable[str]) -> str:
    """A list in a sentence.

    Example:
        >>> listed(["a", "b", "c"])
        'a, b and c'
    """
    *others, last = items
    return f"{', '.join(others)} and {last}" if others else last


def _choose(
    column: ColumnDescription, presets: list[PresetFolder], texts: list[str]
) -> tuple[Input, PresetFolder] | Proposal:
    """A column's configuration and its preset, or the preset that is wanted and not there."""
    kind = KINDS[column.type]
    mine = [preset for preset in presets if preset.kind == kind.preset_kind]
    if kind.of_preset is None or column.input is None:
        return _text(mine, texts)
    if not mine:
        return next(one for one in PROPOSED if one.kind == kind.preset_kind)
    return kind.of_preset(mine[0], column.input), mine[0]


def _text(presets: list[PresetFolder], texts: list[str]) -> tuple[Input, PresetFolder] | Proposal:
    english, many = (one for one in PROPOSED if one.kind == "text")
    # those of one language first: they are smaller
    for preset in sorted(presets, key=lambda one: one.many_languages):
        reader = _reader(preset)
        if preset.many_languages or reader.known_words(texts) >= KNOWN_WORDS:
            longest = preset.settings.get("max_sequence_length") or _MOST_TOKENS
            tokens = min(_MOST_TOKENS, longest, max(_FEWEST_TOKENS, reader.tokens(texts)))
            return TextInput(max_tokens=tokens, tower=frozen_tower(preset)), preset
    return many if presets or _is_foreign(texts) else english


@functools.lru_cache(maxsize=4)
def _reader(preset: PresetFolder) -> TextReader:
    """A preset's tokenizer, loaded once for all columns."""
    return TextReader(preset)


def _is_foreign(texts: list[str]) -> bool:
    """Whether texts are not English for certain: their letters have other alphabets, or accents."""
    letters = [letter for text in texts for letter in text if letter.isalpha()]
    return sum(not letter.isascii() for letter in letters) > _FOREIGN * len(letters)
