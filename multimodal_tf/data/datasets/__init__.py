"""Example tables: `digits` ships with the package, `stamps` needs Debian's package of stamps."""

from multimodal_tf.data.datasets.digits import digits_config, digits_table
from multimodal_tf.data.datasets.stamps import stamps_config, stamps_table

__all__ = ["digits_config", "digits_table", "stamps_config", "stamps_table"]
