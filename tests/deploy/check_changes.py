"""What comes after the first deployment: each parameter changed alone, random sequences of
deployments, failures and rollbacks, and faults that `./deploy` has to see.

    sam build --parameter-overrides Architecture=x86_64
    python tests/deploy/check_changes.py [parameters] [sequences] [faults] [--seeds 1,2,3]

MiniStack plays AWS, as in `rehearse.py`. It doesn't ask whether a role allows a request: here the
policies are read, at every step, and while a change runs.
"""

import argparse
import concurrent.futures
import contextlib
import fnmatch
import functools
import http.client
import io
import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import time
import urllib.parse
import zipfile
from pathlib import Path

from botocore.exceptions import ClientError

import cli
import programs
import stack
from check_deploy import Terminal
from emulator import REGION, Front, client, running, wait_for, watching
from stack import ROOT, as_list

BUILD = ROOT / ".aws-sam/build"
SECRET = "-".join(["typed", "and", "never", "written"])
REFUSED = b"""<DescribeChangeSetResponse><DescribeChangeSetResult><Status>FAILED</Status>
<StatusReason>planted</StatusReason></DescribeChangeSetResult></DescribeChangeSetResponse>"""
STUCK = b"""<DescribeStacksResponse><DescribeStacksResult><Stacks><member>
<StackName>second</StackName><StackStatus>DELETE_FAILED</StackStatus>
</member></Stacks></DescribeStacksResult></DescribeStacksResponse>"""
FUNCTIONS = ["callback", "sweeper", "viewer"]
# What a version asks of its role, by the variable that names what it is asked of.
ASKED = {
    "TABLE_NAME": "dynamodb:Query", "EVENT_BUS_NAME": "events:PutEvents",
    "AGORA_SECRET_ID": "secretsmanager:GetSecretValue",
    "LINK_SECRET_ID": "secretsmanager:GetSecretValue",
}
# Another value of what no sample of the functions' variables gives.
OTHERS = {
    "Architecture": "x86_64", "MemorySize": "512", "SweeperMemorySize": "640", "Tracing": "true",
    "Viewer": "false", "EventBus": "own", "ExistingTable": "restored-0",
}


# ------------------------------------------------------------------------------------------- a user
class User:
    """Whoever has unpacked a release."""

    has_failed = False

    def __init__(self, folder, front, tools):
        self.folder, self.front = folder, front
        folder.mkdir()
        for name in ["deploy", "rollback", "deployment.py"]:
            shutil.copy(ROOT / name, folder)
        self.environment = {
            "PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(folder), "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", **front.environment(),
        }
        self.takes(template())

    def takes(self, template, code=b""):
        """A release: the template, and functions whose code differs from that of another release by
        a file that says so."""
        for function in stack.of_type(template, "AWS::Serverless::Function").values():
            name = function["Metadata"]["BuildProperties"]["Binary"]
            zipped = self.folder / f"{name}.zip"
            zipped.write_bytes(packed(name))
            if code:
                with zipfile.ZipFile(zipped, "a") as archive:
                    archive.writestr("release", code)
            function["Properties"]["CodeUri"] = f"{name}.zip"
        for suffix in ["", "-x86_64"]:
            (self.folder / f"template.release{suffix}.yaml").write_text(json.dumps(template))

    def run(self, *command, **more):
        assert not User.has_failed, "another part has failed"
        return subprocess.run(
            command, cwd=self.folder, env={**self.environment, **more}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True,
        )

    def does(self, *command, **more):
        done = self.run(*command, **more)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def fails(self, words, *command, **more):
        done = self.run(*command, **more)
        assert done.returncode == 1 and words in done.stderr, (words, done)
        assert "Traceback" not in done.stderr, done
        return done.stderr


@functools.cache
def packed(name):
    """The zip of a function."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.create_system, entry.external_attr = 3, 0o100755 << 16
        bootstrap = BUILD / f"{name.capitalize()}Function/bootstrap"
        archive.writestr(entry, bootstrap.read_bytes())
    return whole.getvalue()


def template():
    """The template as the emulator can create it."""
    read = stack.read()
    alarms = stack.of_type(read, "AWS::CloudWatch::Alarm")
    for name in [name for name, alarm in alarms.items() if "Metrics" in alarm["Properties"]]:
        del read["Resources"][name]
    return programs.without_what_is_created_here(read)


def that_fails():
    """A template that is refused after the aliases have been moved."""
    broken = template()
    broken["Resources"]["Impossible"] = {
        "Type": "AWS::Lambda::Alias", "DependsOn": [f"{n.capitalize()}FunctionAliaslive"
                                                    for n in FUNCTIONS],
        "Properties": {"FunctionName": {"Ref": "CallbackFunction"}, "Name": "live",
                       "FunctionVersion": "1"},
    }
    return broken


def live(name, versions={}):
    """The configuration that is live, or that of these versions, by function."""
    found = {}
    for function in FUNCTIONS:
        with contextlib.suppress(ClientError):
            found[function] = client("lambda").get_function_configuration(
                FunctionName=f"{name}-{function}", Qualifier=versions.get(function, "live"))
    return found


def versions(name):
    return {function: there["Version"] for function, there in live(name).items()}


def held(configuration):
    """What a version holds and its description doesn't name."""
    left_out = ["FunctionArn", "Version", "RevisionId", "LastModified", "Description",
                "ResponseMetadata", "CodeSha256", "CodeSize", "MasterArn"]
    return {key: value for key, value in configuration.items() if key not in left_out}


def refusals(name, versions={}):
    """What the live versions, or these, use and their roles' policies don't allow."""
    return refused_to(live(name, versions))


def refused_to(configurations):
    for function, configuration in configurations.items():
        statements = list(statements_of(configuration["Role"]))
        variables = configuration["Environment"]["Variables"]
        for variable, action in ASKED.items():
            used = variables.get(variable)
            if used and not any(
                    action in as_list(s["Action"])
                    and any(names(resource, used) for resource in as_list(s["Resource"]))
                    for s in statements):
                yield f"version {configuration['Version']} of {function} may not {action} {used}"


def statements_of(role):
    role, iam = role.rpartition("/")[2], client("iam")
    for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        found = iam.get_role_policy(RoleName=role, PolicyName=policy)
        yield from found["PolicyDocument"]["Statement"]


def names(resource, used):
    """Whether a policy's resource is what a variable names, by name or ARN."""
    name = resource.partition("/")[2] or resource.rpartition(":")[2]
    return resource == used or name == used or fnmatch.fnmatchcase(f"{used}-??????", name)


@contextlib.contextmanager
def nothing_is_refused(name, planted=False):
    """While a change runs, what is live may always do what it has to."""
    def look():
        configurations = live(name)
        refused = set(refused_to(configurations))
        # Else the alias has moved between two questions.
        is_so = versions(name) == {f: there["Version"] for f, there in configurations.items()}
        return refused if is_so else set()

    with watching(look, 0.3) as seen:
        yield
    assert bool(seen) == planted, seen


# ---------------------------------------------------------------------------------- each parameter
def make_surroundings():
    """Tables, secrets and buses that somebody else has made."""
    table = json.loads((ROOT / "testkit/src/table.json").read_text())
    table.pop("TimeToLiveSpecification")
    for number in range(2):
        client("dynamodb").create_table(TableName=f"restored-{number}", **table)
        client("secretsmanager").create_secret(Name=f"agora-{number}", SecretString=SECRET)
        client("events").create_event_bus(Name=f"bus-{number}")
    client("events").create_event_bus(Name="bus-2")


def secret_arn(number):
    return client("secretsmanager").describe_secret(SecretId=f"agora-{number}")["ARN"]


def of_versions(template):
    """The parameters that versions hold."""
    expanded = stack.expand(template)
    text = ""
    for function in stack.of_type(expanded, "AWS::Lambda::Function").values():
        text += json.dumps({k: v for k, v in function["Properties"].items() if k not in [
            "FunctionName", "ReservedConcurrentExecutions", "Role", "Tags", "Description"]})
    for condition in set(re.findall(r'"Fn::If": \["(\w+)"', text)):
        text += json.dumps(expanded["Conditions"][condition])
    return [name for name in expanded["Parameters"] if f'{{"Ref": "{name}"}}' in text]


def each_parameter(user, name="parameters"):
    """Changed alone, it is live in the versions that run."""
    samples = json.loads((ROOT / "tests/deploy/parameters.json").read_text())
    user.does("./deploy", "--stack", name, "AlertEmail=", AGORA_SECRET=SECRET)
    defaults = {n: str(p.get("Default", "")) for n, p in template()["Parameters"].items()}
    changed = of_versions(template())
    # The secret itself is no version's: it is in Secrets Manager.
    for parameter in [p for p in changed if p != "DeployFunctions"]:
        value = OTHERS.get(parameter) or next(
            v for v in samples.get(parameter, {"accepted": [secret_arn(0)]})["accepted"]
            if v not in ["", defaults[parameter]]
        ) if parameter != "AgoraSecretArn" else secret_arn(0)
        before = live(name)
        user.does("./deploy", "--stack", name, "--yes", f"{parameter}={value}")
        after = live(name)
        assert any(held(after[f]) != held(before[f]) for f in after), (parameter, value)
        for function, configuration in after.items():
            latest = client("lambda").get_function_configuration(
                FunctionName=f"{name}-{function}")
            assert held(configuration) == held(latest), (parameter, function)
        given = [v for f in after.values() for v in f["Environment"]["Variables"].values()]
        told = {*given, *(str(f["MemorySize"]) for f in after.values()),
                *(f["Architectures"][0] for f in after.values()),
                *({"true"} if after["callback"]["TracingConfig"]["Mode"] == "Active" else set())}
        expected = {"EventBus": name, "Viewer": ""}.get(parameter, value)
        assert expected in told, (parameter, value, told)
        if parameter == "Viewer":
            # The links in its alerts would lead nowhere.
            user.fails("There is no secret", "./rollback", "--stack", name)
        assert not list(refusals(name)), list(refusals(name))
    print(f"changed alone, each is live: {', '.join(changed)}")


# --------------------------------------------------------------------------------------- sequences
class Sequence:
    """A user who deploys, fails and goes back, at random, and knows what has to be live."""

    def __init__(self, user, name, seed):
        self.user, self.name, self.random = user, name, random.Random(seed)
        self.steps = [f"seed {seed}"]
        # What was live before the last deployment, and on either side of the last rollback.
        self.before, self.back = None, None

    def play(self, steps):
        try:
            for number in range(steps):
                step = self.random.choice([
                    self.deploy, self.deploy, self.change, self.change, self.change, self.fail,
                    self.rollback, self.rollback, self.undo, self.rollback_fails, self.nothing])
                self.note(step.__name__)
                step()
                refused = list(refusals(self.name))
                assert not refused, refused
        except BaseException:
            print(f"{self.name}: " + " | ".join(self.steps), flush=True)
            raise

    def note(self, what):
        self.steps.append(what)

    def does(self, program, *arguments):
        with nothing_is_refused(self.name):
            return self.user.does(program, "--stack", self.name, *arguments)

    def deploys(self, *parameters):
        before = versions(self.name)
        self.does("./deploy", "--yes", *parameters)
        now = versions(self.name)
        if now != before:
            self.before, self.back = before, None
            # Roles change before aliases do: in between they have to allow what was live.
            refused = list(refusals(self.name, before))
            assert not refused, refused
        return before, now

    def deploy(self):
        """Another release."""
        self.user.takes(template(), code=self.random.randbytes(4))
        before, now = self.deploys()
        assert all(now[f] != before[f] for f in now), (before, now)

    def change(self):
        """One parameter, of those that a role depends on, too."""
        parameter, value = self.random.choice([
            ("LogLevel", self.random.choice(["INFO", "WARN", "ERROR"])),
            ("RunbookUrl", f"https://wiki/{self.random.random()}"),
            ("ExistingTable", self.random.choice(["restored-0", "restored-1"])),
            ("AgoraSecretArn", secret_arn(self.random.choice([0, 1]))),
            ("EventBus", self.random.choice(["bus-0", "bus-1"])),
        ])
        self.note(f"{parameter}={value}")
        self.deploys(f"{parameter}={value}")
        variables = live(self.name)["callback"]["Environment"]["Variables"]
        assert value in variables.values(), variables

    def fail(self):
        """CloudFormation refuses half-way and undoes it: what was live is."""
        before = versions(self.name)
        parameter = f"ExistingTable=restored-{self.random.choice([0, 1])}"
        self.user.takes(that_fails())
        self.user.fails("It failed and was undone", "./deploy", "--stack", self.name, "--yes",
                        parameter, f"RunbookUrl=https://wiki/{self.random.random()}")
        self.user.takes(template())
        assert versions(self.name) == before, (before, versions(self.name))

    def nothing(self):
        """A run without anything to change leaves it, or moves on what was rolled back."""
        # Once new versions are live, `deploys` forgets the rollback.
        back = self.back
        before, now = self.deploys()
        is_rolled_back = back and before == back[1] != back[0]
        assert is_rolled_back or now == before, (before, now)

    def is_possible(self, target):
        """CloudFormation deletes the stack's own secret once another one is given."""
        callback = client("lambda").get_function_configuration(
            FunctionName=f"{self.name}-callback", Qualifier=target["callback"])
        secret = callback["Environment"]["Variables"]["AGORA_SECRET_ID"]
        with contextlib.suppress(ClientError):
            found = client("secretsmanager").describe_secret(SecretId=secret)
            return "DeletedDate" not in found
        return False

    def rollback(self):
        live = versions(self.name)
        target = self.back[1] if self.back else self.before
        if not target:
            self.user.fails("nothing to go back to", "./rollback", "--stack", self.name)
            return
        if not self.is_possible(target):
            self.user.fails("There is no secret", "./rollback", "--stack", self.name)
            assert versions(self.name) == live
            return
        if live != target:
            self.back = (live, target)
        for _ in range(2):
            self.does("./rollback")
            assert versions(self.name) == target, (live, target, versions(self.name))

    def rollback_fails(self):
        """One alias isn't moved: none is."""
        live = versions(self.name)
        target = self.back[1] if self.back else self.before
        if not target or target == live or not self.is_possible(target):
            return
        self.back = (live, target)
        refuse = f"{self.name}-sweeper/aliases"
        self.user.front.refuse = lambda service, action, request, body: (
            (429, b'{"Type": "User", "message": "planted"}')
            if action == "UpdateAlias" and refuse in request.path else None)
        # The CLI tries again by itself.
        moved = self.user.run("./rollback", "--stack", self.name, AWS_MAX_ATTEMPTS="1")
        self.user.front.refuse = lambda *_: None
        is_asked = live["sweeper"] != target.get("sweeper")
        assert moved.returncode == int(is_asked), moved
        assert versions(self.name) == (live if is_asked else target), (live, versions(self.name))

    def undo(self):
        if not self.back:
            self.user.fails("no rollback since", "./rollback", "--undo", "--stack", self.name)
            return
        self.does("./rollback", "--undo")
        assert versions(self.name) == self.back[0], (self.back, versions(self.name))


def sequences(user, seeds, steps=6):
    for seed in seeds:
        name = f"sequence-{seed}"
        user.takes(template())
        user.does("./deploy", "--stack", name, "AlertEmail=", AGORA_SECRET=SECRET)
        sequence = Sequence(user, name, seed)
        sequence.play(steps)
        print(" | ".join(sequence.steps), flush=True)
        # Its schedule would run on.
        client("cloudformation").delete_stack(StackName=name)


# ------------------------------------------------------------------------------------------ faults
def a_changed_nothing(user, name, words, *arguments, **more):
    """It refuses, and the stack is as it was."""
    describe = lambda: client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    before = describe()
    said = user.fails(words, "./deploy", "--stack", name, *arguments, **more)
    assert "Nothing was changed." in said and describe() == before, said
    return said


def refused_before(user, name):
    """What is given and can't be used."""
    dynamodb, secrets = client("dynamodb"), client("secretsmanager")
    table = json.loads((ROOT / "testkit/src/table.json").read_text())
    keys = {name: table[name] for name in ["KeySchema", "BillingMode"]}
    dynamodb.create_table(TableName="bare", AttributeDefinitions=table["AttributeDefinitions"][:2],
                          **keys)
    dynamodb.create_table(
        TableName="orders", BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}])
    secrets.create_secret(Name="shapeless", SecretString='{"key": "x"}')
    shapeless = secrets.describe_secret(SecretId="shapeless")["ARN"]
    gone = shapeless.replace("shapeless", "gone")
    for parameter, words in [
        ("ExistingTable=no-such-table", "There is no table no-such-table"),
        ("ExistingTable=bare", "The table bare has no index watch by watch_shard S, watch_at N"),
        ("ExistingTable=orders", "The table orders has the keys id S instead of sid S, item S"),
        (f"AgoraSecretArn={gone}", "There is no secret"),
        (f"AgoraSecretArn={shapeless}", "isn't of a shape that is read"),
        ("EventBus=no-such-bus", "There is no bus no-such-bus"),
        ("RetentionDays=0", "RetentionDays"),
    ]:
        a_changed_nothing(user, name, words, parameter)
    user.front.lost = [("ViewerFunction", "AWS::Lambda::Function", "Delete")]
    a_changed_nothing(user, name, "with --yes", "Viewer=false")
    user.front.lost = []
    left = client("cloudformation").list_change_sets(StackName=name)["Summaries"]
    assert all(s["ExecutionStatus"] != "AVAILABLE" for s in left), left
    first = ["./deploy", "--stack", "never", "AlertEmail="]
    user.fails("55 at most", *first[:2], "n" * 56)
    leaves_nothing(user, first, gone)
    refuse_in(user, "HEAD", 403)
    user.fails("The bucket agora-recording-callbacks-000000000000-eu-central-1-an can't be used",
               *first, AGORA_SECRET=SECRET)
    user.front.refuse = lambda *_: None
    print("what can't be used is refused before anything is changed")


def leaves_nothing(user, first, gone):
    """A first deployment that is refused leaves no stack, and where it can no bucket."""
    user.fails("Is AlertEmail meant?", *first, "AlertEmial=x", AGORA_SECRET=SECRET)
    user.fails("Give it as the variable AGORA_SECRET", *first, AGORA_SECRET="")
    user.front.refuse = lambda service, action, request, body: (
        (200, REFUSED) if action == "DescribeChangeSet" else None)
    user.fails("CloudFormation refuses: planted", *first, AGORA_SECRET=SECRET)
    user.front.refuse = lambda *_: None
    stacks = client("cloudformation").describe_stacks()["Stacks"]
    assert "never" not in {s["StackName"] for s in stacks}, stacks
    user.fails("There is no secret", *first, "--bucket", "in-vain", f"AgoraSecretArn={gone}")
    buckets = {b["Name"] for b in client("s3").list_buckets()["Buckets"]}
    assert "in-vain" not in buckets, buckets


def refuse_in(user, method, status):
    user.front.refuse = lambda service, action, request, body: (
        (status, b"") if (service, request.command) == ("s3", method) else None)


def permissions(function):
    found = client("lambda").get_policy(FunctionName=function, Qualifier="live")
    return json.loads(found["Policy"])["Statement"]


def take_permission(function):
    for statement in permissions(function):
        if statement["Action"] == "lambda:InvokeFunctionUrl":
            client("lambda").remove_permission(
                FunctionName=function, Qualifier="live", StatementId=statement["Sid"])


def at_url(url, status):
    host = urllib.parse.urlsplit(url).hostname
    return lambda service, action, request, body: (
        (status, b"{}", [("Content-Type", "application/json")])
        if request.headers.get("Host", "").startswith(host) else None)


def seen_after(user, name):
    """What somebody has broken in AWS's console is told, with what to do."""
    outputs = {o["OutputKey"]: o["OutputValue"] for o in client("cloudformation")
               .describe_stacks(StackName=name)["Stacks"][0]["Outputs"]}
    callback = f"{name}-callback"
    sees = lambda words, **more: user.fails(words, "./deploy", "--stack", name, **more)
    sees("isn't the one that the receiver", AGORA_SECRET="another")
    sees("It can't be reached from here", https_proxy="http://127.0.0.1:1")

    functions, scheduler = client("lambda"), client("scheduler")
    (schedule,) = [s["Name"] for s in scheduler.list_schedules()["Schedules"]
                   if s["Name"].startswith(f"{name}-")]
    kept = scheduler.get_schedule(Name=schedule)
    kept = {k: kept[k] for k in ["Name", "FlexibleTimeWindow", "ScheduleExpression", "Target"]}
    scheduler.update_schedule(**kept, State="DISABLED")
    sees(f"The schedule {schedule} is off")
    scheduler.update_schedule(**kept, State="ENABLED")

    for function, output, words in [
        (callback, "CallbackUrl", "answers the console's Check with 403 instead of 200"),
        (f"{name}-viewer", "ViewerUrl", "with 403: the links in alerts open nothing"),
    ]:
        take_permission(function)
        user.front.refuse = at_url(outputs[output], 403)
        said = sees(words)
        command = re.search(r"    (aws lambda add-permission .*\\\n.*)", said).group(1)
        assert function in command, command
        user.does("sh", "-c", f"AWS_DEFAULT_REGION={REGION} {command}")
        assert len(permissions(function)) == 2, permissions(function)
    user.front.refuse = at_url(outputs["CallbackUrl"], 429)
    functions.put_function_concurrency(FunctionName=callback, ReservedConcurrentExecutions=0)
    sees(f"delete-function-concurrency --function-name {callback}")
    functions.delete_function_concurrency(FunctionName=callback)
    user.front.refuse = lambda service, action, request, body: (
        (200, b'{"logGroups": []}') if action == "DescribeLogGroups" else None)
    sees(f"create-log-group --log-group-name /aws/lambda/{callback}")
    user.front.refuse = lambda *_: None
    user.does("./deploy", "--stack", name)

    client("dynamodb").update_time_to_live(
        TableName=outputs["TableName"],
        TimeToLiveSpecification={"AttributeName": "expires_at", "Enabled": False})
    sees("its expiry is off")
    client("dynamodb").update_time_to_live(
        TableName=outputs["TableName"],
        TimeToLiveSpecification={"AttributeName": "expires_at", "Enabled": True})

    topic = outputs["AlertTopicArn"]
    user.front.has_clicked = True
    said = user.does("./deploy", "--stack", name)
    command = re.search(r"    (aws sns subscribe --topic-arn .*\\\n.*)", said).group(1)
    user.does("sh", "-c", f"AWS_DEFAULT_REGION={REGION} {command}")
    assert "Nobody listens to AlertTopic" not in user.does("./deploy", "--stack", name)
    client("sns").delete_topic(TopicArn=topic)
    sees(f"aws sns create-topic --name {topic.rpartition(':')[2]}")
    client("sns").create_topic(Name=topic.rpartition(":")[2])

    user.does("./deploy", "--stack", name, "EventBus=bus-2")
    client("events").delete_event_bus(Name="bus-2")
    sees("There is no bus bus-2")
    client("events").create_event_bus(Name="bus-2")

    secrets = client("secretsmanager")
    secrets.delete_secret(SecretId=outputs["LinkSecretArn"])
    sees(f"restore-secret --secret-id {outputs['LinkSecretArn']}")
    secrets.restore_secret(SecretId=outputs["LinkSecretArn"])
    secrets.delete_secret(SecretId=outputs["SecretArn"], ForceDeleteWithoutRecovery=True)
    sees("There is no secret")
    user.does("./deploy", "--stack", name, "--yes", f"AgoraSecretArn={secret_arn(0)}")

    client("dynamodb").update_table(
        TableName=outputs["TableName"], DeletionProtectionEnabled=False)
    client("dynamodb").delete_table(TableName=outputs["TableName"])
    sees(f"There is no table {outputs['TableName']}")
    user.does("./deploy", "--stack", name, "--yes", "ExistingTable=restored-0")
    print("what was broken by hand is told, with what to do")


def a_wait_that_ends_early(user, name):
    """AWS can't be reached any more once it has begun: that is told, and the next run does the
    rest."""
    begun = []

    def is_cut_off(service, action, request, body):
        begun.extend([action] if action == "ExecuteChangeSet" else [])
        return (500, b"") if begun and action == "DescribeStacks" else None

    user.front.refuse = is_cut_off
    before = versions(name)
    user.fails("run ./deploy\nagain: it does the rest.", "./deploy", "--stack", name,
               "LogLevel=WARN", AWS_MAX_ATTEMPTS="1")
    user.front.refuse = lambda *_: None
    describe = lambda: client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    wait_for("change", 60, lambda: describe()[0]["StackStatus"] == "UPDATE_COMPLETE")
    assert all(version != before[f] for f, version in versions(name).items()), before
    user.does("./deploy", "--stack", name)
    user.does("./rollback", "--stack", name)
    assert versions(name) == before, (before, versions(name))
    user.does("./deploy", "--stack", name)
    print("a wait that ends early takes nothing away")


def an_answer_lost(front, asked):
    """AWS does what it is asked for, but its first answer doesn't arrive, so that the AWS CLI asks
    again."""
    lost = []

    def lose(service, action, request, body):
        if action != asked or lost:
            return None
        lost.append(action)
        emulator = http.client.HTTPConnection(front.emulator, timeout=120)
        emulator.request(request.command, request.path, body, dict(request.headers))
        emulator.getresponse().read()
        return 500, b""

    return lose


def a_first_that_fails(user):
    """It leaves nothing that stops the second."""
    tables = set(client("dynamodb").list_tables()["TableNames"])
    user.takes(that_fails())
    first = ["./deploy", "--stack", "second", "AlertEmail="]
    said = user.fails("It failed and was undone", *first, AGORA_SECRET=SECRET)
    assert "Nothing is left of it." in said, said
    assert set(client("dynamodb").list_tables()["TableNames"]) == tables
    has_begun = []

    def is_stuck(service, action, request, body):
        if action == "DeleteStack":
            has_begun.append(action)
            return 200, b"<DeleteStackResponse/>"
        return (200, STUCK) if has_begun and action == "DescribeStacks" else None

    user.front.refuse = is_stuck
    user.fails("can't be deleted", *first, AGORA_SECRET=SECRET)
    user.front.refuse = lambda *_: None
    user.takes(template())
    user.front.refuse = an_answer_lost(user.front, "CreateChangeSet")
    user.does(*first, AGORA_SECRET=SECRET)
    user.front.refuse = lambda *_: None
    print("after a first deployment that failed the second one works")


def by_hand(user, name):
    """Without a note of what was live it goes where it is told to, and nowhere else."""
    user.fails("nothing to go back to", "./rollback", "--stack", name)
    first = versions(name)
    user.does("./deploy", "--stack", name, "Deployment=again")
    now = versions(name)
    assert all(now[function] != first[function] for function in now), (first, now)
    client("s3").delete_object(Bucket=bucket(), Key=f"live/{name}.json")
    user.fails("./rollback --to", "./rollback", "--stack", name)
    user.fails("--to takes a version of each function", "./rollback", "--stack", name, "--to", "1")
    user.fails("isn't there any more", "./rollback", name, "--to", "999,999,999")
    back = ",".join(str(int(v) - 1) for v in now.values())
    user.does("./rollback", "--stack", name, "--region", REGION, "--to", back)
    assert ",".join(versions(name).values()) == back, (now, versions(name))
    user.does("./rollback", name, "--undo")
    assert versions(name) == now
    user.fails("There is no stack", "./rollback", "--stack", "no-such-stack")
    print("without a note ./rollback goes where it is told to")


def bucket():
    (name,) = [b["Name"] for b in client("s3").list_buckets()["Buckets"]]
    return name


def the_readme_s_rule(user, name):
    """Its commands make a rule that may call the function."""
    readme = (ROOT / "README.md").read_text()
    commands = re.search(r"```sh\n(BUS=.*?)```", readme, re.S).group(1)
    commands = commands.replace("BUS=agora-recording-callbacks ", "BUS=bus-0 ")
    function = live(name)["sweeper"]["FunctionArn"].rpartition(":")[0]
    user.does("sh", "-e", "-c", commands, AWS_DEFAULT_REGION=REGION, FUNCTION_ARN=function)
    found = client("events").list_targets_by_rule(Rule="files-ready", EventBusName="bus-0")
    assert [target["Arn"] for target in found["Targets"]] == [function], found
    policy = client("lambda").get_policy(FunctionName=function)["Policy"]
    assert "rule/bus-0/files-ready" in policy, policy
    print("the README's rule may call its function")


def the_watch_sees(user, name):
    """A check that can't fail is none: where the roles keep nothing, a rollback shows it."""
    planted = template()
    planted["Conditions"]["HasBefore"] = {"Fn::Equals": ["a", "b"]}
    user.takes(planted)
    user.does("./deploy", "--stack", name, "--yes", "ExistingTable=restored-0")
    with nothing_is_refused(name, planted=True):
        user.does("./rollback", "--stack", name)
    user.takes(template())
    print("the watch sees a version that lacks its table")


def in_a_terminal(user, name):
    """A stack of somebody else's, a table that would go, and a Region that doesn't exist."""
    at = lambda *command, **more: Terminal(command, user.folder, {**user.environment, **more})
    topic = {"Resources": {"TheirTopic": {"Type": "AWS::SNS::Topic"}}}
    client("cloudformation").create_stack(StackName="shop", TemplateBody=json.dumps(topic))
    theirs = client("cloudformation").describe_stack_resources(StackName="shop")
    terminal = at("./deploy", "--stack", "shop", AGORA_SECRET=SECRET)
    assert terminal.end() == 1 and "The stack shop isn't this receiver's" in terminal.said
    assert theirs["StackResources"] == client("cloudformation").describe_stack_resources(
        StackName="shop")["StackResources"]

    table = live(name)["callback"]["Environment"]["Variables"]["TABLE_NAME"]
    user.front.lost = [("Table", "AWS::DynamoDB::Table", "Retain")]
    for answer, status in [("no", 1), ("yes", 0)]:
        before = versions(name)
        terminal = at("./deploy", "--stack", name, "ExistingTable=restored-1")
        terminal.expect("Table (AWS::DynamoDB::Table) is removed, which is kept")
        terminal.expect("Type yes to go on: ")
        terminal.type(answer)
        assert terminal.end() == status, terminal.said
        assert (versions(name) == before) == (answer == "no")
    user.front.lost = []
    assert table in client("dynamodb").list_tables()["TableNames"]
    user.does("./rollback", "--stack", name)
    user.does("./deploy", "--stack", name, "ExistingTable=")

    nowhere = {key: value for key, value in user.environment.items()
               if key not in ["AWS_ENDPOINT_URL", "https_proxy", "AWS_REGION"]}
    for region, environment, words in [
        ("eu-central-9", nowhere, "which your answer names: is it spelt right?"),
        (REGION, {**nowhere, **user.front.environment()}, f"Stack {name} in {REGION}"),
    ]:
        assert not (user.folder / ".deploy.json").exists()
        terminal = Terminal(["./deploy", "--stack", name], user.folder, environment)
        terminal.expect("Region: ")
        terminal.type(region)
        terminal.expect(words)
        terminal.end()
    assert json.loads((user.folder / ".deploy.json").read_text()) == {"region": REGION}
    print("in a terminal: another's stack is left alone, a table asked for, a Region not kept")


def faults(user, name="faults"):
    user.does("./deploy", "--stack", name, "AlertEmail=", AGORA_SECRET=SECRET)
    refused_before(user, name)
    in_a_terminal(user, name)
    a_first_that_fails(user)
    seen_after(user, name)
    by_hand(user, "second")
    a_wait_that_ends_early(user, "second")
    the_readme_s_rule(user, "second")
    the_watch_sees(user, "second")


# ------------------------------------------------------------------------------------------ policy
def not_allowed(policy, asked):
    """What was asked for, and what CloudFormation asks for with the same credentials, that the
    policy of whoever deploys doesn't allow."""
    allowed = [action for s in policy["Statement"] for action in as_list(s["Action"])]
    for service, action in sorted(asked - {("", "")}):
        if not any(fnmatch.fnmatchcase(f"{service}:{action}", pattern) for pattern in allowed):
            yield f"{service}:{action}"
    for resource in stack.expand(stack.read())["Resources"].values():
        service = resource["Type"].split("::")[1].lower()
        if not any(re.match(rf"{service}:(\*|Create)", pattern) for pattern in allowed):
            yield resource["Type"]


def whoever_deploys_may(asked):
    policy = json.loads((ROOT / "docs/deployer-policy.json").read_text())
    assert not list(not_allowed(policy, asked)), list(not_allowed(policy, asked))
    for statement in policy["Statement"]:
        rest = [s for s in policy["Statement"] if s is not statement]
        assert list(not_allowed({"Statement": rest}, asked)), statement["Sid"]
    # AWS takes no longer one for a managed policy.
    assert len(json.dumps(policy, separators=(",", ":"))) <= 6_144
    print(f"whoever has docs/deployer-policy.json may do all {len(asked)} that was asked for")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parts = {"parameters": each_parameter, "faults": faults}
    parser.add_argument("parts", nargs="*", default=[*parts, "sequences"])
    parser.add_argument("--seeds", default=",".join(map(str, range(10))))
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    tasks = [(part, parts[part]) for part in arguments.parts if part in parts]
    if "sequences" in arguments.parts:
        tasks += [(f"sequences-{n}", lambda user, n=n: sequences(user, seeds[n::2]))
                  for n in range(2)]
    with tempfile.TemporaryDirectory() as folder, running():
        folder = Path(folder)
        make_surroundings()
        with cli.loaded(folder / "cli") as tools:
            # Most of the time each of them waits.
            with concurrent.futures.ThreadPoolExecutor(len(tasks)) as pool:
                done = [pool.submit(play, folder / name, tools, task) for name, task in tasks]
                concurrent.futures.wait(done, return_when=concurrent.futures.FIRST_EXCEPTION)
                failed = [one.exception() for one in done if one.done() and one.exception()]
                if failed:
                    raise failed[0]
                fronts = [one.result() for one in done]
        if "faults" in arguments.parts:
            whoever_deploys_may(set().union(*(front.asked for front in fronts)))


def play(folder, tools, task):
    """One part, by a user of its own."""
    folder.mkdir()
    began, front = time.monotonic(), Front(folder)
    front.has_clicked = True
    try:
        task(User(folder / "release", front, tools))
    except BaseException:
        # The others would go on for minutes.
        User.has_failed = True
        raise
    print(f"{folder.name}: {time.monotonic() - began:.0f} s", flush=True)
    return front


if __name__ == "__main__":
    main()
