"""Weights of classes, by names in one spelling."""

import pytest

from multimodal_tf.config import ClassificationHead, MultiLabelHead


@pytest.mark.parametrize("head", [ClassificationHead, MultiLabelHead])
def test_a_class_has_one_weight(head):
    assert head(class_weight={1: 2.0, " 2.0": 3.0}).class_weight == {"1": 2.0, "2": 3.0}
    for weights in ({1: 2.0, "1.0": 3.0}, {"a": 1.0, " a": 1.0}):
        with pytest.raises(ValueError, match="class_weight must name each class once, received"):
            head(class_weight=weights)
