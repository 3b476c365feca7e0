"""The outcome of a rendering in the Kptfile: the `Rendered` condition and the steps.

Source: docs/reference/kpt-rendering.md, "Outcome".
"""

from dataclasses import dataclass, field, replace

from porchflow.api.limits import RENDERING_RESULTS_BYTES
from porchflow.kpt.format.kptfile import RENDERED
from porchflow.kpt.format.krm import map_of
from porchflow.kpt.format.results import Result, clip, left_out
from porchflow.yamltext.nodes import Value


@dataclass(frozen=True)
class Step:
    """One function of one pipeline that was run or refused.

    Attributes:
        package: Directory of the package, relative to the top package; empty for the top package.
        kind: `mutator` or `validator`.
        name: Name of the function in the Kptfile; may be empty.
        image: Full name of the image; the name in the Kptfile if it could not be resolved.
        exec: Command of a function that names one.
        exit_code: Exit code of the function; 1 if it could not run or its output was refused.
        stderr: Log of the function, cut to a limit.
        execution_error: Why the function did not run, why its output was refused, or why exit code 0 counts as a
            failure; empty otherwise.
        results: Results of the function.
        duration: Seconds.
    """

    package: str
    kind: str
    name: str = ""
    image: str = ""
    exec: str = ""
    exit_code: int = 0
    stderr: str = ""
    execution_error: str = ""
    results: list[Result] = field(default_factory=list)
    duration: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the function succeeded."""
        return self.exit_code == 0 and not self.execution_error

    @property
    def error_results(self) -> list[Result]:
        """The results of severity `error`."""
        return [result for result in self.results if result.is_error]

    @property
    def label(self) -> str:
        """Name of the function for messages."""
        return self.name or self.image or self.exec


def with_status(kptfile: Value, steps: list[Step], *, ok: bool, message: str) -> dict[str, Value]:
    """Return the value of the top Kptfile with the outcome of a rendering in its status.

    Args:
        kptfile: The value before.
        steps: Steps of all packages, in the order in which they ran.
        ok: Whether the rendering succeeded.
        message: Why it failed.
    """
    status = map_of(kptfile, "status")
    old = status.get("conditions")
    conditions = [item for item in old if map_of(item).get("type") != RENDERED] if isinstance(old, list) else []
    condition = {"type": RENDERED, "status": "True", "reason": "RenderSuccess"}
    if not ok:
        condition = {"type": RENDERED, "status": "False", "reason": "RenderFailed", "message": clip(message)}
    new = {**status, "conditions": [*conditions, condition]}
    new.pop("renderStatus", None)
    if steps:
        new["renderStatus"] = _render_status(_bounded(steps))
    return {**kptfile, "status": new}


def _bounded(steps: list[Step]) -> list[Step]:
    """Cut the results of all steps together to a limit; failed steps come first, the others in their order."""
    bounded = dict(enumerate(steps))
    room = RENDERING_RESULTS_BYTES
    for index in sorted(bounded, key=lambda index: steps[index].ok):
        results = steps[index].results
        for kept, result in enumerate(results):
            room -= result.size
            if room < 0:
                bounded[index] = replace(steps[index], results=[*results[:kept], left_out(len(results) - kept)])
                break
    return list(bounded.values())


def _render_status(steps: list[Step]) -> dict[str, Value]:
    mutators = [step for step in steps if step.kind == "mutator"]
    validators = [step for step in steps if step.kind == "validator"]
    failed = [step for step in [*mutators, *validators] if not step.ok]
    return _present(
        mutationSteps=[_step(step) for step in mutators],
        validationSteps=[_step(step) for step in validators],
        errorSummary="\n".join(_summary(step) for step in failed),
    )


def _summary(step: Step) -> str:
    return f"{step.label}: {step.execution_error or f'exit code {step.exit_code}'}"


def _step(step: Step) -> dict[str, Value]:
    return {
        **_present(
            name=step.name, image=step.image, exec=step.exec, executionError=step.execution_error, stderr=step.stderr
        ),
        "exitCode": step.exit_code,
        **_present(
            results=[_result(result) for result in step.results],
            errorResults=[_result(result) for result in step.error_results],
        ),
    }


def _result(result: Result) -> dict[str, Value]:
    """Return a result as kpt writes it: without empty fields and without tags."""
    return _present(
        message=result.message,
        severity=result.severity,
        resourceRef=_present(**result.resourceRef.model_dump()) if result.resourceRef else None,
        field=_present(**result.field.model_dump()) if result.field else None,
        file=_present(**result.file.model_dump()) if result.file else None,
    )


def _present(**fields: object) -> dict[str, Value]:
    return {key: value for key, value in fields.items() if value}
