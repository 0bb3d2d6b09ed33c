"""Structured documents merge in order, and what is written reads back the same."""

import tomllib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ota.env.structured import StructureError, format_of, merged, read_document, written

KEYS = st.text(max_size=6)
LEAVES = st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=8)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=4)


@given(DOCUMENTS)
def test_what_is_written_reads_back_the_same(document: dict) -> None:
    for kind in ("json", "toml"):
        assert read_document(written(document, kind), kind) == document


@given(DOCUMENTS, DOCUMENTS)
def test_a_later_document_wins_and_nothing_else_is_lost(low: dict, high: dict) -> None:
    both = merged([low, high])
    assert both.keys() == low.keys() | high.keys()
    assert merged([both, high]) == both


def test_what_json_does_not_know_becomes_text_and_what_toml_does_not_is_refused() -> None:
    day = tomllib.loads("day = 2026-01-31")
    assert read_document(written(day, "json"), "json") == {"day": date(2026, 1, 31).isoformat()}
    with pytest.raises(StructureError, match="null"):
        written({"a": [None]}, "toml")


@pytest.mark.parametrize("content", [b"[1]", b"\xff", b"{'secret'", b"[" * 100_000])
def test_a_broken_document_is_said_without_quoting_it(content: bytes) -> None:
    with pytest.raises(StructureError) as caught:
        read_document(content, "json")
    assert "secret" not in str(caught.value)


def test_only_names_that_tell_a_format_are_read() -> None:
    assert (format_of("a/b.JSON"), format_of("c.toml")) == ("json", "toml")
    with pytest.raises(StructureError):
        format_of("values.yaml")
