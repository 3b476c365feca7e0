"""The objects that users write and read, and their rules; no I/O.

`packagerevision`, `repository` and `functionconfig` are the kinds, `definition` says how one is declared to the API
server, and `crd` makes the CustomResourceDefinitions of them. `policies` holds the admission policies, which
`admission` makes manifests of. `names` has every name that clients and manifests rely on, `conditions` every reason
that users see.
"""
