"""The admission policies on PackageRevisions and Repositories, one module per question.

`api/admission.py` generates manifests from them. They refuse a request at once, with a message, where porchflow would
have to report a condition later. They also record the users who proposed, approved and suspended. The expressions are
in the Common Expression Language (CEL) of Kubernetes 1.36.
"""
