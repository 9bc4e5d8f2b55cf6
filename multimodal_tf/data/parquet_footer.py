"""How deep the schema of a Parquet file is, before Arrow reads it.

Arrow's reader calls itself for every level: a file of 160 KB with 20,000 structs in one another
ends the process. Apache Parquet's `parquet.thrift` describes the footer, Apache Thrift's
`thrift-compact-protocol.md` its bytes.
"""

import pathlib
from collections.abc import Iterator

_MAGIC = b"PAR1"
# a list or map takes two or three, and of a cell 32 of them are read
MOST_LEVELS = 500
# fields of FileMetaData and SchemaElement
_SCHEMA, _CHILDREN = 2, 5
# types of the compact protocol
_TRUE, _FALSE, _BYTE, _INTS, _DOUBLE, _BINARY = 1, 2, 3, (4, 5, 6), 7, 8
_LISTS, _MAP, _STRUCT = (9, 10), 11, 12
# structs and lists in one another within an element; Thrift itself reads 64
_DEEPEST = 64
_MOST_ELEMENTS = 1_000_000
_BROKEN = "its footer is damaged"


def problem(path: pathlib.Path) -> str:
    """Why Arrow must not read a file; "" where it may, or says itself what is wrong.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        end = file.read(8)
        length = int.from_bytes(end[:4], "little")
        if end[4:] != _MAGIC or length + 8 > size:
            return ""
        file.seek(size - 8 - length)
        footer = file.read(length)
    try:
        levels = _levels(_Reader(footer))
    except (IndexError, ValueError):
        return _BROKEN
    return f"its columns have more than {MOST_LEVELS} levels" if levels > MOST_LEVELS else ""


def _levels(reader: "_Reader") -> int:
    """The levels of the schema, whose elements stand in depth-first order."""
    for field, kind in reader.fields():
        if field != _SCHEMA or kind not in _LISTS:
            reader.skip(kind)
            continue
        # of each open element the children that are still to come
        open_elements: list[int] = []
        deepest, count = 0, reader.list_header()[0]
        # Arrow reads no more
        for _ in range(count if count <= _MOST_ELEMENTS else 0):
            deepest = max(deepest, len(open_elements))
            children = _children(reader)
            if open_elements:
                open_elements[-1] -= 1
            if children > 0:
                open_elements.append(children)
            while open_elements and open_elements[-1] == 0:
                open_elements.pop()
            if deepest > MOST_LEVELS:
                return deepest
        return deepest
    return 0


def _children(reader: "_Reader") -> int:
    """Reads an element of the schema; how many children it has."""
    children = 0
    for field, kind in reader.fields():
        if field == _CHILDREN and kind in _INTS:
            children = reader.integer()
        else:
            reader.skip(kind)
    return children


class _Reader:
    """Reads the compact protocol.

    Raises:
        IndexError, ValueError: by every method, where the bytes are none.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def fields(self) -> Iterator[tuple[int, int]]:
        """Number and type of each field of a struct; its value is read before the next."""
        number = 0
        while head := self._byte():
            delta, kind = head >> 4, head & 15
            number = number + delta if delta else self.integer()
            yield number, kind

    def integer(self) -> int:
        """A signed integer."""
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def list_header(self) -> tuple[int, int]:
        """The number of elements, and their type."""
        head = self._byte()
        return (self._varint() if head >> 4 == 15 else head >> 4), head & 15

    def skip(self, kind: int, depth: int = 0) -> None:
        """Reads the value of a field. A bool has none."""
        if depth > _DEEPEST:
            raise ValueError("too deep")
        if kind in (_TRUE, _FALSE):
            return
        if kind in _INTS:
            self._varint()
        elif kind == _BYTE:
            self._move(1)
        elif kind == _DOUBLE:
            self._move(8)
        elif kind == _BINARY:
            self._move(self._varint())
        elif kind in _LISTS:
            count, element = self.list_header()
            self._skip_elements(count, [element], depth)
        elif kind == _MAP:
            count = self._varint()
            if count:
                types = self._byte()
                self._skip_elements(count, [types >> 4, types & 15], depth)
        elif kind == _STRUCT:
            for _, field in self.fields():
                self.skip(field, depth + 1)
        else:
            raise ValueError(f"type {kind}")

    def _skip_elements(self, count: int, kinds: list[int], depth: int) -> None:
        for _ in range(count):
            for kind in kinds:
                # in a list a bool is a byte
                self.skip(_BYTE if kind in (_TRUE, _FALSE) else kind, depth + 1)

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            octet = self._byte()
            value |= (octet & 127) << shift
            if octet < 128:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")

    def _move(self, count: int) -> None:
        self._at += count
        if self._at > len(self._data):
            raise IndexError
