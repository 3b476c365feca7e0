"""Requests as GitHub, GitLab and Gitea make them, shortened to what is read and some of what is not."""

import hmac
import json
from typing import Any

Request = tuple[dict[str, str], bytes]

SECRET = "a-secret-of-the-webhook"
HOST = "git.example.com"


def github(ref: str = "refs/heads/main", path: str = "shop/packages", event: str = "push") -> Request:
    body = _encoded(
        ref=ref,
        before="1" * 40,
        after="2" * 40,
        repository={
            "full_name": path,
            "html_url": f"https://{HOST}/{path}",
            "clone_url": f"https://{HOST}/{path}.git",
            "ssh_url": f"git@{HOST}:{path}.git",
            "git_url": f"git://{HOST}/{path}.git",
            "url": f"https://{HOST}/{path}",
        },
        head_commit={"message": "a change"},
    )
    return {"X-GitHub-Event": event, "X-Hub-Signature-256": "sha256=" + signature(body)}, body


def gitlab(ref: str = "refs/heads/main", path: str = "shop/packages", event: str = "Push Hook") -> Request:
    body = _encoded(
        object_kind="tag_push" if ref.startswith("refs/tags/") else "push",
        ref=ref,
        project={
            "path_with_namespace": path,
            "web_url": f"https://{HOST}/{path}",
            "git_ssh_url": f"ssh://git@{HOST}:2222/{path}.git",
            "git_http_url": f"https://{HOST}/{path}.git",
        },
        repository={"name": "packages", "url": f"ssh://git@{HOST}:2222/{path}.git"},
    )
    return {"X-Gitlab-Event": event, "X-Gitlab-Token": SECRET}, body


def gitea(ref: str = "refs/heads/main", path: str = "shop/packages", event: str = "push", **more: Any) -> Request:
    body = _encoded(
        ref=ref,
        repository={
            "full_name": path,
            "html_url": f"http://{HOST}:3000/{path}",
            "ssh_url": f"git@{HOST}:{path}.git",
            "clone_url": f"http://{HOST}:3000/{path}.git",
        },
        **more,
    )
    signed = signature(body)
    return {
        "X-Gitea-Event": event,
        "X-Gitea-Signature": signed,
        "X-GitHub-Event": event,
        "X-Hub-Signature-256": "sha256=" + signed,
    }, body


def signature(body: bytes, secret: str = SECRET) -> str:
    return hmac.digest(secret.encode(), body, "sha256").hex()


def _encoded(**payload: Any) -> bytes:
    return json.dumps(payload).encode()
