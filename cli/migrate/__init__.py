"""`porchflow migrate`: from Porch's v1alpha1 to porchflow, Repository by Repository, and back.

`planning` compares what Porch serves (`porch`) with what Git holds, `run` goes through the Repositories, `steps` does
what one of them needs, `models` are what is written down between two runs.
"""
