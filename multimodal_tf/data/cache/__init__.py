"""The outputs of frozen towers, computed once for each distinct cell and kept beside the records.

`records/cache/cells` holds a digest of each row's cell, by shard and input. `records/cache/{input}-
{key}` holds the outputs by digest; the key is that of the layers, their weights, and what decodes
the cell.
"""

from multimodal_tf.data.cache.frozen_cells import FOLDER, FrozenCells, frozen_cells, started_after

__all__ = ["FOLDER", "FrozenCells", "frozen_cells", "started_after"]
