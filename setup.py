"""What pyproject.toml cannot say: the folder configs/ is installed as jaxvae/configs. All else stands there.

`jaxvae.zoo` holds no modules, but weights; as a package without them setuptools takes its files.
"""

from setuptools import find_packages, setup

packages = [*find_packages(include=["jaxvae*"]), "jaxvae.zoo", "jaxvae.configs"]
setup(packages=packages, package_dir={"jaxvae.configs": "configs"})
