"""Sensible arguments for every call of the catalogue, so that tests can make each of them."""

from typing import Any

from mechane.protocol.catalogue import CallSpec, Place

SPARE = "0badcafe-0000-4000-8000-000000000001"


def arguments_for(spec: CallSpec, domain: str, connection: str, known: dict[str, Any]) -> dict[str, Any]:
    """Return arguments with which a call does what it is for.

    `domain` is the guest to aim at, `known` holds numbers that only the running node can tell
    (client, subscription) and whatever else a test wants to set, by the argument's name.
    """
    chosen: dict[str, Any] = {
        "domain": domain,
        "connection": connection,
        "name": "hung",
        "uuid": domain,
        "id": 1,
        "xml": f"<domain type='test'><name>spare</name><uuid>{SPARE}</uuid><memory>1024</memory></domain>",
        "states": ["running"],
        "command": '{"execute": "query-status"}',
        "autostart": False,
        "type": "title",
        "value": "a title",
        "new_name": "renamed",
        "level": "info",
        "limits": {},
        "subscription": 1,
        "client": 1,
        "path": "/nowhere/at/all.save",
        "device": "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>",
        "count": 1,
        "memory_kib": 16384,
        "documents": ["<cpu><model>qemu64</model></cpu>"],
        "argv": ["true"],
        **known,
    }
    every = {**{name: chosen[name] for name, each in spec.arguments.items() if each.required}}
    for name in ("domain", "connection"):
        if name in spec.arguments and not (name == "connection" and spec.on is Place.NODE):
            every[name] = chosen[name]
    return every
