"""The size that a document describes."""

from __future__ import annotations

from ..cells.snapshot import Size
from .defining import size_of


def described(xml: str) -> Size:
    """Return the size that a definition, or a running domain's XML, describes.

    Raises:
        XmlError: it cannot be read.
    """
    from ...config import domain as model

    return size_of(dict(model.summary_of(model.parse(xml)).to_map()))
