"""The admission policies on PackageRevisions, one module per question; `api/admission.py` makes manifests of them.

They refuse at once, with words for people, what porchflow would otherwise have to refuse later in a condition, and they
write down who approved and who suspended. CEL of Kubernetes 1.36.
"""
