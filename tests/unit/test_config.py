"""The configuration refuses what it does not know and says what was meant."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.config import Config, TrainConfig, load_config
from pipeline.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "some.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("data: {format: demo}\ntrain: {epohcs: 3}", "'train.epohcs' .did you mean 'epochs'"),
        ("data: {format: demo, demo: {user: 3}}", "'data.demo.user' .did you mean 'users'"),
        ("data: {format: demo}\nembed: {text: {encodr: x}}", "did you mean 'encoder'"),
        ("data: {format: demo}\ntrian: {}", "'trian' .did you mean 'train'"),
        ("data: {format: amazn}", "data.format: Input should be 'demo'"),
        ("data: {format: demo}\ntrain: {epochs: -1}", "train.epochs.*greater than or equal to 0"),
        (
            "data: {format: demo}\nbaselines: {mine: {model: mf, overrides: {epohcs: 1}}}",
            "baselines.mine.overrides.*'epohcs' .did you mean 'epochs'",
        ),
        ("data: {format: demo}\nbaselines: {mine: {modle: mf}}", "did you mean 'model'"),
        ("data: {format: demo}\nrank: {}", r"rank.second names the baseline 'ease'; .* has \[\]"),
        (
            "data: {format: demo}\nbaselines: {eas: {model: ease}}\nrank: {}",
            r"rank.second .*did you mean 'eas'.*Add it \(baselines: .ease: .model: ease..\)",
        ),
        (
            "data: {format: demo}\nbaselines: {mf: {model: mf}}\nrank: {second: null, others: [m]}",
            r"rank.others names the baseline 'm' .did you mean 'mf'.*leave it out of rank.others",
        ),
        (
            "data: {format: demo}\nrank: {second: null, others: [first]}",
            "rank.others names the baseline 'first'",
        ),
        ("data: {format: demo}\nrank: {second: null, hiden: 3}", "did you mean 'hidden'"),
        ("data: {format: demo}\nrank: {second: null, folds: 1}", "rank.folds.*than or equal to 2"),
        ("data: {format: demo}\ntrain: {distill: {}}", "learns from a second stage; add a rank"),
        (
            "data: {format: demo}\nrank: {second: null}\ntrain: {distill: {first: {epohcs: 3}}}",
            "train.distill.first.*'epohcs' .did you mean 'epochs'",
        ),
        (
            "data: {format: demo}\nrank: {second: null}\n"
            "train: {distill: {first: {distill: {weight: 1}}}}",
            "train.distill.first.distill: only the main model learns from lists",
        ),
        (
            "data: {format: demo}\nbaselines: {mf: {model: mf, overrides: {distill: {}}}}",
            "baselines.mf.overrides.distill: only the main model learns from lists",
        ),
        ("- a list", "must hold a mapping"),
        ("a: [unclosed", "is not YAML"),
        ("name: x", "data: Field required"),
    ],
)
def test_a_mistake_is_named_with_its_cure(tmp_path, text, words):
    with pytest.raises(ConfigError, match=words):
        load_config(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no configuration at .*absent\.yaml"):
        load_config(tmp_path / "absent.yaml")


def test_overrides_reach_nested_values(tmp_path):
    path = write(tmp_path, "data: {format: demo}")
    config = load_config(path, ["train.epochs=5", "embed.image=null", "evaluate.ks=[10, 20]"])
    assert config.train.epochs == 5
    assert config.embed.image is None
    assert config.evaluate.ks == (10, 20)


@pytest.mark.parametrize("override", ["train.epochs", "train.epohcs=5", "name.x=1"])
def test_a_wrong_override_is_refused(tmp_path, override):
    with pytest.raises(ConfigError):
        load_config(write(tmp_path, "name: n\ndata: {format: demo}"), [override])


def test_paths_are_relative_to_the_file(tmp_path):
    path = write(
        tmp_path, "data: {format: table, interactions: raw/log.csv, vectors: {audio: a.npy}}"
    )
    config = load_config(path)
    assert config.data.interactions == tmp_path.resolve() / "raw/log.csv"
    assert config.data.vectors["audio"] == tmp_path.resolve() / "a.npy"


def test_an_mmrec_folder_brings_its_vectors_and_graphs(tmp_path):
    (tmp_path / "baby").mkdir()
    for name in ("text_feat.npy", "image_knn.npz", "baby.inter"):
        (tmp_path / "baby" / name).touch()
    config = load_config(write(tmp_path, "data: {format: mmrec, folder: baby}"))
    assert [*config.data.vectors] == ["text"]
    assert [*config.data.graphs] == ["image"]


def test_a_section_cannot_be_changed():
    with pytest.raises(ValidationError):
        TrainConfig().epochs = 3  # type: ignore[misc]


def test_a_baseline_differs_from_the_defaults_only_where_it_says(tmp_path):
    text = "data: {format: demo}\nbaselines: {small: {model: mf, overrides: {width: 8}}}"
    baseline = load_config(write(tmp_path, text)).baseline("small")
    assert baseline == TrainConfig(model="mf", width=8)


def test_the_first_network_is_the_main_one_but_for_its_own_fields(tmp_path):
    text = "data: {format: demo}\nrank: {second: null}\n"
    text += "train: {width: 32, epochs: 9, distill: {weight: 2, first: {epochs: 3}}}"
    config = load_config(write(tmp_path, text))
    assert config.first() == TrainConfig(width=32, epochs=3)


def test_every_field_explains_itself():
    def walk(section):
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name} has no docstring"
            for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
                if isinstance(inner, type) and hasattr(inner, "model_fields"):
                    walk(inner)

    walk(Config)


@pytest.mark.parametrize("path", sorted(Path("configs").glob("*.yaml")), ids=lambda p: p.name)
def test_shipped_configurations_are_valid(path):
    if path.name not in ("service.yaml", "prices.yaml"):
        assert load_config(path).name
