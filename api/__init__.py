"""The objects that users write and read, and their rules; no I/O.

`packagerevision`, `repository` and `functionconfig` are the kinds, `definition` declares a kind to the API server, and
`crd` makes their CustomResourceDefinitions. `policies` holds the admission policies, of which `admission` makes
manifests. `names` has every name that clients and manifests rely on, `conditions` every reason that users see.
"""
