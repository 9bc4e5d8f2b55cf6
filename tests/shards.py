"""Records without ingest: shards written row by row."""

import tensorflow as tf

from multimodal_tf.data import record_files
from multimodal_tf.data.manifest import Manifest, Shard


def write_shards(records, rows_per_shard=100, **splits):
    """Writes `(inputs, labels)` pairs as shards of each split, rows numbered from 0 in each."""
    listed = {}
    for split, rows in splits.items():
        listed[split] = []
        for start in range(0, len(rows), rows_per_shard):
            serialized = [
                record_files.encode(start + n, *row)
                for n, row in enumerate(rows[start : start + rows_per_shard])
            ]
            file = f"{split}-{start // rows_per_shard:05}.tfrecord"
            with tf.io.TFRecordWriter(str(records / file)) as writer:
                for record in serialized:
                    writer.write(record)
            listed[split].append(
                Shard(
                    file=file,
                    rows=len(serialized),
                    bytes=(records / file).stat().st_size,
                    sha256="",
                )
            )
    total = sum(map(len, splits.values()))
    Manifest(
        table="pets.csv",
        config_hash="",
        splits=listed,
        table_rows=total,
        kept=total,
        rejected=0,
        hash="",
    ).save(records)
    return records
