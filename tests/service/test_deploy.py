"""What stands under deploy/ names only what exists, and all that exists is named somewhere."""

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from serving.app import create_app
from serving.keys import SCOPES
from serving.settings import Settings

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy" / "grafana" / "plotpointe.json"
RULES = ROOT / "deploy" / "prometheus" / "plotpointe.rules.yml"
SCRAPE = ROOT / "deploy" / "prometheus" / "prometheus.yml"
UNIT = ROOT / "deploy" / "plotpointe.service"
DOCKERFILE = ROOT / "Dockerfile"
GUIDE = ROOT / "docs" / "how-to" / "serve.md"

NAME = re.compile(r"\bplotpointe_[a-z0-9_]+")


@pytest.fixture(scope="module")
def exported(client):
    """Every series that the service exports, and the labels of each metric."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        for suffix in suffixes.get(family.type, [""]):
            found[family.name + suffix] = {
                label for sample in family.samples for label in sample.labels
            }
    return {name: labels for name, labels in found.items() if name.startswith("plotpointe_")}


def panels() -> list[dict]:
    return [p for p in json.loads(DASHBOARD.read_text())["panels"] if p["type"] != "row"]


def expressions() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text())
    told = [target["expr"] for panel in panels() for target in panel["targets"]]
    told += [each["expr"] for each in dashboard["annotations"]["list"]]
    told += [each["query"] for each in dashboard["templating"]["list"] if each["type"] == "query"]
    return told + [rule["expr"] for rule in rules()]


def rules() -> list[dict]:
    return [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]


def test_every_metric_that_is_named_exists(exported):
    named = {name for text in expressions() for name in NAME.findall(text)}
    assert len(named) > 25
    assert named <= {*exported}


def test_every_metric_that_exists_is_named(exported):
    told = " ".join(expressions()) + GUIDE.read_text()
    families = {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in exported}
    assert [name for name in sorted(families) if name not in told] == []


def test_labels_that_are_asked_for_exist(client, exported):
    client.post("/recommend", json={"user": "u1"})
    known = {label for labels in exported.values() for label in labels}
    known |= {"job", "instance", "le", "status", "route", "method", "reason", "name", "outcome"}
    known |= {"strategy", "user_tier", "arm"}
    for text in expressions():
        for group in re.findall(r"\bby \(([^)]*)\)", text):
            assert {label.strip() for label in group.split(",")} <= known, text


def test_the_dashboard_is_laid_out_without_overlaps():
    taken = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken and at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_every_alert_says_what_happened_and_what_to_do():
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len({*names}) and all(name.startswith("Plotpointe") for name in names)
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert {*rule["annotations"]} == {"summary", "cure"}


def test_routes_and_commands_that_alerts_name_exist(client):
    document = client.get("/openapi.json").json()
    for rule in rules():
        for verb, path in re.findall(r"\b(GET|POST) (/v1/[a-z/]+)", rule["annotations"]["cure"]):
            assert verb.lower() in document["paths"][path]


def test_the_scrape_asks_with_a_key_for_the_rules_that_are_there():
    told = yaml.safe_load(SCRAPE.read_text())
    assert told["rule_files"] == [RULES.name]
    job = told["scrape_configs"][0]
    assert (job["job_name"], job["metrics_path"]) == ("plotpointe", "/metrics")
    scope = re.search(r"--scope (\w+)", SCRAPE.read_text())
    assert scope and scope.group(1) in SCOPES


def test_the_unit_sets_only_what_is_a_setting():
    known = {f"PLOTPOINTE_{name.upper()}" for name in Settings.model_fields}
    named = re.findall(r"^Environment=(PLOTPOINTE_\w+)=", UNIT.read_text(), re.M)
    assert named and {*named} <= known


class TestDockerfile:
    """Its structure; building it needs a daemon."""

    @pytest.fixture
    def stages(self):
        text = re.sub(r"\\\n", " ", DOCKERFILE.read_text())
        lines = [line.strip() for line in text.splitlines()]
        found, at = {}, ""
        for line in (line for line in lines if line and not line.startswith("#")):
            word, _, rest = line.partition(" ")
            if word == "FROM":
                base, _, at = rest.partition(" AS ")
                found[at] = [("FROM", base)]
            else:
                found[at].append((word, rest.strip()))
        return found

    def test_it_has_the_two_targets(self, stages):
        assert {"pipeline", "serving"} <= {*stages}

    def test_every_instruction_is_one_and_every_base_is_known_and_tagged(self, stages):
        words = {"FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "EXPOSE", "HEALTHCHECK"}
        words |= {"ENTRYPOINT", "CMD", "ARG", "VOLUME", "LABEL"}
        for lines in stages.values():
            assert {word for word, _ in lines} <= words
            base = lines[0][1]
            assert base in stages or (re.search(r":[\w.-]+$", base) and ":latest" not in base)

    def test_what_is_copied_exists(self, stages):
        for lines in stages.values():
            for word, rest in lines:
                if word != "COPY":
                    continue
                parts = rest.split()
                if parts[0].startswith("--from="):
                    assert parts[0].removeprefix("--from=") in stages
                else:
                    assert all((ROOT / name).exists() for name in parts[:-1])

    @pytest.mark.parametrize("target", ["pipeline", "serving"])
    def test_what_runs_is_nobody_special_and_tells_its_health(self, stages, target):
        chain, name = [], target
        while name in stages:
            chain = stages[name] + chain
            name = stages[name][0][1]
        words = dict(chain)
        assert words["USER"] not in ("root", "0")
        assert "ENTRYPOINT" in words
        if target == "serving":
            assert "/health/ready" in words["HEALTHCHECK"]

    def test_the_service_is_installed_without_torch(self, stages):
        lines = " ".join(rest for name in ("serving-build",) for _, rest in stages[name])
        assert "[pipeline" not in lines and "torch" not in lines


def test_the_application_and_its_document_are_the_same_with_keys(tmp_path):
    assert create_app(Settings()).openapi()["components"]["securitySchemes"]["key"]
