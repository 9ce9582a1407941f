"""Distribution `hardware-aware-transformers`: packages hat, latency_predictor and search."""

from pathlib import Path

from setuptools import find_packages, setup

COMMANDS = [
    "prepare",
    "train-super",
    "train-sub",
    "cache",
    "compress",
    "measure-latency",
    "fit-predictor",
    "search",
    "evaluate",
    "export",
    "translate",
    "classify",
    "generate",
    "score",
    "inspect",
    "run",
]

setup(
    name="hardware-aware-transformers",
    version="0.1.0",
    description="Find, train and deploy the best translation model that meets a latency budget on your device",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["hat", "hat.*", "latency_predictor", "latency_predictor.*", "search", "search.*"]),
    package_data={f"{name}.report": ["templates/*"] for name in ("hat", "latency_predictor", "search")}
    | {"hat.compression": ["templates/*"]},
    python_requires=">=3.11",
    install_requires=[
        "torch>=2.6,<3",
        # fairseq itself (0.12.2) does not install on Python 3.11; this is its maintained build, same import name.
        # Install it first and without build isolation (see README), else its build alone fetches a CUDA torch.
        "fairseq-fixed>=0.12.3.1",
        "numpy>=1.26",
        "scikit-learn>=1.4",
        "scipy>=1.11",
        "onnx>=1.19",
        "ml_dtypes>=0.5",
        "onnxruntime>=1.19",
        "sentencepiece>=0.2",
        "tokenizers>=0.21",  # WordPiece and byte-level BPE of classifiers that begin from a pretrained network
        "sacrebleu>=2.4",
        "safetensors>=0.4",
        "pyyaml>=6.0",
        "tqdm>=4.66",
        "matplotlib>=3.8",
        "jinja2>=3.1",  # templates of the reports' pages: autoescaped, so that no name or sentence can be read as HTML
        "tensorboard>=2.16",
    ],
    extras_require={
        "dev": [
            "pytest>=8.0",
            "pytest-xdist>=3.5",
            "hypothesis>=6.100",
            "ruff>=0.6",
            "mypy>=1.11",
            "psutil>=5.9",
            "transformers>=4.40",
        ]
    },
    entry_points={"console_scripts": [f"hat-{name} = hat.cli.{name.replace('-', '_')}:main" for name in COMMANDS]},
)
