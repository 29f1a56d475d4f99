"""Entity tags, by themselves."""

import pytest

from app.api.caching.etags import matches_any, parse_etags
from app.api.middleware.compression import add_coding, remove_coding


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        ("", []),
        ('"a"', ['"a"']),
        ('""', ['""']),
        ('W/"a"', ['W/"a"']),
        ('"a","b"', ['"a"', '"b"']),
        (' "a" ,\t, W/"b" ,', ['"a"', 'W/"b"']),
        ('"a, b", "c"', []),  # a space may not stand in a tag
        ('"a,b", "c"', ['"a,b"', '"c"']),
        ('"é"', ['"é"']),
        ("*", []),
        ("a", []),
        ('"a', []),
        ('w/"a"', []),
        ('"a" b', []),
        ('W/ "a"', []),
    ],
)
def test_tags_of_a_header(header: str, tags: list[str]) -> None:
    assert parse_etags(header) == tags


@pytest.mark.parametrize(
    ("header", "etag", "same"),
    [
        ('"a"', '"a"', True),
        ('W/"a"', '"a"', True),
        ('"a"', 'W/"a"', True),
        ('W/"a"', 'W/"a"', True),
        ('"b", W/"a"', '"a"', True),
        ("*", '"a"', True),
        (" * ", '"a"', True),
        ('"b"', '"a"', False),
        ('"A"', '"a"', False),
        ("a", '"a"', False),
        ('"a", b', '"a"', False),
        ("", '"a"', False),
        ('"a-gzip"', '"a"', False),  # not this client's: else it would have been taken off
    ],
)
def test_a_client_that_has_the_answer(header: str, etag: str, *, same: bool) -> None:
    assert matches_any(header, etag) is same


def test_a_coding_is_added_and_taken_off() -> None:
    assert add_coding('"a"', "gzip") == '"a-gzip"'
    assert add_coding('W/"a"', "gzip") == 'W/"a"'
    assert remove_coding('"a-gzip"', ("zstd", "gzip")) == '"a"'
    assert remove_coding('W/"a-zstd"', ("zstd", "gzip")) == '"a"'
    assert remove_coding('"a-gzip"', ("zstd",)) == '"a-gzip"'
    assert remove_coding('"a-gzip"', ()) == '"a-gzip"'
    assert remove_coding('"gzip"', ("gzip",)) == '"gzip"'
