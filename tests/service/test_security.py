"""Who may ask, how often, and what nobody gets to see."""

import json
import stat
import time
from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from pipeline.cli import app as command
from pipeline.errors import ConfigError
from serving.app import create_app
from serving.keys import KeyFile, KeyRing, digest, make_key, read_keys, revoked, write_keys
from serving.middleware.guard import _Clock, scope_of
from serving.run import check_reach, is_loopback, serve
from serving.settings import Settings
from tests.service.test_http import refused


@pytest.fixture
def keys(tmp_path):
    """A file with a key of each scope, and the keys themselves."""
    made = {scope: make_key(scope, [scope]) for scope in ("read", "write", "admin")}
    write_keys(tmp_path / "keys.json", KeyFile(keys=tuple(key for _, key in made.values())))
    return {scope: secret for scope, (secret, _) in made.items()}


@pytest.fixture
def guarded(settings, keys, tmp_path):
    chosen = settings.model_copy(update={"keys": tmp_path / "keys.json"})
    with TestClient(create_app(chosen), raise_server_exceptions=False) as client:
        yield client


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


class TestKeys:
    def test_without_a_key_only_what_tells_nothing_is_answered(self, guarded):
        for path in ("/", "/docs", "/openapi.json", "/health/live", "/health/ready"):
            assert guarded.get(path).status_code == 200
        for path in ("/v1/items/i1", "/metrics", "/v1/bundle", "/v1/users/u1", "/nowhere"):
            answer = guarded.get(path)
            assert "Authorization: Bearer" in refused(answer, 401)["detail"]
            assert answer.headers["www-authenticate"] == "Bearer"
        refused(guarded.post("/recommend", json={}), 401)

    def test_a_key_opens_what_its_scopes_say(self, guarded, keys):
        reads = bearer(keys["read"])
        assert guarded.get("/v1/items/i1", headers=reads).status_code == 200
        assert guarded.post("/recommend", json={}, headers=reads).status_code == 200
        assert guarded.get("/v1/items/i1", headers={"x-api-key": keys["read"]}).status_code == 200
        told = refused(guarded.get("/v1/admin/slow", headers=reads), 403)["detail"]
        assert "does not allow admin; it allows read" in told
        assert guarded.get("/v1/admin/slow", headers=bearer(keys["admin"])).status_code == 200
        refused(guarded.delete("/v1/items/none", headers=reads), 403)
        refused(guarded.delete("/v1/items/none", headers=bearer(keys["write"])), 404)

    @pytest.mark.parametrize(
        "header",
        ["Bearer", "Bearer ", "Bearer x", "Basic abc", "bearer pp_00000000_" + "A" * 43, "\xff"],
    )
    def test_what_is_no_key_is_refused(self, guarded, header):
        refused(
            guarded.get("/v1/items/i1", headers={"authorization": header.encode("latin-1")}), 401
        )

    def test_a_change_is_what_is_not_known_to_be_none(self):
        assert scope_of("POST", "/v1/recommend") == "read"
        assert scope_of("POST", "/v1/feedback") == "write"
        assert scope_of("POST", "/v1/something/new") == "write"
        assert scope_of("GET", "/v1/admin/slow") == "admin"
        assert scope_of("HEAD", "/v1/items/i1") == "read"

    def test_the_metrics_count_who_was_turned_away(self, guarded, keys):
        guarded.get("/v1/items/i1")
        guarded.get("/v1/items/i1", headers=bearer("wrong"))
        guarded.get("/v1/admin/slow", headers=bearer(keys["read"]))
        text = guarded.get("/metrics", headers=bearer(keys["read"])).text
        for reason in ("missing", "unknown", "scope"):
            assert f'plotpointe_denied_total{{reason="{reason}"}} 1.0' in text


class TestRotation:
    def test_several_keys_are_valid_at_once_and_end_by_themselves(self, tmp_path):
        old, new, ended = (
            make_key("a", ["read"], days=1),
            make_key("a", ["read"]),
            make_key("a", ["read"], days=-1),
        )
        path = tmp_path / "keys.json"
        write_keys(path, KeyFile(keys=(old[1], new[1], ended[1])))
        ring = KeyRing(path)
        assert ring.find(old[0]).id == old[1].id
        assert ring.find(new[0]).id == new[1].id
        assert ring.find(ended[0]) is None

    def test_a_revoked_key_is_refused_by_a_running_service(self, guarded, keys, tmp_path):
        path = tmp_path / "keys.json"
        assert guarded.get("/v1/items/i1", headers=bearer(keys["read"])).status_code == 200
        which = read_keys(path).keys[0].id
        write_keys(path, revoked(read_keys(path), which, datetime.now(UTC)))
        deadline = time.monotonic() + 10
        while guarded.get("/v1/items/i1", headers=bearer(keys["read"])).status_code == 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def test_a_file_that_breaks_or_goes_changes_nothing(self, tmp_path, monkeypatch):
        secret, key = make_key("a", ["read"])
        path = tmp_path / "keys.json"
        write_keys(path, KeyFile(keys=(key,)))
        monkeypatch.setattr("serving.keys._LOOK_SECONDS", 0.0)
        ring = KeyRing(path)
        path.write_text("{")
        assert ring.find(secret) is not None
        path.unlink()
        assert ring.find(secret) is not None

    def test_a_key_ends_by_the_clock_on_the_wall(self):
        _, key = make_key("a", ["read"], days=1)
        now = datetime.now(UTC)
        assert key.valid(now) and not key.valid(now + timedelta(days=2))


class TestFile:
    def test_it_holds_hashes_and_is_its_owners_alone(self, tmp_path, keys):
        path = tmp_path / "keys.json"
        text = path.read_text()
        assert not any(secret in text for secret in keys.values())
        assert digest(keys["read"]) in text
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_secrets_are_long_and_differ(self):
        made = {make_key("a", ["read"])[0] for _ in range(50)}
        assert len(made) == 50 and min(map(len, made)) >= 54

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"keys": [{"id": 1}]}'])
    def test_what_holds_no_keys_is_an_error_that_quotes_nothing(self, tmp_path, text):
        path = tmp_path / "keys.json"
        path.write_text(text)
        with pytest.raises(ConfigError, match="holds no keys of ours"):
            KeyRing(path)

    def test_a_missing_file_names_the_command(self, tmp_path):
        with pytest.raises(ConfigError, match="plotpointe keys new NAME --keys"):
            KeyRing(tmp_path / "none")


class TestCommand:
    def run(self, *words: str):
        return CliRunner().invoke(command, ["keys", *words])

    def test_a_key_is_made_listed_and_revoked(self, tmp_path):
        path = str(tmp_path / "keys.json")
        made = self.run(
            "new", "shop", "--scope", "read", "--scope", "write", "--days", "30", "--keys", path
        )
        assert made.exit_code == 0
        secret = made.stdout.strip()
        assert KeyRing(tmp_path / "keys.json").find(secret).scopes == ("read", "write")
        listed = json.loads(self.run("list", "--keys", path, "--json").stdout)
        assert listed[0]["name"] == "shop" and "sha256" not in listed[0]
        assert "shop" in self.run("list", "--keys", path).stdout
        assert self.run("revoke", listed[0]["id"], "--keys", path).exit_code == 0
        assert KeyRing(tmp_path / "keys.json").find(secret) is None

    def test_mistakes_are_named(self, tmp_path):
        path = str(tmp_path / "keys.json")
        for words, what in (
            (("new", "shop", "--scope", "raed"), "no scope"),
            (("new", "shop", "--rate", "often"), "no rate"),
            (("list",), "no keys at"),
        ):
            failed = self.run(*words, "--keys", path)
            assert isinstance(failed.exception, ConfigError) and what in str(failed.exception)
        self.run("new", "shop", "--keys", path)
        failed = self.run("revoke", "none", "--keys", path)
        assert "no key has the id" in str(failed.exception)


class TestRate:
    @pytest.fixture
    def limited(self, settings):
        chosen = settings.model_copy(update={"rate": "3/minute"})
        with TestClient(create_app(chosen)) as client:
            yield client

    def test_what_is_left_is_told_until_nothing_is(self, limited):
        for left in (2, 1, 0):
            answer = limited.get("/v1/items/i1")
            assert answer.status_code == 200
            assert answer.headers["ratelimit-limit"] == "3"
            assert answer.headers["ratelimit-remaining"] == str(left)
            assert answer.headers["ratelimit-policy"] == "3;w=60"
        answer = limited.get("/v1/items/i1")
        assert "more than 3 per 1 minute" in refused(answer, 429)["detail"]
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert answer.headers["retry-after"] == answer.headers["ratelimit-reset"]
        assert limited.get("/health/ready").status_code == 200

    def test_each_key_counts_for_itself_and_may_have_its_own_rate(self, settings, tmp_path):
        one, other = make_key("one", ["read"]), make_key("other", ["read"], rate="1/hour")
        path = tmp_path / "keys.json"
        write_keys(path, KeyFile(keys=(one[1], other[1])))
        chosen = settings.model_copy(update={"rate": "2/minute", "keys": path})
        with TestClient(create_app(chosen)) as client:
            statuses = [
                client.get("/v1/items/i1", headers=bearer(secret)).status_code
                for secret in (one[0], other[0], one[0], other[0], one[0])
            ]
        assert statuses == [200, 200, 200, 429, 429]

    def test_no_rate_limits_nobody(self, client):
        assert "ratelimit-limit" not in client.get("/v1/items/i1").headers

    @pytest.mark.parametrize("update", [{"rate": "often"}, {"rate": "1/day", "rate_storage": "x"}])
    def test_a_rate_that_is_none_is_named(self, settings, update):
        with pytest.raises(ConfigError, match=r"no rate|rate_storage"):
            with TestClient(create_app(settings.model_copy(update=update))):
                pass

    def test_a_store_that_fails_lets_requests_pass(self, settings, monkeypatch):
        chosen = settings.model_copy(update={"rate": "1/minute"})

        def fail(*_):
            raise ConnectionError("gone")

        monkeypatch.setattr("serving.middleware.guard.Rate._count", fail)
        with TestClient(create_app(chosen)) as client:
            assert [client.get("/v1/items/i1").status_code for _ in range(3)] == [200] * 3

    def test_a_clock_that_is_set_back_locks_nobody_out(self, limited, monkeypatch):
        for _ in range(4):
            limited.get("/v1/items/i1")
        now = time.time()
        monkeypatch.setattr("time.time", lambda: now - 86_400)
        assert limited.get("/v1/items/i1").status_code == 200

    def test_a_jump_is_told_once(self):
        wall, steady = [100.0], [5.0]
        clock = _Clock(lambda: wall[0], lambda: steady[0])
        wall[0], steady[0] = 160.0, 65.0
        assert not clock.jumped()
        wall[0] = 30.0
        assert clock.jumped() and not clock.jumped()


class TestReach:
    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
    def test_this_machine_needs_no_key(self, host):
        assert is_loopback(host)
        check_reach(Settings(host=host))

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org"])
    def test_other_machines_are_answered_only_on_purpose(self, host, tmp_path):
        with pytest.raises(ConfigError, match="plotpointe keys new"):
            serve(Settings(host=host, store=tmp_path))
        check_reach(Settings(host=host, allow_anonymous=True))
        check_reach(Settings(host=host, keys=tmp_path / "keys.json"))


class TestOrigins:
    def test_no_page_of_elsewhere_may_ask_by_default(self, client):
        answer = client.get("/v1/items/i1", headers={"origin": "https://shop.example"})
        assert not any(name.startswith("access-control") for name in answer.headers)

    def test_a_named_origin_may_and_another_may_not(self, settings):
        chosen = settings.model_copy(update={"cors": ("https://shop.example",)})
        with TestClient(create_app(chosen)) as client:
            for origin, allowed in (("https://shop.example", True), ("https://x.example", False)):
                answer = client.get("/v1/items/i1", headers={"origin": origin})
                assert (answer.headers.get("access-control-allow-origin") == origin) is allowed
            asked = {"origin": "https://shop.example", "access-control-request-method": "POST"}
            assert client.options("/v1/recommend", headers=asked).status_code == 200


class TestSecrets:
    def test_no_key_and_no_id_is_ever_logged(self, settings, keys, tmp_path, capfd, monkeypatch):
        chosen = settings.model_copy(
            update={"keys": tmp_path / "keys.json", "log_level": "debug", "slow_seconds": 0.0}
        )
        wrong = "pp_deadbeef_thisismywrongkey"

        def crash(*_):
            raise RuntimeError("a bug")

        with TestClient(create_app(chosen), raise_server_exceptions=False) as client:
            for secret in (*keys.values(), wrong):
                client.get("/v1/users/user77/recommendations", headers=bearer(secret))
                client.post("/recommend?x=user77", json={"user": "user77"}, headers=bearer(secret))
                client.get("/v1/items?query=user77", headers={"x-api-key": secret})
            monkeypatch.setattr("serving.recommender.Recommender.plain", crash)
            crashed = client.post(
                "/recommend", json={"user": "user77", "k": 3}, headers=bearer(keys["read"])
            )
            text = client.get("/metrics", headers=bearer(keys["read"])).text
            slow = client.get("/v1/admin/slow", headers=bearer(keys["admin"])).text
        logged = capfd.readouterr().err
        assert crashed.status_code == 500 and "a bug" in logged and "slow request" in logged
        for told in (logged, text, slow):
            assert not any(secret in told for secret in (*keys.values(), wrong, "user77"))
