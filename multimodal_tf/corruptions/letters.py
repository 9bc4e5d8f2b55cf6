"""Which letters are neighbours on a keyboard, and which look alike."""

import unicodedata

# Each row of keys stands to the right of the one above by so much of a key's width. Digits are
# neighbours of digits alone.
_KEYBOARDS = (
    (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75)),
    (("йцукенгшщзхъ", 0.0), ("фывапролджэ", 0.25), ("ячсмитьбю", 0.75)),
    (("1234567890", 0.0),),
)
# of a key's width, from centre to centre
_REACH = 1.3

# Latin letters, and the Cyrillic ones that most typefaces draw alike; from Unicode's confusables
# (UTS 39)
_LATIN, _CYRILLIC = "aceijopsxyhdqwABCEHIJKMOPSTXY", "асеіјорѕхуһԁԛԝАВСЕНІЈКМОРЅТХУ"


def _neighbours():
    found = {}
    for keyboard in _KEYBOARDS:
        places = {
            letter: (row, column + shift)
            for row, (letters, shift) in enumerate(keyboard)
            for column, letter in enumerate(letters)
        }
        for letter, (row, column) in places.items():
            distances = {
                other: (row - at[0]) ** 2 + (column - at[1]) ** 2
                for other, at in places.items()
                if other != letter
            }
            found[letter] = "".join(
                other for other, distance in distances.items() if distance <= _REACH**2
            )
    return found


NEIGHBOURS = _neighbours()
HOMOGLYPHS = dict(zip(_LATIN + _CYRILLIC, _CYRILLIC + _LATIN))


def neighbours(letter):
    """What a finger may hit in place of a letter: letters of the same case; "" where the letter is
    on no keyboard known here.

    A letter with an accent has the neighbours of the one without.

    Example:
        >>> neighbours("g"), neighbours("Ä"), neighbours("中")
        ('tyfhvb', 'QWSZ', '')
    """
    plain = letter if letter.lower() in NEIGHBOURS else unicodedata.normalize("NFD", letter)[0]
    near = NEIGHBOURS.get(plain.lower(), "")
    return near.upper() if letter.isupper() else near
