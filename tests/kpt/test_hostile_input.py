"""Every kind of hostile package and answer: what is said of it, and that it costs little and loses nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kpt.hostile import ANSWERS, FINE, HARMLESS, IGNORE, KPTFILES, NO_RESOURCES, NO_TEXT, SYNTAX

Accounts = dict[str, dict[str, Any]]
LONGEST_MESSAGE = 5000
ONLY_A_LIST = "a function must write a ResourceList and nothing else to its standard output"
FAILED = "package p: mutator 'example.com/fn/f:latest' failed: "


@pytest.fixture(scope="module")
def accounts() -> Accounts:
    """What came of each rendering; nothing after one that took too much CPU time or memory."""
    command = [sys.executable, "-m", "tests.kpt.hostile"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"{lines[-1]['name']}: the process ended with {done.returncode}: {done.stderr[-2000:]}"
    return {line["name"]: line for line in lines}


def refused(account: dict[str, Any], message: str, *, told: bool = True) -> None:
    assert account["message"] == message
    assert len(message) < LONGEST_MESSAGE
    assert account["changed"] == []
    assert account["new"] == {}
    assert account["told"] == (message if told else None)


@pytest.mark.parametrize(
    ("name", "message"), [(name, case[1]) for name, case in {**SYNTAX, **NO_TEXT, **NO_RESOURCES}.items()]
)
def test_a_file_is_refused(name: str, message: str, accounts: Accounts) -> None:
    refused(accounts[f"file: {name}"], f"d/x.yaml: {message}")


@pytest.mark.parametrize(("name", "message"), [(name, case[1]) for name, case in SYNTAX.items()])
def test_a_kptfile_that_is_no_yaml_is_refused(name: str, message: str, accounts: Accounts) -> None:
    refused(accounts[f"Kptfile: {name}"], f"Kptfile: error reading Kptfile: yaml: {message}", told=False)


@pytest.mark.parametrize(("name", "message"), [(name, case[1]) for name, case in {**NO_TEXT}.items()])
def test_a_kptfile_that_is_no_text_is_refused(name: str, message: str, accounts: Accounts) -> None:
    refused(accounts[f"Kptfile: {name}"], f"Kptfile: {message}", told=False)


@pytest.mark.parametrize(("name", "message"), [(name, case[1]) for name, case in KPTFILES.items()])
def test_a_kptfile_with_other_fields_is_refused(name: str, message: str, accounts: Accounts) -> None:
    account = accounts[f"fields: {name}"]
    refused(account, f"Kptfile: {message}", told=account["told"] is not None)


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_looks_dangerous_is_kept(name: str, accounts: Accounts) -> None:
    account = accounts[f"harmless: {name}"]
    assert (account["message"], account["ok"], account["changed"], account["new"]) == ("", True, [], {})


@pytest.mark.parametrize(("name", "message"), [(name, case[1]) for name, case in IGNORE.items()])
def test_patterns_cost_little_and_are_refused_by_line(name: str, message: str, accounts: Accounts) -> None:
    account = accounts[f"ignore: {name}"]
    if message:
        refused(account, f".krmignore: {message}")
    else:
        refused(account, "ignored.yaml: line 2: did not find expected node content (while parsing a flow node)")


@pytest.mark.parametrize(("name", "message"), [(name, case[1]) for name, case in ANSWERS.items()])
def test_an_answer_is_refused(name: str, message: str, accounts: Accounts) -> None:
    account = accounts[f"answer: {name}"]
    assert account["message"] in (FAILED + message, f"{FAILED}MalformedYAMLError: {message}; {ONLY_A_LIST}")
    refused(account, account["message"])


@pytest.mark.parametrize(("name", "new"), [(name, case[1]) for name, case in FINE.items()])
def test_an_odd_answer_is_taken(name: str, new: dict[str, int], accounts: Accounts) -> None:
    account = accounts[f"fine: {name}"]
    assert (account["message"], account["ok"], account["changed"], account["new"]) == ("", True, [], new)
    assert account["size"] < 64 * 1024
