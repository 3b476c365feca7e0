"""Which objects need work, and which phases: of all that can be in an object, and of what writers leave behind."""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from porchflow.api.models.conditions import ACCESS_REASONS
from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.names import (
    DISCOVERED_ANNOTATION,
    FINALIZER,
    RECONCILE_NOW_ANNOTATION,
    RENDER_REQUEST_ANNOTATION,
    SUSPEND_ANNOTATION,
    SUSPEND_UNTIL_ANNOTATION,
)
from porchflow.api.work.needs import Facts, Phase, facts_of, needs_work, plan, stalled_on_access
from porchflow.api.work.subpackage import operation_hash
from porchflow.api.work.suspension import suspension_of

Object = dict[str, Any]

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_DRAFT, _PROPOSAL, _TAG = "drafts/app/v1", "proposed/app/v1", "app/v1"
_REFS = {"Draft": _DRAFT, "Proposed": _PROPOSAL, "Published": _TAG, "DeletionProposed": _TAG}
_RENDER = {RENDER_REQUEST_ANNOTATION: "r2"}
_TOKEN = {RECONCILE_NOW_ANNOTATION: "t2"}
_SUSPENDED = {SUSPEND_ANNOTATION: "a freeze", SUSPEND_UNTIL_ANNOTATION: "2026-01-01T00:00:01Z"}
_OVER = {**_SUSPENDED, SUSPEND_UNTIL_ANNOTATION: "2026-01-01T00:00:00Z"}


def condition(kind: str, status: str = "True", reason: str = "R", *, message: str = "", generation: int = 2) -> Object:
    return {"type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": generation}


READY = [condition("Ready"), condition("Rendered")]


def stalled(reason: str, *, rendered: str = "True", generation: int = 2) -> list[Object]:
    rest = [condition("Rendered", rendered, reason if rendered == "False" else "R")] if rendered else []
    return [condition("Ready", "False", reason), condition("Stalled", reason=reason, generation=generation), *rest]


def retrying(*more: Object) -> list[Object]:
    return [condition("Ready", "False"), condition("Reconciling", reason="ProgressingWithRetry"), *more]


def told(annotations: dict[str, str]) -> list[Object]:
    suspension = suspension_of(annotations)
    assert suspension is not None
    return [condition("Ready", "False"), condition("Suspended", message=suspension.message), condition("Rendered")]


def package(
    lifecycle: str | None = "Draft",
    conditions: list[Object] | None = None,
    *,
    ref: str | None = None,
    generation: int = 2,
    annotations: dict[str, str] | None = None,
    source: bool = True,
    status: Object | None = None,
    **metadata: Any,
) -> Object:
    """A converged object where its spec says, but for what a test says."""
    ref = _REFS.get(lifecycle or "") if ref is None else ref
    lock = {"selfLock": {"type": "git", "git": {"ref": ref}}} if ref else {}
    revision = {"revision": 1} if ref == _TAG else {}
    return {
        "metadata": {
            "namespace": "ns",
            "name": "repo.app.v1",
            "uid": "u1",
            "generation": generation,
            "finalizers": [FINALIZER],
            "annotations": annotations or {},
            **metadata,
        },
        "spec": {
            "repository": "repo",
            "packageName": "app",
            "workspaceName": "v1",
            **({"lifecycle": lifecycle} if lifecycle else {}),
            **({"source": {"init": {}}} if source else {}),
        },
        "status": {
            "observedGeneration": 2,
            "creationSource": "init" if source else "",
            "conditions": READY if conditions is None else conditions,
            **lock,
            **revision,
            **(status or {}),
        },
    }


def bare(annotations: dict[str, str] | None = None, **kwargs: Any) -> Object:
    """An object that nobody reported on."""
    return {**package(annotations=annotations, **kwargs), "status": None}


_FOUND = {DISCOVERED_ANNOTATION: "true"}
_GOES = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
_UNMADE = {"creationSource": ""}
_SEEN = {"observedPrrResourceVersion": "r2"}

S, R, L, F, P = Phase.SOURCE, Phase.RENDER, Phase.LIFECYCLE, Phase.FINALIZE, Phase.SUSPEND
B = Phase.SUBPACKAGE

_OPERATION = {"subpackageDir": "db", "cloneFrom": {"upstreamRef": {"name": "repo.db.v1"}}}
_DONE = {"lastSubpackageOperationHash": operation_hash(_OPERATION)}


def operating(obj: Object, operation: Object | None = None) -> Object:
    """The object with a subpackage operation in its spec."""
    return {**obj, "spec": {**obj["spec"], "subpackageOperation": operation or _OPERATION}}


CASES: dict[str, tuple[Object, list[Phase]]] = {
    "converged": (package(), []),
    "converged, published": (package("Published"), []),
    "null where a map may be": ({**package(), "metadata": {**package()["metadata"], "annotations": None}}, []),
    "found by a sync, with the status of the sync": (
        package(
            "Published",
            [condition("Ready")],
            source=False,
            annotations=_FOUND,
            generation=1,
            status={"observedGeneration": 1},
        ),
        [],
    ),
    "never seen": (bare(), [S, R]),
    "never seen, without a source": (bare(source=False), [L]),
    "made by a sync, which writes the status a moment later": (
        bare(_FOUND, lifecycle="Published", source=False, generation=1),
        [],
    ),
    "made by a sync and edited at once": (bare(_FOUND, lifecycle="Published", source=False), [L]),
    "made by a sync and asked for more at once": (
        bare(_FOUND | _TOKEN, lifecycle="Published", source=False, generation=1),
        [L],
    ),
    "made by a sync and suspended at once": (bare(_FOUND | _SUSPENDED, source=False, generation=1), [P]),
    "made by a user": (bare(lifecycle="Published", source=False, generation=1), [L]),
    "newer generation": (package(generation=3), [L]),
    "proposed": (package("Proposed", generation=3, ref=_DRAFT), [L]),
    "rejected": (package(generation=3, ref=_PROPOSAL, annotations=_RENDER), [L, R]),
    "no lifecycle": (package(None, generation=3), [L]),
    "no lifecycle, and told so": (package(None, stalled("InvalidSpec")), []),
    "no lifecycle, and told so, with a source": (package(None, stalled("InvalidSpec"), status=_UNMADE, ref=""), []),
    "deleted": (package(**_GOES), [F]),
    "deleted, though everything was observed": (
        package("Published", **_GOES, finalizers=["other/one", FINALIZER]),
        [F],
    ),
    "deleted, and refused": (package("Published", stalled("DeletionRefused"), **_GOES), [F]),
    "deleted, others finish": (package(**_GOES, finalizers=["other/one"], generation=3), []),
    "deleted, nobody finishes": (package(**_GOES, finalizers=None), []),
    "deleted, others finish, and left reconciling": (package("Draft", retrying(), **_GOES, finalizers=None), []),
    "suspended, which nobody told": (package(annotations=_SUSPENDED), [P]),
    "suspended": (package("Draft", told(_SUSPENDED), annotations=_SUSPENDED), []),
    "suspended and edited": (package("Draft", told(_SUSPENDED), annotations=_SUSPENDED, generation=3), []),
    "suspended in other words": (package("Draft", told({SUSPEND_ANNOTATION: "x"}), annotations=_SUSPENDED), [P]),
    "suspended while it was tried again": (package("Draft", retrying(), annotations=_SUSPENDED), [P]),
    "suspended no more": (package("Draft", told(_SUSPENDED)), [L]),
    "a suspension that is over, and still told": (package("Draft", told(_OVER), annotations=_OVER), [L]),
    "a suspension that is over": (package(annotations=_OVER), []),
    "suspended and deleted": (package("Draft", told(_SUSPENDED), annotations=_SUSPENDED, **_GOES), []),
    "source not executed": (package(conditions=[], status=_UNMADE, ref=""), [S, R]),
    "source not executed, stalled": (package("Draft", stalled("InvalidPackage"), status=_UNMADE, ref=""), []),
    "source not executed, stalled before the edit": (
        package("Draft", stalled("InvalidPackage", generation=1), status=_UNMADE, ref=""),
        [S, R],
    ),
    "source not executed, stalled, and newer content": (
        package("Draft", stalled("InvalidPackage"), status=_UNMADE, ref="", annotations=_RENDER),
        [S, R],
    ),
    "source not executed, being tried again": (package("Draft", retrying(), status=_UNMADE, ref=""), [S, R]),
    "render requested": (package(annotations=_RENDER), [R]),
    "render handled": (package(annotations=_RENDER, status=_SEEN), []),
    "render taken back": (package(status=_SEEN), []),
    "empty render request": (package(annotations={RENDER_REQUEST_ANNOTATION: ""}), []),
    "render requested of a proposal": (package("Proposed", annotations=_RENDER), []),
    "render requested of a published one": (package("Published", annotations=_RENDER), []),
    "render awaited": (package(conditions=retrying(condition("Rendered", "Unknown"))), [R]),
    "content for a draft that stalled on its way to be proposed": (
        package("Proposed", stalled("NotReady"), ref=_DRAFT, annotations=_RENDER),
        [R, L],
    ),
    "content for a draft that stalled on its way to be published": (
        package("Published", stalled("NotReady"), ref=_DRAFT, annotations=_RENDER),
        [R, L],
    ),
    "content for a proposal that stalled": (package("Proposed", stalled("ContentChanged"), annotations=_RENDER), []),
    "content for a proposal whose reject stalled": (
        package("Draft", stalled("GitRejected"), ref=_PROPOSAL, annotations=_RENDER),
        [],
    ),
    "reconcile now": (package(annotations=_TOKEN), [R]),
    "reconcile now, again": (package(annotations=_TOKEN, status={"observedReconcileNow": "t1"}), [R]),
    "reconcile now, handled": (package(annotations=_TOKEN, status={"observedReconcileNow": "t2"}), []),
    "reconcile now, taken back": (package(status={"observedReconcileNow": "t2"}), []),
    "reconcile now, published": (package("Published", annotations=_TOKEN), [L]),
    "other annotations": (package(annotations={"a": "b"}), []),
    "a render that failed": (package("Draft", stalled("RenderFailed", rendered="False")), []),
    "a render that failed, and an edit": (
        package("Draft", stalled("RenderFailed", rendered="False"), generation=3),
        [R],
    ),
    "a render that failed, and reconcile now": (
        package("Draft", stalled("RenderFailed", rendered="False"), annotations=_TOKEN),
        [R],
    ),
    "a render that met a wrong password": (package("Draft", stalled("GitAuthFailed", rendered="False")), []),
    "a render that met a wrong password, and a Git server that is away since": (
        package("Draft", retrying(condition("Rendered", "False", "GitAuthFailed"))),
        [R],
    ),
    "the same of content that was found": (
        package("Draft", retrying(condition("Rendered", "False", "GitAuthFailed")), source=False),
        [R],
    ),
    "a render that met a wrong password, and is under way again": (
        package("Draft", stalled("GitAuthFailed", rendered="Unknown")),
        [R],
    ),
    "a move that is refused": (package("Proposed", stalled("NotReady"), ref=_DRAFT), []),
    "a move that is tried again": (package("Proposed", retrying(condition("Rendered")), ref=_DRAFT), [L]),
    "a reject that is refused": (package("Draft", stalled("GitRejected"), ref=_PROPOSAL), []),
    "gone from Git": (package("Draft", stalled("RemovedFromGit")), []),
    "a tag that was moved": (package("Published", stalled("TagMoved")), []),
    "published, and tried again though nothing is newer": (package("Published", retrying()), [L]),
    "an operation": (operating(package(generation=3)), [B, R]),
    "an operation of a new object": (operating(bare()), [S, B, R]),
    "an operation that is done": (operating(package(status=_DONE)), []),
    "another operation than was done": (operating(package(status=_DONE), {**_OPERATION, "subpackageDir": "x"}), [B, R]),
    "an operation that is done, on what is published": (operating(package("Published", status=_DONE)), []),
    "an operation before a proposal": (operating(package("Proposed", generation=3, ref=_DRAFT)), [B, R, L]),
    "an operation with a reject": (operating(package(generation=3, ref=_PROPOSAL)), [L, B, R]),
    "an operation on a proposal": (operating(package("Proposed", generation=3)), [B, L]),
    "an operation on what is published": (operating(package("Published", generation=3)), [B, L]),
    "an operation on what is to go": (operating(package("DeletionProposed", generation=3)), [L]),
    "an operation that stalled": (operating(package("Draft", stalled("PackageExists"))), []),
    "an operation that stalled, and newer content": (
        operating(package("Draft", stalled("PackageExists"), annotations=_RENDER)),
        [B, R],
    ),
    "an operation that is asked for again": (operating(package(annotations=_TOKEN, status=_DONE)), [B, R]),
    "an operation that is done, on what is published and is looked at again": (
        operating(package("Published", annotations=_TOKEN, status=_DONE)),
        [L],
    ),
    "a finding of a sync": (
        operating(package(annotations={RECONCILE_NOW_ANNOTATION: "git-1f0c-Draft"}, status=_DONE)),
        [R],
    ),
    "content that was not rendered because an operation failed": (
        package("Draft", [*stalled("PackageExists", rendered="")[:2], condition("Rendered", "False", "Pending")]),
        [],
    ),
    "the same of found content, once the operation is taken away": (
        package(
            "Draft",
            [*stalled("PackageExists", rendered="")[:2], condition("Rendered", "False", "Pending")],
            source=False,
            generation=3,
        ),
        [R],
    ),
    "neither well, nor stalled, nor under way": (package("Published", [condition("Ready", "False")]), [L]),
    "observed, and nothing said": (package("Published", []), [L]),
}


@pytest.mark.parametrize("name", CASES)
def test_what_an_object_needs(name: str) -> None:
    obj, phases = CASES[name]
    assert plan(facts_of(obj, _NOW)) == phases
    assert needs_work(obj, _NOW) is bool(phases)


ON_ACCESS: dict[str, tuple[Object, list[Phase]]] = {
    "a source": (package("Draft", stalled("SecretNotFound", rendered="False"), status=_UNMADE, ref=""), [S, R]),
    "a rendering": (package("Draft", stalled("GitAuthFailed", rendered="False")), [R]),
    "a rendering of content that was found": (
        package("Draft", stalled("GitAuthFailed", rendered="False"), source=False),
        [R],
    ),
    "a move": (package("Proposed", stalled("RepositoryNotFound"), ref=_DRAFT), [L]),
    "a reject": (package("Draft", stalled("GitAuthFailed"), ref=_PROPOSAL), [L]),
    "a look at what is published": (package("Published", stalled("GitCertificateInvalid")), [L]),
}


@pytest.mark.parametrize("name", ON_ACCESS)
def test_what_stalled_on_access_is_tried_again_once_that_may_be_mended(name: str) -> None:
    obj, phases = ON_ACCESS[name]
    assert not needs_work(obj, _NOW)
    assert stalled_on_access(obj, _NOW)
    assert plan(facts_of(obj, _NOW, access_changed=True)) == phases


def test_what_stalled_on_something_else_is_not_tried_again_with_it() -> None:
    assert not stalled_on_access(package("Draft", stalled("RenderFailed", rendered="False")), _NOW)
    assert not stalled_on_access(package(), _NOW)
    assert not stalled_on_access(package(annotations=_RENDER), _NOW), "it needs work whatever changed"


# All that can be in an object, each independent of the rest, however odd together.

_ACCESS, _OTHER = next(iter(sorted(ACCESS_REASONS))), "RenderFailed"
_SPACE: dict[str, list[Any]] = {
    "lifecycle": [None, *Lifecycle],
    "source": [True, False],
    "generation": [2, 3],
    # What an annotation asks for, and what the status echoes.
    "token": [("", ""), ("", "t1"), ("t1", "t1"), ("t1", ""), ("t2", "t1")],
    "request": [("", ""), ("", "r1"), ("r1", "r1"), ("r1", ""), ("r2", "r1")],
    "ready": [None, "True", "False", "Unknown"],
    "rendered": [None, ("True", "R"), ("False", _ACCESS), ("False", _OTHER), ("Unknown", "R")],
    "reconciling": [False, True],
    # Reason, and the generation that it is said of.
    "stalled": [None, (_ACCESS, 2), (_OTHER, 2), (_OTHER, 1)],
    "told": [None, _SUSPENDED, {SUSPEND_ANNOTATION: "x"}],
    "suspension": [{}, _SUSPENDED, _OVER, {SUSPEND_ANNOTATION: "false"}],
    "place": [("", 0), (_DRAFT, 0), (_PROPOSAL, 0), (_TAG, 0), (_TAG, 1), (_DRAFT, 1), ("main", -1)],
    "creation": ["", "init"],
    # What the spec asks for, and what the status records.
    "operation": [(None, ""), (None, "done"), (_OPERATION, ""), (_OPERATION, "done")],
    "deleting": [False, True],
    "finalizers": [[], [FINALIZER], ["other/one"]],
    "discovered": [False, True],
}
_HANDLED = {
    "operation": [(None, ""), (None, "done"), (_OPERATION, "done")],
    "token": [("", ""), ("", "t1"), ("t1", "t1")],
    "request": [("", ""), ("", "r1"), ("r1", "r1")],
}
_STAYS = {"deleting": [False], "suspension": [{}, _OVER, {SUSPEND_ANNOTATION: "false"}]}
_QUIET = {"reconciling": [False], "told": [None]}
_OURS = {"finalizers": [[FINALIZER]]}


def _object(has: Object) -> Object:
    annotations = {
        **({RECONCILE_NOW_ANNOTATION: has["token"][0]} if has["token"][0] else {}),
        **({RENDER_REQUEST_ANNOTATION: has["request"][0]} if has["request"][0] else {}),
        **({DISCOVERED_ANNOTATION: "true"} if has["discovered"] else {}),
        **has["suspension"],
    }
    ref, revision = has["place"]
    conditions = [
        *([condition("Ready", has["ready"])] if has["ready"] else []),
        *([condition("Rendered", *has["rendered"])] if has["rendered"] else []),
        *([condition("Reconciling")] if has["reconciling"] else []),
        *([condition("Stalled", reason=has["stalled"][0], generation=has["stalled"][1])] if has["stalled"] else []),
        *([each for each in told(has["told"]) if each["type"] == "Suspended"] if has["told"] else []),
    ]
    status = {
        "creationSource": has["creation"],
        "observedReconcileNow": has["token"][1],
        "observedPrrResourceVersion": has["request"][1],
        "revision": revision,
        "lastSubpackageOperationHash": _DONE["lastSubpackageOperationHash"] if has["operation"][1] else "",
    }
    made = package(
        has["lifecycle"],
        conditions,
        ref=ref,
        generation=has["generation"],
        annotations=annotations,
        source=has["source"],
        status={key: value for key, value in status.items() if value},
        finalizers=has["finalizers"],
        **(_GOES if has["deleting"] else {}),
    )
    return operating(made, has["operation"][0]) if has["operation"][0] else made


def choices(*narrower: dict[str, list[Any]], **narrow: list[Any]) -> st.SearchStrategy[Object]:
    """What an object has in each respect; of some, less than there can be."""
    space = dict(_SPACE)
    for each in (*narrower, narrow):
        space |= each
    return st.fixed_dictionaries({name: st.sampled_from(values) for name, values in space.items()})


def objects(*narrower: dict[str, list[Any]], **narrow: list[Any]) -> st.SearchStrategy[Object]:
    return choices(*narrower, **narrow).map(_object)


_MANY = settings(max_examples=100, deadline=None)


def planned(obj: Object) -> list[Phase]:
    phases = plan(facts_of(obj, _NOW))
    assert needs_work(obj, _NOW) is bool(phases)
    return phases


@_MANY
@given(objects(), st.booleans())
def test_the_judgement_is_the_same_for_all_and_on_both_sides_of_temporal(obj: Object, access_changed: bool) -> None:
    facts = facts_of(obj, _NOW, access_changed=access_changed)
    phases = plan(facts)
    assert plan(Facts.model_validate_json(facts.model_dump_json())) == phases
    assert len(phases) == len(set(phases))
    assert set(planned(obj)) <= set(phases) or not access_changed


@_MANY
@given(
    objects(
        _HANDLED,
        _STAYS,
        _QUIET,
        lifecycle=[*Lifecycle],
        generation=[2],
        ready=["True"],
        rendered=[("True", "R")],
        stalled=[None],
        creation=["init"],
    )
)
def test_what_converged_needs_nothing(obj: Object) -> None:
    assert planned(obj) == []


@_MANY
@given(objects(_STAYS, reconciling=[True]))
def test_what_is_reconciling_needs_work_whoever_ended_its_run(obj: Object) -> None:
    assert planned(obj)


@_MANY
@given(objects(_STAYS, told=[_SUSPENDED]))
def test_what_still_says_that_it_is_suspended_needs_work(obj: Object) -> None:
    assert planned(obj)


@_MANY
@given(
    objects(
        _HANDLED,
        _STAYS,
        _QUIET,
        generation=[2],
        stalled=[(_ACCESS, 2), (_OTHER, 2)],
        rendered=[("True", "R"), ("False", _ACCESS), ("False", _OTHER)],
    )
)
def test_what_stalled_needs_nothing_until_a_person_changes_something(obj: Object) -> None:
    assert planned(obj) == []


@_MANY
@given(objects(_STAYS, token=[("t1", ""), ("t2", "t1")]))
def test_a_new_token_needs_work(obj: Object) -> None:
    assert planned(obj)


@_MANY
@given(objects(_STAYS, generation=[3]))
def test_an_edit_needs_work(obj: Object) -> None:
    assert planned(obj)


@_MANY
@given(
    objects(
        _STAYS,
        _QUIET,
        lifecycle=[Lifecycle.DRAFT, Lifecycle.PROPOSED, Lifecycle.PUBLISHED],
        request=[("r1", ""), ("r2", "r1")],
        place=[(_DRAFT, 0)],
        stalled=[(_OTHER, 2), (_ACCESS, 2)],
        ready=["False"],
    )
)
def test_newer_content_of_a_draft_is_rendered_even_if_it_stalled(obj: Object) -> None:
    assert Phase.RENDER in planned(obj)


@_MANY
@given(choices())
def test_a_token_that_was_taken_back_asks_for_nothing(has: Object) -> None:
    never, taken_back = (planned(_object({**has, "token": token})) for token in (("", ""), ("", "t1")))
    assert never == taken_back


@_MANY
@given(choices())
def test_a_render_request_that_was_taken_back_asks_for_nothing(has: Object) -> None:
    never, taken_back = (planned(_object({**has, "request": request})) for request in (("", ""), ("", "r1")))
    assert never == taken_back


@_MANY
@given(objects(_OURS, deleting=[True], suspension=_STAYS["suspension"]))
def test_what_is_deleted_is_finalized_and_nothing_else(obj: Object) -> None:
    assert planned(obj) == [Phase.FINALIZE]


@_MANY
@given(objects(deleting=[True], finalizers=[[], ["other/one"]]))
def test_what_is_deleted_without_our_finalizer_is_not_ours(obj: Object) -> None:
    assert planned(obj) == []


@_MANY
@given(objects(_OURS, suspension=[_SUSPENDED]))
def test_what_is_suspended_says_so_and_rests(obj: Object) -> None:
    says_so = any(each in obj["status"]["conditions"] for each in told(_SUSPENDED) if each["type"] == "Suspended")
    assert planned(obj) == ([] if says_so else [Phase.SUSPEND])


@_MANY
@given(objects(lifecycle=[None]))
def test_nothing_is_made_in_git_for_an_object_that_does_not_say_what_for(obj: Object) -> None:
    assert not {Phase.SOURCE, Phase.RENDER} & set(planned(obj))


@_MANY
@given(objects(source=[False], place=[(_TAG, 1), (_DRAFT, 1), ("main", -1)], ready=["False", "Unknown", None]))
def test_what_is_published_is_never_rendered(obj: Object) -> None:
    assert Phase.RENDER not in planned(obj)


@_MANY
@given(choices(_STAYS), st.sampled_from([_ACCESS, _OTHER]), st.integers(0, 2))
def test_runs_come_to_an_end(has: Object, reason: str, stalls_at: int) -> None:
    """Whether all phases succeed or any of them stalls; else the watcher would start another run for ever."""
    obj = _object(has)
    for _ in range(3):
        phases = plan(facts_of(obj, _NOW, access_changed=True))
        for number, phase in enumerate(phases):
            if number == stalls_at or obj["spec"].get("lifecycle") is None:
                obj = _after_stall(obj, phase, reason)
                break
            obj = _after(obj, phase, last=number == len(phases) - 1)
        if not planned(obj):
            return
    raise AssertionError(f"still in need of {planned(obj)}")


def _after(obj: Object, phase: Phase, *, last: bool) -> Object:
    """Write the status that a phase leaves behind."""
    facts, obj = facts_of(obj, _NOW, access_changed=True), copy.deepcopy(obj)
    status, annotations = obj["status"], obj["metadata"]["annotations"]
    rendered = [each for each in status["conditions"] if each["type"] == "Rendered"]
    if phase is Phase.SOURCE:
        status["creationSource"], rendered = "init", [condition("Rendered", "Unknown")]
    if phase is Phase.SUBPACKAGE:
        _record(obj)
        rendered = [condition("Rendered", "Unknown")]
    if phase is Phase.RENDER:
        status["observedPrrResourceVersion"] = annotations.get(RENDER_REQUEST_ANNOTATION)
        rendered = [condition("Rendered")]
    lifecycle = obj["spec"]["lifecycle"] if phase is Phase.LIFECYCLE else "Draft"
    if phase is Phase.SUBPACKAGE and facts.current is not None and facts.current is not Lifecycle.DRAFT:
        # Nothing is changed in what is no draft.
        lifecycle, rendered = facts.current, [each for each in status["conditions"] if each["type"] == "Rendered"]
    status["selfLock"] = {"git": {"ref": _REFS[lifecycle]}}
    status["revision"] = 1 if Lifecycle(lifecycle).is_published else None
    # A reject is followed by the rendering of what was pushed meanwhile.
    render_follows = phase is Phase.LIFECYCLE and lifecycle == "Draft" and facts.render_pending
    if last and not render_follows:
        _acknowledge(obj)
        status["conditions"] = [condition("Ready"), *rendered]
    else:
        status["conditions"] = retrying(*rendered)
    return obj


def _after_stall(obj: Object, phase: Phase, reason: str) -> Object:
    """Write the status that a phase leaves behind that stalls."""
    obj = copy.deepcopy(obj)
    status, annotations = obj["status"], obj["metadata"]["annotations"]
    rendered = [each for each in status["conditions"] if each["type"] == "Rendered"]
    requested = phase is Phase.SUBPACKAGE and facts_of(obj, _NOW, access_changed=True).render_pending
    if phase in {Phase.SOURCE, Phase.RENDER} or requested:
        why = "Pending" if requested else reason
        status["observedPrrResourceVersion"] = annotations.get(RENDER_REQUEST_ANNOTATION)
        rendered = [condition("Rendered", "False", why)]
    _acknowledge(obj)
    generation = obj["metadata"]["generation"]
    failed = [condition("Ready", "False", reason), condition("Stalled", reason=reason, generation=generation)]
    status["conditions"] = [*failed, *rendered]
    return obj


def _record(obj: Object) -> None:
    obj["status"]["lastSubpackageOperationHash"] = operation_hash(obj["spec"]["subpackageOperation"])


def _acknowledge(obj: Object) -> None:
    obj["status"]["observedGeneration"] = obj["metadata"]["generation"]
    obj["status"]["observedReconcileNow"] = obj["metadata"]["annotations"].get(RECONCILE_NOW_ANNOTATION)
