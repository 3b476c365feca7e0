"""`porchflow migrate`: from Porch's v1alpha1 to porchflow, Repository by Repository, and back.

`planning` compares the package revisions of Porch (`porch`) with those in Git, `migration` goes through the
Repositories, `steps` has the steps for one of them, and `models` the record between two runs.
"""
