"""Packaging. Everything below `archs/` is installed; tools are configured in pyproject.toml."""

import runpy
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent

# BasicSR itself stands in no list: its source distribution asks for torch in an isolated build, which fetches
# gigabytes and may replace the torch at hand. `make venv` installs it, or by hand, with setuptools and wheel present:
#   pip install --use-pep517 --no-build-isolation --no-deps basicsr==1.4.2
# and `train` names what it really needs (addict, future, yapf and tb-nightly are declared there, but not used).
TRAIN = ["torchvision>=0.23", "scipy>=1.8,<2", "lmdb>=1.3", "requests>=2.27", "tensorboard>=2.12"]
PLOT = ["matplotlib>=3.6", "adjustText>=1.3"]
EXPORT = ["onnx>=1.17", "onnxscript>=0.6.2", "onnxruntime>=1.23"]
NCNN = ["ncnn>=1.0.20261020", "pnnx>=20261020"]  # BSD-3
VIDEO = ["av>=18.1"]  # FFmpeg in its wheel, LGPL with x264 and x265, which are GPL; needs Python 3.11
LARGE = ["pyvips[binary]>=3.0"]  # reads pictures by rows: LGPL, its wheel brings libvips
WEB = ["starlette>=0.46", "uvicorn>=0.30", "python-multipart>=0.0.18"]
BENCH = [*EXPORT, *PLOT, "openvino>=2024.0", "spandrel>=0.4.2"]
TEST = [
    *("pytest>=8", "pytest-xdist>=3.2", "httpx>=0.27", *BENCH, *LARGE, *NCNN, *WEB),
    *(f"{each}; python_version >= '3.11'" for each in VIDEO),
]
DEV = [
    *TEST,
    "ruff==0.17.*",
    "mypy",
    "pytest-cov>=6",
    "coverage>=7.10",
    "playwright>=1.40",
    "axe-playwright-python>=0.1.4",
]

setup(
    name="aethernet",
    version=runpy.run_path(str(ROOT / "archs" / "aethernet" / "version.py"))["__version__"],
    description="A deployable single-image super-resolution network, as an extension of BasicSR",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    package_dir={"": "archs"},
    packages=find_packages("archs"),
    py_modules=["aether_arch", "aether_hook"],
    package_data={
        "aethernet": [
            "training/recipes/templates/*",
            "weights/*",
            "data/*/*",
            "release/template/*",
            "upscale/serve/page/*",
            "*.pyi",
            "py.typed",
        ]
    },
    python_requires=">=3.10",
    install_requires=[
        "torch>=2.8",
        "jinja2>=3.0",  # torch brings it
        "numpy>=1.22",
        "opencv-python>=4.5.5.64",  # the build that BasicSR names; where libGL is missing, the headless one does the same
        "isal>=1.5; platform_machine in 'x86_64 AMD64 arm64 aarch64'",  # deflate for PNG, six times as fast; PSF-2.0, BSD-3
        "lazy-loader>=0.3",
        "msgspec>=0.19",
        "packaging>=24.2",
        "pillow>=11.2.1",  # earlier ones lose colours of animated GIF files, and XMP
        "pyyaml>=6.0",
        "safetensors>=0.3.1",
        "scikit-image>=0.19",  # its photographs are the embedded test pictures
        "tifffile>=2022.7.28",  # comes with scikit-image; 16-bit TIFF, which Pillow does not write
        "tqdm>=4.62",
    ],
    extras_require={
        "train": TRAIN,
        "plot": PLOT,
        "export": EXPORT,
        "large": LARGE,
        "video": VIDEO,
        "ncnn": NCNN,
        "web": WEB,
        "bench": BENCH,
        "test": TEST,
        "dev": DEV,
    },
    entry_points={"console_scripts": ["aethernet = aethernet.cli:main"]},
)
