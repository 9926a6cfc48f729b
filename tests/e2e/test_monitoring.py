"""What packaging/monitoring has for Prometheus and Grafana: it is sound, and names only figures that there are.

That docs/operations.md lists just the figures that are served is held by server/tests/it/http.rs.
"""

import json
import re
import subprocess
import urllib.request

import pytest
from conftest import ROOT

MONITORING = ROOT / "packaging/monitoring"
ALERTS = MONITORING / "alerts.yaml"
BOARD = json.loads((MONITORING / "dashboard.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def promtool(*arguments, stdin: str | None = None) -> str:
    done = subprocess.run(["promtool", *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def documented() -> set[str]:
    return set(re.findall(r"(?m)^\| `(millstream_\w+)` \|", (ROOT / "docs/operations.md").read_text()))


def named(text: str) -> set[str]:
    """Figures in expressions; a histogram has its series under other names."""
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bmillstream_\w+", text)}


def expressions() -> dict[str, str]:
    """What the dashboard asks Prometheus, with its variables filled in."""
    found = {}
    for panel in PANELS:
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "5m").replace("$job", "millstream").replace("$instance", ".*")
            found[f"{panel['title']} {target['refId']}"] = expression
    return found


def alerts() -> list[str]:
    return re.findall(r"(?m)^ *- alert: (\w+)$", ALERTS.read_text())


def test_rules_and_settings_are_sound():
    assert f"{len(alerts())} rules found" in promtool("check", "rules", ALERTS)
    promtool("check", "config", MONITORING / "prometheus.yaml")


def test_each_alert_fires():
    tests = ROOT / "tests/e2e/monitoring/alerts_test.yaml"
    assert "SUCCESS" in promtool("test", "rules", tests)
    fired = re.findall(r"(?m)^ *- alertname: (\w+)$", tests.read_text())
    assert sorted(fired) == sorted(alerts()) and len(alerts()) > 15


def test_an_alert_that_does_not_fire_is_seen(tmp_path):
    text = (ROOT / "tests/e2e/monitoring/alerts_test.yaml").read_text()
    text = text.replace("../../../packaging/monitoring/alerts.yaml", str(ALERTS)).replace("values: '1000000000x20'", "values: '9000000000x20'")
    broken = tmp_path / "test.yaml"
    broken.write_text(text)
    with pytest.raises(AssertionError, match="MillstreamDiskAlmostFull"):
        promtool("test", "rules", broken)


def test_figures_that_are_named_are_there():
    known = documented()
    assert len(known) > 100
    asked = " ".join(expressions().values())
    used = named(re.sub(r"(?m)^ *(summary|description): .*$", "", ALERTS.read_text())) | named(asked)
    assert used - known == set() and len(used) > 45
    # What an operator is told to look at beside an alert.
    assert named(ALERTS.read_text()) - known == set()


def test_figures_of_a_server_are_as_prometheus_wants_them(flights_server):
    with urllib.request.urlopen(f"http://{flights_server.http}/metrics") as answer:
        text = answer.read().decode()
    assert promtool("check", "metrics", stdin=text) == ""
    served = set(re.findall(r"(?m)^# TYPE (\w+) ", text))
    assert {"millstream_log_durable_lsn", "millstream_group_lag_rows"} <= served <= documented()


def test_the_dashboard_asks_what_prometheus_understands(tmp_path):
    rules = tmp_path / "rules.yaml"
    found = expressions()
    lines = [f"      - record: asked:{number}\n        expr: {json.dumps(expression)}\n" for number, expression in enumerate(found.values())]
    rules.write_text("groups:\n  - name: dashboard\n    rules:\n" + "".join(lines))
    assert f"{len(found)} rules found" in promtool("check", "rules", rules)


def test_the_dashboard_is_one():
    assert BOARD["uid"] == "millstream" and "id" not in BOARD
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24, f"{panel['title']} lies over another panel"
        taken |= cells
    variables = {variable["name"] for variable in BOARD["templating"]["list"]}
    for panel in PANELS:
        assert panel["datasource"]["uid"] == "${datasource}" and panel["title"] and panel["targets"]
        for target in panel["targets"]:
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= variables | {"__rate_interval"}
            assert 'job="$job"' in target["expr"]
