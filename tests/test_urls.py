"""Validation of URLs."""

from unicodedata import category
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AnyUrl

from app.urls import is_http_url, is_web_url

_PARTS = st.sampled_from(
    ["https://", "http://", "ftp://", "ftps://", "user", ":", "@", "[", "]", "::1", "[::1]", "/",
     "?", "#", "example", ".", "com", "99999", "80", "\u2100", "\uff0f", "%", "%25", "\\", " ",
     "\n", "\x7f", "xn--", "bücher", "localhost", "127.0.0.1", "\u00ad", "\u200b"]
)  # fmt: skip
urls = (
    st.lists(_PARTS, max_size=9)
    .map("".join)
    .flatmap(lambda rest: st.sampled_from([rest, f"https://{rest}", f"http://example.com{rest}"]))
)


@given(urls | st.text().map("https://{}".format))
def test_an_accepted_url_is_parsed_by_every_parser(url: str) -> None:
    if is_web_url(url):
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port is None or parts.port <= 65535
        AnyUrl(url)
        assert httpx.URL(url).host
        assert not any(each.isspace() or category(each) == "Cc" for each in url)


@pytest.mark.parametrize(
    ("url", "is_page"),
    [
        ("https://pay.example.com/1", True),
        ("HTTP://pay.example.com/1", True),
        ("ftp://pay.example.com/1", False),
        ("http://[::1", False),
        ("javascript://pay.example.com/%0aalert(1)", False),
        ("", False),
    ],
)
def test_only_a_valid_http_url_becomes_a_link(url: str, is_page: bool) -> None:
    assert is_http_url(url) is is_page
