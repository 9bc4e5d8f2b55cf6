"""Heads that compare inputs need rows in which these are present together."""

import typing

import pandas as pd
import pytest

from multimodal_tf.config import (
    AlignmentHead,
    CategoryInput,
    Config,
    GRUTower,
    MaskedHead,
    MatchingHead,
    NumberInput,
    OrderHead,
    Split,
    TextInput,
    TokenMatchingHead,
)
from multimodal_tf.config.heads import ObjectiveHead
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.table import read_table
from multimodal_tf.schema import Schema
from multimodal_tf.training.fit import fit
from multimodal_tf.training.pairs import check_pairs

INPUTS = {"title": CategoryInput(), "price": NumberInput(), "colour": CategoryInput()}


def config(head):
    return Config(inputs=INPUTS, heads={"space": head}, split=Split(column="split"))


EVERY = config(AlignmentHead(inputs=["title", "colour"]))


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    """Title and price are never in one row; colour is with each in several."""
    folder = tmp_path_factory.mktemp("apart")
    title, price = [["a", None] * 4 + ["a"], [None, "1"] * 4 + [None]]
    colour = ["red", "blue"] * 4 + [None]
    table = pd.DataFrame({"title": title, "price": price, "colour": colour, "split": "train"})
    ingest(read_table(table), EVERY, folder)
    return folder


@pytest.mark.parametrize("head", [AlignmentHead, MatchingHead, TokenMatchingHead])
def test_inputs_that_are_never_present_together_are_refused(head, apart):
    message = (
        r"heads\.space\.inputs: 'title' must be present together with price in 2 or more rows of "
        r"the training split, received 0 of 9"
    )
    with pytest.raises(ValueError, match=message):
        check_pairs(config(head(inputs=["title", "price"])), apart)
    check_pairs(config(head(inputs=["title", "colour"])), apart)


def test_one_partner_is_enough(apart):
    check_pairs(config(AlignmentHead(inputs=["title", "price", "colour"])), apart)


NOTES = {
    "note": TextInput(tower=GRUTower(units=2)),
    "full": TextInput(tower=GRUTower(units=2)),
    "colour": CategoryInput(),
}


def notes(**heads):
    return Config(inputs=NOTES, heads=heads, split=EVERY.split)


@pytest.fixture(scope="module")
def sparse(tmp_path_factory):
    """One row has a note, two have a colour, but not the one with a note."""
    folder = tmp_path_factory.mktemp("sparse")
    columns = {"note": ["", "a b", None], "full": ["a b", "b c", "c"], "colour": ["red", "", "red"]}
    table = pd.DataFrame(columns | {"split": "train"})
    ingest(read_table(table), notes(order=OrderHead(inputs=["full"])), folder)
    return folder


# all of one input: the union of heads names new ones
OBJECTIVES = typing.get_args(ObjectiveHead)


@pytest.mark.parametrize("head", OBJECTIVES)
def test_an_objective_without_its_input_is_refused(head, sparse, tmp_path):
    message = r"heads\.own\.inputs: 'note' must be present in 2 or more rows .* received 1 of 3"
    config = notes(own=head(inputs=["note"]))
    with pytest.raises(ValueError, match=message):
        fit(config, Schema.load(sparse / "schema.json"), sparse, tmp_path / "run", verbose=0)
    assert not (tmp_path / "run").exists()
    check_pairs(notes(own=head(inputs=["full"])), sparse)


@pytest.mark.parametrize("head", [AlignmentHead, MatchingHead, TokenMatchingHead])
def test_a_comparison_without_one_of_its_inputs_is_refused(head, sparse):
    message = r"heads\.own\.inputs: 'note' must be present together with full in 2 .* 1 of 3"
    with pytest.raises(ValueError, match=message):
        check_pairs(notes(own=head(inputs=["note", "full"])), sparse)


def test_context_that_is_never_there_with_the_input_is_refused(sparse):
    config = notes(own=MaskedHead(inputs=["full"], context=["colour", "note"]))
    message = r"heads\.own\.context: 'note' must be present together with full in 2 .* 1 of 3"
    with pytest.raises(ValueError, match=message):
        check_pairs(config, sparse)
    check_pairs(notes(own=MaskedHead(inputs=["full"], context=["colour"])), sparse)


def test_a_queue_longer_than_the_data_is_refused(apart):
    with pytest.raises(ValueError, match=r"heads\.space\.queue must be at most the 9 .* 10"):
        check_pairs(config(AlignmentHead(inputs=["title", "colour"], queue=10)), apart)
    check_pairs(config(AlignmentHead(inputs=["title", "colour"], queue=9)), apart)


def test_fit_refuses_before_it_writes(apart, tmp_path):
    never = config(AlignmentHead(inputs=["title", "price"]))
    with pytest.raises(ValueError, match="present together"):
        fit(never, Schema.load(apart / "schema.json"), apart, tmp_path / "run", verbose=0)
    assert not (tmp_path / "run").exists()
