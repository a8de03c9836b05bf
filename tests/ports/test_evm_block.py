"""Roots of transactions and receipts against a general trie, over every shape they can take."""

import pytest
import rlp
from hypothesis import given, settings
from hypothesis import strategies as st
from trie import HexaryTrie

from escrow.adapters.evm.block import EMPTY_TRIE, _root


def general_root(items: list[bytes]) -> bytes:
    trie = HexaryTrie({})
    for index, item in enumerate(items):
        trie[rlp.encode(index)] = item
    return trie.root_hash


def test_no_items() -> None:
    assert _root([]) == EMPTY_TRIE == general_root([])


@pytest.mark.parametrize("size", [1, 13, 14, 15, 33, 700])
@pytest.mark.parametrize(
    "count", [1, 2, 3, 15, 16, 17, 127, 128, 129, 130, 144, 255, 256, 257, 300]
)
def test_where_the_index_grows_a_digit_and_where_a_node_outgrows_its_parent(
    count: int, size: int
) -> None:
    items = [index.to_bytes(2, "big") * size for index in range(count)]
    assert _root(items) == general_root(items)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=40))
def test_any_items(items: list[bytes]) -> None:
    assert _root(items) == general_root(items)
