"""Images that Pillow cannot decode, or not rightly, are decoded by tensorflow-io in a process of its own.

`routes` says which decoder is for which files, `client` keeps the process, `worker` is the process, `frames` what they
say to each other. The worker runs in an environment without the package's own dependencies: this module, `frames`,
`greyscale`, `decoders` and `worker` import none of them.
"""

__all__: list[str] = []
