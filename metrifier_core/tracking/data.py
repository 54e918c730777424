"""The data set of a run, as MLflow names it: by its digest and its columns."""

import mlflow
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array

from metrifier_core.tracking.story import DIGITS


def quality_schema() -> Schema:
    """Gives the columns of ImageNet_Quality in MLflow's types."""
    # Who serves a model needs no tables.
    import pyarrow as pa

    from metrifier_core.data.records import QUALITY

    types = {
        pa.string(): DataType.string,
        pa.int32(): DataType.integer,
        pa.int64(): DataType.long,
        pa.float64(): DataType.double,
        pa.list_(pa.float64()): Array(DataType.double),
    }
    return Schema([ColSpec(types[field.type], field.name) for field in QUALITY])


def log_data(run_name: str, sha256: str, fold: str = "") -> None:
    """Logs ImageNet_Quality to the active run as an input.

    Args:
        run_name: Of the pipeline's run.
        sha256: Of the table.
        fold: Tells it from those of other folds.
    """
    source = CodeDatasetSource(tags={"metrifier.run": run_name})
    name = f"ImageNet_Quality {fold}".strip()
    mlflow.log_input(MetaDataset(source, name, sha256[:DIGITS], quality_schema()), context="training")
