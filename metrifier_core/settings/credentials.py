"""User and password of a server's address, which stand in nothing that is written or said."""

import re

_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]+@")


def without_credentials(text: str) -> str:
    """Leaves user and password out of every URL in a text.

    Args:
        text: A URL, or a message that may hold some.
    """
    return _CREDENTIALS.sub("", text)
