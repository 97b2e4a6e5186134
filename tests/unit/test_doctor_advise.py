"""What leaves this machine is shown, names nobody, and is sent only where the user says."""

import getpass
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from pipeline.artifacts import Store
from pipeline.cli import app
from pipeline.doctor.advise import asked, by_rule, summary
from pipeline.doctor.finding import FAIL, OK, WARN, Finding
from pipeline.doctor.redact import own_names, redacted
from pipeline.errors import DataError
from tests.unit.test_carbon import publish

SECRETS = (
    "/home/ada/store/tables", "~/data/log.csv", "./private/key", "ada@example.org", "10.1.2.3:8000",
    "sk-proj-0123456789abcdef", "http://shop.internal/v1", r"C:\Users\Ada\store",
    "8d969eef6ecad3c29a3a629280e686cf0c3f5d5a86aff3ca12020c923adc6c92",
)  # fmt: skip


class TestRedaction:
    @pytest.mark.parametrize("secret", SECRETS)
    def test_secrets_are_masked_wherever_they_stand(self, secret):
        told = redacted({"what": f"found {secret}, and more", secret: [secret]}, frozenset())
        assert secret not in json.dumps(told).replace("\\\\", "\\")

    @given(st.sampled_from(SECRETS), st.text(alphabet=" ,:()'abc", max_size=8))
    def test_whatever_stands_around_them(self, secret, around):
        assert secret not in redacted(f"{around} {secret} {around}", frozenset())

    def test_names_of_user_and_machine_are_masked(self):
        names = frozenset({"ada", "engine7"})
        assert redacted("Ada on ENGINE7: adamant", names) == "<name> on <name>: adamant"
        assert "root" not in own_names()

    def test_what_matters_stays(self):
        kept = "openblas 0.3.30 (2) on 2 cores; recall@20 0.95, 1.4 s, train:ease"
        assert redacted(kept, frozenset()) == kept
        assert redacted({"wall_seconds": 1.5, "none": None}, frozenset()) == {
            "wall_seconds": 1.5, "none": None,
        }  # fmt: skip


class Adviser(BaseHTTPRequestHandler):
    """A local stub of an OpenAI-compatible endpoint."""

    requests: ClassVar[list[tuple[str, str | None, dict]]] = []
    status, answer = 200, {"choices": [{"message": {"content": "Use \x1b[31mmore memory."}}]}

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.requests.append((self.path, self.headers["authorization"], body))
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(json.dumps(self.answer).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def adviser(monkeypatch):
    monkeypatch.setattr(Adviser, "requests", [])
    server = HTTPServer(("127.0.0.1", 0), Adviser)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


FINDINGS = [
    Finding("python", OK, "3.11"),
    Finding("memory", WARN, "little", "end other programs"),
    Finding("store", FAIL, f"{Path.home()}/store is cut short", "run again"),
]


class TestAsked:
    @pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/chat/completions"])
    def test_it_is_asked_as_such_endpoints_are(self, adviser, path):
        told = asked(adviser + path, {"findings": []}, "secret", "a-model")
        assert told == "Use [31mmore memory."
        where, key, body = Adviser.requests[0]
        assert (where, key) == ("/v1/chat/completions", "Bearer secret")
        assert body["model"] == "a-model"
        assert [message["role"] for message in body["messages"]] == ["system", "user"]

    def test_without_a_key_none_is_sent(self, adviser):
        asked(adviser, {}, None, "m")
        assert Adviser.requests[0][1] is None

    def test_refusals_are_sentences(self, adviser, monkeypatch):
        monkeypatch.setattr(Adviser, "answer", {"unexpected": True})
        with pytest.raises(DataError, match="choices"):
            asked(adviser, {}, None, "m")
        monkeypatch.setattr(Adviser, "status", 401)
        with pytest.raises(DataError, match="PLOTPOINTE_ADVISE_KEY"):
            asked(adviser, {}, None, "m")
        for address in ("http://127.0.0.1:9", "no address"):
            with pytest.raises(DataError, match="does not answer"):
                asked(address, {}, None, "m")

    def test_our_own_come_worst_first(self):
        assert by_rule(FINDINGS) == ["store: run again", "memory: end other programs"]

    def test_the_summary_names_nobody(self, tmp_path):
        store = Store(tmp_path / "s")
        publish(store, "tables", "7ab1e5")
        told = summary(FINDINGS, store)
        text = json.dumps(told)
        assert str(Path.home()) + "/" not in text and str(tmp_path) not in text
        for name in {socket.gethostname(), getpass.getuser()} - {"root", "localhost"}:
            assert name not in text
        assert told["costs_of_stages"]["etl"]["wall_seconds"] == 2.0


class TestVerb:
    def run(self, *words, **variables):
        words = ["doctor", "--only", "python", "--only", "disk", *words]
        return CliRunner().invoke(app, words, env=variables)

    def test_nobody_is_asked_without_an_address(self, adviser):
        assert "adviser" not in self.run().stdout
        assert Adviser.requests == []

    def test_what_is_sent_is_shown_first_and_is_what_is_shown(self, adviser):
        done = self.run("--advise", adviser, PLOTPOINTE_ADVISE_KEY="k", PLOTPOINTE_ADVISE_MODEL="m")
        sent = json.loads(Adviser.requests[0][2]["messages"][1]["content"])
        shown = done.stderr[done.stderr.index("{") : done.stderr.rindex("}") + 1]
        assert json.loads(shown) == sent
        assert "more memory" in done.stdout and "suggestions by rule" in done.stdout
        assert Adviser.requests[0][1] == "Bearer k"

    def test_the_environment_may_name_it(self, adviser):
        told = json.loads(self.run("--json", PLOTPOINTE_ADVISE_URL=adviser).stdout)
        assert "more memory" in told["suggestions of the adviser"]
