"""Conversions of definitions on the command line, without a node."""

import io
import json
import sys
from pathlib import Path

import pytest

from mechane.__main__ import mechane
from mechane.protocol.cli import exits
from mechane.protocol.cli.main import main

XML = """<domain type='vmware'><name>web</name><uuid>564d9bef-acd9-b4e0-c8f0-aea8b9103515</uuid>
<memory unit='MiB'>64</memory><os><type arch='x86_64'>hvm</type></os><devices>
<disk type='file'><source file='[ssd] web/web.vmdk'/><target dev='sda' bus='scsi'/></disk></devices></domain>"""


@pytest.fixture(autouse=True)
def no_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no node be reachable."""
    monkeypatch.setenv("MECHANE_SOCKET", str(tmp_path / "none.sock"))


def test_there_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    xml, vmx = tmp_path / "web.xml", tmp_path / "web.vmx"
    xml.write_text(XML)
    assert mechane(["domxml-to-native", "vmware-vmx", str(xml), "-o", "hardware=8"]) == exits.OK
    vmx.write_text(capsys.readouterr().out)
    assert 'virtualHW.version = "8"' in vmx.read_text()
    assert mechane(["domxml-from-native", "vmware-vmx", str(vmx)]) == exits.OK
    assert "<source file='[ssd] web/web.vmdk'/>" in capsys.readouterr().out


def test_a_plain_name_lies_where_the_options_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vmx = tmp_path / "web.vmx"
    vmx.write_bytes(
        '.encoding = "windows-1252"\ndisplayName = "Büro"\nide0:0.present = "TRUE"\n'
        'ide0:0.fileName = "b.vmdk"\n'.encode("cp1252")
    )
    words = ["domxml-from-native", "vmware-vmx", str(vmx), "--option", "datastore=ssd", "-o", "directory=büro"]
    assert mechane(words) == exits.OK
    out = capsys.readouterr().out
    assert "<name>Büro</name>" in out
    assert "file='[ssd] büro/b.vmdk'" in out


def test_standard_input_and_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(XML.encode())))
    assert mechane(["--json", "domxml-to-native", "vmware-vmx", "--xml", "-"]) == exits.OK
    assert 'displayName = "web"' in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["domxml-to-native", "no-such-format", "FILE"], "vmware-vmx"),
        (["domxml-to-native", "vmware-vmx"], "--domain"),
        (["domxml-to-native", "vmware-vmx", "FILE", "-o", "colour=red"], "options here: datastore"),
        (["domxml-to-native", "vmware-vmx", "FILE", "-o", "hardware"], "NAME=VALUE"),
        (["domxml-from-native", "vmware-vmx", "/nowhere/at.all"], "readable file"),
        (["domxml-from-native", "vmware-vmx", "FILE"], "make it a comment"),
    ],
)
def test_what_is_refused_says_what_to_do(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    xml = tmp_path / "web.xml"
    xml.write_text(XML)
    assert mechane([str(xml) if word == "FILE" else word for word in words]) == exits.FAILED
    assert says in capsys.readouterr().err


def test_a_program_without_conversions_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    xml = tmp_path / "web.xml"
    xml.write_text(XML)
    assert main(["domxml-to-native", "vmware-vmx", str(xml)]) == exits.FAILED
    assert "converts no definitions" in capsys.readouterr().err
