"""From a table of images, texts and sounds to a served Keras model.

The public names stand as plain imports in `__init__.pyi`; each is loaded when it is first used,
because TensorFlow takes seconds to import and `multimodal-tf --help` must not wait for it.
"""

import lazy_loader

from multimodal_tf.keras_settings import check_backend
from multimodal_tf.quiet_import import quiet_import

check_backend()
quiet_import()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
