"""Looks for presets on this machine: in a folder, then in KerasHub's cache. No network."""

import dataclasses
import os
import pathlib

from multimodal_tf.data import atomic
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.presets.folder import CONFIG, PresetFolder, read_preset
from multimodal_tf.data.presets.proposed import NAMES, PROPOSED, Proposal

# the folder where none is given
ENVIRONMENT = "MULTIMODAL_TF_PRESETS"
# of kagglehub, from which KerasHub fetches
_CACHE_ENVIRONMENT, _CACHE = "KAGGLEHUB_CACHE", "~/.cache/kagglehub"
_BELOW = f"*/{CONFIG}"


@dataclasses.dataclass(frozen=True)
class Presets:
    """What was found.

    Attributes:
        found: usable presets, the preferred ones first: those of the folder, then those of the
            cache; in each those that are proposed, then by size.
        folder: the given one, or the environment's; None: there is none.
        looked: the places that were looked at, for people.
        faults: why other folders in the given folder are not usable, one sentence each.
    """

    found: list[PresetFolder]
    folder: pathlib.Path | None
    looked: list[str]
    faults: list[str]

    def of(self, proposal: Proposal) -> list[PresetFolder]:
        """What was found that reads the same as a proposed preset, whatever its name."""
        wanted = proposal.kind, proposal.many_languages
        return [one for one in self.found if (one.kind, one.many_languages) == wanted]


def find_presets(folder: PathLike | None = None, empty: bool = False) -> Presets:
    """Looks for presets.

    Args:
        folder: holds a folder a preset, or is itself the folder of one; None: the environment
            variable `MULTIMODAL_TF_PRESETS`, if it is set. KerasHub's cache is looked at, too.
        empty: whether the folder may be missing, or without a preset.

    Raises:
        NotADirectoryError: the folder is none.
        ValueError: it holds no usable preset.
    """
    given = folder if folder is not None else os.environ.get(ENVIRONMENT) or None
    found: list[PresetFolder] = []
    faults: list[str] = []
    root = None
    if given is not None:
        root = pathlib.Path(str(given)).expanduser()
        source = "presets" if folder is not None else ENVIRONMENT
        if not root.is_dir() and not empty:
            raise NotADirectoryError(
                f"{source}: must be a folder of KerasHub preset folders, received {str(given)!r}"
            )
        found, faults = _in_folder(root)
        if not found and not empty:
            reason = faults[0] if faults else f"none of its folders has a {CONFIG}"
            raise ValueError(f"{source}: {str(given)!r} holds no usable preset: {reason}")
    cache = cache_folder()
    looked = [*([] if root is None else [str(root)]), f"KerasHub's cache {cache}"]
    return Presets(found + _in_cache(cache), root, looked, faults)


def cache_folder() -> pathlib.Path:
    """Where KerasHub keeps what it fetches from Kaggle."""
    return pathlib.Path(os.environ.get(_CACHE_ENVIRONMENT) or _CACHE).expanduser()


def _in_folder(root: pathlib.Path) -> tuple[list[PresetFolder], list[str]]:
    folders = [root] if (root / CONFIG).is_file() else [path.parent for path in root.glob(_BELOW)]
    found, faults = [], []
    for folder in sorted(folders):
        if folder.suffix == atomic.SUFFIX:
            # it is being fetched
            continue
        try:
            found.append(read_preset(folder))
        except (OSError, ValueError) as error:
            faults.append(str(error))
    return sorted(found, key=_preference), faults


def _in_cache(cache: pathlib.Path) -> list[PresetFolder]:
    """The proposed presets, each in its latest version; unfinished ones are left out."""
    found = []
    for proposal in PROPOSED:
        # owner, model, framework, variation, version
        versions = (cache / "models").glob(f"*/*/*/{proposal.name}/*")
        for folder in sorted(versions, key=_version, reverse=True):
            try:
                found.append(read_preset(folder))
            except (OSError, ValueError):
                continue
            break
    return found


def _version(folder: pathlib.Path) -> int:
    return int(folder.name) if folder.name.isdigit() else -1


def _preference(preset: PresetFolder) -> tuple[int, int, str]:
    number = NAMES.index(preset.name) if preset.name in NAMES else len(NAMES)
    return number, preset.bytes, preset.name
