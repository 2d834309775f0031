"""The process of a node: arguments, logging, signals."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ...config.errors import MechaneError
from ...config.settings import Settings
from ...protocol.limits import Limits

if TYPE_CHECKING:
    from .node import Node


def parser() -> argparse.ArgumentParser:
    """Return the parser of mechaned's arguments."""
    made = argparse.ArgumentParser(prog="mechaned", description="Run a mechane node in the foreground.")
    made.add_argument("--config", type=Path, help="settings file (TOML)")
    made.add_argument("--state-dir", type=Path, help="folder of what must survive a reboot")
    made.add_argument("--runtime-dir", type=Path, help="folder of sockets and running guests")
    made.add_argument(
        "--connection", action="append", default=[], metavar="URI",
        help="hypervisor connection to open, such as qemu:///system; may be given several times",
    )  # fmt: skip
    made.add_argument(
        "--go-back", type=Path, metavar="COPY",
        help="make a copy of the store in an older format node.db again, with what runs now; see docs/operations.md",
    )  # fmt: skip
    made.add_argument("--version", action="store_true", help="print the version and end")
    return made


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        entry = {"time": record.created, "level": record.levelname, "logger": record.name, "text": record.getMessage()}
        if record.exc_info:
            entry["trace"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def set_up_logging(settings: Settings) -> None:
    """Log to standard error, as the settings say."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter()
        if settings.node.log_format == "json"
        else logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("mechane").setLevel(settings.node.log_level.upper())


def run(argv: list[str]) -> int:
    """Run a node until it is told to stop; 0 when it stopped, 1 when it could not start, 2 for bad arguments."""
    words = parser().parse_args(argv)
    if words.version:
        from .node import VERSION

        print(f"mechaned {VERSION}")
        return 0
    from ...config.settings import load

    os.umask(0o077)
    signal.signal(signal.SIGHUP, lambda *_: None)  # whoever asks for new certificates now gets them anyway
    try:
        settings = load(
            config=words.config, state_dir=_absolute(words.state_dir), runtime_dir=_absolute(words.runtime_dir),
            connections=words.connection, limits=Limits,
        )  # fmt: skip
        set_up_logging(settings)
        if words.go_back is not None:
            from .going_back import go_back

            print(go_back(settings.state_dir, settings.runtime_dir, words.go_back.absolute()))
            return 0
        return serve(settings)
    except MechaneError as error:
        print(f"mechaned: {error}", file=sys.stderr)
        return 1


def _absolute(path: Path | None) -> Path | None:
    return path.absolute() if path is not None else None


def serve(settings: Settings) -> int:
    """Start the node and wait for a signal."""
    from .node import Node

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):  # handlers, not a blocked mask: guests would inherit that
        signal.signal(number, lambda *_: stop.set())
    node = Node(settings)
    node.start()
    signal.signal(signal.SIGHUP, lambda *_: _renew(node))
    stop.wait()
    node.stop()
    return 0


def _renew(node: Node) -> None:
    logging.getLogger("mechane.node").info(
        "the files of [tls] are read anew; all other settings are read at start only: restart to change them"
    )
    node.renew()
