"""A reconcile is a trace, whose id the object names."""

import uuid
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.e2e.packages import KPTFILE, push_content
from tests.e2e.system import System, condition
from tests.servers.git import GitRepository
from tests.servers.spans import attribute, receiving_spans
from tests.servers.waiting import eventually


def run_of(span: Span) -> bytes:
    """The id of the workflow run that an attempt belongs to."""
    return uuid.UUID(attribute(span, "temporal.run.id")).bytes


async def test_a_reconcile_is_a_trace(
    idle_system: System, repository: str, git_repository: GitRepository, tmp_path: Path
) -> None:
    system = idle_system
    async with receiving_spans() as received:
        system.start_watcher()
        system.start_worker(OTEL_EXPORTER_OTLP_ENDPOINT=received.endpoint, OTEL_BSP_SCHEDULE_DELAY="200")
        name = await system.create_draft(repository, "web")
        first = await system.ready(name)
        pushed = await push_content(git_repository.url, "drafts/web/v1", "web", {"Kptfile": KPTFILE}, tmp_path)
        await system.patch(name, {"metadata": {"annotations": {"porch.kpt.dev/render-request": pushed}}})
        rendered = await system.until(
            name, "is rendered", lambda obj: obj["status"].get("observedPrrResourceVersion") == pushed
        )

        def rendering() -> Span | None:
            return next((span for span in received.named("render") if "function" in received.below(span)), None)

        render = await eventually(rendering, what="the span of the rendering")

        source = received.named("execute_source")[-1]
        assert source.trace_id == run_of(source)
        assert {"git push", "PATCH packagerevisions"} <= received.below(source)
        assert render.trace_id == run_of(render)
        named = {uuid.UUID(obj["status"]["lastRun"]["runID"]).bytes for obj in (first, rendered)}
        await eventually(lambda: named <= {span.trace_id for span in received.spans}, what="the traces of both runs")
        assert {"git list", "function", "PATCH packagerevisions"} <= received.below(render)
        # A sync that listed the refs meanwhile may have fetched what was pushed.
        await eventually(lambda: received.named("git fetch"), what="the span of a fetch")
        images = [attribute(span, "porchflow.function.image") for span in received.named("function")]
        assert any(image.endswith("set-namespace:v0.4.5") for image in images)
        assert received.services == {"porchflow-worker"}

        early = await system.create_draft("unregistered", "web")
        await system.until(early, "waits", lambda obj: condition(obj, "Reconciling").get("reason") == "Waiting")
        waits = {"WAITING", "Waiting"}
        await eventually(
            lambda: any(span.status.message.partition(":")[0] in waits for span in received.spans),
            what="a span that says what it waits for",
        )
        [waiting, *_] = [span for span in received.spans if span.status.message.partition(":")[0] in waits]
        assert waiting.status.code == Status.STATUS_CODE_ERROR
        assert "'unregistered'" in waiting.status.message


async def test_a_worker_whose_spans_nobody_takes_works_and_stops(idle_system: System, repository: str) -> None:
    system = idle_system
    system.start_watcher()
    worker = system.start_worker(
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_BSP_SCHEDULE_DELAY="50", OTEL_EXPORTER_OTLP_TIMEOUT="2"
    )
    await system.ready(await system.create_draft(repository, "web"))
    worker.terminate()
    await eventually(lambda: worker.poll() is not None, timeout=40, what="the worker has ended")
    assert worker.returncode == 0
