"""Domains: their XML, what follows from it, what must hold, their summary.

Names only, loaded on first use: a node that starts needs the summary, not the whole model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .completion import complete
    from .device_edit import attach_device, detach_device, forget_device, settle_device, update_device
    from .document import (
        LiveInfo,
        check_define,
        check_model,
        check_size,
        format,
        parse,
        secret_fields,
        summary_of,
        unknown_in,
    )
    from .domain import Domain
    from .edit import get_metadata, set_description, set_memory, set_metadata, set_name, set_title, set_vcpus
    from .summary import DomainSummary
    from .validation import check_name, validate

_HOME = {
    "complete": "completion",
    "attach_device": "device_edit",
    "detach_device": "device_edit",
    "forget_device": "device_edit",
    "settle_device": "device_edit",
    "update_device": "device_edit",
    "LiveInfo": "document",
    "check_define": "document",
    "check_model": "document",
    "check_size": "document",
    "format": "document",
    "parse": "document",
    "secret_fields": "document",
    "summary_of": "document",
    "unknown_in": "document",
    "Domain": "domain",
    "get_metadata": "edit",
    "set_description": "edit",
    "set_memory": "edit",
    "set_metadata": "edit",
    "set_name": "edit",
    "set_title": "edit",
    "set_vcpus": "edit",
    "DomainSummary": "summary",
    "check_name": "validation",
    "validate": "validation",
}

__all__ = [
    "Domain",
    "DomainSummary",
    "LiveInfo",
    "attach_device",
    "check_define",
    "check_model",
    "check_name",
    "check_size",
    "complete",
    "detach_device",
    "forget_device",
    "format",
    "get_metadata",
    "parse",
    "secret_fields",
    "set_description",
    "set_memory",
    "set_metadata",
    "set_name",
    "set_title",
    "set_vcpus",
    "settle_device",
    "summary_of",
    "unknown_in",
    "update_device",
    "validate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(name)
    from importlib import import_module

    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value
