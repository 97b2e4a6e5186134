"""Our encoders against the libraries their models come from."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from pipeline.arrays import unit_rows
from pipeline.config import ImageConfig, TextConfig
from pipeline.embed.encoders import IMAGE_ENCODERS, TEXT_ENCODERS, Placement
from pipeline.embed.encoders.image import LITE0_PACKAGE, LITE0_WEIGHTS
from pipeline.embed.encoders.text import MINILM_PACKAGE, package_folder
from pipeline.embed.torchvision_guard import guard
from tests.embed_jobs import picture
from tests.encoder_folders import make_bert, make_clip, make_open_clip, make_siglip

TEXTS = ["The quick brown fox.", "A film about a lamp, a chair and three very long evenings " * 30,
         "映画 und Umlaute: äöü", "x", "lamp " * 11]  # fmt: skip


def encoded_texts(config):
    encoder = TEXT_ENCODERS[config.encoder](config).load(Placement())
    return unit_rows(encoder.encode(encoder.tokenize(TEXTS)))[0]


def encoded_pictures(config, pictures):
    encoder = IMAGE_ENCODERS[config.encoder](config).load(Placement())
    return encoder.encode([encoder.prepare(p) for p in pictures])


@pytest.mark.filterwarnings("default")
def test_minilm_is_what_sentence_transformers_makes_of_it():
    guard()
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(package_folder(MINILM_PACKAGE) / "model"), device="cpu")
    model.max_seq_length = 128
    theirs = model.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    ours = encoded_texts(TextConfig(max_tokens=128))
    assert (ours * theirs).sum(axis=1).min() > 0.9999


def test_minilm_knows_what_texts_mean():
    encoder = TEXT_ENCODERS["minilm"](TextConfig()).load(Placement())
    texts = ["A cat sleeps on the sofa.", "A kitten naps on the couch.", "Stock markets fell."]
    cat, kitten, stocks = unit_rows(encoder.encode(encoder.tokenize(texts)))[0]
    assert cat @ kitten > 0.5 > cat @ stocks + 0.3


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_bert_is_pooled_as_asked(tmp_path, pooling):
    folder = make_bert(tmp_path / "bert")
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    with torch.inference_mode():
        states = [
            model(**tokenizer(t, truncation=True, max_length=20, return_tensors="pt"))[0][0]
            for t in TEXTS
        ]
    theirs = np.stack([(s[0] if pooling == "cls" else s.mean(dim=0)).numpy() for s in states])
    config = TextConfig(encoder="huggingface", model=str(folder), pooling=pooling, max_tokens=20)
    assert np.allclose(encoded_texts(config), unit_rows(theirs)[0], atol=1e-5)


@pytest.fixture(scope="module")
def lite0_in_timm():
    guard()
    import timm

    weights = torch.load(package_folder(LITE0_PACKAGE) / LITE0_WEIGHTS, weights_only=True)
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    kept = [v for k, v in weights.items() if not k.endswith("num_batches_tracked")]
    names = [k for k in model.state_dict() if not k.endswith("num_batches_tracked")]
    model.load_state_dict(dict(zip(names, kept, strict=True)), strict=False)
    return model


def test_lite0_is_what_timm_makes_of_the_weights(lite0_in_timm):
    encoder = IMAGE_ENCODERS["efficientnet-lite0"](ImageConfig()).load(Placement())
    noise = np.random.default_rng(0).normal(size=(4, 3, 224, 224)).astype(np.float32)
    with torch.inference_mode():
        features = lite0_in_timm.forward_features(torch.from_numpy(noise))
        theirs = lite0_in_timm.forward_head(features, pre_logits=True).numpy()
    assert np.allclose(encoder.encode(noise), theirs, atol=2e-3)


def test_lite0_sees_a_lamp_in_a_drawn_lamp_of_its_classes(lite0_in_timm):
    """A plain sanity check of preprocessing: a web page's screenshot class for text on white."""
    from PIL import Image, ImageDraw

    page = Image.new("RGB", (300, 300), "white")
    pen = ImageDraw.Draw(page)
    for y in range(10, 290, 14):
        pen.text((10, y), "The quick brown fox jumps over the lazy dog.", fill="black")
    vector = encoded_pictures(ImageConfig(), [page])
    with torch.inference_mode():
        classes = lite0_in_timm.classifier(torch.from_numpy(vector)).topk(5).indices[0].tolist()
    written = {916, 917, 918, 921, 922, 549, 692, 446, 688}
    """Web site, comic book, crossword, book jacket, menu, envelope, packet, binder …"""
    assert written & {*classes}


@pytest.mark.parametrize("make", [make_clip, make_siglip])
def test_transformers_image_features(tmp_path, make):
    folder = make(tmp_path / "model")
    from transformers import AutoImageProcessor, AutoModel

    pictures = [picture(n, (50 + n, 70)) for n in range(3)]
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        inputs = processor(images=pictures, return_tensors="pt")
        theirs = model.get_image_features(**inputs).pooler_output.numpy()
    ours = encoded_pictures(ImageConfig(encoder="huggingface", model=str(folder)), pictures)
    assert np.allclose(ours, theirs, atol=1e-5)


def open_clip_features(pictures, name, **settings):
    import open_clip

    model, _, transform = open_clip.create_model_and_transforms(name, **settings)
    with torch.inference_mode():
        return model.eval().encode_image(torch.stack([transform(p) for p in pictures])).numpy()


def test_open_clip_from_a_folder(tmp_path):
    folder = make_open_clip(tmp_path / "model")
    pictures = [picture(n, (50 + n, 70)) for n in range(3)]
    name = f"local-dir:{folder}"
    theirs = open_clip_features(pictures, name)
    ours = encoded_pictures(ImageConfig(encoder="open-clip", model=name), pictures)
    assert np.allclose(ours, theirs, atol=1e-5)


def test_open_clip_of_a_named_architecture_and_a_checkpoint_file(tmp_path):
    guard()
    import open_clip
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = open_clip.create_model("ViT-S-32-alt", pretrained_text=False)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    settings = {"pretrained": str(tmp_path / "weights.safetensors")}
    pictures = [picture(n) for n in range(2)]
    theirs = open_clip_features(pictures, "ViT-S-32-alt", **settings)
    config = ImageConfig(encoder="open-clip", model="ViT-S-32-alt", **settings)
    assert np.allclose(encoded_pictures(config, pictures), theirs, atol=1e-4)


@pytest.mark.parametrize("library", ["torchvision", "transformers", "open_clip"])
def test_the_guard_lets_libraries_import_and_acts_only_when_needed(library):
    script = f"""
from pipeline.embed.torchvision_guard import guard
acted = guard()
assert guard() == acted
import torch, {library}
import torchvision.transforms.v2
if not acted:
    assert torch.ops.torchvision.nms is not None
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=120)


def test_the_guard_leaves_a_sound_torchvision_alone(monkeypatch):
    from pipeline.embed import torchvision_guard

    def never():
        raise AssertionError

    monkeypatch.setattr(torchvision_guard, "_declared", [])
    monkeypatch.setattr(torchvision_guard, "_declare", never)
    monkeypatch.setattr(torchvision_guard.importlib, "import_module", lambda _: None)
    assert torchvision_guard.guard() is False


def test_the_guard_does_not_hide_another_fault(monkeypatch):
    from pipeline.embed import torchvision_guard

    def broken(_):
        raise RuntimeError("libjpeg is missing")

    monkeypatch.setattr(torchvision_guard, "_declared", [])
    monkeypatch.setattr(torchvision_guard.importlib, "import_module", broken)
    with pytest.raises(RuntimeError, match="libjpeg"):
        torchvision_guard.guard()
