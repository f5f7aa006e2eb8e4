"""Expands template.yaml as AWS SAM does, and asserts what has to be true of it.

Each check has a fault beside it. First every check is run on the template as it is, then every
fault is planted in a copy, and the check has to fail: a check that can't fail is none.

    python tests/deploy/check_template.py target/tmp/permissions.json

The argument is what `cargo test` has recorded of the requests that the programs make.
"""

import copy
import itertools
import json
import logging
import re
import sys
from pathlib import Path

from samtranslator.model.exceptions import InvalidDocumentException

import draw_resources
import stack
from stack import NAMESPACE, ROOT, alarm_metrics, as_list, expand, of_type, plain

# Metrics that somebody has to be woken for.
ALARMING = {
    "AlertsFailed", "AlertsUnwritten", "ClockAhead", "Cut", "NotStored", "NoticesDeferred",
    "NoticesFailed", "OldestPendingAlert", "Quarantined",
    "SignatureInvalid", "Stale", "Stored", "Subscribers", "SweepLag", "Sweeps", "TableErrors",
    "UnreadableItems",
}
# Set by Lambda itself, not by the template; or for local use.
NOT_SET = {
    "AWS_LAMBDA_LOG_LEVEL", "AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_FUNCTION_NAME", "AGORA_SECRET",
}
# Asked for by AWS's services under a role, or by people, so no request of the programs shows them.
NOT_RECORDED = {
    "logs:CreateLogStream on log group", "logs:PutLogEvents on log group",
    "sqs:SendMessage on dead letters", "kms:Decrypt on topic key",
    "kms:GenerateDataKey* on topic key", "lambda:GetFunctionConfiguration on receiver",
    *(f"sqs:{action} on {queue}" for action in ["ReceiveMessage", "DeleteMessage", "PurgeQueue"]
      for queue in ["undelivered alerts", "undelivered notices", "dead letters"]),
}
# AWS's own words for what a publisher needs.
STAR_THAT_MAY_BE = "kms:GenerateDataKey*"


def policies(template):
    """Every policy document of the template, by the name of its resource."""
    for name, role in of_type(template, "AWS::IAM::Role").items():
        yield name, role["Properties"]["AssumeRolePolicyDocument"], False
        for policy in role["Properties"]["Policies"]:
            yield name, policy["PolicyDocument"], True
    for name, policy in of_type(template, "AWS::IAM::ManagedPolicy").items():
        yield name, policy["Properties"]["PolicyDocument"], True


def statements(document):
    """The statements of a policy, those on a condition included."""
    for statement in document["Statement"]:
        yield statement["Fn::If"][1] if "Fn::If" in statement else statement


def url_permissions(t):
    permissions = [p["Properties"] for p in of_type(t, "AWS::Lambda::Permission").values()]
    urls = of_type(t, "AWS::Lambda::Url")
    assert sorted(urls) == ["CallbackFunctionUrl", "ViewerFunctionUrl"], urls
    for name in ["CallbackFunction", "ViewerFunction"]:
        alias = {"Ref": f"{name}Aliaslive"}
        given = [p for p in permissions if p["FunctionName"] == alias and p["Principal"] == "*"]
        actions = sorted(p["Action"] for p in given)
        assert actions == ["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"], actions
        for p in given:
            if p["Action"] == "lambda:InvokeFunctionUrl":
                assert p["FunctionUrlAuthType"] == "NONE"
            else:
                assert p["InvokedViaFunctionUrl"] is True
        url = urls[f"{name}Url"]["Properties"]
        assert url["AuthType"] == "NONE"
        # Another target would be another address: the console's, or that of links on their way.
        assert url["TargetFunctionArn"] == alias


def viewer_only_reads(t):
    """It can be left out whole; where it is, it may read, and its key is made and kept here."""
    resources = {n: r for n, r in t["Resources"].items() if n.startswith(("Viewer", "Link"))}
    assert resources
    for name, resource in resources.items():
        condition = resource.get("Condition")
        assert condition in ["HasViewer", "WantsViewer"] or "Version" in name, (name, condition)
    assert t["Parameters"]["Viewer"]["Default"] == "true"
    (policy,) = t["Resources"]["ViewerRole"]["Properties"]["Policies"]
    actions = {a for s in statements(policy["PolicyDocument"]) for a in as_list(s["Action"])}
    of_table = {action for action in actions if action.startswith("dynamodb:")}
    assert of_table == {"dynamodb:Query", "dynamodb:BatchGetItem"}, of_table
    key = t["Resources"]["LinkSecret"]["Properties"]
    assert key["GenerateSecretString"]["PasswordLength"] >= 43 and "SecretString" not in key
    # Whatever would stand at its beginning, it has to be read as it is.
    assert key["GenerateSecretString"]["ExcludePunctuation"] is True
    readers = [name for name, document, _ in policies(t)
               if any(s.get("Resource") == {"Ref": "LinkSecret"} for s in statements(document))]
    whose = ["CallbackRole", "OperatorPolicy", "SweeperRole", "ViewerRole"]
    assert sorted(readers) == whose, readers
    for function in ["CallbackFunction", "SweeperFunction"]:
        variables = t["Resources"][function]["Properties"]["Environment"]["Variables"]
        address = {"Fn::GetAtt": ["ViewerFunctionUrl", "FunctionUrl"]}
        assert variables["VIEWER_URL"] == {"Fn::If": ["HasViewer", address, ""]}, function


def no_star(t):
    for name, document, _ in policies(t):
        for statement in statements(document):
            actions = set(as_list(statement["Action"])) - {STAR_THAT_MAY_BE}
            text = json.dumps([sorted(actions), statement.get("Resource")])
            assert "*" not in text, (name, text)


def roles(t):
    functions = of_type(t, "AWS::Lambda::Function")
    for name in ["Callback", "Sweeper", "Viewer"]:
        role = functions[f"{name}Function"]["Properties"]["Role"]
        assert role == {"Fn::GetAtt": [f"{name}Role", "Arn"]}, role


def table_is_kept(t):
    (table,) = of_type(t, "AWS::DynamoDB::Table").values()
    assert table["DeletionPolicy"] == "Retain" and table["UpdateReplacePolicy"] == "Retain"
    properties = table["Properties"]
    assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    protection = properties["DeletionProtectionEnabled"]
    assert protection in [{"Ref": "DeletionProtection"}, "true"], protection


def table_is_the_one_of_the_tests(t):
    """The same keys, indexes and expiry as in the tests' engines and the local receiver."""
    (table,) = of_type(t, "AWS::DynamoDB::Table").values()
    p = copy.deepcopy(table["Properties"])
    # An index takes a share of each write, so a cap without it is none.
    for index in p["GlobalSecondaryIndexes"]:
        assert index.pop("OnDemandThroughput") == p["OnDemandThroughput"], index["IndexName"]
    for name, value in json.loads((ROOT / "testkit/src/table.json").read_text()).items():
        assert p[name] == value, name


# Nothing at all is the trouble here.
SILENCE = {"NothingStoredAlarm", "SweeperStoppedAlarm"}


def alarms_act(t):
    alarms = of_type(t, "AWS::CloudWatch::Alarm")
    runbook = (ROOT / "docs/operations.md").read_text()
    anchors = {h.lower().replace(" ", "-") for h in re.findall(r"^#+ (.+)$", runbook, re.M)}
    for name, alarm in alarms.items():
        p = alarm["Properties"]
        # Where no alert can be written down, only this wakes those whom alerts would.
        wakes = ["OpsTopic"] + ["CriticalTopic"] * (name == "AlertsUnwrittenAlarm")
        assert p["AlarmActions"] == [{"Ref": topic} for topic in wakes], name
        assert p["OKActions"] == [{"Ref": "OpsTopic"}], name
        silent = "breaching" if name in SILENCE else "notBreaching"
        assert p["TreatMissingData"] == silent, name
        # The description is what the mail shows.
        page, _, anchor = p["AlarmDescription"].rpartition(" ")[2].partition("#")
        assert page == "docs/operations.md" and anchor in anchors, (name, anchor)
        # A queue that is looked at late keeps its depth, and then sends no second mail.
        depths = [key for _, key, _, _ in alarm_metrics(alarm) if key[1].startswith("Approximate")]
        assert not depths, name


def emitted():
    code = (ROOT / "src/log.rs").read_text()
    block = re.search(r"pub enum Metric \{(.*?)^    \}", code, re.S | re.M).group(1)
    return set(re.findall(r'= "(\w+)"', block))


def dashboard_metrics(t):
    for widget in stack.widgets(t):
        for metric in widget["properties"].get("metrics", []):
            words = [word for word in metric if isinstance(word, str)]
            if words:
                yield (*words[:2], *words[3::2])


def alarms_metrics(t):
    for alarm in of_type(t, "AWS::CloudWatch::Alarm").values():
        for _, key, _, _ in alarm_metrics(alarm):
            yield key


def function_metrics(t, alarms_only=False):
    """Our metrics that alarms (and the dashboard) name, as (metric, function)."""
    keys = set(alarms_metrics(t)) | (set() if alarms_only else set(dashboard_metrics(t)))
    return {(key[1], key[2]) for key in keys if key[0] == NAMESPACE}


def metrics_exist(t):
    named = function_metrics(t)
    unknown = {metric for metric, _ in named} - emitted()
    assert not unknown, f"no code emits {unknown}"
    functions = of_type(t, "AWS::Lambda::Function").values()
    functions = {plain(f["Properties"]["FunctionName"]) for f in functions}
    assert {function for _, function in named} <= functions, named
    doors = ["http", "schedule"]
    http, schedule = ((ROOT / f"src/lambda/{door}.rs").read_text() for door in doors)
    for metric, function in named:
        code = http if function.endswith("-callback") else schedule
        assert f"Metric::{metric}" in code, f"{metric} isn't a metric of {function}"


def metrics_are_used(t):
    unseen = emitted() - {metric for metric, _ in function_metrics(t)}
    assert not unseen, f"template.yaml: neither alarm nor dashboard shows {unseen}"
    silent = ALARMING - {metric for metric, _ in function_metrics(t, alarms_only=True)}
    assert not silent, f"no alarm on {silent}"


def indexes_are_seen(t):
    """CloudWatch counts an index's units and throttles apart from the table's."""
    (table,) = of_type(t, "AWS::DynamoDB::Table").values()
    indexes = [i["IndexName"] for i in table["Properties"]["GlobalSecondaryIndexes"]]
    shown, alarming = set(dashboard_metrics(t)), set(alarms_metrics(t))
    for metric in ["WriteThrottleEvents", "ReadThrottleEvents"]:
        for place in [("Table",), *(("Table", index) for index in indexes)]:
            assert ("AWS/DynamoDB", metric, *place) in alarming, (metric, place)
    for place in [("${Table}",), *(("${Table}", index) for index in indexes)]:
        for metric in ["WriteThrottleEvents", "ConsumedWriteCapacityUnits"]:
            assert ("AWS/DynamoDB", metric, *place) in shown, (metric, place)


def first_number(t):
    """The first thing on the dashboard is for how long nothing has come."""
    widget = next(w for w in stack.widgets(t) if w["type"] == "metric")
    assert widget["properties"]["view"] == "singleValue"
    assert widget["properties"]["title"] == "Minutes since the last callback"


def read_by_code():
    """The variables that each function reads."""
    code = (ROOT / "src/config.rs").read_text().split("#[cfg(test)]")[0]
    admission = code[code.index("impl Admission"):code.index("fn secrets(")]
    variables = lambda text: set(re.findall(r'\(\s*"([A-Z][A-Z0-9_]{4,})"', text)) - NOT_SET
    common = variables(code.replace(admission, ""))
    # The viewer has no topic: it reads what it names, by way of the functions that it calls.
    viewing = re.search(r"impl Viewing \{.*?^}", code, re.S | re.M).group(0)
    for called in re.findall(r"(?:variables\.|self\.)(\w+)\(", viewing):
        body = re.search(rf"    fn {called}\(.*?^    }}", code, re.S | re.M).group(0)
        viewing += body if called not in ["get", "required"] else ""
    names = lambda text: set(re.findall(r'"([A-Z][A-Z0-9_]{4,})"', text)) - NOT_SET
    return {
        "CallbackFunction": common | variables(admission), "SweeperFunction": common,
        "ViewerFunction": names(viewing) - {"DEBUG", "INFO", "WARN", "ERROR", "FATAL"},
    }


def variables_are_read(t):
    for name, read in read_by_code().items():
        given = set(t["Resources"][name]["Properties"]["Environment"]["Variables"])
        assert given == read, f"template.yaml, {name}, against src/config.rs: {given ^ read}"


def limits(t):
    functions = of_type(t, "AWS::Lambda::Function")
    for name, function in functions.items():
        p = function["Properties"]
        assert p["Runtime"] == "provided.al2023" and p["Handler"] == "bootstrap"
        assert p["Architectures"] == ["arm64"] or p["Architectures"] == [{"Ref": "Architecture"}]
        assert "LogGroup" in p["LoggingConfig"]
        # Lambda's own filter drops whole lines, metrics included; LOG_LEVEL is the one to turn.
        assert p["LoggingConfig"]["ApplicationLogLevel"] == "INFO", name
        assert p["Environment"]["Variables"]["LOG_LEVEL"] == {"Ref": "LogLevel"}, name
    assert functions["CallbackFunction"]["Properties"]["Timeout"] < 10
    assert functions["SweeperFunction"]["Properties"]["Timeout"] < 60
    assert functions["ViewerFunction"]["Properties"]["Timeout"] >= 10
    reserved = functions["ViewerFunction"]["Properties"]["ReservedConcurrentExecutions"]
    assert reserved["Fn::If"][2] == {"Ref": "AWS::NoValue"}
    assert t["Parameters"]["ViewerReservedConcurrency"]["Default"] == 0
    for name, prefix in [("CallbackFunction", ""), ("SweeperFunction", "Sweeper")]:
        p = functions[name]["Properties"]
        # A new account has nothing to reserve.
        assert p["ReservedConcurrentExecutions"]["Fn::If"][2] == {"Ref": "AWS::NoValue"}, name
        assert t["Parameters"][f"{prefix}ReservedConcurrency"]["Default"] == 0, name
        assert p["MemorySize"] == {"Ref": f"{prefix}MemorySize"}, name
    for name, group in of_type(t, "AWS::Logs::LogGroup").items():
        assert group["Properties"]["RetentionInDays"], name


def schedule(t):
    (schedule,) = of_type(t, "AWS::Scheduler::Schedule").values()
    p = schedule["Properties"]
    assert p["ScheduleExpression"] == "rate(1 minute)"
    assert p["Target"]["RetryPolicy"]["MaximumRetryAttempts"] > 0
    assert p["Target"]["DeadLetterConfig"]["Arn"] == {"Fn::GetAtt": ["DeadLetters", "Arn"]}
    sweeper = t["Resources"]["SweeperFunction"]["Properties"]["FunctionName"]["Fn::Sub"]
    _, made, elsewhere = p["Target"]["Arn"]["Fn::If"]
    assert made == {"Ref": "SweeperFunctionAliaslive"}
    arn, names = elsewhere["Fn::Sub"]
    assert arn.endswith(":function:${Name}") and names == {"Name": {"Fn::Sub": sweeper}}
    # A schedule without a function fills the queue of dead letters.
    assert p["State"] == {"Fn::If": ["FunctionsExist", "ENABLED", "DISABLED"]}
    role = t["Resources"]["ScheduleRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    (may,) = (s for s in role["Statement"] if s["Action"] == "lambda:InvokeFunction")
    invoked = [resource["Fn::Sub"][1]["Name"]["Fn::Sub"] for resource in may["Resource"]]
    assert invoked == [sweeper, f"{sweeper}:live"], invoked
    (invoke,) = of_type(t, "AWS::Lambda::EventInvokeConfig").values()
    assert invoke["Properties"]["Qualifier"] == "live"
    assert invoke["Properties"]["DestinationConfig"]["OnFailure"]["Destination"]


# Too long for a description: it says whether one is given, and `Deployment` does the rest.
NOT_DESCRIBED = {
    "AgoraSecretArn", "EventBus", "ExistingTable", "RecordingBucket", "RunbookUrl",
}


def versions_can_be_gone_back_to(t):
    """Whatever changes a function publishes a version of it, and the one before is kept."""
    longest = lambda p: max(
        [len(str(value)) for value in p.get("AllowedValues", [p.get("MaxValue", "")])]
        + [p.get("MaxLength", 0)]
    )
    for name, function in of_type(t, "AWS::Lambda::Function").items():
        ((_, version),) = (
            (n, r) for n, r in of_type(t, "AWS::Lambda::Version").items()
            if r["Properties"]["FunctionName"] == {"Ref": name}
        )
        assert version["DeletionPolicy"] == version["UpdateReplacePolicy"] == "Retain", name
        description = version["Properties"]["Description"]["Fn::Sub"]
        words = re.findall(r"\$\{(\w+)\}", as_list(description)[0])
        described = {word for word in words if word in t["Parameters"]}
        # What a version holds, and where a parameter can be in it.
        held = {k: v for k, v in function["Properties"].items()
                if k not in ["FunctionName", "ReservedConcurrentExecutions", "Role", "Tags"]}
        conditions = set(re.findall(r'"Fn::If": \["(\w+)"', json.dumps(held)))
        held = json.dumps([held, [t["Conditions"][condition] for condition in conditions]])
        holds = {p for p in t["Parameters"] if f'{{"Ref": "{p}"}}' in held} - NOT_DESCRIBED
        differs = described ^ (holds | {"Deployment"})
        assert not differs, f"template.yaml, VersionDescription of {name}: {differs}"
        # Lambda publishes no version of what hasn't changed.
        assert "${Deployment}" in function["Properties"]["Description"]["Fn::Sub"], name
        given = {
            word: {"Fn::If": [condition, "own", "ext"]} for word, condition in
            {"Secret": "MakesSecret", "Table": "MakesTable", "Bus": "MakesBus"}.items()
        }
        given["Bus"] = {"Fn::If": ["HasBus", given["Bus"], "nil"]}
        for word in set(words) - described:
            assert description[1][word] == given[word], name
        assert "Table" in words and ("Bus" in words) == (name != "ViewerFunction"), name
        assert ("Secret" in words) == (name == "CallbackFunction"), name
        # Lambda takes 256 characters.
        own = len("own")
        length = len(words) + sum(longest(t["Parameters"].get(word, {})) or own for word in words)
        assert length <= 256, (name, length)


def secrets_stay_secret(t):
    kept_by = {"AgoraSecret": "Secret", "PagerKey": "PagerConnection"}
    for parameter, keeper in kept_by.items():
        assert t["Parameters"][parameter]["NoEcho"] is True, parameter
        for name, resource in t["Resources"].items():
            if name != keeper:
                assert f'{{"Ref": "{parameter}"}}' not in json.dumps(resource), name
    # What is sent beside the header is shown to whoever may read the connection, unless it is so.
    auth = t["Resources"]["PagerConnection"]["Properties"]["AuthParameters"]
    (key,) = auth["InvocationHttpParameters"]["BodyParameters"]
    assert key["IsValueSecret"] is True


def alerts_are_delivered(t):
    """A pager that is down for an hour still gets its alert; what nobody takes is kept."""
    longest = 0
    for name, subscription in of_type(t, "AWS::SNS::Subscription").items():
        p = subscription["Properties"]
        if p["TopicArn"] != {"Ref": "OpsTopic"}:
            queue = {"Fn::GetAtt": ["UndeliveredAlerts", "Arn"]}
            assert p["RedrivePolicy"]["deadLetterTargetArn"] == queue, name
        if p["Protocol"] == "https":
            retry = p["DeliveryPolicy"]["healthyRetryPolicy"]
            short, long = retry["numMinDelayRetries"], retry["numMaxDelayRetries"]
            assert retry["numRetries"] == short + long <= 100
            longest = short * retry["minDelayTarget"] + long * retry["maxDelayTarget"]
            # SNS takes at most an hour.
            assert 3_500 <= longest <= 3_600, longest
    assert longest


def critical_alerts_have_a_topic(t):
    """What can't be delivered of either topic is kept."""
    topics = [{"Ref": "AlertTopic"}, {"Ref": "CriticalTopic"}]
    policy = t["Resources"]["UndeliveredAlertsPolicy"]["Properties"]["PolicyDocument"]
    (statement,) = policy["Statement"]
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": topics}}
    subscribed = [p["Properties"] for p in of_type(t, "AWS::SNS::Subscription").values()]
    for topic in topics:
        protocols = [p["Protocol"] for p in subscribed if p["TopicArn"] == topic]
        assert sorted(protocols) == ["email", "https"], (topic, protocols)


def topics_can_be_encrypted(t):
    """Whoever publishes to an encrypted topic may use its key."""
    key = {"Fn::GetAtt": ["TopicKey", "Arn"]}
    encrypted = {"Fn::If": ["HasTopicKey", key, {"Ref": "AWS::NoValue"}]}
    for name, topic in of_type(t, "AWS::SNS::Topic").items():
        assert topic["Properties"]["KmsMasterKeyId"] == encrypted, name
    may = {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey*"]}
    for name, document, _ in policies(t):
        publishes = any("sns:Publish" in as_list(s["Action"]) for s in statements(document))
        given = {"Fn::If": ["HasTopicKey", {**may, "Resource": key}, {"Ref": "AWS::NoValue"}]}
        assert (given in document["Statement"]) == publishes, name
    policy = t["Resources"]["TopicKey"]["Properties"]["KeyPolicy"]["Statement"]
    alarms = {**may, "Principal": {"Service": "cloudwatch.amazonaws.com"}, "Resource": "*"}
    assert alarms in policy
    assert t["Resources"]["TopicKey"]["Condition"] == "HasTopicKey"


def rule_matches(pattern, event):
    """Whether an event matches the part of EventBridge's patterns that the template uses."""
    if "$or" in pattern:
        rest = {name: value for name, value in pattern.items() if name != "$or"}
        return rule_matches(rest, event) and any(rule_matches(p, event) for p in pattern["$or"])
    for name, wanted in pattern.items():
        if name not in event:
            return False
        if isinstance(wanted, dict):
            if not rule_matches(wanted, event[name]):
                return False
            continue
        prefixes = [value["prefix"] for value in wanted if isinstance(value, dict)]
        is_prefixed = isinstance(event[name], str) and event[name].startswith(tuple(prefixes))
        if event[name] not in wanted and not (prefixes and is_prefixed):
            return False
    return True


def programs_are_told(t):
    """Where a bus is, what can't be delivered is kept; a pager gets what it can work with."""
    resources = t["Resources"]
    bus = resources["CallbackFunction"]["Properties"]["Environment"]["Variables"]["EVENT_BUS_NAME"]
    for name, rule in of_type(t, "AWS::Events::Rule").items():
        p = rule["Properties"]
        assert p["EventBusName"] == bus, name
        assert p["EventPattern"]["source"] == ["agora-recording-callbacks"], name
        for target in p["Targets"]:
            kept = {"Arn": {"Fn::GetAtt": ["UndeliveredNotices", "Arn"]}}
            assert target["DeadLetterConfig"] == kept, name
            assert target["RetryPolicy"]["MaximumEventAgeInSeconds"] == 86_400, name
    (archive,) = of_type(t, "AWS::Events::Archive").values()
    assert archive["Properties"]["RetentionDays"] == {"Ref": "ArchiveDays"}
    p = resources["PagerRule"]["Properties"]
    for kind, action, severity in itertools.product(
            ["Recording Incident", "Recording Alert"], ["trigger", "update", "resolve"],
            ["critical", "warning", "info"]):
        event = {"source": "agora-recording-callbacks", "detail-type": kind,
                 "detail": {"action": action, "severity": severity}}
        opens_or_closes = action == "resolve" or (action, severity) == ("trigger", "critical")
        is_told = opens_or_closes and kind == "Recording Incident"
        assert rule_matches(p["EventPattern"], event) == is_told, event
    (target,) = p["Targets"]
    # The receiver makes the body; no transformer has to escape anything.
    assert target["InputPath"] == "$.detail.pager"
    assert not {"Input", "InputTransformer"} & set(target)
    destination = resources["PagerDestination"]["Properties"]
    assert destination["InvocationRateLimitPerSecond"] == 2


RESOURCES = {
    '"table"': "table",
    '{"Fn::Sub": ["${Arn}/index/watch", {"Arn": "table"}]}': "index/watch",
    '{"Fn::Sub": ["${Arn}/index/channel", {"Arn": "table"}]}': "index/channel",
    '{"Ref": "AlertTopic"}': "topic",
    '{"Ref": "CriticalTopic"}': "critical topic",
    '{"Fn::If": ["MakesBus", {"Fn::GetAtt": ["Bus", "Arn"]}, {"Fn::Sub": ["arn:${AWS::Partition}:'
    'events:${AWS::Region}:${AWS::AccountId}:event-bus/${Name}", {"Name": {"Ref": "EventBus"}}]}]}':
        "bus",
    '{"Fn::If": ["HasBus", {"Fn::GetAtt": ["UndeliveredNotices", "Arn"]}, '
    '{"Ref": "AWS::NoValue"}]}': "undelivered notices",
    '{"Fn::If": ["MakesSecret", {"Ref": "Secret"}, {"Ref": "AgoraSecretArn"}]}': "secret",
    '{"Fn::Sub": "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:'
    '${AWS::StackName}-callback"}': "receiver",
    '{"Fn::Sub": "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:'
    '${AWS::StackName}-callback:live"}': "receiver",
    '{"Fn::GetAtt": ["DeadLetters", "Arn"]}': "dead letters",
    '{"Fn::GetAtt": ["UndeliveredAlerts", "Arn"]}': "undelivered alerts",
    '{"Fn::GetAtt": ["TopicKey", "Arn"]}': "topic key",
    '{"Fn::GetAtt": ["CallbackLogGroup", "Arn"]}': "log group",
    '{"Fn::GetAtt": ["SweeperLogGroup", "Arn"]}': "log group",
    '{"Fn::GetAtt": ["ViewerLogGroup", "Arn"]}': "log group",
    '{"Ref": "LinkSecret"}': "link secret",
}


def resource_name(t, resource):
    """What a statement is about; the table is one name for both that it can be."""
    table = json.dumps(t["Resources"]["CallbackRole"]["Properties"]["Policies"][0]
                       ["PolicyDocument"]["Statement"][0]["Resource"])
    return RESOURCES[json.dumps(resource).replace(table, '"table"')]


def existing_table(t):
    """A table that is there already stands in for the stack's own wherever that is used."""
    elsewhere = json.dumps({n: r for n, r in t["Resources"].items() if n != "Table"})
    own = len(re.findall(r'{"Ref": "Table"}|\["Table", "Arn"\]', elsewhere))
    either = len(re.findall(
        r'"Fn::If": \["MakesTable", {"Ref": "Table"}, {"Ref": "ExistingTable"}\]'
        r'|"Fn::If": \["MakesTable", {"Fn::GetAtt": \["Table", "Arn"\]}, {"Fn::Sub": \["arn:'
        r'\${AWS::Partition}:dynamodb:\${AWS::Region}:\${AWS::AccountId}:table/\${Name}",'
        r' {"Name": {"Ref": "ExistingTable"}}\]}\]', elsewhere))
    assert own == either > 10, (own, either)
    assert t["Resources"]["Table"]["Condition"] == "MakesTable"
    assert "Fn::If" in t["Outputs"]["TableName"]["Value"]


USED_BEFORE = {"Ref": "UsedBefore"}


def versions_before_keep_their_rights(t):
    """While a change runs, and after a rollback, a role may do with the table, secrets and bus of
    before what it may do with those of now, and nothing else."""
    for role in ["CallbackRole", "SweeperRole", "ViewerRole"]:
        now, before = set(), set()
        (policy,) = t["Resources"][role]["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]:
            inner = statement["Fn::If"][1] if "Fn::If" in statement else statement
            if inner["Resource"] == USED_BEFORE:
                assert statement["Fn::If"][0] == "HasBefore", role
                before.update(as_list(inner["Action"]))
            elif as_list(inner["Action"])[0].split(":")[0] in [
                    "dynamodb", "events", "secretsmanager"]:
                now.update(as_list(inner["Action"]))
        assert before == now, (role, before ^ now)
    pattern = re.compile(t["Parameters"]["UsedBefore"]["AllowedPattern"])
    for arn in ["", "arn:aws:dynamodb:eu-central-1:123456789012:table/t/index/watch",
                "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:a-??????",
                "arn:aws:events:eu-central-1:123456789012:event-bus/team/recordings.v2"]:
        assert pattern.fullmatch(arn), arn
    assert not pattern.fullmatch("*") and not pattern.fullmatch("arn:aws:s3:::bucket/*")


def least_privilege(t):
    asked = json.loads(Path(sys.argv[1]).read_text())
    given = {name: set() for name in asked}
    for name, document, is_own in policies(t):
        if name not in asked or not is_own:
            continue
        for statement in statements(document):
            assert statement["Effect"] == "Allow"
            if statement["Resource"] == USED_BEFORE:
                continue
            for action in as_list(statement["Action"]):
                for resource in as_list(statement["Resource"]):
                    given[name].add(f"{action} on {resource_name(t, resource)}")
    for name in asked:
        needless = given[name] - set(asked[name]) - NOT_RECORDED
        lacking = set(asked[name]) - given[name]
        assert not needless, f"{name} may and never does: {needless}"
        assert not lacking, f"{name} does and may not: {lacking}"


def parameters_explain_themselves(t):
    for name, parameter in t["Parameters"].items():
        assert parameter.get("Description"), name
        limits = {"AllowedValues", "AllowedPattern"} & set(parameter)
        is_limited = parameter["Type"] == "Number" or limits
        assert is_limited, name
    groups = t["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [p for group in groups for p in group["Parameters"]]
    ungrouped = set(grouped) ^ set(t["Parameters"])
    assert sorted(grouped) == sorted(t["Parameters"]), f"template.yaml, its groups: {ungrouped}"


def other_ways_say_what_is(t):
    """What people build with Terraform, CDK or Pulumi is what the template makes."""
    page = draw_resources.PAGE.read_text()
    _, _, rest = page.partition(draw_resources.BEGIN)
    said, end, _ = rest.partition(draw_resources.END)
    assert end and said == f"\n{draw_resources.render(t)}\n", (
        "docs/other-ways.md isn't what the template says; run tests/deploy/draw_resources.py")


SAMPLES = json.loads((ROOT / "tests/deploy/parameters.json").read_text())


def is_accepted(parameter, value):
    """Whether CloudFormation takes a value for a parameter."""
    if len(value) > parameter.get("MaxLength", 4_096):
        return False
    if "AllowedValues" in parameter:
        return value in [str(allowed) for allowed in parameter["AllowedValues"]]
    if parameter["Type"] == "Number":
        try:
            number = float(value)
        except ValueError:
            return False
        return parameter.get("MinValue", number) <= number <= parameter.get("MaxValue", number)
    return re.fullmatch(parameter["AllowedPattern"], value) is not None


def parameters_are_what_the_functions_accept(t):
    """The samples go through the functions' own code in `src/config.rs`: both have to agree."""
    variables = {}
    for function in of_type(t, "AWS::Lambda::Function").values():
        variables.update(function["Properties"]["Environment"]["Variables"])
    of_parameters = {
        value["Ref"]: name for name, value in variables.items()
        if value.get("Ref") in t["Parameters"]
    }
    # It gets to the functions by way of Secrets Manager, or as the name of what is there.
    of_parameters |= {
        "AgoraSecret": "AGORA_SECRET", "AgoraSecretArn": "AGORA_SECRET_ID",
        "EventBus": "EVENT_BUS_NAME",
    }
    sampled = {name: sample["variable"] for name, sample in SAMPLES.items()}
    differs = set(sampled.items()) ^ set(of_parameters.items())
    assert not differs, f"tests/deploy/parameters.json: {differs}"
    for name, samples in SAMPLES.items():
        parameter = t["Parameters"][name]
        wrong = [value for value in samples["accepted"] if not is_accepted(parameter, value)]
        assert not wrong, f"{name} refuses {wrong}"
        refused = samples["refused"] + samples["refused_by_template"]
        wrong = [value for value in refused if is_accepted(parameter, value)]
        assert not wrong, f"{name} accepts {wrong}"
        limits = [parameter[limit] for limit in ["MinValue", "MaxValue"] if limit in parameter]
        ends = [parameter["Default"], *parameter.get("AllowedValues", limits)]
        missing = {str(end) for end in ends if end != ""} - set(samples["accepted"])
        assert not missing, f"{name} needs the samples {missing}"


def plant_in(name, *path):
    """A fault: the value at `path` of a resource is replaced by the last argument."""
    *way, last, value = path

    def plant(t):
        node = t["Resources"][name]
        for step in way:
            node = node[step]
        if value is None:
            del node[last]
        else:
            node[last] = value

    return plant


def plant_text(old, new):
    """A fault: a text is another one wherever it stands."""

    def plant(t):
        text = json.dumps(t)
        assert old in text, old
        changed = json.loads(text.replace(old, new))
        t.clear()
        t.update(changed)

    return plant


def plant_parameter(name, key, value):
    """A fault: a parameter has another limit."""
    return lambda t: t["Parameters"][name].update({key: value})


TABLE = ("Table", "Properties")
CUT = ("CutAlarm", "Properties")
STATEMENTS_OF_CALLBACK, STATEMENTS_OF_SWEEPER = (
    (name, "Properties", "Policies", 0, "PolicyDocument", "Statement")
    for name in ["CallbackRole", "SweeperRole"]
)
CHECKS = [
    (url_permissions, [
        plant_in("CallbackFunction", "Properties", "FunctionUrlConfig", "AuthType", "AWS_IAM"),
        plant_in("CallbackFunction", "Properties", "AutoPublishAlias", None),
        plant_in("ViewerFunction", "Properties", "FunctionUrlConfig", "AuthType", "AWS_IAM"),
    ]),
    (viewer_only_reads, [
        plant_in("ViewerFunction", "Condition", "HasFunctions"),
        plant_in("ViewerRole", "Properties", "Policies", 0, "PolicyDocument", "Statement", 0,
                 "Action", ["dynamodb:Query", "dynamodb:BatchGetItem", "dynamodb:UpdateItem"]),
        plant_in("LinkSecret", "Properties", "GenerateSecretString", "PasswordLength", 12),
        plant_in("LinkSecret", "Properties", "GenerateSecretString", "ExcludePunctuation", False),
        plant_in(*STATEMENTS_OF_SWEEPER, 5, None),
        plant_in("SweeperFunction", "Properties", "Environment", "Variables", "VIEWER_URL", "x"),
        plant_parameter("Viewer", "Default", "false"),
    ]),
    (no_star, [
        plant_in(*STATEMENTS_OF_CALLBACK, 0, "Resource", "*"),
        plant_in(*STATEMENTS_OF_SWEEPER, 0, "Action", "dynamodb:*"),
    ]),
    (roles, [
        plant_in("CallbackFunction", "Properties", "Role", {"Fn::GetAtt": ["SweeperRole", "Arn"]}),
    ]),
    (table_is_kept, [
        plant_in("Table", "DeletionPolicy", "Delete"),
        plant_in(*TABLE, "PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled", False),
        plant_in(*TABLE, "TimeToLiveSpecification", "AttributeName", "ttl"),
        plant_in(*TABLE, "DeletionProtectionEnabled", False),
    ]),
    (table_is_the_one_of_the_tests, [
        plant_in(*TABLE, "KeySchema", 1, "AttributeName", "sk"),
        plant_in(*TABLE, "GlobalSecondaryIndexes", 0, "Projection", "ProjectionType", "ALL"),
        plant_in(*TABLE, "AttributeDefinitions", 3, "AttributeType", "S"),
        plant_in(*TABLE, "GlobalSecondaryIndexes", 1, "OnDemandThroughput", None),
    ]),
    (alarms_act, [
        plant_in(*CUT, "AlarmActions", []),
        plant_in(*CUT, "AlarmDescription", "See docs/operations.md#cuts"),
        plant_in("SweeperStoppedAlarm", "Properties", "TreatMissingData", "notBreaching"),
        plant_in("UndeliveredAlertsAlarm", "Properties", "MetricName",
                 "ApproximateNumberOfMessagesVisible"),
    ]),
    (metrics_exist, [
        plant_in(*CUT, "MetricName", "Cuts"),
        plant_in(*CUT, "Dimensions", 0, "Value", {"Fn::Sub": "${AWS::StackName}-sweeper"}),
        plant_in("WrongSecretAlarm", "Properties", "Metrics", 1, "MetricStat", "Metric",
                 "MetricName", "SignatureWrong"),
        plant_text("SessionsLooked", "SessionsSeen"),
    ]),
    (metrics_are_used, [
        plant_in("OldestPendingAlertAlarm", "Properties", "MetricName", "AlertsFailed"),
        plant_text('\\"WatchdogFound\\"', '\\"SessionsLooked\\"'),
    ]),
    (indexes_are_seen, [
        plant_in("IndexThrottlesAlarm", "Properties", "Metrics", 2, None),
        plant_text('\\"watch\\"', '\\"channel\\"'),
    ]),
    (first_number, [plant_text('\\"singleValue\\"', '\\"timeSeries\\"')]),
    (variables_are_read, [
        plant_in("CallbackFunction", "Properties", "Environment", "Variables", "TOPIC_ARN", "x"),
        plant_in("SweeperFunction", "Properties", "Environment", "Variables", "ALERT_KINDS", None),
        plant_in("ViewerFunction", "Properties", "Environment", "Variables", "ALERT_TOPIC_ARN",
                 "x"),
    ]),
    (limits, [
        plant_in("CallbackFunction", "Properties", "Timeout", 30),
        plant_in("ViewerFunction", "Properties", "Timeout", 3),
        plant_in("CallbackFunction", "Properties", "ReservedConcurrentExecutions",
                 {"Fn::If": ["HasReservedConcurrency", 5, 10]}),
        plant_in("SweeperFunction", "Properties", "MemorySize", {"Ref": "MemorySize"}),
        plant_in("SweeperLogGroup", "Properties", "RetentionInDays", 0),
        plant_in("SweeperFunction", "Properties", "LoggingConfig", "ApplicationLogLevel",
                 {"Ref": "LogLevel"}),
    ]),
    (schedule, [
        plant_in("SweepSchedule", "Properties", "Target", "DeadLetterConfig", "Arn", "x"),
        plant_in("SweepSchedule", "Properties", "ScheduleExpression", "rate(1 hour)"),
        plant_in("SweepSchedule", "Properties", "State", "ENABLED"),
        plant_in("SweepSchedule", "Properties", "Target", "Arn", "Fn::If", 1,
                 {"Fn::GetAtt": ["SweeperFunction", "Arn"]}),
        plant_in("SweeperFunction", "Properties", "FunctionName",
                 {"Fn::Sub": "${AWS::StackName}-other"}),
    ]),
    (versions_can_be_gone_back_to, [
        plant_text(" ${LogLevel}", ""),
        plant_text("${SweeperMemorySize}", "${MemorySize}"),
        plant_in("SweeperFunction", "UpdateReplacePolicy", None),
        plant_parameter("AlertKinds", "MaxLength", 200),
    ]),
    (secrets_stay_secret, [
        plant_in("CallbackFunction", "Properties", "Environment", "Variables", "AGORA_SECRET",
                 {"Ref": "AgoraSecret"}),
        plant_parameter("PagerKey", "NoEcho", False),
        plant_in("PagerConnection", "Properties", "AuthParameters", "InvocationHttpParameters",
                 "BodyParameters", 0, "IsValueSecret", False),
    ]),
    (programs_are_told, [
        plant_in("FilesReadyRule", "Properties", "Targets", 0, "DeadLetterConfig", None),
        plant_in("PagerRule", "Properties", "Targets", 0, "RetryPolicy",
                 "MaximumEventAgeInSeconds", 60),
        plant_in("PagerRule", "Properties", "EventBusName", "default"),
        plant_in("PagerRule", "Properties", "EventPattern", "detail", "$or", 1, "action",
                 ["resolve", "update"]),
        plant_in("PagerRule", "Properties", "EventPattern", "detail-type", ["Recording Alert"]),
        plant_in("PagerRule", "Properties", "Targets", 0, "InputPath", "$.detail"),
        plant_in("PagerDestination", "Properties", "InvocationRateLimitPerSecond", None),
    ]),
    (alerts_are_delivered, [
        plant_in("AlertHttpsSubscription", "Properties", "DeliveryPolicy", None),
        plant_in("AlertHttpsSubscription", "Properties", "DeliveryPolicy", "healthyRetryPolicy",
                 "maxDelayTarget", 300),
        plant_in("AlertEmailSubscription", "Properties", "RedrivePolicy", None),
    ]),
    (critical_alerts_have_a_topic, [
        plant_in("UndeliveredAlertsPolicy", "Properties", "PolicyDocument", "Statement", 0,
                 "Condition", {"ArnEquals": {"aws:SourceArn": {"Ref": "AlertTopic"}}}),
        plant_in("CriticalHttpsSubscription", "Properties", "TopicArn", {"Ref": "AlertTopic"}),
    ]),
    (topics_can_be_encrypted, [
        plant_in("OpsTopic", "Properties", "KmsMasterKeyId", None),
        plant_in(*STATEMENTS_OF_SWEEPER, 3, None),
        plant_in("TopicKey", "Properties", "KeyPolicy", "Statement", 1, None),
    ]),
    (existing_table, [
        plant_in("CallbackFunction", "Properties", "Environment", "Variables", "TABLE_NAME",
                 {"Ref": "Table"}),
        plant_in("Table", "Condition", None),
    ]),
    (versions_before_keep_their_rights, [
        plant_in(*STATEMENTS_OF_CALLBACK, 6, "Fn::If", 1, "Action", ["dynamodb:GetItem"]),
        plant_in(*STATEMENTS_OF_SWEEPER, 6, None),
        plant_in(*STATEMENTS_OF_SWEEPER, 1, "Action", "dynamodb:Scan"),
        plant_parameter("UsedBefore", "AllowedPattern", "^.*$"),
    ]),
    (least_privilege, [
        plant_in(*STATEMENTS_OF_CALLBACK, 0, "Action", ["dynamodb:GetItem", "dynamodb:DeleteItem"]),
        plant_in(*STATEMENTS_OF_SWEEPER, 1, "Action", "dynamodb:Scan"),
        plant_in("OperatorPolicy", "Properties", "PolicyDocument", "Statement", 3, "Action",
                 "sns:Subscribe"),
        plant_in("ViewerRole", "Properties", "Policies", 0, "PolicyDocument", "Statement", 2,
                 "Action", "dynamodb:Scan"),
    ]),
    (other_ways_say_what_is, [
        plant_in("CallbackFunction", "Properties", "Environment", "Variables", "NEW_ONE", "x"),
        plant_in("SweeperFunction", "Properties", "Environment", "Variables", "LOG_LEVEL", None),
        plant_in("SweeperFunction", "Properties", "Timeout", 40),
        plant_in(*TABLE, "KeySchema", 1, "AttributeName", "number"),
        plant_in(*TABLE, "GlobalSecondaryIndexes", 0, "IndexName", "look"),
        plant_in(*TABLE, "GlobalSecondaryIndexes", 1, "Projection", "ProjectionType", "ALL"),
        plant_in(*TABLE, "TimeToLiveSpecification", "AttributeName", "until"),
        plant_in(*STATEMENTS_OF_CALLBACK, 0, "Action", "dynamodb:GetItem"),
        plant_in(*STATEMENTS_OF_SWEEPER, 1, "Resource", {"Ref": "Table"}),
        plant_in("UndeliveredAlertsPolicy", "Properties", "PolicyDocument", "Statement", 0,
                 "Condition", None),
        plant_in("SweepSchedule", "Properties", "ScheduleExpression", "rate(2 minutes)"),
        plant_in("SweeperFunction", "Properties", "EventInvokeConfig", "MaximumRetryAttempts", 1),
        plant_in("UndeliveredAlerts", "Type", "AWS::SNS::Topic"),
        plant_parameter("MemorySize", "Default", 512),
        lambda t: t["Resources"].pop("AlertHttpsSubscription"),
    ]),
    (parameters_explain_themselves, [
        lambda t: t["Parameters"]["AlertEmail"].pop("AllowedPattern"),
    ]),
    (parameters_are_what_the_functions_accept, [
        plant_parameter("AlertKinds", "AllowedPattern", r"^(all|[a-z_]+(\s*,\s*[a-z_]+)*)$"),
        plant_parameter("AlertKinds", "Default", "fatal_error;abnormal_exit"),
        plant_parameter("AgoraSecretArn", "AllowedPattern", r"^(arn:aws:secretsmanager:\S+)?$"),
        plant_parameter("RetentionDays", "MinValue", 2),
        plant_parameter("SessionSilentMinutes", "AllowedPattern", r"^(0|[1-9]\d{0,2}|1440)$"),
        plant_parameter("UnsignedCheck", "AllowedValues", ["test", "any", "none"]),
        plant_parameter("LogLevel", "AllowedValues", ["DEBUG", "INFO", "WARN", "ERROR", "FATAL"]),
    ]),
]


def main():
    logging.disable(logging.WARNING)
    template = stack.read()
    expanded = expand(template)
    for check, _ in CHECKS:
        check(expanded)
        print(f"holds: {check.__name__}")
    faults = 0
    for check, plants in CHECKS:
        assert plants, f"{check.__name__} has no fault"
        for plant in plants:
            spoiled = copy.deepcopy(template)
            plant(spoiled)
            try:
                check(expand(spoiled))
            except (AssertionError, KeyError, ValueError, TypeError, InvalidDocumentException):
                faults += 1
                continue
            sys.exit(f"{check.__name__} doesn't see its fault number {plants.index(plant) + 1}")
    print(f"{faults} planted faults were seen")


if __name__ == "__main__":
    main()
