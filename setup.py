"""What `pip install` needs. The exact versions that are tested are in constraints.txt."""

import pathlib

import setuptools

TEST = [
    "apache-beam>=2.77,<2.78",
    "gensim",
    "hypothesis",
    "ipykernel",
    "mypy",
    "nbclient",
    "pandas-stubs",
    "psutil",
    "pydot",
    "pyftpdlib",
    "pytest",
    "pytest-testmon",
    "pytest-xdist",
    "regex",
    "ruff",
    "types-PyYAML",
]
DOCS = ["mkdocs-jupyter", "mkdocs-material", "mkdocstrings[python]"]

setuptools.setup(
    name="multimodal_tf",
    version="0.1.0",
    description="Multimodal models on TensorFlow and Keras, from a table to a served model",
    author="The multimodal_tf authors",
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    keywords=["multimodal", "keras", "tensorflow", "tensorflow-serving", "deep-learning"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    long_description=pathlib.Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    packages=setuptools.find_packages(include=["multimodal_tf", "multimodal_tf.*"]),
    package_data={
        "multimodal_tf": ["*.pyi", "py.typed"],
        "multimodal_tf.data.datasets": ["*.parquet", "*.yaml"],
        "multimodal_tf.report.page": ["*.css", "*.js", "templates/*.jinja"],
    },
    # Keras 3.15 needs 3.11
    python_requires=">=3.11,<3.14",
    install_requires=[
        "tensorflow>=2.21,<2.22",
        "keras>=3.15,<3.16",
        "keras-hub>=0.32,<0.33",
        "keras-tuner>=1.4.8,<1.5",
        "av>=14",
        "filelock>=3.16",
        "fsspec>=2024.5",
        "jinja2>=3.1",
        "lazy_loader>=0.4",
        "matplotlib>=3.9",
        "numpy>=2",
        "pandas>=2.2",
        "pillow>=11",
        "pyarrow>=18",
        "pydantic>=2.10",
        "pyyaml>=6",
        "rich>=13",
        # KerasHub reads Hugging Face's presets with it, and does not say so
        "safetensors>=0.4",
        "scikit-learn>=1.6",
        "scipy>=1.13",
        "sentencepiece>=0.2",
        "soundfile>=0.13",
        "tensorboard>=2.20",
        "tensorflow-serving-api>=2.19,<2.22",
        "tensorflow-text>=2.21,<2.22",
        "tokenizers>=0.21",
        "typer>=0.15",
        "universal_pathlib>=0.3,<0.4",
    ],
    extras_require={
        "test": TEST,
        "docs": DOCS,
        "notebook": ["ipykernel", "pydot"],
        # it imports pkg_resources
        "tfhub": ["tensorflow-hub>=0.16", "setuptools<82"],
        "beam": ["apache-beam>=2.77,<2.78"],
        "word2vec": ["gensim"],
    },
    entry_points={"console_scripts": ["multimodal-tf=multimodal_tf.cli:main"]},
)
