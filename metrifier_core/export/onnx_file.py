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


def _is_idle(before: Sequence[int], after: Sequence[int]) -> bool:
    """Return whether a Reshape changes nothing; 0 stands for an unknown dimension, -1 for the one that is left open."""
    return len(before) == len(after) and all(new in {-1, old} and new for old, new in zip(before, after, strict=True))


def _remove_idle_reshapes(model: Any) -> None:
    """Remove every Reshape to the shape that its input has already.

    The converter leaves some of them in, now these, now those: it visits nodes in the order of their memory addresses.
    """
    import onnx

    graph = model.graph
    shapes = {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in onnx.shape_inference.infer_shapes(model).graph.value_info
    }
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    replaced: dict[str, str] = {}
    kept = []
    for node in graph.node:
        node.input[:] = [replaced.get(name, name) for name in node.input]
        source = node.input[0]
        if (
            node.op_type == "Reshape"
            and source in shapes
            and node.input[1] in constants
            and _is_idle(shapes[source], constants[node.input[1]].tolist())
            and node.output[0] in shapes  # not the graph's own result
        ):
            replaced[node.output[0]] = source
        else:
            kept.append(node)
    used = {name for node in kept for name in node.input}
    tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    graph.CopyFrom(onnx.helper.make_graph(kept, graph.name, graph.input, graph.output, tensors))


def canonicalize_onnx(path: Path) -> None:
    """Rewrite an ONNX file with names and an order that depend only on its computation.

    The converter's depend on memory addresses and on earlier conversions in the process.
    """
    import onnx

    model = onnx.load(path)
    _remove_idle_reshapes(model)
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
    canonicalize_onnx(path)
