"""Removal of user and password from URLs, before they are written or logged."""

import re

_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]+@")


def without_credentials(text: str) -> str:
    """Return a text, such as a URL or a message, without the user and password of any URL in it."""
    return _CREDENTIALS.sub("", text)
