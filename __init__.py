"""mechane: virtual machines as actors. `connect()` gives a client of a node.

The public names are loaded when first used, so that `import mechane` costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import errors as errors
    from .protocol.client.aio import AsyncClient as AsyncClient
    from .protocol.client.aio import connect_async as connect_async
    from .protocol.client.sync import Client as Client
    from .protocol.client.sync import connect as connect
    from .protocol.client.tls import Tls as Tls

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "Tls", "__version__", "connect", "connect_async", "errors"]

_HOMES = {
    "AsyncClient": "protocol.client.aio",
    "connect_async": "protocol.client.aio",
    "Client": "protocol.client.sync",
    "connect": "protocol.client.sync",
    "Tls": "protocol.client.tls",
}


if not TYPE_CHECKING:  # type checkers read the imports above, and know each name that is not there

    def __getattr__(name: str) -> Any:
        from importlib import import_module

        if name == "errors":
            return import_module(".config.errors", __name__)
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module mechane has no attribute {name!r}")
        return getattr(import_module(f".{home}", __name__), name)
