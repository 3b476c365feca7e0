"""The pages as a site: it is built without a warning, and no page loads anything from another machine."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LOADED = re.compile(
    r"<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)=[\"']?((?:https?:)?//[^\"' >]+)[^>]*>", re.IGNORECASE
)


@pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None, reason="needs the extra docs: make toolchain installs it"
)
def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        # A proxy at which nobody listens: a build that needs the network fails.
        env={
            **os.environ,
            "NO_MKDOCS_2_WARNING": "1",
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "HTTP_PROXY": "http://127.0.0.1:9",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) >= len(list((ROOT / "docs").rglob("*.md")))
    loads = {
        (page.name, found[1])
        for page in pages
        for found in LOADED.finditer(page.read_text())
        if "canonical" not in found[0]
    }
    assert loads == set()


def places(menu: object) -> list[str]:
    """The pages that a menu names, in order."""
    if isinstance(menu, str):
        return [menu]
    inner = menu.values() if isinstance(menu, dict) else menu if isinstance(menu, list) else []
    return [page for each in inner for page in places(each)]


def test_the_menu_names_each_page_once() -> None:
    told = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert sorted(places(told["nav"])) == sorted(
        page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")
    )
    assert told["validation"]["links"]["not_found"] == "warn", "the strict build fails for a link that leads nowhere"
