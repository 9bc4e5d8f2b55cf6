"""Letters that are neighbours on a keyboard, and letters that look alike."""

import unicodedata

# Rows of keys, each with its shift to the right in key widths. Digits neighbour only digits.
_KEYBOARDS = (
    (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75)),
    (("йцукенгшщзхъ", 0.0), ("фывапролджэ", 0.25), ("ячсмитьбю", 0.75)),
    (("1234567890", 0.0),),
)
# key widths between the centres of two neighbours, at most
_REACH = 1.3

# Latin letters, and the Cyrillic letters that most typefaces draw alike; from Unicode's confusables
# (UTS 39)
_LATIN, _CYRILLIC = "aceijopsxyhdqwABCEHIJKMOPSTXY", "асеіјорѕхуһԁԛԝАВСЕНІЈКМОРЅТХУ"


def _keyboard_neighbours() -> dict[str, str]:
    neighbours_of = {}
    for keyboard in _KEYBOARDS:
        positions = {
            letter: (row, column + shift)
            for row, (letters, shift) in enumerate(keyboard)
            for column, letter in enumerate(letters)
        }
        for letter, (row, column) in positions.items():
            distances = {
                other: (row - other_row) ** 2 + (column - other_column) ** 2
                for other, (other_row, other_column) in positions.items()
                if other != letter
            }
            neighbours_of[letter] = "".join(
                other for other, distance in distances.items() if distance <= _REACH**2
            )
    return neighbours_of


NEIGHBOURS = _keyboard_neighbours()
HOMOGLYPHS = dict(zip(_LATIN + _CYRILLIC, _CYRILLIC + _LATIN))


def neighbours(letter: str) -> str:
    """The letters on the keys around a letter, in the same case.

    An accented letter has the neighbours of its base letter. A letter that is on none of the
    keyboards has none.

    Example:
        >>> neighbours("g"), neighbours("Ä"), neighbours("中")
        ('tyfhvb', 'QWSZ', '')
    """
    base = letter if letter.lower() in NEIGHBOURS else unicodedata.normalize("NFD", letter)[0]
    near = NEIGHBOURS.get(base.lower(), "")
    return near.upper() if letter.isupper() else near
