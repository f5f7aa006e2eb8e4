"""Expands template.yaml as AWS SAM does, and asserts what has to be true of it.

Each check has a fault beside it. First every check is run on the template as it is, then every fault is planted in a copy, and
the check has to fail: a check that can't fail is none.

    python tests/deploy/check_template.py target/tmp/permissions.json

The argument is what `cargo test` has recorded of the requests that the programs make.
"""

import copy
import json
import logging
import os
import re
import sys
from pathlib import Path

os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")

from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "AgoraRecordings"
# Metrics that somebody has to be woken for.
ALARMING = {
    "AlertsFailed", "NotStored", "OldestPendingAlert", "Quarantined", "SignatureInvalid", "Sweeps", "UnreadableItems",
}
# Set by Lambda itself, not by the template; or for local use.
NOT_SET = {"AWS_LAMBDA_LOG_LEVEL", "AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_FUNCTION_NAME", "AGORA_SECRET"}
# Asked for by AWS's services under the function's role, so no request of the programs shows them.
BY_SERVICES = {"logs:CreateLogStream on log group", "logs:PutLogEvents on log group", "sqs:SendMessage on dead letters"}


class NoManagedPolicies:
    def load(self):
        return {}


def expand(template, **parameters):
    values = {name: parameter.get("Default", "x") for name, parameter in template["Parameters"].items()}
    values.update(parameters)
    # What `sam build` puts in place of a folder.
    template = copy.deepcopy(template)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    return transform(template, values, NoManagedPolicies())


def of_type(template, kind):
    return {name: r for name, r in template["Resources"].items() if r["Type"] == kind}


def policies(template):
    """Every policy document of the template, by the name of its resource."""
    for name, role in of_type(template, "AWS::IAM::Role").items():
        yield name, role["Properties"]["AssumeRolePolicyDocument"], False
        for policy in role["Properties"]["Policies"]:
            yield name, policy["PolicyDocument"], True
    for name, policy in of_type(template, "AWS::IAM::ManagedPolicy").items():
        yield name, policy["Properties"]["PolicyDocument"], True


def as_list(value):
    return value if isinstance(value, list) else [value]


def url_permissions(t):
    given = [p["Properties"] for p in of_type(t, "AWS::Lambda::Permission").values()]
    given = [p for p in given if p["FunctionName"] == {"Ref": "CallbackFunction"} and p["Principal"] == "*"]
    actions = sorted(p["Action"] for p in given)
    assert actions == ["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"], actions
    for p in given:
        if p["Action"] == "lambda:InvokeFunctionUrl":
            assert p["FunctionUrlAuthType"] == "NONE"
        else:
            assert p["InvokedViaFunctionUrl"] is True
    (url,) = of_type(t, "AWS::Lambda::Url").values()
    assert url["Properties"]["AuthType"] == "NONE"


def no_star(t):
    for name, document, _ in policies(t):
        for statement in document["Statement"]:
            text = json.dumps([statement["Action"], statement.get("Resource")])
            assert "*" not in text, (name, text)


def roles(t):
    functions = of_type(t, "AWS::Lambda::Function")
    for name in ["Callback", "Sweeper"]:
        role = functions[f"{name}Function"]["Properties"]["Role"]
        assert role == {"Fn::GetAtt": [f"{name}Role", "Arn"]}, role


def table_is_kept(t):
    (table,) = of_type(t, "AWS::DynamoDB::Table").values()
    assert table["DeletionPolicy"] == "Retain" and table["UpdateReplacePolicy"] == "Retain"
    properties = table["Properties"]
    assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["DeletionProtectionEnabled"] == {"Ref": "DeletionProtection"} or properties["DeletionProtectionEnabled"] == "true"


def table_is_the_one_of_the_tests(t):
    """The same keys, indexes and expiry as the engines of the tests and the local receiver have."""
    (table,) = of_type(t, "AWS::DynamoDB::Table").values()
    for name, value in json.loads((ROOT / "testkit/src/table.json").read_text()).items():
        assert table["Properties"][name] == value, name


def alarms_act(t):
    alarms = of_type(t, "AWS::CloudWatch::Alarm")
    assert len(alarms) >= 12
    for name, alarm in alarms.items():
        assert alarm["Properties"]["AlarmActions"] == [{"Ref": "OpsTopic"}], name
        assert alarm["Properties"]["OKActions"] == [{"Ref": "OpsTopic"}], name
        silent = "breaching" if name == "SweeperStoppedAlarm" else "notBreaching"
        assert alarm["Properties"]["TreatMissingData"] == silent, name


def emitted():
    code = (ROOT / "src/log.rs").read_text()
    block = re.search(r"pub const ALL: \[Self; \d+\] = \[(.*?)\];", code, re.S).group(1)
    return set(re.findall(r"Self::(\w+)", block))


def dashboard_metrics(t):
    (dashboard,) = of_type(t, "AWS::CloudWatch::Dashboard").values()
    body = json.loads(dashboard["Properties"]["DashboardBody"]["Fn::Sub"])
    for widget in body["widgets"]:
        for metric in widget["properties"].get("metrics", []):
            yield metric


def function_metrics(t, alarms_only=False):
    """Our metrics that alarms (and the dashboard) name, as (metric, function)."""
    named = set()
    for alarm in of_type(t, "AWS::CloudWatch::Alarm").values():
        p = alarm["Properties"]
        if p["Namespace"] == NAMESPACE:
            (dimension,) = p["Dimensions"]
            assert dimension["Name"] == "FunctionName"
            named.add((p["MetricName"], dimension["Value"]["Fn::Sub"]))
    if not alarms_only:
        named |= {(m[1], m[3]) for m in dashboard_metrics(t) if m[0] == NAMESPACE and m[2] == "FunctionName"}
    return named


def metrics_exist(t):
    named = function_metrics(t)
    unknown = {metric for metric, _ in named} - emitted()
    assert not unknown, f"no code emits {unknown}"
    functions = {f["Properties"]["FunctionName"]["Fn::Sub"] for f in of_type(t, "AWS::Lambda::Function").values()}
    assert {function for _, function in named} <= functions, named
    http, schedule = ((ROOT / f"src/lambda/{door}.rs").read_text() for door in ["http", "schedule"])
    for metric, function in named:
        code = http if function.endswith("-callback") else schedule
        assert f"Metric::{metric}" in code, f"{metric} isn't a metric of {function}"


def metrics_are_used(t):
    unseen = emitted() - {metric for metric, _ in function_metrics(t)}
    assert not unseen, f"neither alarm nor dashboard shows {unseen}"
    silent = ALARMING - {metric for metric, _ in function_metrics(t, alarms_only=True)}
    assert not silent, f"no alarm on {silent}"


def read_by_code():
    """The variables that each function reads."""
    code = (ROOT / "src/config.rs").read_text().split("#[cfg(test)]")[0]
    admission = code[code.index("impl Admission"):code.index("fn secrets(")]
    variables = lambda text: set(re.findall(r'\(\s*"([A-Z][A-Z0-9_]{4,})"', text)) - NOT_SET
    common = variables(code.replace(admission, ""))
    return {"CallbackFunction": common | variables(admission), "SweeperFunction": common}


def variables_are_read(t):
    for name, read in read_by_code().items():
        given = set(t["Resources"][name]["Properties"]["Environment"]["Variables"])
        assert given == read, f"{name}: {given ^ read}"


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
    reserved = functions["CallbackFunction"]["Properties"].get("ReservedConcurrentExecutions")
    assert reserved is None or reserved["Fn::If"][2] == {"Ref": "AWS::NoValue"}, reserved
    assert t["Parameters"]["ReservedConcurrency"]["Default"] == 0
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
    assert made == {"Fn::GetAtt": ["SweeperFunction", "Arn"]}
    assert elsewhere["Fn::Sub"].endswith(f":function:{sweeper}")
    (invoke,) = of_type(t, "AWS::Lambda::EventInvokeConfig").values()
    assert invoke["Properties"]["DestinationConfig"]["OnFailure"]["Destination"]


def secrets_stay_secret(t):
    assert t["Parameters"]["AgoraSecret"]["NoEcho"] is True
    for name, resource in t["Resources"].items():
        if name != "Secret":
            assert '{"Ref": "AgoraSecret"}' not in json.dumps(resource), name


RESOURCES = {
    '{"Fn::GetAtt": ["Table", "Arn"]}': "table",
    '{"Fn::Sub": "${Table.Arn}/index/watch"}': "index/watch",
    '{"Fn::Sub": "${Table.Arn}/index/channel"}': "index/channel",
    '{"Ref": "AlertTopic"}': "topic",
    '{"Fn::If": ["MakesSecret", {"Ref": "Secret"}, {"Ref": "AgoraSecretArn"}]}': "secret",
    '{"Fn::GetAtt": ["DeadLetters", "Arn"]}': "dead letters",
    '{"Fn::GetAtt": ["CallbackLogGroup", "Arn"]}': "log group",
    '{"Fn::GetAtt": ["SweeperLogGroup", "Arn"]}': "log group",
}


def least_privilege(t):
    asked = json.loads(Path(sys.argv[1]).read_text())
    given = {name: set() for name in asked}
    for name, document, is_own in policies(t):
        if name not in asked or not is_own:
            continue
        for statement in document["Statement"]:
            assert statement["Effect"] == "Allow"
            for action in as_list(statement["Action"]):
                for resource in as_list(statement["Resource"]):
                    given[name].add(f"{action} on {RESOURCES[json.dumps(resource)]}")
    for name in asked:
        needless = given[name] - set(asked[name]) - BY_SERVICES
        lacking = set(asked[name]) - given[name]
        assert not needless, f"{name} may and never does: {needless}"
        assert not lacking, f"{name} does and may not: {lacking}"


def parameters_explain_themselves(t):
    for name, parameter in t["Parameters"].items():
        assert parameter.get("Description"), name
        is_limited = parameter["Type"] == "Number" or {"AllowedValues", "AllowedPattern"} & set(parameter)
        assert is_limited, name
    groups = t["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [p for group in groups for p in group["Parameters"]]
    assert sorted(grouped) == sorted(t["Parameters"]), set(grouped) ^ set(t["Parameters"])


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


TABLE = ("Table", "Properties")
CHECKS = [
    (url_permissions, [plant_in("CallbackFunction", "Properties", "FunctionUrlConfig", "AuthType", "AWS_IAM")]),
    (no_star, [
        plant_in("CallbackRole", "Properties", "Policies", 0, "PolicyDocument", "Statement", 0, "Resource", "*"),
        plant_in("SweeperRole", "Properties", "Policies", 0, "PolicyDocument", "Statement", 0, "Action", "dynamodb:*"),
    ]),
    (roles, [plant_in("CallbackFunction", "Properties", "Role", {"Fn::GetAtt": ["SweeperRole", "Arn"]})]),
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
    ]),
    (alarms_act, [
        plant_in("QuarantineAlarm", "Properties", "AlarmActions", []),
        plant_in("SweeperStoppedAlarm", "Properties", "TreatMissingData", "notBreaching"),
    ]),
    (metrics_exist, [
        plant_in("QuarantineAlarm", "Properties", "MetricName", "Quarantine"),
        plant_in("OldestPendingAlertAlarm", "Properties", "Dimensions", 0, "Value", {"Fn::Sub": "${AWS::StackName}-callback"}),
        plant_text("SessionsLooked", "SessionsSeen"),
    ]),
    (metrics_are_used, [plant_in("NotStoredAlarm", "Properties", "MetricName", "Stored"), plant_text("\\\"ColdStarts\\\"", "\\\"Stored\\\"")]),
    (variables_are_read, [
        plant_in("CallbackFunction", "Properties", "Environment", "Variables", "TOPIC_ARN", "x"),
        plant_in("SweeperFunction", "Properties", "Environment", "Variables", "ALERT_KINDS", None),
    ]),
    (limits, [
        plant_in("CallbackFunction", "Properties", "Timeout", 30),
        plant_in("CallbackFunction", "Properties", "ReservedConcurrentExecutions", {"Fn::If": ["HasReservedConcurrency", 5, 10]}),
        plant_in("SweeperLogGroup", "Properties", "RetentionInDays", 0),
        plant_in("SweeperFunction", "Properties", "LoggingConfig", "ApplicationLogLevel", {"Ref": "LogLevel"}),
    ]),
    (schedule, [
        plant_in("SweepSchedule", "Properties", "Target", "DeadLetterConfig", "Arn", "x"),
        plant_in("SweepSchedule", "Properties", "ScheduleExpression", "rate(1 hour)"),
        plant_in("SweeperFunction", "Properties", "FunctionName", {"Fn::Sub": "${AWS::StackName}-other"}),
    ]),
    (secrets_stay_secret, [
        plant_in("CallbackFunction", "Properties", "Environment", "Variables", "AGORA_SECRET", {"Ref": "AgoraSecret"}),
    ]),
    (least_privilege, [
        plant_in("CallbackRole", "Properties", "Policies", 0, "PolicyDocument", "Statement", 0, "Action", ["dynamodb:GetItem", "dynamodb:DeleteItem"]),
        plant_in("SweeperRole", "Properties", "Policies", 0, "PolicyDocument", "Statement", 1, "Action", "dynamodb:Scan"),
        plant_in("OperatorPolicy", "Properties", "PolicyDocument", "Statement", 3, "Action", "sns:Subscribe"),
    ]),
    (parameters_explain_themselves, [lambda t: t["Parameters"]["AlertEmail"].pop("AllowedPattern")]),
]


def main():
    logging.disable(logging.WARNING)
    template = yaml_parse((ROOT / "template.yaml").read_text())
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
