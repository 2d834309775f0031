"""No text of a domain, an event or an error steers the terminal; documents and JSON still mean the same."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from mechane.config import domain
from mechane.config.characters import unshown_in
from mechane.config.domain.views import domain_of, show
from mechane.config.errors import MechaneError
from mechane.protocol.cli.events import text_of
from mechane.protocol.cli.main import main, say
from mechane.protocol.cli.output import Shown, cleaned, own
from mechane.tests.protocol.cli.conftest import Cli
from mechane.tests.support.paths import ROOT

HOSTILE = "\x1b]0;pwned\x07\x1b[2J\x9b31m\u202etxt.\u2066exe\u200b\u200f\u061c\ufeff\u2028"
WRITTEN = r"\x1b]0;pwned\x07\x1b[2J\x9b31m\u202etxt.\u2066exe\u200b\u200f\u061c\ufeff\u2028"
PAST = ("os.write(1", "os.write(2", ".buffer.write", "__stdout__", "__stderr__")
SHOWN_IN_XML = "\x9b31m\u202etxt.\u2066exe\u200b\u200f\u061c\ufeff\u2028"


def clean(text: str) -> bool:
    return not any(unshown_in(line) for line in text.replace("\t", " ").split("\n"))


@pytest.fixture
def kept(cli: Cli) -> str:
    """Give a domain that keeps hostile text where an older version, or another program, may have put it."""
    cli.define("web")
    path = cli.folder / "m.xml"
    path.write_text(f"<note a='{SHOWN_IN_XML}'>{SHOWN_IN_XML}</note>", encoding="utf-8")
    cli.ok("metadata", "web", "urn:x", "--key", "k", "--set", path.read_text(encoding="utf-8"))
    return SHOWN_IN_XML


@pytest.mark.parametrize("verb", [("define",), ("create",)])
def test_names_that_cannot_be_shown_are_refused(cli: Cli, verb: tuple[str]) -> None:
    for name in ("web\u202e", "web\u200b", "&#x9b;2J", "\u2066web"):
        path = cli.folder / "bad.xml"
        path.write_text(
            f"<domain type='test'><name>{name}</name><memory>1024</memory><os><type>hvm</type></os></domain>",
            encoding="utf-8",
        )
        code, out, err = cli.run(*verb, str(path))
        assert code != 0 and "/domain/name" in err and clean(out + err), name


def test_renames_titles_and_snapshots_are_refused_and_said_cleanly(cli: Cli) -> None:
    cli.define("web")
    for words in (("domrename", "web", f"a{HOSTILE}"), ("desc", "web", "--title", f"a{HOSTILE}"),
                  ("desc", "web", f"a{HOSTILE}"), ("snapshot-create-as", "web", f"a{HOSTILE}"),
                  ("dominfo", f"a{HOSTILE}"), ("start", f"a{HOSTILE}"), (f"verb{HOSTILE}",),
                  ("list", f"--{HOSTILE}")):  # fmt: skip
        code, out, err = cli.run(*words)
        assert code != 0 and err and clean(out + err), words
        code, out, err = cli.run("--json", *words)
        assert code != 0 and clean(out + err), words


def test_documents_are_shown_and_mean_the_same(cli: Cli, kept: str) -> None:
    out = cli.ok("dumpxml", "web")
    assert clean(out) and "&#x9b;31m&#x202e;" in out
    there = domain.parse(out).metadata.entries[0]
    assert (there.attrs["a"], there.text) == (kept, kept)
    assert clean(cli.ok("metadata", "web", "urn:x"))
    for format in ("yaml", "json"):
        text = cli.ok("dumpxml", "web", "--format", format)
        assert clean(text), format
        assert kept in show_of(text)
    assert json.loads(cli.ok("--json", "dumpxml", "web")).count(kept) == 2
    assert clean(cli.ok("--json", "dumpxml", "web"))
    path = cli.folder / "again.xml"
    path.write_text(out)
    cli.ok("define", str(path))
    assert cli.ok("dumpxml", "web") == out


def show_of(text: str) -> str:
    return show(domain.format(domain_of(text), secure=True), "xml")


def test_errors_and_events_are_lines_without_controls(capsys: pytest.CaptureFixture[str]) -> None:
    error = MechaneError(f"QEMU said {HOSTILE}\nerror: forged", remedy=f"a\n{HOSTILE}", stderr=f"x\n{HOSTILE}\x1b[31m")
    with cleaned():
        say(error, False)
        say(error, True)
        print(text_of({"time": 0.0, "kind": "lifecycle", "event": "stopped", "name": f"web{HOSTILE}\nweb",
                       "detail": HOSTILE, "data": {"reason": HOSTILE}, "cursor": "1"}))  # type: ignore[typeddict-item]  # an event of a test
    out, err = capsys.readouterr()
    assert clean(out + err) and WRITTEN in err and out.count("\n") == 1
    assert "\nerror: forged" not in err
    assert json.loads(err.splitlines()[-1])["error"]["message"].endswith(f"{HOSTILE}\nerror: forged")


def test_a_stream_cleans_all_but_our_own_sequences() -> None:
    kept = io.StringIO()
    stream = Shown(kept)
    stream.write(f"{HOSTILE}\n\t")
    stream.writelines([HOSTILE])
    print("a\r\x1b[K", file=stream)
    assert kept.getvalue() == f"{WRITTEN}\n\t{WRITTEN}a\\r\\x1b[K\n"
    own(stream, "\x1b[K")  # type: ignore[arg-type]  # likewise
    assert kept.getvalue().endswith("\x1b[K")


def test_the_streams_are_given_back() -> None:
    before = sys.stdout, sys.stderr
    assert main(["--version"]) == 0
    assert (sys.stdout, sys.stderr) == before


def test_nothing_but_the_console_writes_past_the_streams() -> None:
    allowed = {"console.py": ("os.write(1",), "command.py": ("stream.buffer.write",), "output.py": ("stream.write",)}
    for path in sorted(Path(ROOT, "protocol/cli").glob("*.py")):
        for line in path.read_text(encoding="utf-8").splitlines():
            past = any(word in line for word in PAST)
            assert not past or any(word in line for word in allowed.get(path.name, ())), (path.name, line)
