"""A network as an ONNX file; equal weights give equal bytes."""

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def _digest(message: Any, without: Sequence[str], *parts: bytes) -> bytes:
    """Hash a Protocol Buffers message without some of its fields, preceded by other parts."""
    bare = type(message)()
    bare.CopyFrom(message)
    for field in without:
        bare.ClearField(field)
    return hashlib.sha256(b"".join([*parts, bare.SerializeToString(deterministic=True)])).digest()


def _name_by_content(path: Path) -> None:
    """Rewrite an ONNX file with names and an order that depend only on its computation.

    The converter's depend on memory addresses and on earlier conversions in the process.
    """
    import onnx

    model = onnx.load(path)
    (source,), (result,) = model.graph.input, model.graph.output
    # Per tensor: a hash of its computation, and its depth in the graph. An omitted input has no name.
    identities, depths = {"": b"", source.name: b"images"}, {"": 0, source.name: 0}
    for tensor in model.graph.initializer:
        identities[tensor.name], depths[tensor.name] = _digest(tensor, ["name"]), 0
    for node in model.graph.node:
        inputs = [identities[name] for name in node.input]
        identity = _digest(node, ["name", "input", "output"], *inputs)
        depth = 1 + max(depths[name] for name in node.input)
        for place, name in enumerate(node.output):
            identities[name] = identity + place.to_bytes()
            depths[name] = depth

    # The converter merges equal tensors in some runs and not in others: merge them always.
    unique_tensors = {identities[tensor.name]: tensor for tensor in model.graph.initializer}
    unique_nodes = {identities[node.output[0]]: node for node in model.graph.node}
    tensors = sorted(unique_tensors.values(), key=lambda tensor: identities[tensor.name])
    nodes = sorted(unique_nodes.values(), key=lambda node: (depths[node.output[0]], identities[node.output[0]]))
    named = {b"": "", identities[source.name]: "images"}
    named |= {identities[tensor.name]: f"constant_{index}" for index, tensor in enumerate(tensors)}
    for index, node in enumerate(nodes):
        node.name = f"{node.op_type}_{index}"
        named |= {identities[name]: f"{node.name}.{place}" for place, name in enumerate(node.output)}
    named[identities[result.name]] = "outputs"
    names = {name: named[identity] for name, identity in identities.items()}
    for node in nodes:
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    for tensor in (*tensors, source, result):
        tensor.name = names[tensor.name]
    for tensor in (source, result):
        for axis, dimension in enumerate(tensor.type.tensor_type.shape.dim):
            if dimension.dim_param:
                dimension.dim_param = f"{tensor.name}_{axis}"
    model.graph.CopyFrom(onnx.helper.make_graph(nodes, "network", [source], [result], tensors))
    onnx.save(model, path)


def export_onnx(network: Any, path: Path) -> None:
    """Write a Keras model that was called before as ONNX; with PYTHONHASHSEED set, equal weights give equal bytes."""
    with warnings.catch_warnings():
        # The converter probes for removed numpy aliases.
        warnings.simplefilter("ignore", FutureWarning)
        network.export(path, format="onnx", verbose=False)
    _name_by_content(path)
