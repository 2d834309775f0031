"""The comparison runs on our side and prints its table; what it measures is not judged here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.qemu
def test_bench_measures_our_side(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    argv = [sys.executable, "-m", "mechane.benchmarks", "--without", "libvirt", "--only", "lives"]
    done = subprocess.run([*argv, "--json", str(results)], capture_output=True, text=True, timeout=55)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "start to running" in done.stdout
    figures = json.loads(results.read_text())["figures"]
    assert figures["mechane"]["start"] > 0
    assert figures["bare"]["start"] > 0
