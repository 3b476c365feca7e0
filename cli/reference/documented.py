"""Names of a module or class with the text below each."""

import ast
import inspect
import re
import textwrap
from itertools import pairwise
from types import ModuleType


def documented(what: ModuleType | type) -> dict[str, str]:
    """Return the docstring below each constant of a module or class, on one line, by the name of the constant.

    Constants without one are left out.

    Args:
        what: The module or class.
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(what)))
    only = tree.body[0] if isinstance(what, type) else tree
    body: list[ast.stmt] = getattr(only, "body", [])
    found: dict[str, str] = {}
    for constant, text in pairwise(body):
        name, said = _name(constant), text.value if isinstance(text, ast.Expr) else None
        if name and isinstance(said, ast.Constant):
            found[name] = re.sub(r"\s+", " ", str(said.value)).strip()
    return found


def _name(statement: ast.stmt) -> str:
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            return name
        case _:
            return ""
