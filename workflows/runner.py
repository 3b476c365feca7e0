"""How a worker runs workflows: in Temporal's sandbox, without the parts that are costly and of no use to porchflow."""

from typing import Any, Final

import temporalio.workflow
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import SerializationContext, StorageDriverStoreContext
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import NondeterminismError

FAILS_A_RUN: Final = (NondeterminismError,)
"""Errors of workflow code that fail the run; after any other the task is tried again until a deployment mends it.

A worker of another version may order other commands than a run has recorded. The run would wait for a worker of its
own version for ever; since runs hold no state, it fails, and another begins (`porchflow.workflows.policies.RUN_RETRY`).
"""

_STORE_CONTEXT = StorageDriverStoreContext()


class LeanSandboxRunner(SandboxedWorkflowRunner):
    """The sandbox, entered for the workflow's own code only.

    The library also enters it, by compiling source text, for each payload, to request a serialization context that only
    codecs and converters with a context need. And it reads the workflow's module anew for each run. Together that was a
    third of a worker's time: to replay one of the tests' histories takes 15 ms of processor time with this runner, 23
    ms with the library's sandbox that does not read the module anew, and 32 ms with the library's own. Runs share the
    module's constants; the tests run the workflow in the library's own sandbox, which detects shared state that is not
    constant.
    """

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Make the instance for one run."""
        return _Instance(super().create_instance(det))


class _Instance(WorkflowInstance):
    def __init__(self, sandboxed: WorkflowInstance) -> None:
        self._sandboxed = sandboxed

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        return self._sandboxed.activate(act)

    def get_serialization_context(self, command_info: Any) -> SerializationContext | None:  # noqa: ANN401, ARG002 - the library's type is private
        return None

    def get_external_store_context(self, command_info: Any) -> StorageDriverStoreContext:  # noqa: ANN401, ARG002 - see above
        return _STORE_CONTEXT

    def get_info(self) -> temporalio.workflow.Info:
        return self._sandboxed.get_info()

    def get_thread_id(self) -> int | None:
        return self._sandboxed.get_thread_id()


def workflow_runner() -> LeanSandboxRunner:
    """Return the runner for workers."""
    passed_through = SandboxRestrictions.default.with_passthrough_modules("porchflow.workflows.packagerevision")
    return LeanSandboxRunner(restrictions=passed_through)
