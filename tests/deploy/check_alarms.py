"""Plays each trouble of the runbook against the template's own alarms: the alarms that are meant
for it have to ring, once, and no others, and to clear when it is over. What is harmless by design
rings nothing.

    python tests/deploy/check_alarms.py target/tmp/troubles.json

The argument is what `cargo test` has recorded of the functions' logs while each trouble happened.
Metrics of AWS's own are made up here. Then faults are planted in the alarms, and the play has to
notice each.
"""

import bisect
import copy
import itertools
import json
import re
import sys
from pathlib import Path

import stack

HOUR = 60
# The troubles begin after a day of health, the last hours of it minute by minute.
BEGIN = 28 * HOUR
CALM = 20
# CloudWatch reads more datapoints than it is told to, because metrics come late. How many, and how
# many minutes late, isn't documented.
LOOK_BACKS_AND_DELAYS = [(0, 0), (3, 0), (3, 2), (5, 3)]

CALLBACK, SWEEPER, VIEWER = "stack-callback", "stack-sweeper", "stack-viewer"
TABLE = "Table"
ALERTS, NOTICES = "UndeliveredAlerts.QueueName", "UndeliveredNotices.QueueName"


class Metrics:
    """Samples of metrics, by the minute."""

    def __init__(self):
        self.samples = {}

    def add(self, key, minute, value, count=1):
        self.samples.setdefault(key, []).append((minute, value, count))

    def sorted(self):
        for samples in self.samples.values():
            samples.sort()
        return self

    def datapoint(self, key, begin, end, stat):
        """The datapoint of the minutes from `begin` up to `end`; None if there are no samples."""
        samples = self.samples.get(key, [])
        first, last = (bisect.bisect_left(samples, (minute,)) for minute in [begin, end])
        of_period = samples[first:last]
        if not of_period:
            return None
        if stat == "Sum":
            return sum(value * count for _, value, count in of_period)
        if stat == "Maximum":
            return max(value for _, value, _ in of_period)
        samples_count = sum(count for _, _, count in of_period)
        if stat == "SampleCount":
            return samples_count
        rank = float(stat.removeprefix("p")) / 100 * samples_count
        for value, count in sorted((value, count) for _, value, count in of_period):
            rank -= count
            if rank <= 0:
                return value
        raise AssertionError(stat)


def effects(invocation):
    """What Lambda and CloudWatch make of an invocation and its log: samples of metrics."""
    name, milliseconds, samples = invocation["function"], 0, []
    for line in map(json.loads, invocation["lines"]):
        milliseconds = max(milliseconds, line.get("milliseconds", 0))
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", []):
            assert directive["Dimensions"] == [["FunctionName"]] and line["FunctionName"] == name
            for metric in directive["Metrics"]:
                key = (directive["Namespace"], metric["Name"], name)
                samples.append((key, line[metric["Name"]]))
    of_lambda = {
        "Invocations": 1, "Errors": int(invocation["failed"]), "Throttles": 0,
        "Duration": milliseconds,
    }
    return samples + [(("AWS/Lambda", metric, name), value) for metric, value in of_lambda.items()]


class Expression:
    """Metric math, as far as the alarms use it, at one point in time; None is a missing value."""

    def __init__(self, text, values, before):
        self.before = before
        self.tokens = re.findall(r"\s*(>=|==|[-+/(),<>]|\w+)", text)
        self.values = values
        assert "".join(self.tokens) == re.sub(r"\s", "", text), text

    def value(self):
        value = self.conjunction()
        assert not self.tokens, self.tokens
        return value

    def take(self, *tokens):
        return self.tokens.pop(0) if self.tokens and self.tokens[0] in tokens else None

    def conjunction(self):
        value = self.comparison()
        while self.take("AND"):
            other = self.comparison()
            value = float(bool(value) and bool(other))
        return value

    def comparison(self):
        value = self.sum()
        if operator := self.take(">", ">=", "<", "=="):
            # What is missing counts as 0 here.
            a, b = value or 0, self.sum() or 0
            value = float({">": a > b, ">=": a >= b, "<": a < b, "==": a == b}[operator])
        return value

    def sum(self):
        value = self.quotient()
        while operator := self.take("+", "-"):
            other = self.quotient()
            sign = 1 if operator == "+" else -1
            value = None if None in (value, other) else value + sign * other
        return value

    def quotient(self):
        value = self.atom()
        while self.take("/"):
            divisor = self.atom()
            value = None if None in (value, divisor) or divisor == 0 else value / divisor
        return value

    def atom(self):
        token = self.tokens.pop(0)
        if token == "(":
            value = self.conjunction()
            assert self.take(")")
            return value
        if token == "DIFF":
            rest, values = list(self.tokens), self.values
            self.values = self.before
            before = self.atom()
            self.tokens, self.values = rest, values
            value = self.atom()
            return None if None in (value, before) else value - before
        if token in ["FILL", "IF"]:
            assert self.take("(")
            arguments = [self.conjunction()]
            while self.take(","):
                arguments.append(self.conjunction())
            assert self.take(")")
            if token == "FILL":
                value, filling = arguments
                return filling if value is None else value
            condition, yes, no = arguments
            return yes if condition else no
        return float(token) if token.isdigit() else self.values[token]


class Alarm:
    """An alarm of the template, evaluated each minute as CloudWatch documents it."""

    def __init__(self, alarm, parameters, metrics, look_back, delay):
        p = alarm["Properties"]
        is_ref = lambda given: isinstance(given, dict)
        value = lambda given: parameters[given["Ref"]]["Default"] if is_ref(given) else given
        self.properties, self.metrics, self.delay = p, metrics, delay
        named = lambda key: tuple(part.replace("${AWS::StackName}", "stack") for part in key)
        self.reads = [
            (id, named(key), period // 60, stat)
            for id, key, period, stat in stack.alarm_metrics(alarm)
        ]
        (self.period,) = {period for _, _, period, _ in self.reads}
        returned = [m for m in p.get("Metrics", []) if m.get("ReturnData", True)]
        assert len(returned) == int("Metrics" in p), p
        self.expression = returned[0]["Expression"] if returned else None
        self.evaluated = int(value(p["EvaluationPeriods"]))
        self.needed = int(p.get("DatapointsToAlarm", self.evaluated))
        self.range = self.evaluated + look_back
        self.threshold = float(value(p["Threshold"]))
        self.known = {}
        self.rings = False

    def breaches(self, end, now):
        """Whether the period up to `end` breaches; None if it is missing."""
        visible = min(end, now - self.delay)
        if (end, visible) not in self.known:
            self.known[end, visible] = self.judge(end - self.period, visible)
        return self.known[end, visible]

    def judge(self, begin, end):
        found = {
            id: self.metrics.datapoint(key, begin, end, stat) for id, key, _, stat in self.reads
        }
        if self.expression is None:
            value = found["metric"]
        else:
            before = {
                id: self.metrics.datapoint(key, begin - self.period, begin, stat)
                for id, key, _, stat in self.reads
            }
            value = Expression(self.expression, found, before).value()
        if value is None:
            return None
        return {
            "GreaterThanThreshold": value > self.threshold,
            "GreaterThanOrEqualToThreshold": value >= self.threshold,
            "LessThanThreshold": value < self.threshold,
        }[self.properties["ComparisonOperator"]]

    def evaluate(self, now):
        """Evaluates it at the end of a minute; true if it begins to ring."""
        ends = [now - n * self.period for n in range(self.range)]
        points = [self.breaches(end, now) for end in ends]
        if None in points:
            # Real datapoints first, from further back if need be, then as few made-up ones as do.
            points = [point for point in points if point is not None]
            missing = self.properties["TreatMissingData"] == "breaching"
            points += [missing] * (self.evaluated - len(points))
        rings = sum(points[:self.evaluated]) >= self.needed
        begins = rings and not self.rings
        self.rings = rings
        return begins


def troubles(recorded):
    """Each trouble: what its minutes are like, for how long, and which alarms have to ring.

    What a minute is like is a list of additions and replacements: the name of a recorded invocation
    and how often it happens, or a metric and its value. `callback` and `sweep` are healthy, and
    happen each minute unless they are given another count.
    """
    crash = {"function": CALLBACK, "lines": [], "failed": True}
    recorded = {**recorded, "callback_crashed": crash}
    slow = ("AWS/Lambda", "Duration", CALLBACK)
    unlogged = {
        "callback": 0, "heartbeat_without_a_line": 1, "sweep": 0, "sweep_that_hears": 1,
    }
    throttled = lambda *place: ("AWS/DynamoDB", place[0], TABLE, *place[1:])
    plays = [
        ("all is well", 2 * HOUR, {}, []),
        ("a night without recordings", 10 * HOUR, {"callback": 0}, []),
        ("nothing arrives for more than a day", 27 * HOUR, {"callback": 0}, ["NothingStored"]),
        ("nothing but heartbeats, without a line, for more than a day", 27 * HOUR, unlogged, []),
        ("the secret is wrong, one recording",
         60, {"callback": 0, "wrong_signature": 1}, ["WrongSecret"]),
        ("the secret is wrong, a hundred recordings",
         60, {"callback": 0, "wrong_signature": 100}, ["WrongSecret"]),
        ("a probe an hour while nothing is recorded",
         1, {"callback": 0, "wrong_signature": 2}, []),
        ("a flood of wrong signatures", 60, {"wrong_signature": 30}, ["SignatureFailures"]),
        ("some wrong signatures", 60, {"wrong_signature": 5}, []),
        ("a flood of wrong signatures among heartbeats without a line",
         60, {**unlogged, "wrong_signature": 30}, ["SignatureFailures"]),
        ("some wrong signatures among heartbeats without a line",
         60, {**unlogged, "wrong_signature": 5}, []),
        ("the function crashes", 10, {"callback": 0, "callback_crashed": 1}, ["CallbackErrors"]),
        ("one callback in 5,000 crashes", 10, {"callback": 5_000, "callback_crashed": 1}, []),
        ("callbacks are throttled", 10, {("AWS/Lambda", "Throttles", CALLBACK): 1},
         ["CallbackThrottles"]),
        ("all callbacks are throttled",
         10, {"callback": 0, ("AWS/Lambda", "Throttles", CALLBACK): 9}, ["CallbackThrottles"]),
        ("one callback in 5,000 is throttled",
         10, {"callback": 5_000, ("AWS/Lambda", "Throttles", CALLBACK): 1}, []),
        ("the address refuses everybody", 30,
         {"callback": 0, ("AWS/Lambda", "Url4xxCount", CALLBACK): 1}, ["UrlRefuses"]),
        ("the address has refused somebody", 1, {("AWS/Lambda", "Url4xxCount", CALLBACK): 20}, []),
        ("a flood of wrong signatures, which the function refuses", 60,
         {"wrong_signature": 30, ("AWS/Lambda", "Url4xxCount", CALLBACK): 30},
         ["SignatureFailures"]),
        ("callbacks are slow", 30, {"callback": 30, (slow, 20): 7_000}, ["CallbackSlow"]),
        ("a few callbacks are slow", 30, {(slow, 1): 7_000}, []),
        ("a callback isn't stored", 1, {"callback_not_stored": 1}, ["NotStored"]),
        ("one callback in 5,000 isn't stored",
         10, {"callback": 5_000, "callback_not_stored": 1}, []),
        ("a callback can't be read", 1, {"unreadable_callback": 1}, ["Quarantine"]),
        ("a callback is too old", 1, {"stale_callback": 1}, ["Stale"]),
        ("a callback is too large", 1, {"callback_that_is_cut": 1}, ["Cut"]),
        ("a clock is ahead", 1, {"callback_of_a_clock_ahead": 1}, ["ClockAhead"]),
        ("an alert waits for a minute", 5, {"sweep": 0, "alert_waits_a_minute": 1}, []),
        ("an alert waits", 10, {"sweep": 0, "alert_waits": 1}, ["OldestPendingAlert"]),
        ("a sweep can't check all", 2, {("AgoraRecordings", "SweepLag", SWEEPER): 190_000}, []),
        ("sweeps never check all",
         10, {("AgoraRecordings", "SweepLag", SWEEPER): 190_000}, ["SweepLag"]),
        ("a fatal error and its retries can't be written down", 1,
         {"callback_unwritten": 4}, ["AlertsUnwritten"]),
        ("no alert can be written down for a while", 10,
         {"callback_unwritten": 1}, ["AlertsUnwritten"]),
        ("one alert can't be written down at once", 1, {"callback_unwritten": 1}, []),
        ("an alert is given up", 1, {"sweep": 0, "alert_given_up": 1}, ["AlertsFailed"]),
        ("a notice waits for a quarter of an hour", 20, {"sweep": 0, "notice_waits": 1},
         ["NoticesWait"]),
        ("a notice waits for a moment", 2, {"sweep": 0, "notice_waits": 1}, []),
        ("a notice is given up", 1, {"sweep": 0, "notice_given_up": 1}, ["NoticesFailed"]),
        ("nobody listens", 3 * HOUR, {"sweep": 0, "nobody_listens": 1}, ["NobodyListens"]),
        ("a subscriber is down", 1, {("AWS/SQS", "NumberOfMessagesSent", ALERTS): 1},
         ["UndeliveredAlerts"]),
        ("a program is down", 1, {("AWS/SQS", "NumberOfMessagesSent", NOTICES): 1},
         ["UndeliveredNotices"]),
        ("the sweeper stops", 30, {"sweep": 0}, ["SweeperStopped"]),
        ("a run of the sweeper is lost", 1, {"sweep": 0}, []),
        ("the sweeper fails", 10, {"sweep": 0, "sweep_failed": 1}, ["SweeperErrors"]),
        ("a run of the sweeper fails", 1, {"sweep": 0, "sweep_failed": 1}, []),
        ("a part of each sweep fails", 20, {"sweep": 0, "sweep_of_a_part": 1}, ["TableErrors"]),
        ("a part of a sweep fails", 2, {"sweep": 0, "sweep_of_a_part": 1}, []),
        ("pages can't be shown", 10, {("AWS/Lambda", "Url5xxCount", VIEWER): 2}, ["ViewerFails"]),
        ("a page can't be shown", 1, {("AWS/Lambda", "Url5xxCount", VIEWER): 1}, []),
        ("the table is down", 20,
         {"callback": 0, "callback_not_stored": 1, "sweep": 0, "sweep_failed": 1},
         ["NotStored", "SweeperErrors"]),
    ]
    for metric in ["WriteThrottleEvents", "ReadThrottleEvents"]:
        plays += [
            (f"{metric} of the table", 10, {throttled(metric): 4}, ["TableThrottles"]),
            (f"{metric} of the table in one minute", 1, {throttled(metric): 4}, []),
        ] + [
            (f"{metric} of {index}", 10, {throttled(metric, index): 4}, ["IndexThrottles"])
            for index in ["watch", "channel"]
        ]
    for name, minutes, changes, alarms in plays:
        yield name, series(recorded, minutes, lambda _, changes=changes: changes), minutes, alarms
    # The sweeper tries an item again every hour, give or take a minute.
    again = {60 * n + n % 3: {"sweep": 0, "unreadable_item": 1} for n in range(6)}
    unreadable = series(recorded, 6 * HOUR, lambda minute: again.get(minute, {}))
    yield "an item can't be read", unreadable, 6 * HOUR, ["UnreadableItems"]


def series(recorded, minutes, changes_at):
    """Metrics of a stack that is well, but for the minutes from `BEGIN` on."""
    metrics = Metrics()
    samples = {what: effects(invocation) for what, invocation in recorded.items()}
    for minute in range(BEGIN + minutes + 9 * HOUR):
        # Hours before and after the trouble nothing but a callback now and then matters.
        is_near = BEGIN - 2 * HOUR <= minute < BEGIN + minutes + 5 * HOUR
        if not is_near and minute % 20:
            continue
        is_trouble = BEGIN <= minute < BEGIN + minutes
        happens = {"callback": 1, "sweep": 1, **(changes_at(minute - BEGIN) if is_trouble else {})}
        for what, value in happens.items():
            if isinstance(what, str):
                for key, sample in samples[what] if value else []:
                    metrics.add(key, minute, sample, value)
            elif isinstance(what[0], tuple):
                key, count = what
                metrics.add(key, minute, value, count)
            else:
                metrics.add(what, minute, value)
    return metrics.sorted()


def play(template, plays, sound=None):
    """Plays everything, or what differs from a sound template; yields what is wrong."""
    alarms = stack.of_type(template, "AWS::CloudWatch::Alarm")
    names = {name: name.removesuffix("Alarm") for name in alarms}
    shown = {alarm for _, _, _, expected in plays for alarm in expected}
    for name in set(names.values()) ^ shown:
        yield f"{name} is never seen to ring, or isn't there"
    if sound and sound["Parameters"] == template["Parameters"]:
        alarms = {n: a for n, a in alarms.items() if a != sound["Resources"].get(n)}
    everything = itertools.product(plays, LOOK_BACKS_AND_DELAYS, alarms.items())
    for (story, metrics, minutes, expected), (look_back, delay), (name, alarm) in everything:
        alarm = Alarm(alarm, template["Parameters"], metrics, look_back, delay)
        # Long enough after the end for the slowest to clear.
        end = BEGIN + minutes + CALM + alarm.period * (2 + alarm.range - alarm.needed)
        begins = [now for now in range(BEGIN - CALM, end) if alarm.evaluate(now)]
        how = f"{story}: {names[name]}, with {look_back} more datapoints, {delay} minutes late"
        if alarm.rings:
            yield f"{how}, doesn't clear"
        if len(begins) != int(names[name] in expected):
            yield f"{how}, rings {len(begins)} times"


def plant(name, *path):
    *way, last, value = path

    def spoil(t):
        node = t["Resources"][f"{name}Alarm"]["Properties"]
        for step in way:
            node = node[step]
        node[last] = value

    return spoil


def plant_expression(name, expression):
    return plant(name, "Metrics", 0, "Expression", expression)


def plant_repetition(t):
    again = copy.deepcopy(t["Resources"]["NotStoredAlarm"])
    t["Resources"]["NotStoredAgainAlarm"] = again


FAULTS = [
    lambda t: t["Resources"].pop("StaleAlarm"),
    plant_repetition,
    lambda t: t["Parameters"]["NothingForHours"].update(Default=8),
    plant_expression("NothingStored", "stored + FILL(heard, 0)"),
    plant_expression("NothingStored", "FILL(stored, 0)"),
    plant_expression("WrongSecret", "IF(FILL(invalid, 0) >= 3, 1, 0)"),
    plant_expression("WrongSecret", "IF(FILL(invalid, 0) >= 3 AND FILL(stored, 0) == 0, 1, 0)"),
    plant_expression("WrongSecret", "IF(FILL(invalid, 0) >= 50 AND FILL(stored, 0) == 0, 1, 0)"),
    plant_expression("SignatureFailures", "FILL(invalid, 0)"),
    plant_expression("SignatureFailures", "IF(FILL(stored, 0) > 0, FILL(invalid, 0), 0)"),
    plant_expression("CallbackErrors", "IF(errors > 0, 1, 0)"),
    plant_expression("CallbackThrottles",
                     "IF(throttles > 0 AND FILL(invocations, 0) > 0, 1, 0)"),
    plant_expression("UrlRefuses", "IF(refused > 2, 1, 0)"),
    plant_expression("UrlRefuses", "IF(refused > 2 AND invocations == 0, 0, 1)"),
    plant("UrlRefuses", "DatapointsToAlarm", 1),
    plant_expression("NotStored", "FILL(refused, 0) / invocations"),
    plant_expression("CallbackSlow", "slow"),
    plant_expression("Quarantine", "quarantined"),
    plant("ClockAhead", "Threshold", 2),
    plant("OldestPendingAlert", "Threshold", 180),
    plant("SweepLag", "EvaluationPeriods", 1),
    plant("SweepLag", "Threshold", 120_000_000),
    plant("UndeliveredAlerts", "MetricName", "ApproximateNumberOfMessagesVisible"),
    plant("SweeperStopped", "TreatMissingData", "notBreaching"),
    plant("SweeperStopped", "EvaluationPeriods", 1),
    plant("SweeperErrors", "DatapointsToAlarm", 1),
    plant_expression("TableErrors", "FILL(errors, 0)"),
    plant("TableErrors", "EvaluationPeriods", 1),
    plant("UnreadableItems", "EvaluationPeriods", 1),
    plant("TableThrottles", "EvaluationPeriods", 3),
    plant("ViewerFails", "Threshold", 1),
    plant_expression("ViewerFails", "failures"),
    plant("WrongSecret", "EvaluationPeriods", 3),
    plant("TableThrottles", "DatapointsToAlarm", 1),
    plant_expression("IndexThrottles", "FILL(watchWrites, 0) + FILL(watchReads, 0)"),
]


def main():
    template = stack.expand(stack.read())
    plays = list(troubles(json.loads(Path(sys.argv[1]).read_text())))
    wrong = list(play(template, plays))
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(plays)} troubles ring the alarms that they should, and those clear")
    for number, spoil in enumerate(FAULTS):
        spoiled = copy.deepcopy(template)
        spoil(spoiled)
        if next(play(spoiled, plays, template), None) is None:
            sys.exit(f"nothing notices planted fault number {number + 1}")
    print(f"{len(FAULTS)} planted faults were seen")


if __name__ == "__main__":
    main()
