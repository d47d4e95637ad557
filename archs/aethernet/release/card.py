"""The model card: Markdown with the front matter that model hubs read, for a bundle and for weights alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from aethernet.network.config import COLOR_ORDERS, AetherConfig
from aethernet.release.origin import Inputs, Origin
from aethernet.release.records import Mean

RESEARCH_LICENSE = "research-use"
"""What hubs are told beside `license: other`."""
LIMITS: dict[Inputs, str] = {
    "clean": """Trained for inputs that were reduced by bicubic interpolation, for fidelity (PSNR). Noise, blur and traces of
compression (JPEG, video) in a picture are enlarged with it, and texture that the input does not hold is not invented.
The output is not clamped to [0, 1].""",
    "photo": """Trained for photographs with slight blur, some noise and JPEG compression (quality 40 to 95), for fidelity (PSNR).
Of pictures that were only reduced it makes a little less than the network for clean inputs; film grain and fine noise go.
Texture that the input does not hold is not invented. The output is not clamped to [0, 1].""",
}


@dataclass(frozen=True, kw_only=True)
class Card:
    """A card in parts.

    Attributes:
        summary: what stands behind the first sentence, which says what the network makes of what.
        scores: by the name of the pictures, such as Set5.
        sections: texts by titles, before and after those that every card has; empty ones are left out.
    """

    name: str
    config: AetherConfig
    origin: Origin
    summary: str
    scores: Mapping[str, Mean]
    before: Mapping[str, str]
    after: Mapping[str, str] = field(default_factory=dict)

    def markdown(self) -> str:
        """The whole card."""
        facts = "\n".join(f"- {title}: {fact}" for title, fact in self.origin.training.items())
        sections = {
            **self.before,
            "Training": facts or "Not recorded.",
            "Data and licence": self.origin.data_note.strip(),
            "Limits": LIMITS[self.origin.inputs],
            **self.after,
        }
        config, channels = self.config, self.config.in_channels
        sentence = (
            f"AetherNet `{config.variant}` for single-image super-resolution by a factor of {config.scale}: "
            f"{COLOR_ORDERS[channels]} (N, {channels}, H, W) in [0, 1] -> "
            f"(N, {channels}, {config.scale}H, {config.scale}W). {self.summary}"
        )
        texts = [f"## {title}\n\n{text}" for title, text in sections.items() if text]
        return "\n\n".join([self.front_matter(), f"# {self.name}", sentence, *texts]) + "\n"

    def front_matter(self) -> str:
        """What model hubs read: licence, library, task, training data by the hubs' names, and figures (`model-index`)."""
        origin, scale = self.origin, self.config.scale
        results = [
            {
                "task": {"type": "image-to-image", "name": f"super-resolution x{scale}"},
                "dataset": {"type": pictures, "name": pictures},
                "metrics": [
                    {"type": "psnr", "value": round(score.psnr, 2), "name": "PSNR (Y)"},
                    {"type": "ssim", "value": round(score.ssim, 4), "name": "SSIM (Y)"},
                ],
            }
            for pictures, score in self.scores.items()
        ]
        entries = {
            "license": origin.license_id,
            "license_name": RESEARCH_LICENSE if origin.license_id == "other" else "",
            "library_name": "aethernet",
            "pipeline_tag": "image-to-image",
            "tags": ["super-resolution", "image-upscaling", f"x{scale}", "aethernet", "basicsr"],
            "datasets": list(origin.datasets),
            "metrics": ["psnr", "ssim"],
            "model-index": [{"name": self.name, "results": results}] if results else [],
        }
        kept = {key: value for key, value in entries.items() if value}
        return f"---\n{yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)}---"
