"""The template: read, expanded as AWS SAM does it, and looked into. The checks beside it use it."""

import copy
import json
import os
from pathlib import Path

os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "AgoraRecordings"


class NoManagedPolicies:
    def load(self):
        return {}


def read():
    return yaml_parse((ROOT / "template.yaml").read_text())


def expand(template):
    defaults = {name: p.get("Default", "x") for name, p in template["Parameters"].items()}
    # What `sam build` puts in place of a folder.
    template = copy.deepcopy(template)
    for resource in of_type(template, "AWS::Serverless::Function").values():
        resource["Properties"]["CodeUri"] = "s3://bucket/key"
    return transform(template, defaults, NoManagedPolicies())


def of_type(template, kind):
    return {name: r for name, r in template["Resources"].items() if r["Type"] == kind}


def as_list(value):
    return value if isinstance(value, list) else [value]


def plain(value):
    """A value that is a string, a number or one intrinsic function, as one readable string."""
    if not isinstance(value, dict):
        return value
    ((function, argument),) = value.items()
    if function == "Fn::If":
        return plain(argument[1])
    return ".".join(argument) if function == "Fn::GetAtt" else argument


def alarm_metrics(alarm):
    """What an alarm reads: id, namespace, name, dimensions, period and statistic of each metric."""
    p = alarm["Properties"]
    if "Metrics" not in p:
        stat = p.get("Statistic") or p["ExtendedStatistic"]
        return [("metric", metric_key(p), p["Period"], stat)]
    read = [(m["Id"], m["MetricStat"]) for m in p["Metrics"] if "MetricStat" in m]
    return [(id, metric_key(m["Metric"]), m["Period"], m["Stat"]) for id, m in read]


def metric_key(metric):
    """Namespace, name and the values of the dimensions: what tells one metric from another."""
    values = tuple(plain(d["Value"]) for d in metric["Dimensions"])
    return (metric["Namespace"], metric["MetricName"], *values)


def widgets(template):
    """The dashboard's widgets, each metric spelled out: a dot repeats the metric before."""
    (dashboard,) = of_type(template, "AWS::CloudWatch::Dashboard").values()
    text, _ = dashboard["Properties"]["DashboardBody"]["Fn::Sub"]
    body = json.loads(text)
    for widget in body["widgets"]:
        before = []
        for metric in widget["properties"].get("metrics", []):
            words = [word for word in metric if isinstance(word, str)]
            for place, word in enumerate(words):
                metric[place] = before[place] if word == "." else word
            before = metric[:len(words)] or before
    return body["widgets"]
