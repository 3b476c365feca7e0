"""The aggregated API of package content: a PackageRevision's files as an object of the Kubernetes API.

A request comes in through `app`, which finds out who asks (`frontproxy`, `identity`) and whether they may
(`authorization`), and goes to a handler of `resources`: one object, `listing`, `watching`, `writing`. `packages` finds
the content in Git, `answers` sends it; `certificates` and `tls` are how the API server trusts us. What users see:
docs/content-api.md.
"""
