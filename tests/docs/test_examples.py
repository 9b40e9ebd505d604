"""What stands in examples/ and needs no servers is run as its README says."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from .pages import ROOT


def test_the_example_of_push_tests_passes_and_is_quick(tmp_path: Path) -> None:
    """Plain pytest, without plugins and without this repository's settings; each test within a second."""
    report = tmp_path / "report.xml"
    plain = ["-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:xdist", "-c", str(tmp_path / "pytest.ini")]
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", *plain, f"--junitxml={report}", str(ROOT / "examples" / "push_test")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    times = {case.attrib["name"]: float(case.attrib["time"]) for case in ET.parse(report).iter("testcase")}
    assert "test_who_is_away_gets_a_push" in times
    assert all(seconds < 1.0 for seconds in times.values()), times
