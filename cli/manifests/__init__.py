"""The manifests of deploy/, which the wheel holds, and what `kubectl kustomize` makes of them."""
