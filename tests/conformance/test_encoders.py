"""One suite for every registered encoder; models that are not at hand are made small, of the
real architecture with random weights."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pipeline.arrays import unit_rows
from pipeline.config import ImageConfig, TextConfig
from pipeline.embed.encoders import IMAGE_ENCODERS, TEXT_ENCODERS, Placement
from pipeline.embed.encoders.hub import Wanted, content_hash, locate
from pipeline.embed.encoders.text import package_folder, pooling_of
from pipeline.errors import ConfigError, MissingExtraError
from tests.embed_jobs import picture
from tests.encoder_folders import make_bert, make_clip, make_open_clip, make_siglip, make_vit

TEXTS = ["a red lamp", "a blue chair that is rather long to describe here", "lamp", "chair " * 50]
PICTURES = [picture(n) for n in range(3)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    make_bert(root / "bert")
    make_clip(root / "clip")
    make_siglip(root / "siglip")
    make_vit(root / "vit")
    make_open_clip(root / "open_clip")
    return root


def test_every_text_encoder_is_in_the_suite():
    assert {*TEXT_ENCODERS} == {"minilm", "huggingface", "tiny"}


def test_every_image_encoder_is_in_the_suite():
    assert {*IMAGE_ENCODERS} == {"efficientnet-lite0", "huggingface", "open-clip", "tiny"}


def text_config(name, folders):
    model = {"model": str(folders / "bert")} if name == "huggingface" else {}
    return TextConfig(encoder=name, max_tokens=16, **model)


@pytest.fixture(params=["minilm", "huggingface", "tiny"])
def text_recipe(request, folders):
    return TEXT_ENCODERS[request.param](text_config(request.param, folders))


def image_config(name, folders):
    encoder, _, kind = name.partition(":")
    model = {}
    if kind:
        path = str(folders / kind)
        model = {"model": f"local-dir:{path}" if encoder == "open-clip" else path}
    return ImageConfig(encoder=encoder, **model)


IMAGE_CASES = [
    "efficientnet-lite0", "tiny", "huggingface:clip", "huggingface:siglip", "huggingface:vit",
    "open-clip:open_clip",
]  # fmt: skip


@pytest.fixture(params=IMAGE_CASES)
def image_recipe(request, folders):
    config = image_config(request.param, folders)
    return IMAGE_ENCODERS[config.encoder](config)


class TestTextEncoder:
    def test_shapes(self, text_recipe):
        encoder = text_recipe.load(Placement())
        vectors = encoder.encode(encoder.tokenize(TEXTS))
        assert vectors.shape == (4, encoder.width)
        assert vectors.dtype == np.float32
        assert np.isfinite(vectors).all()

    def test_texts_are_cut(self, text_recipe):
        encoder = text_recipe.load(Placement())
        assert max(len(ids) for ids in encoder.tokenize(TEXTS)) <= 16

    def test_a_batch_gives_what_singles_give(self, text_recipe):
        encoder = text_recipe.load(Placement())
        tokens = encoder.tokenize(TEXTS)
        singles = np.concatenate([encoder.encode([one]) for one in tokens])
        assert np.allclose(encoder.encode(tokens), singles, atol=1e-5)

    def test_threads_may_share_it(self, text_recipe):
        encoder = text_recipe.load(Placement())

        def once(_):
            return encoder.encode(encoder.tokenize(TEXTS))

        with ThreadPoolExecutor(4) as pool:
            results = [*pool.map(once, range(8))]
        assert all(np.array_equal(one, results[0]) for one in results)

    def test_loading_twice_gives_the_same(self, text_recipe):
        one, two = (text_recipe.load(Placement()) for _ in range(2))
        assert np.array_equal(one.encode(one.tokenize(TEXTS)), two.encode(two.tokenize(TEXTS)))

    def test_bfloat16_is_close(self, text_recipe):
        high, low = (text_recipe.load(Placement("cpu", p)) for p in ("float32", "bfloat16"))
        one, two = (unit_rows(e.encode(e.tokenize(TEXTS)))[0] for e in (high, low))
        assert (one * two).sum(axis=1).min() > 0.99

    def test_the_identity_is_plain_and_stable(self, text_recipe):
        assert text_recipe.identity["encoder"] == text_recipe.name
        assert all(isinstance(v, str | int | None) for v in text_recipe.identity.values())


class TestImageEncoder:
    def test_shapes(self, image_recipe):
        encoder = image_recipe.load(Placement())
        vectors = encoder.encode([encoder.prepare(p) for p in PICTURES])
        assert vectors.shape == (3, encoder.width)
        assert vectors.dtype == np.float32
        assert np.isfinite(vectors).all()

    def test_any_size_of_picture_is_taken(self, image_recipe):
        encoder = image_recipe.load(Placement())
        prepared = [encoder.prepare(picture(0, size)) for size in ((1, 1), (5, 400), (400, 3))]
        assert len({p.shape for p in prepared}) == 1

    def test_a_batch_gives_what_singles_give(self, image_recipe):
        encoder = image_recipe.load(Placement())
        prepared = [encoder.prepare(p) for p in PICTURES]
        singles = np.concatenate([encoder.encode([one]) for one in prepared])
        assert np.allclose(encoder.encode(prepared), singles, atol=1e-4)

    def test_threads_may_share_it(self, image_recipe):
        encoder = image_recipe.load(Placement())

        def once(_):
            return encoder.encode([encoder.prepare(p) for p in PICTURES])

        with ThreadPoolExecutor(4) as pool:
            results = [*pool.map(once, range(8))]
        assert all(np.array_equal(one, results[0]) for one in results)

    def test_a_slightly_changed_picture_is_nearer_than_another(self, image_recipe):
        encoder = image_recipe.load(Placement())
        near = picture(0).resize((64, 88)).convert("RGB")
        shown = [encoder.prepare(p) for p in (picture(0), near, picture(1))]
        own, changed, other = unit_rows(encoder.encode(shown))[0]
        assert own @ changed > own @ other

    def test_bfloat16_is_close(self, image_recipe):
        high, low = (image_recipe.load(Placement("cpu", p)) for p in ("float32", "bfloat16"))
        one, two = (unit_rows(e.encode([e.prepare(p) for p in PICTURES]))[0] for e in (high, low))
        assert (one * two).sum(axis=1).min() > 0.98

    def test_the_identity_is_plain(self, image_recipe):
        assert image_recipe.identity["encoder"] == image_recipe.name
        assert all(isinstance(v, str | int | None) for v in image_recipe.identity.values())


class TestWhatCannotBeLoaded:
    def test_a_model_must_be_named(self):
        with pytest.raises(ConfigError, match="must name a model"):
            TEXT_ENCODERS["huggingface"](TextConfig(encoder="huggingface"))

    def test_a_folder_that_is_none_is_named(self):
        with pytest.raises(ConfigError, match="no folder /nowhere/x"):
            locate(Wanted("embed.text.model", "/nowhere/x"))

    def test_a_folder_without_a_model_says_what_it_lacks(self, tmp_path):
        (tmp_path / "readme.md").write_text("")
        with pytest.raises(ConfigError, match=r"must hold config\.json.*readme\.md"):
            locate(Wanted("embed.text.model", str(tmp_path)))

    def test_without_a_network_the_hub_fails_at_once_and_says_what_to_do(
        self, monkeypatch, tmp_path
    ):
        import httpx
        from huggingface_hub import constants

        def refuse(*_, **__):
            raise httpx.ConnectError("Name or service not known")

        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(httpx, "head", refuse)
        with pytest.raises(ConfigError, match=r"hf download some/model.*'minilm'"):
            locate(Wanted("embed.text.model", "some/model"))

    def test_offline_mode_is_respected(self, monkeypatch):
        import httpx
        from huggingface_hub import constants

        def never(*_, **__):
            raise AssertionError

        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        monkeypatch.setattr(httpx, "head", never)
        with pytest.raises(ConfigError, match="HF_HUB_OFFLINE is set"):
            locate(Wanted("embed.text.model", "some/model"))

    def test_what_is_no_hub_name_is_refused(self):
        with pytest.raises(ConfigError, match="not a hub name"):
            locate(Wanted("embed.text.model", "not a name!"))

    def test_a_damaged_model_folder_is_a_config_error(self, folders, tmp_path):
        make_clip(tmp_path / "clip")
        weights = tmp_path / "clip" / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
        (tmp_path / "config.json").write_text('{"model_type": "nonsense"}')
        (tmp_path / "model.safetensors").write_bytes(b"")
        cut = ImageConfig(encoder="huggingface", model=str(tmp_path / "clip"))
        for recipe in (
            TEXT_ENCODERS["huggingface"](TextConfig(encoder="huggingface", model=str(tmp_path))),
            IMAGE_ENCODERS["huggingface"](ImageConfig(encoder="huggingface", model=str(tmp_path))),
            IMAGE_ENCODERS["huggingface"](cut),
        ):
            with pytest.raises(ConfigError, match="cannot load"):
                recipe.load(Placement())

    def test_a_model_that_is_no_text_encoder_is_refused(self, folders):
        config = TextConfig(encoder="huggingface", model=str(folders / "clip"))
        with pytest.raises(ConfigError, match=r"clip model, not a text encoder|cannot load"):
            TEXT_ENCODERS["huggingface"](config).load(Placement())

    def test_an_unknown_architecture_names_the_closest(self):
        with pytest.raises(ConfigError, match="did you mean 'ViT-B-32"):
            IMAGE_ENCODERS["open-clip"](ImageConfig(encoder="open-clip", model="VIT-B-32"))

    def test_an_unknown_tag_lists_the_known(self):
        config = ImageConfig(encoder="open-clip", model="ViT-B-32", pretrained="laion2b_s34b")
        with pytest.raises(ConfigError, match=r"did you mean 'laion2b_s34b_b79k'.*openai"):
            IMAGE_ENCODERS["open-clip"](config)

    def test_an_architecture_without_a_default_needs_a_checkpoint(self):
        with pytest.raises(ConfigError, match="neither a file nor a checkpoint tag"):
            IMAGE_ENCODERS["open-clip"](ImageConfig(encoder="open-clip", model="ViT-L-14"))

    def test_a_checkpoint_of_another_architecture_is_refused(self, folders):
        weights = folders / "open_clip" / "open_clip_model.safetensors"
        config = ImageConfig(encoder="open-clip", model="RN50", pretrained=str(weights))
        with pytest.raises(ConfigError, match="cannot load"):
            IMAGE_ENCODERS["open-clip"](config).load(Placement())

    def test_an_open_clip_folder_needs_its_config(self, tmp_path):
        config = ImageConfig(encoder="open-clip", model=f"local-dir:{tmp_path}")
        with pytest.raises(ConfigError, match=r"open_clip_config\.json"):
            IMAGE_ENCODERS["open-clip"](config)

    def test_a_package_that_is_not_installed_is_named(self):
        with pytest.raises(MissingExtraError, match="pip install no-such-package"):
            package_folder("no_such_package")


def test_another_weight_is_another_identity(folders, tmp_path):
    make_bert(tmp_path / "bert", seed=1)
    assert content_hash(tmp_path / "bert") != content_hash(folders / "bert")
    make_bert(tmp_path / "same")
    assert content_hash(tmp_path / "same") == content_hash(folders / "bert")


@pytest.mark.parametrize(
    ("settings", "pooling"),
    [
        (None, "mean"),
        ('{"pooling_mode_cls_token": true}', "cls"),
        ('{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false}', "mean"),
        ('{"pooling_mode": "cls"}', "cls"),
    ],
)
def test_pooling_follows_the_models_own_file(tmp_path, settings, pooling):
    if settings:
        (tmp_path / "1_Pooling").mkdir()
        (tmp_path / "1_Pooling" / "config.json").write_text(settings)
    assert pooling_of(tmp_path) == pooling
