"""Decoding of images that Pillow cannot read, or reads wrongly, by tensorflow-io in a process of its own.

`routes` chooses the decoder of a file, `client` runs the process, and `worker` is the process. The worker's environment
lacks the package's own dependencies: this module, `greyscale`, `decoders` and `worker` must not import them.
"""
