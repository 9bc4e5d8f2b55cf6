"""Ingest on Apache Beam: the shards of a table, made by the workers of any of Beam's runners.

The table is read where `ingest` is called, as ever. The rows of each shard are laid down in a file
beside the shards. The pipeline, as small for a large table as for a small one, lists these files
and gives each to the function that writes a shard on one machine, too.
"""

import contextlib
import dataclasses
import functools
import io
import pickle
import sys

from multimodal_tf.data import filesystem
from multimodal_tf.data.ingest import shards

# the directory of files of rows, while the pipeline runs
_JOBS = "jobs"
_PYTHON_RUNNER = "FnApiRunner"


class BeamPipeline:
    """Makes the shards of one directory on a Beam runner. All is checked before there is something
    to run.
    """

    def __init__(self, options, directory):
        """Takes Beam's options and the directory.

        Args:
            options: Beam's own, such as `["--runner=FlinkRunner", "--flink_master=host:8081"]`.
            directory: absolute path from `places.place`, where the workers see it, too.

        Raises:
            ValueError: Beam is not installed, does not know the runner or lacks its parts, or takes
            no such value for an option.
        """
        self._beam, self._directory = _apache_beam(), directory
        parsed = _parsed(self._beam.options.pipeline_options, options)
        name = (
            parsed.view_as(self._beam.options.pipeline_options.StandardOptions).runner
            or "DirectRunner"
        )
        if name.lower() in ("direct", "directrunner"):
            # which Beam's own switch takes only after it has tried to download another, deaf to
            # `direct_num_workers`
            name = _PYTHON_RUNNER
        try:
            self._pipeline = self._beam.Pipeline(
                runner=self._beam.runners.runner.create_runner(name), options=parsed
            )
        except (ValueError, ImportError, AttributeError, TypeError) as error:
            raise ValueError(
                f"the Beam runner {name!r} cannot be had: {' '.join(str(error).split())}"
            ) from error

    def results(self, work, jobs):
        """Does `work(job)` of every job on Beam's workers; yields each one's rows after all have
        ended.

        Args:
            work: function that can be pickled. Writes the shard of a `shards.Job`.
            jobs: iterable of `shards.Job`; one is in memory at a time.

        Raises:
            OSError: the pipeline failed, or the workers wrote elsewhere.
        """
        directory, folder = self._directory, self._directory / _JOBS
        filesystem.remove_directory(folder)
        filesystem.make_directory(folder)
        try:
            done = [_lay_down(job, folder) for job in jobs]
            if done:
                self._run(work, folder)
            filesystem.forget_listings(directory)
            for job, rows in done:
                if not shards.is_done(job, directory):
                    raise OSError(
                        f"the Beam pipeline ended without {job.file} in {directory}: its workers must read and write there"
                    )
                yield rows
        finally:
            filesystem.remove_directory(folder)

    def _run(self, work, folder):
        beam = self._beam
        files = (
            self._pipeline
            | "folder" >> beam.Create([folder])
            | "files of rows" >> beam.FlatMap(_listed)
        )
        _ = (
            files
            | beam.Reshuffle()
            | "shards" >> beam.Map(functools.partial(_shard, work, self._directory))
        )
        try:
            state = self._pipeline.run().wait_until_finish()
        except Exception as error:
            # each runner has types of its own
            raise _explained(error) from error
        if state != beam.runners.runner.PipelineState.DONE:
            raise OSError(
                f"the Beam pipeline ended as {state}: see its log; finished shards are kept, run it again and it will go on"
            )


def _apache_beam():
    try:
        # an extra
        import apache_beam
    except ImportError as error:
        raise ValueError(
            f"a runner needs Apache Beam, which is not installed ({error}): pip install 'multimodal_tf[beam]'"
        ) from error
    return apache_beam


def _parsed(pipeline_options, options):
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parsed = pipeline_options.PipelineOptions(list(options))
            parsed.get_all_options()
    except SystemExit as error:
        # as argparse ends
        raise ValueError(
            f"Beam's options {list(options)} cannot be read: {said.getvalue().strip().rpartition('error: ')[2]}"
        ) from error
    sys.stderr.write(said.getvalue())
    return parsed


def _lay_down(job, folder):
    """Writes a job to a file; returns it without its rows, and how many they are."""
    (folder / f"{job.file}.pickle").write_bytes(pickle.dumps(job))
    return dataclasses.replace(job, rows=[]), len(job.rows)


def _listed(folder):
    return sorted(folder.glob("*.pickle"))


def _shard(work, directory, file):
    """Makes a shard on a worker, unless an earlier attempt has."""
    job = pickle.loads(file.read_bytes())
    if not shards.is_done(job, directory):
        work(job)


def _explained(error):
    last = next(
        (line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__
    )
    return OSError(
        f"the Beam pipeline failed ({last.strip()}): finished shards are kept, run it again and it will go on"
    )
