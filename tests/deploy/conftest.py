from tests.kubectl import kubectl

__all__ = ["kubectl"]
