"""What `deploy` and `rollback` share: how AWS is asked, which version of each function is live and
what it uses, the note of what was live before, and what can be wrong with all that.

It needs Python 3.8 or newer and the AWS CLI.
"""

import argparse
import collections
import concurrent.futures
import hashlib
import hmac
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

NAME = "agora-recording-callbacks"
# Where a Region is noted that had to be asked for.
ANSWERS = Path(__file__).resolve().parent / ".deploy.json"
# In the order of `./rollback --to 5,6,5`.
FUNCTIONS = ["callback", "sweeper", "viewer"]
ALIAS = "live"
# What the console sends when its button Check is pressed.
CHECK = b'{"payload": {"cname": "test_webhook"}}'
# What everybody may do with the address, and the option of `aws lambda add-permission` for it.
URL_PERMISSIONS = {
    "lambda:InvokeFunctionUrl": "--function-url-auth-type NONE",
    "lambda:InvokeFunction": "--invoked-via-function-url",
}
NO_CLI = "The AWS CLI isn't installed: https://aws.amazon.com/cli"


class Failed(Exception):
    """What the user has to know, in words."""


def say(text=""):
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Whoever reads, such as `head`, has enough. What was begun goes on.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parser_of(doc):
    """A parser of the options that both commands have."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--stack", default=NAME, help=f"the stack's name ({NAME})")
    parser.add_argument("--region", help="the Region, if it isn't the one of your environment")
    return parser


def aws(*arguments, stdin=None):
    """What a command of the AWS CLI answers."""
    command = ["aws", *arguments, "--output", "json"]
    try:
        done = subprocess.run(command, input=stdin or "", capture_output=True, text=True)
    except FileNotFoundError:
        raise Failed(NO_CLI) from None
    if done.returncode:
        raise Failed(done.stderr.strip())
    return json.loads(done.stdout) if done.stdout.strip() else {}


def unless(said, *arguments, stdin=None):
    """The same, or nothing where AWS says this, such as that something isn't there."""
    try:
        return aws(*arguments, stdin=stdin)
    except Failed as failed:
        if said in str(failed):
            return None
        raise


def together(ask, *lists):
    """One question about several things at once: each command of the AWS CLI takes a second."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return list(pool.map(ask, *lists))


# ------------------------------------------------------------------------------------------- where
class Place(collections.namedtuple("Place", ["partition", "region", "account"])):
    """An account in a Region."""

    def arn(self, service, resource):
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"


def find_region(given):
    """The Region and where it was found; nothing where none is set."""
    noted = region_noted, str(ANSWERS)
    of_profile = region_of_profile, "the profile of the AWS CLI"
    sources = [
        (lambda: given, "--region"),
        (lambda: os.environ.get("AWS_REGION"), "the variable AWS_REGION"),
        (lambda: os.environ.get("AWS_DEFAULT_REGION"), "the variable AWS_DEFAULT_REGION"),
        # A profile that is named is meant.
        *([of_profile, noted] if "AWS_PROFILE" in os.environ else [noted, of_profile]),
    ]
    for find, where in sources:
        region = find()
        if region:
            return region, where
    return None


def region_noted():
    return json.loads(ANSWERS.read_text())["region"] if ANSWERS.exists() else None


def region_of_profile():
    try:
        command = ["aws", "configure", "get", "region"]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        raise Failed(NO_CLI) from None


def sign_in(region, where):
    """Asks AWS whose credentials these are. From here on every command goes to this Region."""
    os.environ.update(AWS_REGION=region, AWS_DEFAULT_REGION=region, AWS_PAGER="")
    try:
        caller = aws("sts", "get-caller-identity")
    except Failed as failed:
        if "endpoint URL" in str(failed) or "Invalid endpoint" in str(failed):
            raise Failed(f"AWS can't be reached in the Region {region}, which {where} names: is it "
                         f"spelt right?\nName another one with --region.\n{failed}") from None
        if "security token" in str(failed):
            raise Failed(f"{failed}\nYour credentials aren't valid in {region}, which {where} "
                         "names: have they expired, or is the\nRegion not switched on for your "
                         "account?") from None
        raise
    return Place(caller["Arn"].split(":")[1], region, caller["Account"])


# ------------------------------------------------------------------------------------------- stack
def find_stack(name):
    """The stack as it is, or nothing."""
    found = unless("does not exist", "cloudformation", "describe-stacks", "--stack-name", name)
    stack = found["Stacks"][0] if found else None
    return None if stack and stack["StackStatus"] == "REVIEW_IN_PROGRESS" else stack


def refuse_while_it_changes(stack):
    name, state = stack["StackName"], stack["StackStatus"]
    if not state.endswith("_IN_PROGRESS"):
        return
    stop = f", or stop it:\n    aws cloudformation cancel-update-stack --stack-name {name}"
    raise Failed(f"{name} is being changed just now ({state}). Wait until that is over"
                 f"{stop if state == 'UPDATE_IN_PROGRESS' else '.'}")


def parameters_of(stack):
    return {p["ParameterKey"]: p["ParameterValue"] for p in stack.get("Parameters", [])}


def outputs_of(stack):
    return {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}


def resources_of(name):
    listed = aws("cloudformation", "describe-stack-resources", "--stack-name", name)
    return listed["StackResources"]


def template_of(stack):
    """The template that the stack was made from."""
    return aws("cloudformation", "get-template", "--stack-name", stack["StackName"],
               "--template-stage", "Original")["TemplateBody"]


def bucket_of(template):
    """The bucket that has the code of a stack; the note of what was live is there, too."""
    found = re.search(r'CodeUri"?: "?s3://([a-z0-9.-]+)/', json.dumps(template))
    return found.group(1) if found else None


# --------------------------------------------------------------------------- what is live, and was
def functions_at(name, qualifiers):
    """Each function's configuration at a version or alias; nothing for what isn't there."""
    def find(function, qualifier):
        return unless("ResourceNotFound", "lambda", "get-function-configuration",
                      "--function-name", f"{name}-{function}", "--qualifier", qualifier)

    found = together(find, *zip(*qualifiers.items()))
    return {function: there for function, there in zip(qualifiers, found) if there}


def live_functions(name):
    return functions_at(name, {function: ALIAS for function in FUNCTIONS})


def versions_of(functions):
    return {function: there["Version"] for function, there in functions.items()}


def variables_of(function):
    return function.get("Environment", {}).get("Variables", {})


def used_by(function, place):
    """The ARNs of the table with its indexes, the secrets and the bus that a version uses."""
    variables = variables_of(function)
    table = place.arn("dynamodb", "table/" + variables["TABLE_NAME"])
    used = {table, f"{table}/index/watch", f"{table}/index/channel"}
    for secret in filter(None, map(variables.get, ["AGORA_SECRET_ID", "LINK_SECRET_ID"])):
        # A name has six more characters in its ARN.
        is_arn = secret.startswith("arn:")
        used.add(secret if is_arn else place.arn("secretsmanager", f"secret:{secret}-??????"))
    bus = variables.get("EVENT_BUS_NAME")
    return used | ({place.arn("events", f"event-bus/{bus}")} if bus else set())


def move(name, before, versions):
    """Makes these versions live instead of those before, all of them or none."""
    moved = {}
    for function, version in versions.items():
        if before.get(function) == version:
            continue
        try:
            point_alias(name, function, version)
        except Failed as failed:
            for other, back in moved.items():
                point_alias(name, other, back)
            raise Failed(f"{failed}\n{name}-{function} stays at version {before.get(function)}, "
                         "and so do the others.") from None
        moved[function] = before[function]
    for function, back in moved.items():
        say(f"{name}-{function}: version {back} -> {versions[function]}")


def point_alias(name, function, version):
    aws("lambda", "update-alias", "--function-name", f"{name}-{function}", "--name", ALIAS,
        "--function-version", version)


def words(versions):
    """Versions as `--to` takes them."""
    return ",".join(versions[function] for function in FUNCTIONS if function in versions)


class Note:
    """What was live before: the object `live/<stack>.json` in the deployment's bucket.

    `before` has what was live before each deployment, newest last; `rollback`, only since one and
    until the next deployment, what was live before it (`from`) and what it makes live (`to`).
    """

    def __init__(self, bucket, name, account):
        self.object = ["--bucket", bucket, "--key", f"live/{name}.json",
                       "--expected-bucket-owner", account]

    def read(self):
        """Nothing where there is none: nobody has deployed with `./deploy`."""
        with tempfile.NamedTemporaryFile() as file:
            found = unless("NoSuchKey", "s3api", "get-object", *self.object, file.name)
            return json.loads(Path(file.name).read_text()) if found else None

    def write(self, contents):
        with tempfile.NamedTemporaryFile() as file:
            file.write(json.dumps(contents).encode())
            file.flush()
            aws("s3api", "put-object", *self.object, "--body", file.name)


# ---------------------------------------------------------------------------------- what it needs
# As template.yaml makes the table.
KEYS = [("sid", "S"), ("item", "S")]
INDEXES = {
    "watch": [("watch_shard", "S"), ("watch_at", "N")],
    "channel": [("cname", "S"), ("first_sendts", "N")],
}
SHAPES = 'a text, {"secret": "..."} or {"secrets": ["..."]}'


def faults_of(functions):
    """What is wrong with the tables, secrets and buses that these use, and what to do."""
    looks = {"TABLE_NAME": fault_of_table, "AGORA_SECRET_ID": fault_of_secret,
             "LINK_SECRET_ID": fault_of_secret, "EVENT_BUS_NAME": fault_of_bus}
    used = {(name, variables_of(function).get(name)) for function in functions for name in looks}
    used = sorted(use for use in used if use[1])
    return [fault for fault in together(lambda use: looks[use[0]](use[1]), used) if fault]


def fault_of_table(name):
    found = unless("ResourceNotFound", "dynamodb", "describe-table", "--table-name", name)
    if not found:
        return (f"There is no table {name}. Those that are there: aws dynamodb list-tables\n"
                "To restore one: docs/operations.md#restore-the-table")
    table = found["Table"]
    if table["TableStatus"] not in ["ACTIVE", "UPDATING"]:
        return (f"The table {name} can't be used yet ({table['TableStatus']}). Wait for it:\n"
                f"    aws dynamodb wait table-exists --table-name {name}")
    types = {a["AttributeName"]: a["AttributeType"] for a in table["AttributeDefinitions"]}
    keys = lambda of: [(k["AttributeName"], types[k["AttributeName"]]) for k in of["KeySchema"]]
    show = lambda keys: ", ".join(f"{name} {kind}" for name, kind in keys)
    if keys(table) != KEYS:
        return (f"The table {name} has the keys {show(keys(table))} instead of {show(KEYS)}: it is "
                "another program's.\nGive the name of a table of this receiver's.")
    indexes = {i["IndexName"]: keys(i) for i in table.get("GlobalSecondaryIndexes", [])}
    for index, wanted in INDEXES.items():
        if indexes.get(index) != wanted:
            return (f"The table {name} has no index {index} by {show(wanted)}: a restore can leave "
                    "indexes out.\nRestore it with all of them, or add it: "
                    "docs/other-ways.md#table-and-indexes")
    return None


def fault_of_secret(secret):
    found = unless("ResourceNotFound", "secretsmanager", "describe-secret", "--secret-id", secret)
    if not found:
        return (f"There is no secret {secret}.\n"
                "Those that are there: aws secretsmanager list-secrets")
    if found.get("DeletedDate"):
        return (f"The secret {secret} is being deleted. To keep it:\n"
                f"    aws secretsmanager restore-secret --secret-id {secret}")
    return None


def fault_of_bus(name):
    if unless("ResourceNotFound", "events", "describe-event-bus", "--name", name):
        return None
    return f"There is no bus {name}. Those that are there: aws events list-event-buses"


# ------------------------------------------------------------------------------------ trying it out
def asked(url, body=None, headers={}):
    """The status of an answer, and its type; or why there is none."""
    method = "POST" if body else "HEAD"
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers.get_content_type()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get_content_type()
    except (OSError, http.client.HTTPException) as error:
        return str(error), None


def try_out(url, name, secret, takes_unsigned, seconds):
    """Sends what the console's Check sends; signed, too, where the secret is known. Yields what is
    wrong."""
    kinds = {"the console's Check": {}} if takes_unsigned else {}
    if secret:
        signature = hmac.new(secret.encode(), CHECK, hashlib.sha256).hexdigest()
        kinds["a Check signed with your secret"] = {"Agora-Signature-V2": signature}
    for what, headers in kinds.items():
        headers = {"Content-Type": "application/json", **headers}
        deadline = time.monotonic() + seconds
        while True:
            status, _ = asked(url, CHECK, headers)
            if status == 200 or time.monotonic() > deadline:
                break
            time.sleep(3)
        if status != 200:
            why = cause(f"{name}-callback", status)
            yield f"{url}\nanswers {what} with {status} instead of 200. {why}"
            return
        say(f"{url} answers {what}: 200")


def fault_of_viewer(function, url):
    """The viewer answers a visitor without a link with a page. AWS, where it refuses, answers with
    JSON."""
    status, kind = asked(url) if url else (None, None)
    # Where nothing answers, the network here is the cause. `try_out` has already said so.
    if kind and kind != "text/html":
        yield (f"{url}\nanswers with {status}: the links in alerts open nothing. "
               f"{cause(function, status)}")


def cause(function, status):
    """Why the function's address answers so, as far as AWS tells."""
    if isinstance(status, str):
        return ("It can't be reached from here, by\nAgora perhaps it can: a proxy or a firewall of "
                "yours may be in between. AWS CloudShell has none: ./deploy there.")
    if status == 401:
        return ("The secret isn't the one that the receiver\nhas. If yours is right: "
                "./deploy --secret")
    if status == 403:
        this = ["--function-name", function, "--qualifier", ALIAS]
        policy = unless("ResourceNotFound", "lambda", "get-policy", *this)
        statements = json.loads(policy["Policy"])["Statement"] if policy else []
        missing = set(URL_PERMISSIONS) - {s["Action"] for s in statements}
        commands = [f"    aws lambda add-permission {' '.join(this)} --principal '*' \\\n"
                    f"      --statement-id {action.split(':')[1]} --action {action} "
                    f"{URL_PERMISSIONS[action]}" for action in sorted(missing)]
        return ("Somebody has taken away its permission:\n" + "\n".join(commands) if missing else
                "Its permissions are there: a policy\nof your organization's may forbid public "
                "function URLs.")
    if status == 429:
        found = aws("lambda", "get-function-concurrency", "--function-name", function)
        return ("Its concurrency is set to 0:\n    aws lambda delete-function-concurrency "
                f"--function-name {function}" if found.get("ReservedConcurrentExecutions") == 0 else
                "Too many requests at once, in the\naccount or for the function: "
                "docs/operations.md#callbackthrottles")
    return f"Its log says why:\n    aws logs tail /aws/lambda/{function} --since 10m"


def examine(name, live, outputs):
    """What is wrong with what is deployed, as far as AWS and one run of the sweeper tell."""
    looks = [
        lambda: faults_of(live.values()), lambda: fault_of_expiry(outputs["TableName"]),
        lambda: fault_of_schedule(name), lambda: fault_of_logs(name, live),
        lambda: fault_of_sweeper(f"{name}-sweeper"),
        lambda: fault_of_viewer(f"{name}-viewer", outputs.get("ViewerUrl")),
    ]
    return [fault for faults in together(lambda look: look(), looks) for fault in faults]


def fault_of_expiry(table):
    this = ["--table-name", table]
    expiry = unless("ResourceNotFound", "dynamodb", "describe-time-to-live", *this)
    told = (expiry or {}).get("TimeToLiveDescription", {})
    is_on = told.get("TimeToLiveStatus") in ["ENABLED", "ENABLING"]
    if expiry and (not is_on or told["AttributeName"] != "expires_at"):
        yield (f"The table {table} keeps everything for ever: its expiry is off.\n"
               f"    aws dynamodb update-time-to-live {' '.join(this)} \\\n"
               "      --time-to-live-specification Enabled=true,AttributeName=expires_at")


def fault_of_schedule(name):
    (schedule,) = [r["PhysicalResourceId"] for r in resources_of(name)
                   if r["ResourceType"] == "AWS::Scheduler::Schedule"]
    found = unless("ResourceNotFound", "scheduler", "get-schedule", "--name", schedule)
    if not found or found["State"] != "ENABLED":
        yield (f"The schedule {schedule} is {'off' if found else 'gone'}: nobody watches the "
               "recordings.\nSwitch it on in AWS's console, under Amazon EventBridge > Scheduler > "
               "Schedules.")


def fault_of_logs(name, live):
    prefix = f"/aws/lambda/{name}-"
    listed = aws("logs", "describe-log-groups", "--log-group-name-prefix", prefix)["logGroups"]
    groups = {group["logGroupName"] for group in listed}
    for group in sorted({prefix + function for function in live} - groups):
        yield (f"The log group {group} is gone, and with it the metrics that alarms go by:\n"
               f"    aws logs create-log-group --log-group-name {group}")


def fault_of_sweeper(function):
    """Lets the sweeper run once, as it does every minute: it needs table, index and role."""
    with tempfile.NamedTemporaryFile() as file:
        try:
            told = aws("lambda", "invoke", "--function-name", function, "--qualifier", ALIAS,
                       file.name)
        except Failed as failed:
            yield f"The sweeper can't be run: {failed}"
            return
        answer = Path(file.name).read_text()
    is_well = "FunctionError" not in told and json.loads(answer).get("errors") == 0
    if not is_well:
        yield (f"A run of the sweeper failed: {answer.strip()}\n"
               f"    aws logs tail /aws/lambda/{function} --since 10m")
