"""WebP: no file makes the decoder write beyond its pixels."""

import pathlib

import pytest

PROGRAM = pathlib.Path(__file__).with_name("webp_program.py")


@pytest.mark.slow
def test_an_opaque_animation_is_decoded_within_its_memory(new_process):
    # TensorFlow would write four channels where it allocates three, which a checked heap notices
    printed = new_process(PROGRAM.read_text(), MALLOC_CHECK_="3", MALLOC_PERTURB_="85")
    assert printed.startswith("read ")
