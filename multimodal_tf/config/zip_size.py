"""How much a Zip file unpacks to, before anything unpacks it."""

import os
import zipfile

# bytes of the unpacked members for each byte of the file, and in any case; Keras and NumPy pack
# nothing unless they are told to
MAX_RATIO, MAX_UNPACKED = 10, 2**30


def check_size(path: str | os.PathLike[str]) -> None:
    """Checks that a Zip file unpacks to about its size.

    Raises:
        ValueError: it is no Zip file, damaged, or unpacks to far more than its size.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    if unpacked > max(MAX_UNPACKED, MAX_RATIO * os.path.getsize(path)):
        raise ValueError(f"it unpacks to {unpacked} bytes, far more than its size")
