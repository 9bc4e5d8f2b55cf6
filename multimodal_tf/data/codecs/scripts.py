"""Scripts that are written without spaces between words, such as Chinese, Japanese and Thai."""

_RANGES = (
    # Thai
    "0E01-0E3A 0E40-0E5B"
    # Lao
    " 0E81-0E82 0E84-0E84 0E86-0E8A 0E8C-0EA3 0EA5-0EA5 0EA7-0EBD 0EC0-0EC4 0EC6-0EC6 0EC8-0ECE"
    " 0ED0-0ED9 0EDC-0EDF"
    # Burmese
    " 1000-109F A9E0-A9FE AA60-AA7F"
    # Khmer
    " 1780-17DD 17E0-17E9 17F0-17F9 19E0-19FF"
    # Tai Tham
    " 1A20-1A5E 1A60-1A7C 1A7F-1A89 1A90-1A99 1AA0-1AAD"
    # Javanese
    " A980-A9CD A9D0-A9D9 A9DE-A9DF"
    # Hiragana and Katakana
    " 3041-3096 309D-309F 30A1-30FA 30FC-30FF 31F0-31FF 32D0-32FE 3300-3357 FF66-FF6F FF71-FF9D"
    " 1AFF0-1AFF3 1AFF5-1AFFB 1AFFD-1AFFE 1B000-1B122 1B132-1B132 1B150-1B152 1B155-1B155"
    " 1B164-1B167 1F200-1F200"
    # Bopomofo
    " 02EA-02EB 3105-312F 31A0-31BF"
    # Chinese characters
    " 2E80-2E99 2E9B-2EF3 2F00-2FD5 3005-3005 3007-3007 3021-3029 3038-303B 3400-4DBF 4E00-9FFF"
    " F900-FA6D FA70-FAD9 16FE2-16FE3 16FF0-16FF1 20000-2A6DF 2A700-2B739 2B740-2B81D 2B820-2CEA1"
    " 2CEB0-2EBE0 2F800-2FA1D 30000-3134A 31350-323AF"
)
# the content of a character class, for Python's `re` and for TensorFlow's RE2
UNSPACED = "".join(
    "-".join(chr(int(point, 16)) for point in points.split("-")) for points in _RANGES.split()
)
