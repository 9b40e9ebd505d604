"""A program that stands in for a service: it serves /healthz/ready and POST /v1/users, and misbehaves on request."""

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

users: set[str] = set()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        ready = self.path == "/healthz/ready" and "STANDIN_NEVER_READY" not in os.environ
        self.send_response(200 if ready else 503)
        self.end_headers()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = body["user_id"] in users
        users.add(body["user_id"])
        self.send_response(409 if known else 201)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    if sys.argv[-1] == "migrate":
        print("migrated")
        return
    if "STANDIN_FAILS" in os.environ:
        print("the reason why it fails")
        sys.exit(3)
    if "STANDIN_IGNORES_SIGTERM" in os.environ:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("environment", json.dumps(sorted(name for name in os.environ if name.startswith("NATTER_"))), flush=True)
    for number in range(int(os.environ.get("STANDIN_LINES", "0"))):
        sys.stdout.write(f"line {number} ")
        sys.stdout.flush()
        sys.stdout.write("of many\n")
    server = ThreadingHTTPServer((os.environ["NATTER_HOST"], int(os.environ["NATTER_PORT"])), Handler)
    server.daemon_threads = True
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        time.sleep(0)


if __name__ == "__main__":
    main()
