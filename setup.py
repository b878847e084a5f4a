"""What pyproject.toml cannot say: the folder configs/ is installed as jaxvae/configs. All else stands there."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["jaxvae*"]), "jaxvae.configs"], package_dir={"jaxvae.configs": "configs"})
