"""MiniStack, a process of its own that plays AWS, and a front that plays what it doesn't: addresses
that have to agree before they get mail, function URLs by https, and refusals."""

import concurrent.futures
import contextlib
import functools
import hashlib
import hmac
import http.client
import http.server
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import boto3

TOOLS = Path(sys.executable).parent
REGION = "eu-central-1"
SECRET = "local-secret"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, seconds, check):
    """The first true value of `check`, or the end."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = check()
        if found:
            return found
        time.sleep(0.5)
    sys.exit(f"after {seconds} s there is still no {what}")


@functools.cache
def client(service):
    """A client of the emulator's. To make one takes longer than to ask it."""
    return boto3.client(service)


@contextlib.contextmanager
def watching(look, seconds):
    """Looks every so many seconds, and once more at the end. Gives all that is seen."""
    seen, done = set(), threading.Event()

    def watch():
        is_last = False
        while not is_last:
            is_last = done.wait(seconds)
            seen.update(look())

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        watcher = pool.submit(watch)
        try:
            yield seen
        finally:
            done.set()
        # Raises what a look has raised: a look that failed has seen nothing.
        watcher.result()


def is_up(url):
    try:
        urllib.request.urlopen(url, timeout=2)
        return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


@contextlib.contextmanager
def running():
    """Runs MiniStack. Gives the environment of whoever uses it, which this process has, too."""
    port = free_port()
    endpoint = f"http://localhost:{port}"
    environment = {
        **os.environ,
        "GATEWAY_PORT": str(port),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "MINISTACK_REGION": REGION,
        "SAM_CLI_TELEMETRY": "0",
        "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}",
    }
    os.environ.update({n: v for n, v in environment.items() if n.startswith("AWS_")})
    log = tempfile.NamedTemporaryFile("w+", suffix=".log")
    aws = subprocess.Popen([TOOLS / "ministack"], env=environment, stdout=log, stderr=log)
    try:
        wait_for("emulator", 60, lambda: is_up(f"{endpoint}/_ministack/health"))
        yield environment
    except BaseException:
        print("the emulator's last words:\n" + Path(log.name).read_text()[-4000:], file=sys.stderr)
        raise
    finally:
        aws.terminate()
        aws.wait()


def post(url, body, secret=SECRET):
    """Posts a signed body to a function URL: at the emulator's address, under its own name."""
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    host = urllib.parse.urlsplit(url).hostname
    headers = {"content-type": "application/json", "agora-signature-v2": signature, "host": host}
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    request = urllib.request.Request(endpoint, data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


# How the services that are asked by paths call it: method, path, action.
PATHS = [
    ("lambda", "PUT", r"/aliases/", "UpdateAlias"),
    ("lambda", "GET", r"/configuration$", "GetFunctionConfiguration"),
    ("lambda", "GET", r"/policy$", "GetPolicy"),
    ("lambda", "GET", r"/concurrency$", "GetFunctionConcurrency"),
    ("lambda", "POST", r"/invocations$", "InvokeFunction"),
    ("scheduler", "GET", r"^/schedules/", "GetSchedule"),
    ("s3", "HEAD", r"^/[^/]+/?$", "ListBucket"),
    ("s3", "HEAD", r"^/[^/]+/.+", "GetObject"),
    ("s3", "GET", r"^/[^/]+/.+", "GetObject"),
    ("s3", "PUT", r"^/[^/]+/.+", "PutObject"),
    ("s3", "PUT", r"^/[^/]+/?$", "CreateBucket"),
]


LOST = """<member><Type>Resource</Type><ResourceChange><Action>Remove</Action>
<LogicalResourceId>{}</LogicalResourceId><ResourceType>{}</ResourceType>
<PolicyAction>{}</PolicyAction></ResourceChange></member>"""


def what_is_asked(method, path, headers, body):
    """The service and the action of a request, as policies name them."""
    credential = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", headers.get("Authorization", ""))
    if not credential:
        return "", ""
    service = credential.group(1)
    if "X-Amz-Target" in headers:
        return service, headers["X-Amz-Target"].rpartition(".")[2]
    form = re.search(rb"(?:^|&)Action=(\w+)", body)
    if form:
        return service, form.group(1).decode()
    path, _, query = path.partition("?")
    if "publicAccessBlock" in query:
        return service, "PutBucketPublicAccessBlock"
    for known, verb, pattern, action in PATHS:
        if (known, verb) == (service, method) and re.search(pattern, urllib.parse.unquote(path)):
            return service, action
    return service, f"{method} {path}?{query}"


class Front(http.server.ThreadingHTTPServer):
    """Between a program and the emulator: as `AWS_ENDPOINT_URL` and as `https_proxy`."""

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Passage)
        self.emulator = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://")
        # Whether the owner of the address has clicked in the mail.
        self.has_clicked = False
        # What each change removes by the template's conditions, which the emulator doesn't show, as
        # (logical id, type, policy).
        self.lost = []
        # What AWS was asked for, as (service, action).
        self.asked = set()
        # Asked whether a request is refused: what AWS answers then, as (status, text), or nothing.
        self.refuse = lambda service, action, request, body: None
        self.certificate, key = folder / "front.pem", folder / "front.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
             "/CN=emulator", "-addext", f"subjectAltName=DNS:*.lambda-url.{REGION}.on.aws",
             "-keyout", key, "-out", self.certificate],
            check=True, capture_output=True,
        )
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.certificate, key)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def environment(self):
        here = f"http://127.0.0.1:{self.server_port}"
        return {
            "AWS_ENDPOINT_URL": here, "https_proxy": here, "no_proxy": "127.0.0.1",
            "SSL_CERT_FILE": str(self.certificate),
        }


class Passage(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_CONNECT(self):
        self.send_response(200)
        self.end_headers()
        try:
            self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        except ssl.SSLError:
            # A browser speaks to its maker, too, and wants his certificate.
            self.close_connection = True
            return
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.close_connection = False

    def forward(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        service, action = what_is_asked(self.command, self.path, self.headers, body)
        self.server.asked.add((service, action))
        refused = self.server.refuse(service, action, self, body)
        if refused:
            self.answer(*refused)
            return
        emulator = http.client.HTTPConnection(self.server.emulator, timeout=120)
        emulator.request(self.command, self.path, body, dict(self.headers))
        answer = emulator.getresponse()
        text = answer.read()
        if b"Action=ListSubscriptionsByTopic" in body and not self.server.has_clicked:
            text = re.sub(
                rb"<SubscriptionArn>[^<]*(?=</SubscriptionArn>((?!</member>).)*<Protocol>email<)",
                b"<SubscriptionArn>PendingConfirmation", text, flags=re.S,
            )
        if action == "DescribeChangeSet":
            members = "".join(LOST.format(*lost) for lost in self.server.lost)
            text = text.replace(b"</Changes>", members.encode() + b"</Changes>")
        if action == "DescribeTimeToLive" and b"DISABLED" in text and b"expires_at" not in text:
            # It forgets the template's.
            self.answer(200, b'{"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", '
                             b'"AttributeName": "expires_at"}}')
            return
        self.answer(answer.status, text, answer.getheaders())

    def answer(self, status, text, headers=()):
        self.send_response(status)
        length = len(text)
        for name, value in headers:
            if name.lower() not in ["content-length", "transfer-encoding", "connection"]:
                self.send_header(name, value)
            if name.lower() == "content-length" and self.command == "HEAD":
                length = value
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = forward

    def log_message(self, *_):
        pass
