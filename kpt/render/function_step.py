"""One step of a rendering: the input of a function, its answer, and the record of both."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from posixpath import normpath
from time import perf_counter
from typing import Any

from porchflow.kpt.format.function_paths import BadOutputError, Places
from porchflow.kpt.format.kptfile import Function
from porchflow.kpt.format.render_status import Step
from porchflow.kpt.format.resource_list import split_list
from porchflow.kpt.format.resources import Resource
from porchflow.kpt.format.results import Result, clip, parse_results
from porchflow.kpt.format.wire import Sent, decode, encode
from porchflow.kpt.package_errors import FunctionFailed
from porchflow.kpt.render.evaluation import Evaluation, Evaluator
from porchflow.kpt.render.image_names import ImageResolver, UnresolvedImageError
from porchflow.kpt.render.kptfiles import check_kptfiles
from porchflow.kpt.render.selection import merge, select
from porchflow.yamltext.yaml_error import YamlError

Compute = Callable[..., Awaitable[Any]]
"""Calls a function with arguments, in this thread or another: `compute(function, *arguments)`."""

_SHOWN_ERRORS = 3


class PipelineError(Exception):
    """A function of a pipeline failed; the message is for users."""


@dataclass(frozen=True)
class FunctionCall:
    """A function with its place in a pipeline.

    Attributes:
        function: The function in the Kptfile.
        kind: `mutator` or `validator`.
        package: Directory of the package with the pipeline, relative to the root of the file map.
        relative: The same directory relative to the top package; empty for the top package.
        label: Name of the package for messages.
    """

    function: Function
    kind: str
    package: str
    relative: str
    label: str


async def compute_inline(function: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401 - any function
    """Call the function in this thread."""
    return function(*arguments)


class StepRunner:
    """Runs functions of one rendering, one after another."""

    def __init__(
        self,
        top: str,
        evaluate: Evaluator,
        images: ImageResolver,
        steps: list[Step],
        compute: Compute,
        *,
        shows_own_config: bool = False,
    ) -> None:
        """Create a runner.

        Args:
            top: Directory of the top package.
            evaluate: Runs a function.
            images: Resolves the image of a function.
            steps: Gets a step for every function that is run or refused.
            compute: Runs work that takes CPU time.
            shows_own_config: Whether a function gets the resource of its `configPath` among its items too.
        """
        self._top = top
        self._evaluate = evaluate
        self._images = images
        self._steps = steps
        self._compute = compute
        self._shows_own_config = shows_own_config
        self.places = Places({}, {})

    async def resolve(self, call: FunctionCall) -> str:
        """Return the full image name of a function.

        Raises:
            PipelineError: The function names no image that can run.
            Exception: The tags of its image cannot be listed now.
        """
        try:
            return await self._images.resolve(call.function)
        except FunctionFailed as failure:
            raise self._function_failed(call, call.function.image, failure, 0.0) from None
        except UnresolvedImageError as error:
            raise self._failed(call, call.function.image, str(error), execution_error=str(error)) from None

    async def run(self, call: FunctionCall, image: str, current: list[Resource], config: str | None) -> list[Resource]:
        """Run one function.

        Args:
            call: The function.
            image: Full name of its image.
            current: The resources of the package before.
            config: Text of the functionConfig; None for none.

        Returns:
            The resources of the package after the function.

        Raises:
            PipelineError: The function failed, or its answer cannot be used.
        """
        chosen = self._chosen(call, current)
        sent: Sent = await self._compute(self._encode, call, current, chosen, config)
        started = perf_counter()
        try:
            evaluation = await self._evaluate(image, sent.content)
            result, results = await self._compute(_merged, call.function, current, chosen, sent, evaluation)
            await self._compute(self.places.check, result)
            if call.kind == "mutator":
                await self._compute(check_kptfiles, call.package, current, result, self.places.has_unseen)
        except FunctionFailed as failure:
            raise self._function_failed(call, image, failure, perf_counter() - started) from None
        except BadOutputError as problem:
            duration = perf_counter() - started
            raise self._failed(call, image, str(problem), execution_error=str(problem), duration=duration) from None
        log, duration = evaluation.log.decode(errors="replace"), perf_counter() - started
        if errors := sum(result.is_error for result in results):
            why = f"it reported {errors} error{'s' if errors > 1 else ''}, though with exit code 0"
            account = {"stderr": log, "results": results, "execution_error": why, "duration": duration}
            raise self._failed(call, image, why, exit_code=0, **account)
        self._record(call, image, stderr=log, results=results, duration=duration)
        merged: list[Resource] = result
        return merged

    def _chosen(self, call: FunctionCall, current: list[Resource]) -> list[int]:
        """Return the places of the resources that a function gets: those selected, without its own functionConfig."""
        chosen = select(call.function, current)
        if self._shows_own_config or not call.function.config_path:
            return chosen
        path = normpath(call.function.config_path)
        return [place for place in chosen if (current[place].package, current[place].path) != (call.package, path)]

    def _encode(self, call: FunctionCall, current: list[Resource], chosen: list[int], config: str | None) -> Sent:
        return encode(
            [current[place] for place in chosen],
            top=self._top,
            package=call.package,
            config=config,
            mutator=call.kind == "mutator",
            chosen=chosen if call.function.selectors or call.function.exclude else None,
        )

    def _function_failed(
        self, call: FunctionCall, image: str, failure: FunctionFailed, duration: float
    ) -> PipelineError:
        return self._failed(
            call,
            image,
            failure.message,
            exit_code=failure.exit_code or 1,
            stderr=failure.stderr,
            results=_results_of(failure.resource_list),
            execution_error="" if failure.ran else failure.message,
            duration=duration,
        )

    def _failed(
        self,
        call: FunctionCall,
        image: str,
        message: str,
        *,
        exit_code: int = 1,
        **account: Any,  # noqa: ANN401 - fields of Step
    ) -> PipelineError:
        """Record a failure.

        Returns:
            The error to raise for it, with the first errors that the function reported.
        """
        step = self._record(call, image, exit_code=exit_code, **account)
        said = [str(result) for result in step.error_results[:_SHOWN_ERRORS] if result.message not in message]
        text = "; ".join([f"package {call.label}: {call.kind} {step.label!r} failed: {message}", *said])
        return PipelineError(clip(text))

    def _record(
        self,
        call: FunctionCall,
        image: str,
        *,
        exit_code: int = 0,
        stderr: str = "",
        execution_error: str = "",
        results: list[Result] | None = None,
        duration: float = 0.0,
    ) -> Step:
        step = Step(
            package=call.relative,
            kind=call.kind,
            name=call.function.name,
            image=image,
            exec=call.function.exec,
            exit_code=exit_code,
            stderr=clip(stderr),
            execution_error=clip(execution_error),
            results=results or [],
            duration=duration,
        )
        self._steps.append(step)
        return step


def _merged(
    function: Function, current: list[Resource], chosen: list[int], sent: Sent, evaluation: Evaluation
) -> tuple[list[Resource], list[Result]]:
    answer = decode(sent, evaluation.resource_list)
    selective = function.selectors or function.exclude or len(chosen) < len(current)
    result = merge(current, chosen, answer.resources, answer.places) if selective else answer.resources
    return result, answer.results


def _results_of(resource_list: bytes | None) -> list[Result]:
    if not resource_list:
        return []
    try:
        return parse_results(split_list(resource_list).results)
    except YamlError:
        return []
