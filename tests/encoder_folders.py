"""Model folders of the real architectures, small and with random weights."""

from pathlib import Path

import torch

from pipeline.embed.torchvision_guard import guard

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "blue", "lamp", "chair",
              "that", "is", "long", "##er", "to", "describe", "here", "rather"]  # fmt: skip
SIDE = 32
VISION = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
          "num_attention_heads": 2, "image_size": SIDE, "patch_size": 8}  # fmt: skip
TEXT = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "vocab_size": 50}  # fmt: skip


def make_bert(folder: Path, seed: int = 0) -> Path:
    guard()
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)
    torch.manual_seed(seed)
    BertModel(
        BertConfig(vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=2,
                   num_attention_heads=4, intermediate_size=64, max_position_embeddings=64)
    ).save_pretrained(folder)  # fmt: skip
    return folder


def make_clip(folder: Path) -> Path:
    guard()
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    torch.manual_seed(0)
    config = CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=12)
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=SIDE).save_pretrained(folder)
    return folder


def make_siglip(folder: Path) -> Path:
    guard()
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel

    torch.manual_seed(0)
    SiglipModel(SiglipConfig(text_config=TEXT, vision_config=VISION)).save_pretrained(folder)
    SiglipImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def make_vit(folder: Path) -> Path:
    guard()
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    torch.manual_seed(0)
    ViTModel(ViTConfig(**VISION)).save_pretrained(folder)
    ViTImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def make_open_clip(folder: Path) -> Path:
    """Save a small CLIP as open_clip saves one for the hub."""
    guard()
    import json

    import open_clip
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    settings = {
        "embed_dim": 12,
        "vision_cfg": {"image_size": SIDE, "layers": 2, "width": 64, "patch_size": 8},
        "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1},
    }
    preprocessing = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}
    text = json.dumps({"model_cfg": settings, "preprocess_cfg": preprocessing})
    (folder / "open_clip_config.json").write_text(text)
    torch.manual_seed(0)
    model = open_clip.CLIP(**settings)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder
