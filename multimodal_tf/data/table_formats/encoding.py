"""Finds the encoding of a file of text where it is sure; where it is not, one sentence says so.

Sure are a byte order mark, UTF-16 by its NUL bytes, UTF-8, and Windows-1252 (which holds Latin-1)
where its letters are those of one Western language and stand in words of it. Other encodings look
alike in too few letters, and a guess would write other words into every row.
"""

import codecs
import pathlib
import re

import charset_normalizer

from multimodal_tf.data.table_formats import reader
from multimodal_tf.data.table_formats.compression import opened
from multimodal_tf.data.table_formats.lines import UTF8

# the longer ones first
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: UTF8,
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# bytes at the beginning in which UTF-16 shows
_HEAD = 4096
# lines with letters in UTF-8 after which a file is taken for UTF-8
_ENOUGH = 100
# bytes of lines that are not UTF-8 and are looked at
_SAMPLE = 2**18

# the letters beyond ASCII of languages that Windows-1252 is for, and of their usual loan words
_LANGUAGES = (
    "àâæçèéêëîïôœùûüÿñ",
    "äöüßéàè",
    "áéíñóúüçªº",
    "ãáâàçéêíóôõúüªº",
    "àèéìíîòóùú",
    "åäöæøéü",
    "áéíóúýðþæö",
    "ëéèïöüêçáóñ",
    "àçèéíïòóúü",
)
# encodings that a sentence may propose: those that tables are still written in
_OTHERS = [
    "cp1252",
    "cp1250",
    "cp1251",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
    "cp1257",
    "koi8_r",
    "mac_roman",
    "cp850",
    "cp932",
    "gb18030",
    "big5",
    "cp949",
]
# letters that may be others', as in names
_STRANGERS = 0.05
_SYMBOLS = "€‚„…‰‹‘’“”•–—™› ¡£§©«¬\u00ad®°±²³´µ¶·»¼½¾¿×÷"
_IMPOSSIBLE = re.compile(
    # three letters beyond ASCII in a row, and a capital within a word
    r"[À-ÖØ-öø-ÿœŒ]{3}|[a-zà-öø-ÿœ][À-ÖØ-ÞŒ]"
    # a symbol within or after a word
    r"|[^\W\d_][‚„‹“«¡¿£€‰•](?=[^\W_])|[^\W\d_][‚„¡¿£]|(?<![mM])(?<=[^\W\d_])[²³]"
    # and between two letters
    r"|[^\W\d_][…–—™›‘”§©¬®°±´µ¶»¼½¾×÷][^\W\d_]"
)
_WORD = re.compile(r"[^\W\d_]+")
_ASCII_LETTER = re.compile(r"[A-Za-z]")


def find_encoding(path: pathlib.Path) -> tuple[str, str]:
    """The encoding of a file, and a note where it is not plain UTF-8.

    All lines are looked at until their encoding is sure, which a file of ASCII alone never is.

    Raises:
        ValueError: the encoding is in doubt; the message names the line.
    """
    with opened(path) as file:
        head = file.read(_HEAD)
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding, "" if encoding == UTF8 else f"it is read as {encoding.upper()}"
    encoding = _utf16(head)
    if encoding:
        return encoding, f"it is read as {encoding.upper()}"
    good, bad, line = _scan(path)
    if not bad:
        return UTF8, ""
    where = f"line {line} is not UTF-8"
    if good > len(bad):
        return UTF8, f"{where}, as other lines are: cells with such bytes are rejected"
    sample = b"".join(bad)
    if _is_western(sample):
        return "cp1252", f"it is read as Windows-1252 (cp1252): {where}"
    raise ValueError(f"{path}, {where}, and what it is is in doubt: {_advice(sample)}")


def check_encoding(encoding: str) -> str:
    """The name by which Python knows an encoding of texts.

    Raises:
        ValueError: there is none of this name.
    """
    try:
        name = codecs.lookup(encoding).name
        "".encode(name)
    except (LookupError, ValueError, TypeError) as error:
        raise ValueError(
            f"encoding must be one that Python knows, such as utf-8, cp1252 or utf-16,"
            f" received {encoding!r:.80}"
        ) from error
    return UTF8 if name in ("utf-8-sig", "ascii") else name


def _utf16(head: bytes) -> str:
    """UTF-16 without a mark: every second byte of texts that are mostly ASCII is NUL."""
    even, odd = head[::2], head[1::2]
    if len(head) < 4:
        return ""
    if 0 in odd and 0 not in even and odd.count(0) > 0.7 * len(odd):
        return "utf-16-le"
    if 0 in even and 0 not in odd and even.count(0) > 0.7 * len(even):
        return "utf-16-be"
    return ""


def _scan(path: pathlib.Path) -> tuple[int, list[bytes], int]:
    """Lines with letters in UTF-8, those that are not UTF-8, and the number of the first of these.

    Of the latter, as many as `_SAMPLE` bytes, besides the first.
    """
    good, bad, first, size, number = 0, [], 0, 0, 0
    with opened(path) as file:
        while line := file.readline(reader.MAX_ROW):
            number += 1
            # the reader will refuse it
            if len(line) == reader.MAX_ROW:
                break
            if line.isascii():
                continue
            try:
                line.decode(UTF8)
                good += 1
            except UnicodeDecodeError:
                first = first or number
                bad.append(line)
                size += len(line)
            if size > _SAMPLE or (good >= _ENOUGH and not bad):
                break
    return good, bad, first


def _is_western(sample: bytes) -> bool:
    """Whether bytes are certainly Windows-1252: words of one Western language."""
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        return False
    beyond = [sign for sign in text if not sign.isascii()]
    letters = [sign.lower() for sign in beyond if sign.isalpha() and sign not in "ªºµ"]
    if not all(sign in _SYMBOLS or sign.isalpha() for sign in beyond) or _IMPOSSIBLE.search(text):
        return False
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    mixed = sum(bool(_ASCII_LETTER.search(word)) for word in words)
    if 2 * mixed < len(words):
        return False
    return not letters or any(
        sum(sign not in language for sign in letters) <= _STRANGERS * len(letters)
        for language in _LANGUAGES
    )


def _advice(sample: bytes) -> str:
    """How to name the encoding, with one that it may be."""
    best = charset_normalizer.from_bytes(sample, cp_isolation=_OTHERS).best()
    likely = "cp1252" if best is None else best.encoding
    start = next(index for index, byte in enumerate(sample) if byte > 127)
    part = sample[max(0, start - 8) : start + 12]
    text = part.decode(likely, "replace").replace("\n", " ")
    return (
        f"name it, such as encoding={likely!r} (--encoding {likely}), by which it reads {text!r};"
        " with utf-8 such cells are rejected"
    )
