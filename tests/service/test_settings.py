"""Settings come from a file, then from the environment; what is not a setting is refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.errors import ConfigError
from serving.settings import Settings, load_settings

SHIPPED = Path(__file__).parents[2] / "configs" / "service.yaml"


def test_the_shipped_file_states_the_defaults():
    assert load_settings(SHIPPED, {}) == Settings()


def test_the_shipped_file_names_every_setting():
    text = SHIPPED.read_text()
    assert all(f"\n{name}: " in text for name in Settings.model_fields)


def test_the_environment_stands_over_the_file(tmp_path):
    file = tmp_path / "service.yaml"
    file.write_text("port: 9000\nhost: 0.0.0.0\nbrowse: false\n")
    loaded = load_settings(file, {"PLOTPOINTE_PORT": "9100", "PLOTPOINTE_STORE": "elsewhere"})
    assert (loaded.port, loaded.host, loaded.browse) == (9100, "0.0.0.0", False)
    assert loaded.store == Path("elsewhere")


def test_an_empty_variable_is_no_choice():
    assert load_settings(None, {"PLOTPOINTE_PORT": "", "HOME": "/"}) == Settings()


def test_the_command_line_stands_over_both(tmp_path):
    loaded = load_settings(None, {"PLOTPOINTE_PORT": "9100"}, {"port": 9200, "host": None})
    assert (loaded.port, loaded.host) == (9200, "127.0.0.1")
    with pytest.raises(ConfigError, match="port"):
        load_settings(None, {}, {"port": 70000})


def test_an_unknown_key_names_the_closest(tmp_path):
    file = tmp_path / "service.yaml"
    file.write_text("prt: 9000\n")
    with pytest.raises(ConfigError, match=r"unknown key 'prt' \(did you mean 'port'\?\)"):
        load_settings(file, {})


@pytest.mark.parametrize("port", ["http", "-1", "65536"])
def test_a_bad_value_names_its_variable(port):
    with pytest.raises(ConfigError, match="PLOTPOINTE_PORT: port"):
        load_settings(None, {"PLOTPOINTE_PORT": port})


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="no configuration at"):
        load_settings(tmp_path / "gone.yaml", {})


def test_settings_do_not_change():
    with pytest.raises(ValidationError):
        Settings().port = 1
