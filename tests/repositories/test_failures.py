import logging
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.models.conditions import MESSAGE_LIMIT, Reason
from porchflow.functions import function_errors
from porchflow.functions.function_errors import (
    FunctionNotFound,
    FunctionUnavailable,
    ImageNotFound,
    MessageTooLarge,
    RegistryUnavailable,
    RunnerUnavailable,
)
from porchflow.gitrepo import errors as git
from porchflow.gitrepo import refs
from porchflow.gitrepo.refs import InvalidName
from porchflow.gitrepo.store.trees import InvalidContent
from porchflow.kpt import package_errors
from porchflow.kpt.package_errors import FunctionFailed, InvalidPackage, LocalChanges, PackageError
from porchflow.kube import errors as k8s
from porchflow.repositories.failures import (
    WAITING_DELAY,
    PhaseError,
    Stalled,
    Superseded,
    Waiting,
    classify,
    to_application_error,
)
from porchflow.yamltext import yaml_error
from porchflow.yamltext.yaml_error import YamlError

TRANSIENT, STALLED = ErrorKind.TRANSIENT, ErrorKind.STALLED

TABLE: list[tuple[Exception, ErrorKind, str]] = [
    (git.GitError("x"), TRANSIENT, Reason.GIT_FAILED),
    (git.GitUnavailable("x"), TRANSIENT, Reason.GIT_UNAVAILABLE),
    (git.GitConflict("x"), TRANSIENT, Reason.GIT_CONFLICT),
    (git.GitPackageExists("x"), STALLED, Reason.PACKAGE_EXISTS),
    (git.GitPackageOverlap("x"), STALLED, Reason.PACKAGE_OVERLAP),
    (git.GitAuthError("x"), STALLED, Reason.GIT_AUTH_FAILED),
    (git.GitRefusedBefore("x", 0.0), STALLED, Reason.GIT_AUTH_FAILED),
    (git.GitCertificateError("x"), STALLED, Reason.GIT_CERTIFICATE_INVALID),
    (git.GitHostKeyError("x"), STALLED, Reason.GIT_HOST_KEY_UNTRUSTED),
    (git.GitHookDeclined("x"), STALLED, Reason.GIT_REJECTED),
    (git.GitNotFound("x"), STALLED, Reason.GIT_NOT_FOUND),
    (git.GitBranchMissing("x"), STALLED, Reason.GIT_NOT_FOUND),
    (git.GitNoCommit("x"), STALLED, Reason.GIT_NOT_FOUND),
    (git.GitUnsupported("x"), STALLED, Reason.GIT_UNSUPPORTED),
    (git.GitAddressDenied("x"), STALLED, Reason.GIT_ADDRESS_DENIED),
    (git.GitQuotaExceeded("x"), STALLED, Reason.GIT_QUOTA_EXCEEDED),
    (InvalidName("x"), STALLED, Reason.INVALID_SPEC),
    (PackageError("x"), STALLED, Reason.INVALID_PACKAGE),
    (LocalChanges(["a"]), STALLED, Reason.LOCAL_CHANGES),
    (InvalidContent("x"), STALLED, Reason.INVALID_PACKAGE),
    (InvalidPackage("Kptfile", "x"), STALLED, Reason.INVALID_PACKAGE),
    (YamlError("x"), STALLED, Reason.INVALID_PACKAGE),
    (FunctionFailed("image", "x"), STALLED, Reason.RENDER_FAILED),
    (FunctionNotFound("image"), STALLED, Reason.RENDER_FAILED),
    (MessageTooLarge("image", "answer"), STALLED, Reason.RENDER_FAILED),
    (ImageNotFound("image", "x"), STALLED, Reason.RENDER_FAILED),
    (FunctionUnavailable("image", "x"), TRANSIENT, Reason.FUNCTION_RUNNER_UNAVAILABLE),
    (RegistryUnavailable("image", "x"), TRANSIENT, Reason.REGISTRY_UNAVAILABLE),
    (RunnerUnavailable("runner:9445", "image", "x"), TRANSIENT, Reason.FUNCTION_RUNNER_UNAVAILABLE),
    (k8s.KubeError("x"), TRANSIENT, Reason.KUBERNETES_FAILED),
    (k8s.NotFound("x"), TRANSIENT, Reason.KUBERNETES_FAILED),
    (k8s.AlreadyExists("x"), TRANSIENT, Reason.KUBERNETES_FAILED),
    (k8s.Conflict("x"), TRANSIENT, Reason.KUBERNETES_FAILED),
    (k8s.Expired("x"), TRANSIENT, Reason.KUBERNETES_FAILED),
    (k8s.Invalid("x"), STALLED, Reason.KUBERNETES_FAILED),
    (k8s.Forbidden("x"), TRANSIENT, Reason.KUBERNETES_FORBIDDEN),
    (k8s.Unauthorized("x"), TRANSIENT, Reason.KUBERNETES_FORBIDDEN),
    (k8s.KubeConfigError("x"), TRANSIENT, Reason.KUBERNETES_FORBIDDEN),
    (k8s.NotServed("x"), TRANSIENT, Reason.KUBERNETES_UNAVAILABLE),
    (k8s.KubeUnavailable("x"), TRANSIENT, Reason.KUBERNETES_UNAVAILABLE),
    (k8s.TimedOut("x"), TRANSIENT, Reason.KUBERNETES_UNAVAILABLE),
    (k8s.TooManyRequests("x"), TRANSIENT, Reason.KUBERNETES_UNAVAILABLE),
]


LIBRARIES = [function_errors, git, refs, package_errors, yaml_error, k8s]


@pytest.mark.parametrize(("error", "kind", "reason"), TABLE, ids=[type(row[0]).__name__ for row in TABLE])
def test_the_kind_of_each_library_error(error: Exception, kind: ErrorKind, reason: str) -> None:
    failure = classify(error)
    assert (failure.kind, failure.reason) == (kind, reason)
    words, _, mend = failure.message.partition("; ")
    assert words == str(error).partition("; ")[0]
    own = (Reason.INVALID_SPEC, Reason.INVALID_PACKAGE, Reason.RENDER_FAILED, Reason.LOCAL_CHANGES, Reason.GIT_CONFLICT)
    assert mend or reason in own or isinstance(error, k8s.KubeConfigError | k8s.NotServed | k8s.TooManyRequests)


@pytest.mark.parametrize(
    "error",
    [
        git.GitAuthError("h refused the credentials; correct Secret 'a', or what they may do at the server"),
        git.GitAuthError("h asks for credentials; name a Secret in the Repository's spec.git.secretRef"),
        git.GitNotFound("h has moved; if that is the right place, create the Repository again with this address"),
        git.GitNoCommit("app/key marks no commit: it is a blob; move or delete it"),
    ],
    ids=["correct", "name", "create", "move"],
)
def test_an_error_that_says_what_to_do_gets_no_second_advice(error: git.GitError) -> None:
    assert classify(error).message == str(error)


def test_the_advice_for_a_missing_branch_can_be_followed() -> None:
    message = classify(git.GitBranchMissing("branch 'x' doesn't exist")).message
    assert "correct the Repository" not in message
    assert "the branch of a Repository cannot be changed" in message


def test_a_refusal_from_before_an_attempt_says_nothing_of_it() -> None:
    """What was wrong may be mended since, and a server that refused twice is not asked again at once."""
    refused = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
    error = git.GitRefusedBefore("h refused the credentials (not asked again for 3 s)", refused.timestamp())
    before, after = refused - timedelta(seconds=1), refused + timedelta(seconds=1)
    assert classify(error, since=before).kind is STALLED
    failure = classify(error, since=after)
    assert (failure.kind, failure.reason) == (TRANSIENT, Reason.GIT_AUTH_FAILED)
    assert failure.message == f"{error}; then it is tried again"


@pytest.mark.parametrize("module", LIBRARIES, ids=lambda module: module.__name__)
def test_every_error_class_of_a_library_is_in_the_table(module: ModuleType) -> None:
    defined = {
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == module.__name__
    }
    assert defined
    assert defined <= {type(error) for error, _, _ in TABLE}


def test_an_unknown_error_is_transient_and_loud(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        failure = classify(ZeroDivisionError("division by zero"))
    assert (failure.kind, failure.reason) == (TRANSIENT, Reason.INTERNAL_ERROR)
    assert failure.message.startswith("unexpected ZeroDivisionError: division by zero; it is tried again")
    assert caplog.records[0].exc_info is not None, "with its trace"


def test_the_password_in_a_url_does_not_get_through_in_an_unknown_error() -> None:
    failure = classify(RuntimeError("cannot open https://ada:pass-word-1@git.example.com/x.git?token=abc"))
    assert "pass-word-1" not in failure.message
    assert "token" not in failure.message


def test_an_error_of_a_phase_stays_what_it_is() -> None:
    failure = Waiting(Reason.SECRET_NOT_FOUND, "x")
    assert classify(failure) is failure


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Waiting(Reason.SECRET_NOT_FOUND, "w"), ("Waiting", False, WAITING_DELAY, True)),
        (Stalled(Reason.INVALID_SPEC, "s"), ("Stalled", True, None, False)),
        (Superseded(), ("Superseded", True, None, True)),
        (PhaseError(Reason.GIT_FAILED, "t"), ("Transient", False, None, False)),
    ],
    ids=["waiting", "stalled", "superseded", "transient"],
)
def test_what_temporal_is_told_of_a_kind(failure: PhaseError, expected: tuple[Any, ...]) -> None:
    error = to_application_error(failure)
    benign = error.category.name == "BENIGN"
    assert (error.type, error.non_retryable, error.next_retry_delay, benign) == expected


def test_a_long_message_is_cut_before_it_reaches_a_payload() -> None:
    error = to_application_error(Stalled(Reason.RENDER_FAILED, "x" * 1_000_000))
    assert len(error.message) == MESSAGE_LIMIT
    assert error.message.endswith("…")
