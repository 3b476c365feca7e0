"""Dulwich's server for HTTP as a process: serves a bare repository to everybody, and prints its address."""

import sys
from pathlib import Path
from wsgiref.simple_server import make_server

from dulwich.repo import Repo
from dulwich.server import DictBackend
from dulwich.web import WSGIRequestHandlerLogger, WSGIServerLogger, make_wsgi_chain


def main(root: Path) -> None:
    repositories = {f"/{path.name}": Repo(str(path)) for path in root.iterdir()}
    app = make_wsgi_chain(DictBackend(repositories))
    server = make_server("127.0.0.1", 0, app, server_class=WSGIServerLogger, handler_class=WSGIRequestHandlerLogger)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
