"""Rehearses a deployment without an account: MiniStack, a process of its own, plays AWS and creates
the stack from the template with the built functions; signed samples go in through the function's
own URL; the table, the topic's subscriber and the sweeper are looked at, and the link in an alert
is opened in a real browser, as small as a phone.

    sam build --parameter-overrides Architecture=x86_64
    python tests/deploy/rehearse.py

Where it differs from AWS: nothing checks the roles (`check_template.py` compares them with what is
asked for); the functions run as processes of this machine, so their memory isn't limited; a URL is
a path of the emulator's, and its resource policy isn't checked; the transform of the template is
MiniStack's own use of aws-sam-translator; metrics stay in the log; alarms with metric math aren't
created (`check_alarms.py` plays them).
"""

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import boto3
from playwright.sync_api import sync_playwright
from samtranslator.yaml_helper import yaml_parse

import programs
import stack
from emulator import REGION, SECRET, Front, post, running, wait_for
from stack import ROOT

BUILD = ROOT / ".aws-sam/build"
STACK = "rehearsal"
DESTINATIONS = ["critical", "alerts", "incidents", "facts"]


def main():
    with running() as environment:
        rehearse(environment)


def rehearse(environment):
    here = {"LocationConstraint": REGION}
    boto3.client("s3").create_bucket(Bucket="rehearsal", CreateBucketConfiguration=here)
    deploy(
        environment, BUILD, f"AgoraSecret={SECRET}", "Architecture=x86_64", "MaxCallbackAgeHours=0",
        "SessionSilentMinutes=2", "EncryptTopics=true",
        "AlertHttpsUrl=https://pager.example.com/hook", "RecordingBucket=s3://recordings",
        *programs.PARAMETERS,
    )
    stacks = boto3.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    assert stacks[0]["StackStatus"] == "CREATE_COMPLETE", stacks[0]
    outputs = {o["OutputKey"]: o["OutputValue"] for o in stacks[0]["Outputs"]}
    print("created: " + ", ".join(sorted(outputs)))

    bus_pager = programs.Pager()
    bus_pager.connect()
    programs.create_archive(outputs["EventBusName"])
    consumer = programs.Consumer(outputs["FilesReadyQueueUrl"])
    pager = Subscriber("pager", outputs["CriticalTopicArn"])
    everything = Subscriber("everything", outputs["AlertTopicArn"])

    url = outputs["CallbackUrl"]
    check = b'{"payload": {"cname": "test_webhook"}}'
    status, answer = wait_for("answer", 30, lambda: post(url, check))
    assert (status, answer) == (200, {"result": "test"}), (status, answer)
    print(f"the console's Check: {status} {answer}")
    callbacks = (ROOT / "events/sessions/fatal.shuffled.ndjson").read_bytes().splitlines()
    results = [post(url, line) for line in callbacks]
    assert {status for status, _ in results} == {200}, results
    assert {answer["result"] for _, answer in results} >= {"stored", "duplicate", "late"}, results
    kinds = ", ".join(sorted({answer["result"] for _, answer in results}))
    print(f"{len(callbacks)} signed callbacks through {url}: {kinds}")

    table = boto3.resource("dynamodb").Table(outputs["TableName"])
    sid = json.loads(callbacks[0])["payload"]["sid"]
    items = table.query(
        KeyConditionExpression="sid = :sid", ExpressionAttributeValues={":sid": sid},
    )["Items"]
    (session,) = [item for item in items if item["item"] == "session"]
    alerts = [item for item in items if item["item"].startswith("alert#")]
    assert session["phase"]["phase"] == "failed", session
    assert sorted(a["kind"] for a in alerts) == ["abnormal_exit", "fatal_error"], alerts
    for alert in alerts:
        assert states(alert) == {to: "sent" for to in DESTINATIONS}, alert
    print(f"the table: {len(items)} items of {sid}, phase {session['phase']['phase']}")

    for subscriber in [pager, everything]:
        subscriber.wait_for(["abnormal_exit", "fatal_error"])

    links = {c["kind"]: c["viewUrl"] for c in everything.receive() if c["sid"] == sid}
    assert all(link.startswith(f"{outputs['ViewerUrl']}s/{sid}?e=") for link in links.values())
    open_on_a_phone(links["fatal_error"], sid)

    # A recording that goes silent, then speaks again: the sweeper finds both.
    now_ms = int(time.time() * 1000)
    hear(url, table, 0, now_ms - 300_000)
    sweep = run_sweeper()
    pager.wait_for(["abnormal_exit", "fatal_error", "session_silent"])
    everything.wait_for(["abnormal_exit", "fatal_error", "session_silent"])
    hear(url, table, 1, now_ms)
    run_sweeper()
    for subscriber in [pager, everything]:
        subscriber.wait_for(
            ["abnormal_exit", "fatal_error", "session_silent", "session_silent_resolved"])
        actions = subscriber.actions("quiet/session_silent/")
        assert actions == ["trigger", "resolve"], (subscriber.name, actions)
    print(f"the sweeper: {sweep['looked']} sessions looked at; a pager on the critical topic opens "
          "an incident and closes it")

    bus_pager.wait_for(f"{sid}/fatal_error/", ["trigger"])
    bus_pager.wait_for("quiet/session_silent/", ["trigger", "resolve"])
    print("the bus: a pager behind it opens an incident and closes it, in its own format")
    files_are_told(url, consumer)

    # A warning is nothing for the pager.
    backup = callback("backup", 1, 32, now_ms, {"status": 0})
    assert post(url, backup)[0] == 200
    everything.wait_for(
        ["abnormal_exit", "backup_only_upload", "fatal_error", "session_silent",
         "session_silent_resolved"])
    assert len(pager.received()) == 4, pager.received()
    assert not bus_pager.actions("backup/"), bus_pager.events

    # One topic is gone: the other isn't sent to twice. Three alerts a minute leave at once: that is
    # a minute that had none.
    time.sleep(60 - time.time() % 60)
    boto3.client("sns").delete_topic(TopicArn=outputs["CriticalTopicArn"])
    assert post(url, callback("half", 1, 11, now_ms, {"exitStatus": 1}))[0] == 200
    (half,) = [item for item in table.query(
        KeyConditionExpression="sid = :sid", ExpressionAttributeValues={":sid": "half"},
    )["Items"] if item["item"].startswith("alert#")]
    assert states(half) == {to: "sent" for to in DESTINATIONS} | {"critical": "pending"}, half
    for _ in range(2):
        table.update_item(
            Key={"sid": "half", "item": half["item"]},
            UpdateExpression="SET #to.critical.due_at = :past, watch_at = :past",
            ExpressionAttributeNames={"#to": "to"},
            ExpressionAttributeValues={":past": now_ms - 1},
        )
        run_sweeper()
    of_half = [kind for sid, kind in everything.received() if sid == "half"]
    assert of_half == ["abnormal_exit"], of_half
    print("a topic is gone: the other got its alert, once")
    schedule = boto3.client("scheduler").get_schedule(Name=resource("SweepSchedule"))
    assert schedule["Target"]["Arn"].endswith(f":function:{STACK}-sweeper:live"), schedule

    secrets = boto3.client("secretsmanager")
    secrets.put_secret_value(SecretId=outputs["SecretArn"], SecretString="rotated")
    assert post(url, callbacks[0], "rotated")[0] == 200 and post(url, callbacks[0])[0] == 200
    assert post(url, callbacks[0], "false")[0] == 401
    print("the secret is rotated, the one before still holds, and no other does")
    go_back(environment, url, callbacks[0])


def files_are_told(url, consumer):
    """A program learns which recordings can be played, and of which files, from a queue alone."""
    sids = set()
    for kind in ["composite", "individual"]:
        for line in (ROOT / f"events/sessions/{kind}.shuffled.ndjson").read_bytes().splitlines():
            assert post(url, line)[0] == 200
            sids.add(json.loads(line)["payload"]["sid"])
    consumer.wait_for(sids)
    for sid, ready in consumer.ready.items():
        assert ready["upload"] == "confirmed" and ready["files"], ready
        uris = [file["uri"] for file in ready["files"]]
        assert all(uri.startswith("s3://recordings/") for uri in uris), uris
        assert ready["playback"] in ready["files"], ready
        print(f"the bus: {sid} can be played, {len(uris)} files")
    archived = wait_for("archive", 30, programs.archived)
    print(f"the archive has {archived} notices")


def open_on_a_phone(link, sid):
    """The alert's link, as whoever is on call opens it; and the same link, changed."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        front = Front(Path(folder))
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"],
            proxy={"server": f"http://127.0.0.1:{front.server_port}"},
        )
        context = browser.new_context(
            viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True,
            ignore_https_errors=True,
        )
        page = context.new_page()
        answer = page.goto(link)
        assert answer.status == 200, (answer.status, page.content())
        for name, value in [("cache-control", "no-store"), ("x-robots-tag", "noindex, nofollow")]:
            assert answer.headers[name] == value, answer.headers
        assert sid in page.inner_text(".meta"), page.content()
        verdict = page.locator(".now .verdict")
        steps, height = page.locator(".now ol li"), page.viewport_size["height"]
        assert "FAILED" in verdict.inner_text() and steps.count() > 2, verdict.inner_text()
        top = lambda place: place.bounding_box()["y"]
        assert top(steps.first) < height / 2 < height < top(page.locator(".scroll"))
        said = verdict.inner_text()
        forged = page.goto(link.replace(sid, sid[::-1]))
        assert forged.status == 403 and "opens nothing" in page.inner_text("h1")
        browser.close()
        front.shutdown()
    print(f"the alert's link on a phone: {said!r}, and what to do; changed, it opens nothing")


def states(alert):
    """What became of an alert at each of its destinations."""
    return {to: delivery["state"] for to, delivery in alert["to"].items()}


def callback(sid, sequence, event_type, sendts, details):
    """The body of a callback."""
    return json.dumps({
        "productId": 3, "eventType": event_type, "notifyMs": sendts,
        "payload": {
            "cname": sid, "uid": "5", "sid": sid, "sequence": sequence, "sendts": sendts,
            "details": details,
        },
    }).encode()


def hear(url, table, sequence, at_ms):
    """A heartbeat that came at that time."""
    assert post(url, callback("quiet", sequence, 33, at_ms, {"progress": 1}))[0] == 200
    table.update_item(
        Key={"sid": "quiet", "item": "session"}, UpdateExpression="SET heard_at = :at",
        ExpressionAttributeValues={":at": at_ms},
    )


def run_sweeper():
    payload = boto3.client("lambda").invoke(FunctionName=f"{STACK}-sweeper", Payload=b"{}")
    sweep = json.load(payload["Payload"])
    assert sweep["finished"] and sweep["errors"] == 0, sweep
    return sweep


class Subscriber:
    """A queue that is subscribed to a topic, without a filter."""

    def __init__(self, name, topic):
        self.name, self.metadata = name, {}
        self.sqs = boto3.client("sqs")
        self.queue = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        attributes = self.sqs.get_queue_attributes(
            QueueUrl=self.queue, AttributeNames=["QueueArn"])["Attributes"]
        boto3.client("sns").subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=attributes["QueueArn"])

    def receive(self):
        some = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10)
        for message in some.get("Messages", []):
            metadata = json.loads(json.loads(message["Body"])["Message"])["metadata"]
            # SQS may hand a message out twice; what was sent twice has another id there.
            self.metadata[message["MessageId"]] = metadata["additionalContext"]
            self.sqs.delete_message(
                QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return self.metadata.values()

    def received(self):
        return [(context["sid"], context["kind"]) for context in self.receive()]

    def actions(self, incident):
        """What happens to an incident; a queue may hand messages out in another order."""
        of = [c for c in self.receive() if c["incident"].startswith(incident)]
        assert len({context["incident"] for context in of}) == 1, of
        return [c["action"] for c in sorted(of, key=lambda c: c["action"], reverse=True)]

    def wait_for(self, kinds):
        is_there = lambda: sorted(kind for _, kind in self.received()) == kinds
        wait_for(f"{kinds} at {self.name}: {self.received()}", 90, is_there)
        print(f"{self.name}: " + ", ".join(kinds))


def go_back(environment, url, callback):
    """A broken version is deployed and taken back; a deployment of a parameter alone moves on."""
    functions = boto3.client("lambda")

    def live(name="callback"):
        return functions.get_function_configuration(
            FunctionName=f"{STACK}-{name}", Qualifier="live")

    good = live()["Version"]
    before = ",".join(live(name)["Version"] for name in ["callback", "sweeper", "viewer"])
    with tempfile.TemporaryDirectory() as folder:
        broken = Path(folder) / "build"
        shutil.copytree(BUILD, broken)
        (broken / "CallbackFunction/bootstrap").write_text("#!/bin/sh\nexit 1\n")
        deploy(environment, broken)
    assert live()["Version"] != good and post(url, callback, "rotated")[0] >= 500
    started = time.monotonic()
    # SAM notes nothing of what was live.
    refused = subprocess.run(
        [ROOT / "rollback", STACK], env=environment, capture_output=True, text=True)
    assert refused.returncode == 1 and "./rollback --to" in refused.stderr, refused
    said = subprocess.run(
        [ROOT / "rollback", STACK, "--to", before], env=environment, check=True,
        capture_output=True, text=True,
    )
    assert live()["Version"] == good and post(url, callback, "rotated")[0] == 200
    took = time.monotonic() - started
    print(f"a broken version is gone after {took:.1f} s: {said.stdout.strip()}")

    deploy(environment, BUILD, "LogLevel=WARN")
    now = live()
    assert now["Version"] != good and now["Environment"]["Variables"]["LOG_LEVEL"] == "WARN", now
    assert post(url, callback, "rotated")[0] == 200
    print(f"a parameter alone publishes version {now['Version']}")
    restore(environment, url, callback)


def restore(environment, url, callback):
    """Another table, as one out of a backup is, stands in for the stack's own, which stays."""
    table = json.loads((ROOT / "testkit/src/table.json").read_text())
    table.pop("TimeToLiveSpecification", None)
    dynamodb = boto3.client("dynamodb")
    own = dynamodb.list_tables()["TableNames"]
    dynamodb.create_table(TableName="restored", **table)
    deploy(environment, BUILD, "ExistingTable=restored")
    status, answer = post(url, callback, "rotated")
    assert (status, answer["result"]) == (200, "stored"), (status, answer)
    assert boto3.resource("dynamodb").Table("restored").scan()["Count"] > 0
    assert set(own) <= set(dynamodb.list_tables()["TableNames"])
    print("a restored table is in service, and the one before is kept")


def for_the_emulator(build):
    """The built template without what the emulator can't create: alarms with metric math."""
    template = yaml_parse((build / "template.yaml").read_text())
    alarms = stack.of_type(template, "AWS::CloudWatch::Alarm")
    for name in [name for name, alarm in alarms.items() if "Metrics" in alarm["Properties"]]:
        del template["Resources"][name]
    template = programs.without_what_is_created_here(template)
    emulated = build / "emulated.json"
    emulated.write_text(json.dumps(template))
    return emulated


def deploy(environment, build, *parameters):
    subprocess.run(
        [
            "sam", "deploy", "--stack-name", STACK, "--s3-bucket", "rehearsal",
            "--no-confirm-changeset", "--no-resolve-s3", "--capabilities", "CAPABILITY_IAM",
            "--region", REGION, "--template-file", for_the_emulator(build),
            *(["--parameter-overrides", *parameters] if parameters else []),
        ],
        env=environment, cwd=ROOT, check=True, capture_output=True,
    )


def resource(logical_id):
    cloudformation = boto3.client("cloudformation")
    found = cloudformation.describe_stack_resource(StackName=STACK, LogicalResourceId=logical_id)
    return found["StackResourceDetail"]["PhysicalResourceId"]


if __name__ == "__main__":
    main()
