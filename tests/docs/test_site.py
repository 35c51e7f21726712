"""The site's reference names everything public; `.ci/docs` builds it and checks its links."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest

import kognitos_async
from kognitos_async import errors, testing
from tests.docs.programs import ROOT

SITE = ROOT / ".ci" / "site"
NAMED = {
    name
    for page in (SITE / "pages" / "reference").glob("*.md")
    for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)
}
CHECK = [sys.executable, SITE / "check_links.py"]


def test_the_reference_names_everything_public():
    missing = {f"kognitos_async.{name}" for name in kognitos_async.__all__ if name != "__version__"} - NAMED
    assert "kognitos_async.errors" in NAMED
    assert {name for name in missing if not hasattr(errors, name.rpartition(".")[2])} == set()
    assert {f"kognitos_async.testing.{name}" for name in testing.__all__} <= NAMED
    airflow = ast.parse((ROOT / "kognitos_async/integrations/airflow/__init__.py").read_text()).body[-1]
    assert isinstance(airflow, ast.Assign)
    for name in ast.literal_eval(airflow.value):
        assert f"kognitos_async.integrations.airflow.{name}" in NAMED


@pytest.fixture
def site(tmp_path):
    for number in range(20):
        (tmp_path / f"{number}.html").write_text(
            f'<a href="{(number + 1) % 20}.html#top">next</a><p id="top">'
        )
    return tmp_path


def test_a_site_whose_links_all_lead_somewhere_passes(site):
    assert subprocess.run([*CHECK, site], check=False).returncode == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('<a href="nowhere.html">', "leads nowhere: nowhere.html"),
        ('<a href="2.html#gone">', "no such anchor: 2.html#gone"),
        ('<a href="#gone">', "no such anchor: #gone"),
        (
            '<script src="https://cdn.invalid/x.js"></script>',
            "fetched from elsewhere: https://cdn.invalid/x.js",
        ),
        ('<link rel="stylesheet" href="//fonts.invalid/x">', "fetched from elsewhere: //fonts.invalid/x"),
    ],
)
def test_a_site_with_a_fault_does_not(site, line, message):
    (site / "1.html").write_text(f'{line}<p id="top">')
    ran = subprocess.run([*CHECK, site], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (1, f"1.html: {message}\n")
