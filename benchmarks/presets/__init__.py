"""Pretrained weights from packages of pip, as preset folders of KerasHub."""
