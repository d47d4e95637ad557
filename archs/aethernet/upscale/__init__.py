"""Pictures enlarged by a model: exact windows, colours and depth kept, bounded memory."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"folders": ["upscale_files"], "upscaler": ["Saving", "Upscaler"]}
)
