"""A wrapper server: runs a function's command for each call, as Porch's does in a pod (porch.md 6.5)."""

import argparse
import asyncio
import signal
from asyncio.subprocess import PIPE

import grpc

from functions.proto import evaluator_pb2, evaluator_pb2_grpc
from kpt.errors import YamlError
from kpt.resource_list import split_list


class Service(evaluator_pb2_grpc.FunctionEvaluatorServicer):
    def __init__(self, command: list[str]) -> None:
        self._command = command

    async def EvaluateFunction(  # noqa: N802
        self,
        request: evaluator_pb2.EvaluateFunctionRequest,
        context: grpc.aio.ServicerContext[
            evaluator_pb2.EvaluateFunctionRequest, evaluator_pb2.EvaluateFunctionResponse
        ],
    ) -> evaluator_pb2.EvaluateFunctionResponse:
        process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        try:
            output, log = await process.communicate(request.resource_list)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        stderr = log.decode(errors="replace").strip("\n").replace("\n", " | ")
        try:
            results = split_list(output).results
        except YamlError as error:
            told = f"failed to parse the output of function \"{request.image}\" with stderr '{stderr}': {error}"
            await context.abort(grpc.StatusCode.INTERNAL, told)
        if process.returncode:
            told = (
                f'failed to evaluate function "{request.image}" with structured results: {results} and stderr: {stderr}'
            )
            await context.abort(grpc.StatusCode.INTERNAL, told)
        return evaluator_pb2.EvaluateFunctionResponse(resource_list=output, log=log)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--max-request-body-size", type=int)
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    size = arguments.max_request_body_size
    sizes = [("grpc.max_receive_message_length", size), ("grpc.max_send_message_length", size)]
    server = grpc.aio.server(options=sizes)
    evaluator_pb2_grpc.add_FunctionEvaluatorServicer_to_server(Service(arguments.command), server)  # type: ignore[no-untyped-call]
    server.add_insecure_port(f"0.0.0.0:{arguments.port}")
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(30)


if __name__ == "__main__":
    asyncio.run(main())
