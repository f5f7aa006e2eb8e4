"""The bus in the rehearsal: what a queue, a pager and the archive get of it.

The emulator can't create connections, API destinations and archives from a template. They are
created here, from the template's own properties.
"""

import http.server
import json
import threading

import boto3

import stack
from emulator import REGION, wait_for

KEY = "integration-key"
DESTINATION = f"arn:aws:events:{REGION}:000000000000:api-destination/pager"
CREATED_HERE = {"AWS::Events::Connection", "AWS::Events::ApiDestination", "AWS::Events::Archive"}
PARAMETERS = ["EventBus=own", "FilesReady=true", f"PagerKey={KEY}"]


def without_what_is_created_here(template):
    """The template as the emulator can create it."""
    destination = {"Fn::GetAtt": ["PagerDestination", "Arn"]}

    def replace(node):
        if node == destination:
            return DESTINATION
        if isinstance(node, dict):
            return {key: replace(value) for key, value in node.items()}
        return [replace(value) for value in node] if isinstance(node, list) else node

    resources = template["Resources"].items()
    kept = {name: r for name, r in resources if r["Type"] not in CREATED_HERE}
    return replace({**template, "Resources": kept})


class Pager(http.server.ThreadingHTTPServer):
    """A pager that takes events in PagerDuty's format, and knows which incidents are open."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Intake)
        self.events = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def connect(self):
        """Creates the template's connection and destination, which leads here."""
        template = stack.expand(stack.read())["Resources"]
        events = boto3.client("events")
        connection = resolve(template["PagerConnection"]["Properties"])
        created = events.create_connection(Name="pager", **connection)
        destination = template["PagerDestination"]["Properties"] | {
            "ConnectionArn": created["ConnectionArn"],
            "InvocationEndpoint": f"http://127.0.0.1:{self.server_port}/v2/enqueue",
        }
        created = events.create_api_destination(Name="pager", **destination)
        assert created["ApiDestinationArn"] == DESTINATION, created

    def actions(self, incident):
        """What has happened to an incident, in the order of arrival."""
        return [e["event_action"] for e in self.events if e["dedup_key"].startswith(incident)]

    def wait_for(self, incident, actions):
        what = f"{actions} of {incident} at the pager of the bus"
        wait_for(what, 60, lambda: self.actions(incident) == actions)


class Intake(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        # What PagerDuty refuses.
        is_known = event.get("routing_key") == KEY and self.headers["X-Routing-Key"] == KEY
        payload = event.get("payload", {})
        is_whole = (
            event.get("event_action") in ["trigger", "acknowledge", "resolve"]
            and 0 < len(event.get("dedup_key", "")) <= 255
            and 0 < len(payload.get("summary", "")) <= 1024
            and payload.get("source")
            and payload.get("severity") in ["critical", "error", "warning", "info"]
            and all(link.get("href") for link in event.get("links", []))
        )
        if is_known and is_whole:
            self.server.events.append(event)
        self.send_response(202 if is_known and is_whole else 400)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def resolve(node):
    """Properties with the pager's key in the place of its parameter."""
    if node == {"Ref": "PagerKey"}:
        return KEY
    if isinstance(node, dict):
        return {key: resolve(value) for key, value in node.items()}
    return [resolve(value) for value in node] if isinstance(node, list) else node


def create_archive(bus):
    """Creates the template's archive of the stack's bus."""
    template = stack.expand(stack.read())
    p = template["Resources"]["Archive"]["Properties"]
    arn = boto3.client("events").describe_event_bus(Name=bus)["Arn"]
    boto3.client("events").create_archive(
        ArchiveName="archive", EventSourceArn=arn, Description=p["Description"],
        EventPattern=json.dumps(p["EventPattern"]),
        RetentionDays=template["Parameters"]["ArchiveDays"]["Default"],
    )


def archived():
    return boto3.client("events").describe_archive(ArchiveName="archive")["EventCount"]


class Consumer:
    """A program that trusts only what says that the files of a recording are ready."""

    def __init__(self, queue):
        self.queue, self.sqs, self.ready = queue, boto3.client("sqs"), {}

    def take(self):
        some = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10)
        for message in some.get("Messages", []):
            event = json.loads(message["Body"])
            assert event["detail-type"] == "Recording Files Ready", event
            detail = event["detail"]
            known = self.ready.get(detail["sid"], {"revision": -1})
            if detail["revision"] > known["revision"]:
                self.ready[detail["sid"]] = detail
            self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return self.ready

    def wait_for(self, sids):
        wait_for(f"files of {sids}", 60, lambda: set(self.take()) == set(sids))
