"""The aggregated API of package content: a PackageRevision's files as an object of the Kubernetes API.

A request enters through `serving/app`, which authenticates the user (`access/frontproxy`, `access/identity`) and has
the API server authorize the request (`access/authorization`). Then `serving/handlers` serves it: one object, `listing`,
`watches`, or a push. `packages/opening` finds the content in Git, `packages/pushing` writes it, `serving/answers` sends
it. `serving/certificate_keeper` and `access/tls` make the API server trust this server. For users:
docs/operate/content-api.md.
"""
