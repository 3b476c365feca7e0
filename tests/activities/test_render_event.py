from porchflow.activities.rendering.render_event import LIMIT, failure_event, shortened
from porchflow.kpt.format.render_status import Step
from porchflow.kpt.format.results import Result, ResultField, ResultFile

MUTATOR = Step(
    package="", kind="mutator", image="ghcr.io/kptdev/krm-functions-catalog/set-namespace:v0.4.5", duration=0.123
)


def result(message: str, severity: str = "error", path: str = "", field: str = "") -> Result:
    file, about = ResultFile(path=path) if path else None, ResultField(path=field) if field else None
    return Result(message=message, severity=severity, file=file, field=about)


def validator(*results: Result, package: str = "db") -> Step:
    return Step(
        package=package, kind="validator", image="kubeconform:v0.1.1", exit_code=1, results=list(results), duration=2
    )


def test_each_function_is_named_with_its_end_its_time_and_what_it_found() -> None:
    found = validator(
        result("expected integer, got string", path="deployment.yaml", field="spec.replicas"),
        result("unknown kind", path="crd.yaml"),
        result("no probe", "warning"),
        result("looked at 5 resources", ""),
    )
    assert failure_event("package web: validator 'kubeconform' failed", [MUTATOR, found]) == (
        "package web: validator 'kubeconform' failed"
        "; mutator set-namespace:v0.4.5: exit code 0, 0.12 s"
        "; validator kubeconform:v0.1.1 of db: exit code 1, 2.00 s, 2 errors, 1 warning, 1 info"
        "; deployment.yaml spec.replicas: expected integer, got string"
        "; crd.yaml: unknown kind"
    )


def test_an_error_that_the_message_names_is_not_told_twice() -> None:
    assert failure_event("it failed: unknown kind", [validator(result("unknown kind"))]).count("unknown kind") == 1


def test_what_does_not_fit_is_counted() -> None:
    found = validator(*(result(f"problem {number:03}", path="ü" * 60 + ".yaml") for number in range(150)))
    said = failure_event("x" * 5000, [MUTATOR, found])
    assert LIMIT - 200 < len(said.encode()) <= LIMIT
    assert said.count("problem") + int(said.rpartition("; and ")[2].removesuffix(" more")) == 150


def test_one_long_finding_leaves_room_for_the_others() -> None:
    said = failure_event("failed", [validator(result("y" * 5000), result("the second"))])
    assert said.endswith("; the second")


def test_a_text_is_cut_between_two_characters() -> None:
    assert shortened("äöü", 6) == "äöü"
    assert shortened("äöüß", 7) == "äö…"
    assert shortened("äöüß", 6) == "ä…"


def test_a_refused_package_has_nothing_to_add() -> None:
    assert failure_event("Kptfile:3: no such field", []) == "Kptfile:3: no such field"
