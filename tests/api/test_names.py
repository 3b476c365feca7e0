"""Names that are computed, and that the models can be loaded cheaply."""

import subprocess
import sys

import pytest

from porchflow.api.names import object_name

MODELS = (
    "models.base",
    "models.conditions",
    "models.functionconfig",
    "models.packagerevision",
    "models.repository",
    "names",
    "work.intent",
)

PYDANTIC = {"annotated_types", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"}

LOADED = """
import sys
before = set(sys.modules)
for name in sys.argv[1:]:
    __import__("porchflow.api." + name)
print(*{name.partition(".")[0] for name in set(sys.modules) - before})
"""


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        (("blueprints", "web", "v1"), "blueprints.web.v1"),
        (("blueprints", "shop/site/web", "v1"), "blueprints.shop.site.web.v1"),
        (("blueprints", "/shop/web/", "main"), "blueprints.shop.web.main"),
    ],
)
def test_the_name_of_an_object_says_which_package_it_is(identity: tuple[str, str, str], name: str) -> None:
    assert object_name(*identity) == name


def test_the_models_need_nothing_but_pydantic() -> None:
    """Temporal's sandbox loads them anew for every workflow run that is not cached."""
    told = subprocess.run([sys.executable, "-c", LOADED, *MODELS], check=True, capture_output=True, text=True)
    loaded = {name for name in told.stdout.split() if not name.startswith("_")}
    assert "porchflow" in loaded
    assert loaded - sys.stdlib_module_names <= PYDANTIC | {"porchflow"}
