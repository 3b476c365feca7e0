"""Git servers that a distribution packages: OpenSSH's, and nginx before git's own program."""

import asyncio
import contextlib
import getpass
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from porchflow.devstack.launch import launched
from porchflow.devstack.processes import HOST, free_port
from tests.servers.waiting import eventually

_PLACES = "/usr/sbin:/usr/local/sbin"
_SSHD = """\
Port {port}
ListenAddress {host}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
AcceptEnv GIT_PROTOCOL
StrictModes no
UsePAM no
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
"""
_NGINX = """\
{user}
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen {host}:{port};
    client_max_body_size 0;
    location / {{
      auth_basic git;
      auth_basic_user_file {folder}/users;
      fastcgi_pass unix:{folder}/socket;
      fastcgi_param SCRIPT_FILENAME {backend};
      fastcgi_param GIT_PROJECT_ROOT {root};
      fastcgi_param GIT_HTTP_EXPORT_ALL 1;
      fastcgi_param GIT_PROTOCOL $http_git_protocol;
      fastcgi_param PATH_INFO $uri;
      fastcgi_param REMOTE_USER $remote_user;
      fastcgi_param QUERY_STRING $query_string;
      fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param CONTENT_TYPE $content_type;
      fastcgi_param CONTENT_LENGTH $content_length;
      fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
    }}
  }}
}}
"""


def program(name: str) -> str | None:
    """Return the path of an installed program; None where there is none."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_PLACES}")


@contextlib.asynccontextmanager
async def openssh(folder: Path, authorized: str, host_key: str) -> AsyncIterator[int]:
    """Run OpenSSH's server for one key; give its port. It serves every path that this user may read."""
    port = free_port()
    _write(folder / "host_key", host_key)
    _write(folder / "authorized_keys", authorized)
    _write(folder / "sshd_config", _SSHD.format(port=port, host=HOST, folder=folder))
    sshd = program("sshd")
    assert sshd is not None
    with _running(folder, sshd, "-D", "-e", "-f", str(folder / "sshd_config")) as process:
        await _listens(process, folder, port)
        yield port


def ssh_user() -> str:
    """The user that OpenSSH's server runs as, who alone may log in."""
    return getpass.getuser()


@contextlib.asynccontextmanager
async def nginx(folder: Path, root: Path, user: str, password: str) -> AsyncIterator[str]:
    """Run nginx before `git http-backend`; give its address."""
    port = free_port()
    _write(folder / "users", f"{user}:{{PLAIN}}{password}\n")
    exec_path = await asyncio.to_thread(subprocess.check_output, ["git", "--exec-path"], text=True)
    backend = f"{exec_path.strip()}/git-http-backend"
    # As root, nginx would give its workers to a user that may not read the folder.
    directive = "user root;" if os.geteuid() == 0 else ""
    _write(
        folder / "nginx.conf",
        _NGINX.format(port=port, host=HOST, folder=folder, root=root, user=directive, backend=backend),
    )
    server, wrapper = program("nginx"), program("fcgiwrap")
    assert server is not None
    assert wrapper is not None
    with (
        _running(folder, wrapper, "-c", "4", "-s", f"unix:{folder}/socket"),
        _running(folder, server, "-c", str(folder / "nginx.conf"), "-p", str(folder)) as process,
    ):
        await _listens(process, folder, port)
        yield f"http://{HOST}:{port}"


@contextlib.contextmanager
def _running(folder: Path, *command: str) -> Iterator["subprocess.Popen[bytes]"]:
    with (folder / f"{Path(command[0]).name}.log").open("ab") as log:
        process = subprocess.Popen([*launched(os.getpid()), *command], stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


async def _listens(process: "subprocess.Popen[bytes]", folder: Path, port: int) -> None:
    async def there() -> bool:
        assert process.poll() is None, _logs(folder)
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            return False
        writer.close()
        return True

    await eventually(there, what=f"a server at port {port}")


def _logs(folder: Path) -> str:
    return "".join(log.read_text() for log in folder.glob("*.log"))


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)
