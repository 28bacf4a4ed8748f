"""The serving check: sends requests to the exported model in a process that has TensorFlow alone.

`component` is the node, `plan` makes the requests, `client` sends them in its own process, and `judge` compares the
answers with the Trainer's. `infra_validator` replaces all of this by TFX's InfraValidator.
"""
