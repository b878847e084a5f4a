"""Errors that a user can fix: one paragraph each, never a stack trace."""

import difflib
import errno
from collections.abc import Iterable

# Names used in the field for things with another name here.
SYNONYMS = {
    "lr": "learning_rate", "bs": "batch_size", "z_dim": "latent_dim", "zdim": "latent_dim", "latents": "latent_dim",
    "dtype": "compute_dtype", "precision": "compute_dtype", "k": "nll_samples", "normal": "standard_normal",
    "num_steps": "num_epochs", "steps": "num_epochs", "max_steps": "num_epochs", "iterations": "num_epochs",
    "mog": "mixture_of_gaussians", "vampprior": "vamp", "iaf": "inverse_autoregressive_flow", "vq": "vector_quantized",
    "fsq": "finite_scalar", "vmf": "von_mises_fisher", "mse": "squared_error", "bce": "bernoulli",
    "mol": "discretized_logistic_mixture", "cnn": "conv", "tcvae": "beta_tcvae", "wae": "wae_mmd", "mmd": "info_vae",
    "ae": "reconstruction", "dae": "denoising", "cae": "contractive", "fid": "frechet",
    "recall": "prdc", "density": "prdc", "coverage": "prdc", "active_units": "collapse", "au": "collapse",
}  # fmt: skip


class UserError(ValueError):
    """A user's mistake, explained in one paragraph. The command line prints it and exits with status 2."""

    def __str__(self) -> str:
        return printable(super().__str__())


class NonFiniteLoss(UserError):
    """Training stopped because the loss or a parameter was NaN or infinite."""


def printable(text: object) -> str:
    r"""Make a text printable on any stream: bytes in a file's name that are not UTF-8 become `\udcff`."""
    return str(text).encode(errors="backslashreplace").decode()


def unknown(kind: str, name: object, known: Iterable[str], of: str = "") -> UserError:
    """Make the error for an unknown name `of` something, with the known names and the nearest one."""
    known = sorted(known)
    meant = SYNONYMS.get(str(name).lower(), str(name))
    near = [meant] if meant in known else difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return UserError(f"Unknown {kind} '{name}'{of and f' of {of}'}.{hint} Known: {', '.join(known) or 'none'}.")


def advice(error: BaseException) -> str:
    """Advise on an error of the operating system about files; "" for other errors."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return " Free some space, or give another --workdir. Checkpoints saved before are kept."
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return " Fix the permissions, or give another --workdir. Checkpoints saved before are kept."
    return ""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, at most 160 characters; without one, the name of its type."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
