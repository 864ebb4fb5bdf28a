"""The smallest model server there can be: it tells what is in /mnt/models, as JSON. Python alone runs it.

It is given to a container as text (`python3 -c`), so it imports nothing of this repository. `GET /` answers
{path: [size, sha256, mode]} of every file, hidden ones included; what cannot be read has its error in place.
"""

import hashlib
import http.server
import json
import os
import sys

ROOT = "/mnt/models"


def look(path: str) -> list[object]:
    """Return size, sha256 and mode of a file."""
    try:
        with open(path, "rb") as file:
            content = file.read()
            mode = os.fstat(file.fileno()).st_mode & 0o7777
    except OSError as error:
        return [-1, str(error), ""]
    return [len(content), hashlib.sha256(content).hexdigest(), f"{mode:04o}"]


def tree() -> dict[str, list[object]]:
    """Return every file below the root."""
    found = {}
    for folder, _, names in os.walk(ROOT):
        for name in names:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, ROOT)] = look(path)
    return found


class Handler(http.server.BaseHTTPRequestHandler):
    """Any path is answered with the tree, which is read anew each time."""

    def do_GET(self) -> None:
        """Answer with the tree."""
        body = json.dumps(tree()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing: probes come every second."""


if __name__ == "__main__":
    print(f"serving {len(tree())} files", file=sys.stderr, flush=True)
    http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
