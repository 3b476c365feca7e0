"""Generated gRPC modules of the function evaluator."""
