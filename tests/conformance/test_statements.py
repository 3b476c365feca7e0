"""Each documented behaviour of Porch's v1alpha2 controller has a test, and a reason where porchflow differs."""

import ast
from functools import cache
from pathlib import Path
from typing import Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict

TESTS = Path(__file__).parents[1]


class Statement(BaseModel):
    """A statement of Porch's documentation."""

    model_config = ConfigDict(extra="forbid")

    says: str
    porchflow: Literal["same", "differently", "absent"]
    why: str = ""
    tests: list[str]


STATEMENTS = [
    Statement.model_validate(each) for each in yaml.safe_load((TESTS / "conformance/statements.yaml").read_text())
]


@cache
def named_in(path: str) -> set[str]:
    """The tests of a file, those of classes with the name of their class."""
    found: set[str] = set()
    for node in ast.parse((TESTS / path).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = (each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
            found |= {f"{node.name}::{each.name}" for each in inner}
    return {name for name in found if name.rpartition("::")[2].startswith("test_")}


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda each: each.says)
def test_it_has_tests_and_where_porchflow_differs_a_reason(statement: Statement) -> None:
    assert statement.tests
    for test in statement.tests:
        path, _, name = test.partition("::")
        assert name in named_in(path), test
    assert bool(statement.why) is (statement.porchflow != "same")


def test_no_statement_is_there_twice() -> None:
    says = [each.says for each in STATEMENTS]
    assert len(says) == len(set(says)) > 60
