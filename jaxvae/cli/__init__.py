"""Run jaxvae from the command line: flags, help, and one function for each mode."""
