"""Ingest on Apache Beam: the workers of any of Beam's runners write the shards.

The table is read in the process that calls `ingest`, and the rows of each shard are written to a
job file beside the shards. The pipeline, as small for a large table as for a small one, lists
these files and writes a shard from each with the function that one machine uses.
"""

import contextlib
import dataclasses
import functools
import io
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

from multimodal_tf.data import filesystem
from multimodal_tf.data.filesystem import Path
from multimodal_tf.data.ingest import shards
from multimodal_tf.data.ingest.jobs import Job

# the folder of job files, while the pipeline runs
_JOBS = "jobs"
_PYTHON_RUNNER = "FnApiRunner"
Work = Callable[[Job], int]


class BeamPipeline:
    """Writes the shards of one folder on a Beam runner.

    Args:
        options: Beam's own, such as `["--runner=FlinkRunner", "--flink_master=host:8081"]`.
        records: absolute path of the folder, which the workers see under the same path.

    Raises:
        ValueError: Beam is not installed, does not know the runner or an option, or lacks the
            runner's dependencies.
    """

    def __init__(self, options: Iterable[str], records: Path) -> None:
        self._beam, self._records = _apache_beam(), records
        parsed = _parsed(self._beam.options.pipeline_options, options)
        standard = parsed.view_as(self._beam.options.pipeline_options.StandardOptions)
        name = standard.runner or "DirectRunner"
        if name.lower() in ("direct", "directrunner"):
            # Beam's own switch selects this runner only after it tried to download another, and
            # then ignores `direct_num_workers`
            name = _PYTHON_RUNNER
        try:
            runner = self._beam.runners.runner.create_runner(name)
            self._pipeline = self._beam.Pipeline(runner=runner, options=parsed)
        except (ValueError, ImportError, AttributeError, TypeError) as error:
            raise ValueError(
                f"the Beam runner {name!r} cannot be had: {' '.join(str(error).split())}"
            ) from error

    def results(self, work: Work, jobs: Iterable[Job]) -> Iterator[int]:
        """Runs `work(job)` of every job on Beam's workers; yields the rows of each at the end.

        Args:
            work: writes the shard of a job; it can be pickled.
            jobs: one is in memory at a time.

        Raises:
            OSError: the pipeline failed, or the workers wrote to another folder.
        """
        folder = self._records / _JOBS
        filesystem.remove_directory(folder)
        filesystem.make_directory(folder)
        try:
            written = [_write_job(job, folder) for job in jobs]
            if written:
                self._run(work, folder)
            filesystem.forget_listings(self._records)
            for job, rows in written:
                if not shards.is_done(job, self._records):
                    raise OSError(
                        f"the Beam pipeline ended without {job.file} in {self._records}: its"
                        " workers must read and write there"
                    )
                yield rows
        finally:
            filesystem.remove_directory(folder)

    def _run(self, work: Work, folder: Path) -> None:
        beam = self._beam
        write = functools.partial(_write_shard, work, self._records)
        _ = (
            self._pipeline
            | "folder" >> beam.Create([folder])
            | "job files" >> beam.FlatMap(_job_files)
            | beam.Reshuffle()
            | "shards" >> beam.Map(write)
        )
        try:
            state = self._pipeline.run().wait_until_finish()
        except Exception as error:
            # each runner has exceptions of its own
            raise _explained(error) from error
        if state != beam.runners.runner.PipelineState.DONE:
            raise OSError(
                f"the Beam pipeline ended as {state}: see its log; finished shards are kept, run"
                " it again to resume"
            )


def _apache_beam() -> ModuleType:
    try:
        # an extra
        import apache_beam
    except ImportError as error:
        raise ValueError(
            f"a runner needs Apache Beam, which is not installed ({error}):"
            " pip install 'multimodal_tf[beam]'"
        ) from error
    return apache_beam


def _parsed(pipeline_options: Any, options: Iterable[str]) -> Any:
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            parsed = pipeline_options.PipelineOptions(list(options))
            parsed.get_all_options()
    except SystemExit as error:
        # argparse ends so
        reason = printed.getvalue().strip().rpartition("error: ")[2]
        raise ValueError(f"Beam's options {list(options)} cannot be read: {reason}") from error
    sys.stderr.write(printed.getvalue())
    return parsed


def _write_job(job: Job, folder: Path) -> tuple[Job, int]:
    """Writes a job to a file; returns it without its rows, and their number."""
    (folder / f"{job.file}.pickle").write_bytes(pickle.dumps(job))
    return dataclasses.replace(job, rows=[]), len(job.rows)


def _job_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.pickle"))


def _write_shard(work: Work, records: Path, file: Path) -> None:
    """Writes a shard on a worker, unless an earlier attempt has."""
    job = pickle.loads(file.read_bytes())
    if not shards.is_done(job, records):
        work(job)


def _explained(error: Exception) -> OSError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[-1] if lines else type(error).__name__
    return OSError(
        f"the Beam pipeline failed ({reason}): finished shards are kept, run it again to resume"
    )
