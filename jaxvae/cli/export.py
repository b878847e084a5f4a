"""Run the commands `jaxvae export` and `jaxvae push`."""

from absl import flags

from jaxvae.cli.flags import HELP, words
from jaxvae.cli.modules import bring
from jaxvae.common.errors import UserError
from jaxvae.common.platform import avoid_wrong_sums

EXPORT = """Export a run to a new folder: its weights with a model card, or programs that run without jaxvae.

jaxvae export runs/vae-digits                          weights: model.safetensors, config.json, README.md
jaxvae export runs/vae-digits --format=stablehlo       encoder, decoder and sampler, for JAX alone
jaxvae export runs/vae-digits --format=onnx            encoder and decoder, for onnxruntime: pip install 'jaxvae[onnx]'

  --out=               the folder; default: exported/NAME-FORMAT
  --format=safetensors safetensors, stablehlo or onnx
  --parts=             encoder, decoder, sampler, separated by commas; default: all that the format takes
  --license=           of the weights, for the card, such as apache-2.0
  --checkpoint=best    best, last or a step
  --import=            your own modules whose parts the run uses"""

PUSH = """Export the weights of a run with a model card, and upload them to the Hugging Face hub.

jaxvae push runs/vae-digits OWNER/NAME                 first: pip install 'jaxvae[hub]' && hf auth login

  --private            make a new repository private
  --license=           of the weights, for the card, such as apache-2.0
  --checkpoint=best    best, last or a step
  --import=            your own modules whose parts the run uses

jaxvae.load("hf://OWNER/NAME") reads them in Python."""

USAGE = {"export": EXPORT, "push": PUSH}


def asked(argv: list[str]) -> bool:
    """Return whether the command line's first word is `export` or `push`."""
    return argv[1:2] != [] and argv[1] in USAGE


def run(argv: list[str]) -> None:
    """Export or push the run that the command line names, and print where.

    Raises:
      UserError: an unknown flag, a missing name, or see `Run.export` and `hub.push`.
    """
    command = argv[1]
    if HELP & set(argv):
        print(USAGE[command])
        return
    values = flags.FlagValues()
    flags.DEFINE_string("license", "", "of the weights", flag_values=values)
    flags.DEFINE_string("checkpoint", "best", "best, last or a step", flag_values=values)
    flags.DEFINE_list("import", [], "your own modules", flag_values=values)
    if command == "export":
        flags.DEFINE_string("out", "", "folder to write", flag_values=values)
        flags.DEFINE_string("format", "safetensors", "safetensors, stablehlo or onnx", flag_values=values)
        flags.DEFINE_list("parts", [], "encoder, decoder, sampler", flag_values=values)
    else:
        flags.DEFINE_bool("private", False, "make a new repository private", flag_values=values)
    named = words(argv, values)
    wanted = {"export": "the folder of a run: jaxvae export runs/mine",
              "push": "the folder of a run and a name: jaxvae push runs/mine OWNER/NAME"}  # fmt: skip
    if len(named) != (1 if command == "export" else 2):
        raise UserError(f"Give {wanted[command]}. See jaxvae {command} --help.")
    avoid_wrong_sums()
    bring(set(values["import"].value or []))
    from jaxvae.api.loading import load  # imports JAX: late, so that help is fast

    loaded = load(named[0], values.checkpoint)
    if command == "push":
        from jaxvae.api.export import hub

        print(hub.push(loaded, named[1], values.license, values.private))
        return
    out = values.out or f"exported/{loaded.config['name']}-{values.format}"
    for path in loaded.export(out, values.format, values.parts, values.license):
        print(path)
