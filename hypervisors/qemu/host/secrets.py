"""Secrets that definitions name by UUID or usage: files in the connection's folder `secrets`.

The file is named like the secret (a slash becomes an underscore), and holds the value as it is. QEMU gets a
copy in the guest's own folder, for its user only; no value ever stands in an argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....config.errors import StartFailed

if TYPE_CHECKING:
    from .site import Site

MAX_BYTES = 65536


def secret_value(key: str, site: Site) -> bytes:
    """Return a secret's value. Blocks.

    Raises:
        StartFailed: it is not there, or others could read it.
    """
    path = site.secret(key)
    try:
        if path.stat().st_mode & 0o077:
            raise StartFailed(
                f"others may read the secret {key!r} that {site.name} needs", remedy=f"chmod 600 {path}"
            )
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError as error:
        raise StartFailed(
            f"the secret {key!r} that {site.name} needs cannot be read: {error.strerror}",
            remedy=f"write its value into {path}, with mode 0600",
        ) from error


def copy_secrets(keys: tuple[str, ...], site: Site) -> dict[str, str]:
    """Copy secrets into the guest's folder; returns their files by name. Blocks.

    Passwords of displays are not among them: they stand in the definition.

    Raises:
        StartFailed: one is not there.
    """
    found = {}
    for number, key in enumerate(key for key in keys if not key.endswith(".password")):
        value = secret_value(key, site)
        found[key] = site.folder.write_secret(f"secret{number}", value, site.identity.uid, site.identity.gid)
    return found
