"""Writes the tables of docs/other-ways.md, from the template as AWS SAM expands it.

    python tests/deploy/draw_resources.py

`check_template.py` holds them equal.
"""

import json
import re

import stack
from stack import ROOT, as_list, expand, of_type

PAGE = ROOT / "docs/other-ways.md"
BEGIN, END = "<!-- made by tests/deploy/draw_resources.py -->\n", "<!-- end -->\n"
# They watch, and nothing works by them.
WATCHING = {"AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard"}
ARN = re.compile(r"arn:\$\{AWS::Partition\}:\w+:\$\{AWS::Region\}:\$\{AWS::AccountId\}:")


def name(value):
    """What an intrinsic function stands for, by the name of its resource; else the value."""
    if isinstance(value, list):
        return ", ".join(map(name, value))
    if not isinstance(value, dict):
        return str(value)
    ((function, argument),) = value.items()
    if function == "Ref":
        return argument
    if function == "Fn::GetAtt":
        return argument[0] if argument[1] == "Arn" else ".".join(argument)
    if function == "Fn::If":
        return name(argument[1])
    text, words = argument if isinstance(argument, list) else (argument, {})
    for word, meaning in words.items():
        text = text.replace(f"${{{word}}}", name(meaning))
    return ARN.sub("", text).replace("${AWS::StackName}", "<stack>")


def setting(t, value):
    """A value, and the parameter that it is the default of."""
    if isinstance(value, list):
        return ", ".join(setting(t, one) for one in value)
    parameter = t["Parameters"].get(name(value))
    if parameter is None:
        return f"`{name(value)}`"
    default = parameter["Default"]
    return (f"`{default}`" if default != "" else "empty") + f" (`{name(value)}`)"


def table(head, rows):
    line = lambda cells: "| " + " | ".join(cells) + " |"
    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows), ""])


def resources(t):
    rows = []
    for logical, resource in sorted(t["Resources"].items(), key=lambda r: (r[1]["Type"], r[0])):
        if resource["Type"] not in WATCHING:
            # The version's name has a hash of the code in it.
            logical = re.sub(r"(?<=Version)[0-9a-f]{10}$", "…", logical)
            rows.append([f"`{logical}`", resource["Type"], resource.get("Condition", "")])
    return table(["resource", "type", "only if"], rows)


def functions(t):
    found = of_type(t, "AWS::Lambda::Function")
    kept = ["Runtime", "Handler", "Architectures", "Timeout", "MemorySize", "Role"]
    p = {function: resource["Properties"] for function, resource in found.items()}
    rows = [[key, *(setting(t, p[f][key]) for f in p)] for key in kept]
    rows.append(["alias", *(
        ", ".join(f"`{a['Properties']['Name']}`" for a in of_type(t, "AWS::Lambda::Alias").values()
                  if name(a["Properties"]["FunctionName"]) == f) for f in p)])
    variables = sorted({v for f in p for v in p[f]["Environment"]["Variables"]})
    for variable in variables:
        given = [p[f]["Environment"]["Variables"].get(variable) for f in p]
        rows.append([f"`{variable}`", *("" if v is None else setting(t, v) for v in given)])
    return table(["", *(f"`{f}`" for f in p)], rows)


def keys(schema):
    return ", ".join(f"`{key['AttributeName']}` ({key['KeyType']})" for key in schema)


def data(t):
    rows = []
    for logical, resource in of_type(t, "AWS::DynamoDB::Table").items():
        p = resource["Properties"]
        types = {a["AttributeName"]: a["AttributeType"] for a in p["AttributeDefinitions"]}
        expiry = p["TimeToLiveSpecification"]["AttributeName"]
        rows.append([f"`{logical}`", keys(p["KeySchema"]),
                     f"{p['BillingMode']}; expiry by `{expiry}`; attributes "
                     + ", ".join(f"`{a}` {kind}" for a, kind in sorted(types.items()))])
        for index in p["GlobalSecondaryIndexes"]:
            rows.append([f"`{logical}/index/{index['IndexName']}`", keys(index["KeySchema"]),
                         index["Projection"]["ProjectionType"]])
    return table(["table or index", "keys", "more"], rows)


def statement_rows(who, document):
    for statement in document["Statement"]:
        condition = ""
        if "Fn::If" in statement:
            condition, statement, _ = statement["Fn::If"]
        actions = ", ".join(f"`{action}`" for action in as_list(statement["Action"]))
        if "Condition" in statement:
            ((test, values),) = statement["Condition"].items()
            condition = "; ".join(f"{test} {key} {name(value)}" for key, value in values.items())
        places = as_list(statement.get("Resource", who))
        yield [who, actions, ", ".join(f"`{name(place)}`" for place in places), condition]


def permissions(t):
    rows = []
    for role, resource in of_type(t, "AWS::IAM::Role").items():
        p = resource["Properties"]
        (trust,) = p["AssumeRolePolicyDocument"]["Statement"]
        service = trust["Principal"]["Service"]
        for policy in p["Policies"]:
            rows += statement_rows(f"`{role}` ({service})", policy["PolicyDocument"])
    for policy, resource in of_type(t, "AWS::IAM::ManagedPolicy").items():
        rows += statement_rows(f"`{policy}`", resource["Properties"]["PolicyDocument"])
    for resource in of_type(t, "AWS::SQS::QueuePolicy").values():
        (statement,) = resource["Properties"]["PolicyDocument"]["Statement"]
        rows += statement_rows(statement["Principal"]["Service"], {"Statement": [statement]})
    for resource in of_type(t, "AWS::Lambda::Permission").values():
        p = resource["Properties"]
        more = {"FunctionUrlAuthType", "InvokedViaFunctionUrl"} & set(p)
        rows.append([f"everybody (`{p['Principal']}`)", f"`{p['Action']}`",
                     f"`{name(p['FunctionName'])}`", ", ".join(f"{m} {p[m]}" for m in more)])
    return table(["who", "may", "on", "condition"], rows)


def calls(t):
    """What calls or follows what, by the properties that decide it."""
    rows = []
    for kind, properties in [
        ("AWS::Lambda::Url", ["TargetFunctionArn", "AuthType"]),
        ("AWS::Scheduler::Schedule", ["ScheduleExpression", "Target"]),
        ("AWS::Lambda::EventInvokeConfig", [
            "FunctionName", "Qualifier", "MaximumRetryAttempts", "MaximumEventAgeInSeconds",
            "DestinationConfig",
        ]),
        ("AWS::SNS::Subscription", ["TopicArn", "Protocol", "Endpoint", "RedrivePolicy"]),
        ("AWS::Logs::LogGroup", ["LogGroupName", "RetentionInDays"]),
        ("AWS::SQS::Queue", ["MessageRetentionPeriod"]),
        ("AWS::SecretsManager::Secret", ["SecretString", "GenerateSecretString"]),
        ("AWS::Events::Archive", ["SourceArn", "EventPattern", "RetentionDays"]),
        ("AWS::Events::Rule", ["EventBusName", "EventPattern"]),
        ("AWS::Events::ApiDestination", [
            "ConnectionArn", "HttpMethod", "InvocationEndpoint", "InvocationRateLimitPerSecond",
        ]),
    ]:
        for logical, resource in of_type(t, kind).items():
            p = resource["Properties"]
            said = [f"{key} {flat(p[key])}" for key in properties if key in p]
            rows.append([f"`{logical}`", "; ".join(said)])
    return table(["resource", "properties that matter"], rows)


def flat(value):
    """A property in a line, structures included."""
    if isinstance(value, list):
        return "[" + ", ".join(map(flat, value)) + "]"
    is_intrinsic = isinstance(value, dict) and len(value) == 1 and (
        "Ref" in value or next(iter(value)).startswith("Fn::"))
    if isinstance(value, dict) and not is_intrinsic:
        return "{" + ", ".join(f"{key} {flat(one)}" for key, one in value.items()) + "}"
    return f"`{name(value)}`"


def render(t):
    parts = {
        "Resources": resources(t), "Functions and their variables": functions(t),
        "Table and indexes": data(t), "Permissions": permissions(t), "Calls": calls(t),
    }
    return "\n".join(f"### {title}\n\n{text}" for title, text in parts.items())


def main():
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{render(expand(stack.read()))}\n{END}{after}")


if __name__ == "__main__":
    main()
